"""Designs: trainers forget all, wrong parts are named, build failures are counted."""

import dataclasses
import sys

import numpy as np
import pytest
from design_fakes import check_reset, make_spec, small_images

from kennen_tf.configs.zoo import DESIGNS
from kennen_tf.designs import building
from kennen_tf.designs.design import load_design
from kennen_tf.images import datasets as image_pipeline
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import training

# What makes the reset hardest: dropout, batch normalisation, optimizers with state.
CHOICES = {
    "mnist_net": {"act": "prelu", "drop": "yes", "alg": "rmsprop", "split": "half1"},
    "digits_net": {"drop": "yes", "pool": "yes", "alg": "adam", "bs": 64},
    "wild_net": {
        **{"act": "sigmoid", "conv": 1, "pool": "average", "norm": "before", "fc": 2},
        **{"drop_conv": "yes", "drop_fc": "yes", "alg": "sgd", "filters": 8},
        **{"epochs": 1},
    },
}


@pytest.mark.long
@pytest.mark.parametrize("name", DESIGNS)
def test_trainer_that_trained_another_equals_a_fresh_one_bit_for_bit(name):
    design = dataclasses.replace(load_design(name), epochs=1)
    check_reset(
        design,
        small_images(design),
        make_spec(design, **CHOICES[name]),
        make_spec(design, **CHOICES[name], seed=4),
    )


def test_reset_puts_back_statistics_of_batch_normalisation():
    design = dataclasses.replace(load_design("wild_net"), epochs=1)
    spec = make_spec(design, **CHOICES["wild_net"])
    trainer = training.Trainer(design, spec, small_images(design), "float32")
    trainer.train(spec, 0)
    moved = [v for v in trainer._model.variables if "moving" in v.path]
    assert moved and any(np.ptp(v.numpy()) > 0 for v in moved)
    trainer._reset(spec, 0)
    assert all(np.ptp(v.numpy()) == 0 for v in moved)


# A design of its own, to be spoiled in one part.
PARTS = """
import keras
import numpy as np
from kennen_tf.attributes import Attribute
from kennen_tf.designs.design import Design
from kennen_tf.vocabulary.labeled_images import LabeledImages

def images():
    random = np.random.default_rng(0)
    made = random.integers(0, 256, (60, 4, 4, 2), np.uint8)
    labels = (np.arange(60) % 3).astype(np.int32)
    return LabeledImages(made[:40], labels[:40], made[40:], labels[40:])

def build(values, seed):
    inputs = keras.Input((4, 4, 2))
    x = keras.layers.Flatten()(inputs)
    return keras.Model(inputs, keras.layers.Dense(3)(x))

PARTS = dict(
    attributes=[Attribute(name="bs", values=(8, 16))],
    images=images,
    build=build,
    step_attributes=(),
    batch_size=lambda values: values["bs"],
    epochs=1,
)
"""


@pytest.fixture
def load(tmp_path, monkeypatch, request):
    """Returns a function that loads a design whose parts are changed by a line."""

    def load_changed(change=""):
        name = f"design_{abs(hash((request.node.name, change)))}"
        lines = f"{PARTS}\n{change}\nDESIGN = Design(**PARTS)\n"
        (tmp_path / f"{name}.py").write_text(lines)
        return load_design(f"{name}:DESIGN")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return load_changed


def test_a_design_of_ones_own_is_found_in_the_current_folder(load):
    design = load()
    assert design.attributes.names == ("bs",)
    images = image_pipeline.load_zoo_images(design.name, "")
    assert (images.image_shape, images.num_classes) == ((4, 4, 2), 3)
    spec = make_spec(design)
    check_reset(design, images, spec, make_spec(design, seed=5, bs=16))


def test_a_design_finds_what_moved_since_it_was_written(load):
    old = """
from kennen_tf.labeled_images import LabeledImages as Old
from kennen_tf.seeds import derive_seed
from pipelines.images import load_images
assert Old is LabeledImages and load_images("digits").num_classes == 10
"""
    assert load(old).attributes.names == ("bs",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("del PARTS['build']", "'build'"),
        ("PARTS['more'] = 1", "'more'"),
        ("PARTS['build'] = 'a name'", "`build`.*a function. Received: 'a name'"),
        ("PARTS['optimizer'] = keras.optimizers.Adam()", "`optimizer`.*a function"),
        ("PARTS['batch_size'] = 64", "`batch_size`.*a function. Received: 64"),
        ("PARTS['epochs'] = '3'", "`epochs`.*a function or a whole number"),
        ("PARTS['epochs'] = 0", "`epochs`.*at least 1. Received: 0"),
        ("PARTS['subset'] = 'all'", "`subset`.*a function or None"),
        ("PARTS['images'] = images()", "`images`.*a function or a dataset's name"),
        ("PARTS['step_attributes'] = ('act',)", "`step_attributes`.*'act'"),
        ("PARTS['attributes'] = []", "One attribute or more"),
        ("raise OSError('no weights')", "imported.*OSError: no weights"),
        ("import nowhere_at_all", "nowhere_at_all"),
    ],
)
def test_a_wrong_part_is_named_in_one_sentence(load, change, message):
    with pytest.raises(UserError, match=message) as raised:
        load(change)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar_net", "mnist_net, digits_net, wild_net, or module:NAME.*'cifar_net'"),
        ("nowhere:DESIGN", "can be imported.*nowhere"),
        ("kennen_tf.vocabulary.seeds:DESIGN", "DESIGN"),
        ("kennen_tf.vocabulary.seeds:derive_seed", "must name a `Design`.*a function"),
    ],
)
def test_what_is_no_design_is_refused(name, message):
    with pytest.raises(UserError, match=message):
        load_design(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("PARTS['images'] = lambda: 3", "`images`.*`LabeledImages`. Received: int"),
        ("PARTS['images'] = lambda: 1 / 0", "`images`.*ZeroDivisionError"),
        (
            "PARTS['images'] = lambda: images()._replace(test_labels=np.zeros(20))",
            "same classes in both parts",
        ),
        (
            "PARTS['images'] = lambda: images()._replace(test_images=np.zeros(20))",
            "must be uint8",
        ),
    ],
)
def test_wrong_images_are_refused(load, change, message):
    with pytest.raises(UserError, match=message):
        image_pipeline.load_zoo_images(load(change).name, "")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ("Flatten()(inputs)", r"answer 3 logits.*\(32,\)"),
        ("Dense(3)(inputs)", r"answer 3 logits.*\(4, 4, 3\)"),
        ("Dense(4)(keras.layers.Flatten()(inputs))", r"answer 3 logits.*\(4,\)"),
    ],
)
def test_wrong_answers_of_a_model_are_refused(load, build, message):
    design = load(
        "def build(values, seed):\n"
        "    inputs = keras.Input((4, 4, 2))\n"
        f"    return keras.Model(inputs, keras.layers.{build})\n"
        "PARTS['build'] = build"
    )
    images = image_pipeline.load_zoo_images(design.name, "")
    with pytest.raises(UserError, match=message):
        training.Trainer(design, make_spec(design), images, "float32")


def test_a_model_of_other_images_is_refused(load):
    design = load()
    images = image_pipeline.load_zoo_images(design.name, "")
    grey = images._replace(
        train_images=images.train_images[..., :1],
        test_images=images.test_images[..., :1],
    )
    with pytest.raises(UserError, match=r"shape \(4, 4, 1\). Received.*\(4, 4, 2\)"):
        training.Trainer(design, make_spec(design), grey, "float32")


def test_what_is_no_model_is_refused(load):
    design = load("PARTS['build'] = lambda values, seed: keras.layers.Dense(3)")
    with pytest.raises(UserError, match="return a Keras model. Received: Dense"):
        building.build_logits(design, {"bs": 8}, lambda *names: 0)


def test_what_build_raises_is_the_failure_of_one_classifier(load):
    design = load("PARTS['build'] = lambda values, seed: 1 / 0")
    with pytest.raises(ZeroDivisionError):
        building.build_logits(design, {"bs": 8}, lambda *names: 0)
