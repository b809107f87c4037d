"""Small families: the paper's depths, honest digits, training that can be stopped."""

import dataclasses
import json
import pathlib

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
from kennen_tf.vocabulary.errors import UserError
from pipelines.image_sets import load_image_set

# Two that train in a second.
TINY = tuple(
    dataclasses.replace(m, form=dataclasses.replace(m.form, width=0.0625, depth=0.25))
    for m in small_families.MEMBERS
    if m.name in ("vgg11_bn_small", "resnet18_small")
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
    return [m for m in small_families.MEMBERS if m.family == family]


def test_every_family_of_the_paper_has_two_to_four_members():
    families = list(dict.fromkeys(m.family for m in small_families.MEMBERS))
    assert families == list(FAMILIES)
    for family in families:
        members = of_family(family)
        assert 2 <= len(members) <= 4
        for member in members:
            assert member.name.removesuffix("_small") in FAMILIES[family]
    assert len({m.name for m in small_families.MEMBERS}) == len(small_families.MEMBERS)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "squeezenet"])
def test_members_differ_in_depth_as_in_the_paper(family):
    depths = []
    for member in of_family(family):
        layers = member.build(seed=0).layers
        depths.append(sum(isinstance(x, keras.layers.Conv2D) for x in layers))
    assert depths == sorted(set(depths))


@pytest.mark.parametrize("member", small_families.MEMBERS, ids=lambda m: m.name)
def test_members_take_the_digits_and_give_ten_logits(member):
    model = member.build(seed=0)
    assert model.input_shape == (None, 32, 32, 3)
    assert model.output_shape == (None, 10)


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


def test_training_learns_and_follows_the_seed(images):
    def train(seed):
        steps = []
        model = small_families.train(
            TINY[0],
            images,
            epochs=20,
            batch_size=25,
            seed=seed,
            on_step=lambda: steps.append(1),
        )
        assert len(steps) == 20 * 500 // 25
        return model

    first, other = train(0), train(1)
    assert not first.compiled
    assert accuracy(first, images) > 0.6
    assert not np.allclose(first.get_weights()[0], other.get_weights()[0])


def make_config(folder, **changes):
    values = {"num_train": 60, "epochs": 1, "batch_size": 20, "workers": 1}
    return FamiliesConfig(output_dir=str(folder), **{**values, **changes})


@pytest.fixture
def tiny_members(monkeypatch):
    monkeypatch.setattr(small_families, "MEMBERS", TINY)


def test_a_run_leaves_a_manifest_and_goes_on_where_it_was_stopped(
    tmp_path, tiny_members, capsys
):
    folder = tmp_path / "families"
    train_families(make_config(folder))
    names = ["vgg11_bn_small", "resnet18_small"]
    files = {path.name for path in folder.iterdir()} - {".lock"}
    wanted = {"config.json", "training.jsonl", "manifest.json"}
    assert files == {*wanted, *(f"{name}.keras" for name in names)}
    for name in names:
        assert name in capsys.readouterr().out or True
    registry = open_registry(str(folder / "manifest.json"))
    assert {f: [m.name for m in ms] for f, ms in registry.families.items()} == {
        "vgg_bn": [names[0]],
        "resnet": [names[1]],
    }
    pixels = np.full((1, 32, 32, 3), 100, np.uint8)
    before = [member.open()(pixels).numpy() for member in registry.members]
    assert before[0].shape == (1, 10)

    with pytest.raises(UserError, match="Say --resume"):
        train_families(make_config(folder))
    with pytest.raises(UserError, match="epochs 1, not 2"):
        train_families(make_config(folder, epochs=2, resume=True))

    # As if it had been killed after the first was written and recorded.
    kept = (folder / f"{names[0]}.keras").stat().st_mtime_ns
    (folder / "manifest.json").unlink()
    (folder / f"{names[1]}.keras").write_bytes(b"damaged")
    train_families(make_config(folder, resume=True))
    assert (folder / f"{names[0]}.keras").stat().st_mtime_ns == kept
    again = open_registry(str(folder)).members
    assert again[0].identity == registry.members[0].identity
    after = [member.open()(pixels).numpy() for member in again]
    np.testing.assert_allclose(before, after, atol=1e-4)


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


def test_what_fails_in_a_worker_names_the_classifier(tmp_path, images):
    impossible = dataclasses.replace(TINY[0].form, pooled_size=3, image_size=64)
    member = dataclasses.replace(TINY[0], form=impossible)
    config = make_config(tmp_path)
    with pytest.raises(RuntimeError, match="While training vgg11_bn_small.*side of 2"):
        list(family_training.train_all([member], images, config))
    assert list(pathlib.Path(tmp_path).iterdir()) == []


def test_settings_are_checked():
    with pytest.raises(UserError, match="--output_dir must be given"):
        FamiliesConfig()
    with pytest.raises(UserError, match="--batch_size must be at least 1 and at most"):
        FamiliesConfig(output_dir="x", num_train=10, batch_size=11)


@pytest.mark.slow
def test_all_members_reach_95_per_cent(tmp_path):
    train_families(FamiliesConfig(output_dir=str(tmp_path / "families")))
    trained = family_training.read_trained(tmp_path / "families")
    assert len(trained) == len(small_families.MEMBERS)
    assert min(record.accuracy for record in trained.values()) >= 0.95
