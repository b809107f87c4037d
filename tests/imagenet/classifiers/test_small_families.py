"""Small families: the paper's depths, honest digits, training that can be stopped."""

import dataclasses
import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.configs.conversion import FAMILIES
from kennen_tf.configs.families import FamiliesConfig
from kennen_tf.imagenet.classifiers import family_training, small_families
from kennen_tf.imagenet.classifiers.registry import open_registry
from kennen_tf.images.datasets import load_images
from kennen_tf.train_families import train_families
from kennen_tf.vocabulary.artifacts import sha256_of_file
from kennen_tf.vocabulary.errors import UserError
from pipelines.image_sets import load_image_set

# Two that train in a second.
TINY = tuple(
    dataclasses.replace(
        c, variant=dataclasses.replace(c.variant, width=0.0625, depth=0.25)
    )
    for c in small_families.CLASSIFIERS
    if c.name in ("vgg11_small", "vgg11_bn_small")
)


@pytest.fixture(scope="module")
def digits():
    """A few of the embedded digits."""
    images = load_images("mnist")
    return type(images)(*(part[:600] for part in images))


@pytest.fixture(scope="module")
def images(digits):
    return small_families.prepare(digits, num_train=500, seed=0)


def of_family(family):
    return [c for c in small_families.CLASSIFIERS if c.family == family]


@functools.cache
def build(classifier):
    """Builds each once for all tests, which must not change it."""
    return classifier.build(seed=0)


def test_every_family_of_the_paper_has_two_to_four_classifiers():
    families = list(dict.fromkeys(c.family for c in small_families.CLASSIFIERS))
    assert families == list(FAMILIES)
    for family in families:
        classifiers = of_family(family)
        assert 2 <= len(classifiers) <= 4
        for classifier in classifiers:
            assert classifier.name.removesuffix("_small") in FAMILIES[family]
    assert len({c.name for c in small_families.CLASSIFIERS}) == len(
        small_families.CLASSIFIERS
    )


@pytest.mark.long
@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "squeezenet"])
def test_classifiers_differ_in_depth_as_in_the_paper(family):
    depths = []
    for classifier in of_family(family):
        layers = build(classifier).layers
        depths.append(sum(isinstance(x, keras.layers.Conv2D) for x in layers))
    assert depths == sorted(set(depths))


@pytest.mark.long
@pytest.mark.parametrize("classifier", small_families.CLASSIFIERS, ids=lambda c: c.name)
def test_classifiers_take_the_digits_and_give_ten_logits(classifier):
    model = build(classifier)
    assert model.input_shape == (None, 32, 32, 3)
    assert model.output_shape == (None, 10)


@pytest.mark.long
def test_digits_are_those_of_the_image_set(images):
    wanted = load_image_set("mnist", image_size=32, num_images=0)
    indices = [int(name.rsplit("-", 1)[1]) for name in wanted.names[:600]]
    first = [(position, i) for position, i in enumerate(indices) if i < 600]
    assert len(first) > 10
    for position, index in first:
        np.testing.assert_array_equal(
            wanted.pixels[position], images.test_pixels[index]
        )
        assert wanted.labels[position] == images.test_labels[index]


def test_training_digits_are_drawn_by_the_seed(digits, images):
    assert images.train_pixels.shape == (500, 32, 32, 3)
    assert images.train_pixels.dtype == np.uint8
    again = small_families.prepare(digits, num_train=500, seed=0)
    other = small_families.prepare(digits, num_train=500, seed=1)
    np.testing.assert_array_equal(images.train_pixels, again.train_pixels)
    assert not np.array_equal(images.train_labels, other.train_labels)
    with pytest.raises(UserError, match="at most the number of digits, 600"):
        small_families.prepare(digits, num_train=601, seed=0)


def accuracy(model, images):
    logits = model(tf.cast(images.test_pixels, tf.float32), training=False)
    return np.mean(np.argmax(logits, axis=1) == images.test_labels)


@pytest.mark.long
def test_training_learns_and_follows_the_seed(images, monkeypatch):
    seen = []
    make_step = small_families._make_step

    def make_counting_step(*args):
        step = make_step(*args)
        return lambda batch: seen.append(batch.numpy()) or step(batch)

    monkeypatch.setattr(small_families, "_make_step", make_counting_step)

    def train(seed, epochs):
        seen.clear()
        model = small_families.train(
            TINY[1], images, epochs=epochs, batch_size=25, seed=seed
        )
        # Each epoch, every digit once, in another order.
        orders = np.concatenate(seen).reshape(epochs, 500)
        assert (np.sort(orders) == np.arange(500)).all()
        assert len({order.tobytes() for order in orders}) == epochs
        return model

    first, other = train(0, epochs=10), train(1, epochs=1)
    assert not first.compiled
    assert accuracy(first, images) > 0.7
    # Who learned more still begins where its own seed began, not where the other's did.
    begun = [TINY[1].build(seed).get_weights()[0] for seed in (0, 1)]
    distances = [
        [np.linalg.norm(model.get_weights()[0] - own) for own in begun]
        for model in (first, other)
    ]
    assert distances[0][0] < distances[0][1] and distances[1][1] < distances[1][0]


def make_config(folder, **changes):
    values = {"num_train": 60, "epochs": 1, "batch_size": 20, "workers": 1}
    return FamiliesConfig(output_dir=str(folder), **{**values, **changes})


@pytest.mark.long
def test_a_run_that_fails_keeps_what_is_trained_and_goes_on_to_a_manifest(
    tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "families"
    variant = dataclasses.replace(TINY[0].variant, pooled_size=3, image_size=64)
    impossible = dataclasses.replace(TINY[0], variant=variant, name="vgg13_small")
    monkeypatch.setattr(small_families, "CLASSIFIERS", (*TINY, impossible))
    with pytest.raises(RuntimeError, match="While training vgg13_small.*side of 2"):
        train_families(make_config(folder))
    names = ["vgg11_small", "vgg11_bn_small"]
    files = {path.name for path in folder.iterdir()} - {".lock"}
    left = {"config.json", "training.jsonl", *(f"{name}.keras" for name in names)}
    assert files == left
    assert list(family_training.read_trained(folder)) == names
    pixels = np.full((1, 32, 32, 3), 100, np.float32)

    def answers():
        paths = [folder / f"{name}.keras" for name in names]
        models = [keras.models.load_model(path, compile=False) for path in paths]
        return [model(pixels).numpy() for model in models]

    before = answers()
    assert before[0].shape == (1, 10)
    with pytest.raises(UserError, match="Say --resume"):
        train_families(make_config(folder))
    with pytest.raises(UserError, match="epochs 1, not 2"):
        train_families(make_config(folder, epochs=2, resume=True))

    # As if the first had not been written.
    monkeypatch.setattr(small_families, "CLASSIFIERS", TINY)
    kept = (folder / f"{names[1]}.keras").stat().st_mtime_ns
    digest = sha256_of_file(folder / f"{names[1]}.keras")
    (folder / f"{names[0]}.keras").write_bytes(b"damaged")
    capsys.readouterr()
    train_families(make_config(folder, resume=True))
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)
    files = {path.name for path in folder.iterdir()} - {".lock"}
    assert files == {*left, "manifest.json"}
    assert (folder / f"{names[1]}.keras").stat().st_mtime_ns == kept
    registry = open_registry(str(folder))
    assert {f: [c.name for c in own] for f, own in registry.families.items()} == {
        "vgg": [names[0]],
        "vgg_bn": [names[1]],
    }
    assert registry.classifiers[1].identity == digest
    np.testing.assert_allclose(before, answers(), atol=1e-4)
    opened = [classifier.open()(pixels).numpy() for classifier in registry.classifiers]
    np.testing.assert_allclose(before, opened, atol=1e-4)


def test_only_whole_classifiers_count_as_trained(tmp_path):
    record = {
        "family": "vgg",
        "name": "vgg11_small",
        "num_params": 1,
        "accuracy": 0.9,
        "seconds": 1.0,
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    path = tmp_path / family_training.TRAINING_NAME
    path.write_text(json.dumps(record) + '\n{"family": "v')  # A torn line.
    assert family_training.read_trained(tmp_path) == {}
    (tmp_path / "vgg11_small.keras").touch()  # What the SHA-256 is of.
    assert list(family_training.read_trained(tmp_path)) == ["vgg11_small"]
    (tmp_path / "vgg11_small.keras").write_bytes(b"other")
    assert family_training.read_trained(tmp_path) == {}


def test_settings_are_checked():
    with pytest.raises(UserError, match="--output_dir must be given"):
        FamiliesConfig()
    with pytest.raises(UserError, match="--batch_size must be at least 1 and at most"):
        FamiliesConfig(output_dir="x", num_train=10, batch_size=11)


@pytest.mark.slow
def test_all_classifiers_reach_95_per_cent(tmp_path):
    train_families(FamiliesConfig(output_dir=str(tmp_path / "families")))
    trained = family_training.read_trained(tmp_path / "families")
    assert len(trained) == len(small_families.CLASSIFIERS)
    assert min(record.accuracy for record in trained.values()) >= 0.95
