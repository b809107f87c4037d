"""Outputs of classifiers: computed once, each alone, and never taken for others."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from kennen_tf.errors import UserError
from kennen_tf.imagenet import batches, classifier_outputs
from kennen_tf.imagenet.image_set import ImageSet
from kennen_tf.imagenet.members import Member
from kennen_tf.imagenet.pixel_models import PixelModel

SIZE, NUM_CLASSES, NUM_IMAGES = 6, 7, 9


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return ImageSet(
        names=tuple(f"{i}.png" for i in range(NUM_IMAGES)),
        labels=rng.integers(0, NUM_CLASSES, NUM_IMAGES).astype(np.int32),
        pixels=rng.integers(0, 256, (NUM_IMAGES, SIZE, SIZE, 3), np.uint8),
        fingerprint="one",
    )


class Opener:
    """Opens a linear classifier and counts how often."""

    def __init__(self, seed, scale=1.0):
        self.seed, self.scale = seed, scale
        self.num_opened = 0

    def __call__(self):
        self.num_opened += 1
        model = keras.Sequential(
            [
                keras.Input((SIZE, SIZE, 3)),
                keras.layers.Rescaling(self.scale / 255),
                keras.layers.Flatten(),
                keras.layers.Dense(
                    NUM_CLASSES,
                    kernel_initializer=keras.initializers.HeNormal(self.seed),
                ),
            ]
        )
        return PixelModel("linear", model)


def make_member(seed, **changes):
    settings = {
        "family": f"family.{seed % 2}",
        "name": f"member {seed}/x",
        "image_size": SIZE,
        "num_classes": NUM_CLASSES,
        "identity": f"sha{seed}",
        "opener": Opener(seed),
    }
    return Member(**settings | changes)


@pytest.fixture
def members():
    return [make_member(seed) for seed in range(3)]


def num_opened(members):
    return [member.opener.num_opened for member in members]


def test_outputs_are_the_classifiers_logits(tmp_path, images, members):
    outputs = classifier_outputs.collect(members, images, tmp_path)
    assert outputs.names == tuple(member.name for member in members)
    np.testing.assert_array_equal(outputs.labels, images.labels)
    for member in members:
        wanted = np.asarray(member.open()(images.pixels))
        logits = outputs.read(member.name)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, wanted, atol=1e-5)
        hits = (wanted.argmax(axis=1) == images.labels).mean()
        assert outputs.accuracy[member.name] == pytest.approx(hits)
        assert outputs.top_5_accuracy[member.name] >= outputs.accuracy[member.name]


def test_some_images_may_be_read_in_any_order(tmp_path, images, members):
    outputs = classifier_outputs.collect(members, images, tmp_path)
    whole = outputs.read(members[1].name)
    for chosen in ([5, 0, 5, 8], [3], []):
        indices = np.array(chosen, int)
        np.testing.assert_array_equal(
            outputs.read(members[1].name, indices), whole[indices]
        )


def test_what_is_there_is_not_computed_again(tmp_path, images, members):
    first = classifier_outputs.collect(members[:2], images, tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    classifier_outputs.collect(members, images, tmp_path)
    assert num_opened(members) == [1, 1, 1]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert first.accuracy[members[0].name] >= 0


def test_other_images_or_weights_are_computed_again(tmp_path, images, members):
    classifier_outputs.collect(members, images, tmp_path)
    changed = dataclasses.replace(members[0], identity="other", opener=Opener(0, 2.0))
    outputs = classifier_outputs.collect([changed, *members[1:]], images, tmp_path)
    assert num_opened([changed, *members[1:]]) == [1, 1, 1]
    np.testing.assert_allclose(
        outputs.read(changed.name), np.asarray(changed.open()(images.pixels)), atol=1e-5
    )
    other = dataclasses.replace(images, fingerprint="two", pixels=images.pixels // 2)
    outputs = classifier_outputs.collect(members, other, tmp_path)
    np.testing.assert_allclose(
        outputs.read(members[2].name),
        np.asarray(members[2].open()(other.pixels)),
        atol=1e-5,
    )


def test_damaged_or_undescribed_records_are_computed_again(tmp_path, images, members):
    wanted = classifier_outputs.collect(members, images, tmp_path).read("member 0/x")
    [path] = tmp_path.glob("*member 0*.tfrecord")
    path.write_bytes(path.read_bytes()[:-20])
    [other] = tmp_path.glob("*member 1*.json")
    other.unlink()
    outputs = classifier_outputs.collect(members, images, tmp_path)
    assert num_opened(members) == [2, 2, 1]
    np.testing.assert_array_equal(outputs.read("member 0/x"), wanted)


def test_a_run_that_was_killed_goes_on(tmp_path, images, members, monkeypatch):
    predict = batches.predict_logits
    calls = []

    def die_at_the_second(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return predict(*args)

    monkeypatch.setattr(batches, "predict_logits", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        classifier_outputs.collect(members, images, tmp_path)
    (tmp_path / "left.incomplete-1234.tfrecord").touch()
    classifier_outputs.collect(members, images, tmp_path)
    assert num_opened(members) == [1, 2, 1]
    assert not list(tmp_path.glob("*incomplete*"))


def test_names_of_classifiers_and_families_are_not_mixed_up(tmp_path, images):
    # Joined by a dot, both would be "a.b.c".
    members = [
        make_member(0, family="a.b", name="c"),
        make_member(1, family="a", name="b.c"),
    ]
    outputs = classifier_outputs.collect(members, images, tmp_path)
    assert len(list(tmp_path.glob("*.tfrecord"))) == 2
    for member in members:
        np.testing.assert_allclose(
            outputs.read(member.name),
            np.asarray(member.open()(images.pixels)),
            atol=1e-5,
        )


def test_records_are_described_beside_them(tmp_path, images, members):
    classifier_outputs.collect(members[:1], images, tmp_path)
    [path] = tmp_path.glob("*.json")
    info = json.loads(path.read_text())
    assert info["images"] == "one"
    assert info["num_images"] == NUM_IMAGES
    assert info["classifier"]["identity"] == "sha0"
    assert {"schema_version", "sha256", "provenance"} <= set(info)


def test_logits_that_are_not_finite_are_refused(tmp_path, images):
    member = make_member(0, opener=Opener(0, np.inf))
    with pytest.raises(UserError, match="NaN or infinity from member 0/x for 9 of 9"):
        classifier_outputs.collect([member], images, tmp_path)
    assert not list(tmp_path.glob("*.tfrecord"))


def test_top_k_accuracy_by_hand():
    logits = np.array([[3, 2, 1], [3, 2, 1], [3, 2, 1]], np.float32)
    labels = np.array([0, 1, 2], np.int32)
    values = [classifier_outputs.top_k_accuracy(logits, labels, k) for k in (1, 2, 3)]
    assert values == pytest.approx([1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("k", [1, 5])
def test_ties_do_not_count_as_right(k):
    """Who answers the same to everything is as good as chance, over all classes."""
    labels = np.arange(1000, dtype=np.int32)
    logits = np.zeros((1000, 1000), np.float32)
    assert classifier_outputs.top_k_accuracy(logits, labels, k) == k / 1000
    assert classifier_outputs.top_k_accuracy(logits[500:], labels[500:], k) == 0
