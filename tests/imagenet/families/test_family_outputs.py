"""Outputs of classifiers: computed once, each alone, and never taken for others."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.imagenet.classifiers import batches
from kennen_tf.imagenet.classifiers.family_classifier import FamilyClassifier
from kennen_tf.imagenet.families import family_outputs
from kennen_tf.images.image_set import ImageSet
from kennen_tf.keras_models.pixel_models import PixelModel
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary.errors import UserError
from pipelines.query_outputs import load_arrays

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


def make_classifier(seed, **changes):
    settings = {
        "family": f"family.{seed % 2}",
        "name": f"member {seed}/x",
        "image_size": SIZE,
        "num_classes": NUM_CLASSES,
        "identity": f"sha{seed}",
        "opener": Opener(seed),
    }
    return FamilyClassifier(**settings | changes)


@pytest.fixture
def classifiers():
    return [make_classifier(seed) for seed in range(3)]


def num_opened(classifiers):
    return [classifier.opener.num_opened for classifier in classifiers]


def collect(classifiers, images, folder, **more):
    return family_outputs.collect(classifiers, images, folder, **more)


def answers_of(classifier, images):
    """What a classifier answers, asked here."""
    return tf.nn.softmax(classifier.open()(images.pixels)).numpy()


def check_answers(outputs, classifiers, images):
    for classifier in classifiers:
        found = outputs.probabilities[classifier.name]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, answers_of(classifier, images), atol=1e-6)


def test_outputs_are_what_the_classifiers_answer(tmp_path, images, classifiers):
    outputs = collect(classifiers, images, tmp_path)
    assert list(outputs.probabilities) == [
        classifier.name for classifier in classifiers
    ]
    np.testing.assert_array_equal(outputs.labels, images.labels)
    check_answers(outputs, classifiers, images)
    for classifier in classifiers:
        hits = (answers_of(classifier, images).argmax(axis=1) == images.labels).mean()
        assert outputs.accuracy[classifier.name] == pytest.approx(hits)
        assert (
            outputs.top_5_accuracy[classifier.name] >= outputs.accuracy[classifier.name]
        )


def test_they_are_kept_as_query_outputs_of_a_zoo_of_families(
    tmp_path, images, classifiers
):
    outputs = collect(classifiers, images, tmp_path / "outputs")
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]
    info = QueryOutputsInfo.open(tmp_path / "outputs")
    [attribute] = info.attributes
    assert (attribute.name, attribute.values) == ("family", ("family.0", "family.1"))
    assert info.num_classes == NUM_CLASSES
    np.testing.assert_array_equal(info.query_inputs.images, images.pixels)
    np.testing.assert_array_equal(info.query_inputs.labels, images.labels)
    for entry, classifier in zip(info.entries, classifiers, strict=True):
        assert entry.id == entry.combination_id == classifier.name
        assert entry.values == {"family": classifier.family}
        assert entry.accuracy == outputs.accuracy[classifier.name]
    found, labels = load_arrays(info, list(outputs.probabilities), [4, 2], None)
    np.testing.assert_array_equal(labels["family"], [0, 1, 0])
    for classifier, own in zip(classifiers, found, strict=True):
        np.testing.assert_array_equal(
            own, outputs.probabilities[classifier.name][[4, 2]]
        )


@pytest.mark.long
def test_what_is_there_is_not_asked_for_again(tmp_path, images, classifiers):
    collect(classifiers[:2], images, tmp_path)
    outputs = collect(classifiers, images, tmp_path)
    assert num_opened(classifiers) == [1, 1, 1]
    check_answers(outputs, classifiers, images)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = collect(classifiers, images, tmp_path)
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    for name, answers in outputs.probabilities.items():
        np.testing.assert_array_equal(again.probabilities[name], answers)


@pytest.mark.long
def test_other_images_or_weights_are_asked_about_again(tmp_path, images, classifiers):
    collect(classifiers, images, tmp_path)
    changed = dataclasses.replace(
        classifiers[0], identity="other", opener=Opener(0, 2.0)
    )
    outputs = collect([changed, *classifiers[1:]], images, tmp_path)
    assert num_opened([changed, *classifiers[1:]]) == [1, 1, 1]
    check_answers(outputs, [changed, *classifiers[1:]], images)
    other = dataclasses.replace(images, fingerprint="two", pixels=images.pixels // 2)
    check_answers(collect(classifiers, other, tmp_path), classifiers, other)


def test_who_is_not_wanted_now_is_not_forgotten(tmp_path, images, classifiers):
    collect(classifiers[:2], images, tmp_path)
    collect(classifiers[2:], images, tmp_path)
    outputs = collect(classifiers[:2], images, tmp_path)
    assert num_opened(classifiers) == [1, 1, 1]
    assert list(outputs.probabilities) == [
        classifier.name for classifier in classifiers[:2]
    ]
    check_answers(outputs, classifiers[:2], images)


def test_another_family_needs_no_other_answers(tmp_path, images, classifiers):
    collect(classifiers, images, tmp_path)
    moved = dataclasses.replace(classifiers[0], family="family.9")
    collect([moved, *classifiers[1:]], images, tmp_path)
    assert num_opened(classifiers) == [1, 1, 1]
    [first, *_] = QueryOutputsInfo.open(tmp_path).entries
    assert first.values == {"family": "family.9"}


def test_damaged_outputs_are_asked_for_again(tmp_path, images, classifiers):
    wanted = collect(classifiers, images, tmp_path).probabilities
    path = next(tmp_path.glob("*.tfrecord-*"))
    path.write_bytes(path.read_bytes()[:-20])
    found = collect(classifiers, images, tmp_path).probabilities
    assert num_opened(classifiers) == [2, 2, 2]
    for name, answers in wanted.items():
        np.testing.assert_array_equal(found[name], answers)


def test_a_run_that_was_killed_goes_on(tmp_path, images, classifiers, monkeypatch):
    predict = batches.predict_logits
    calls = []

    def die_at_the_third(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return predict(*args)

    monkeypatch.setattr(batches, "predict_logits", die_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        collect(classifiers, images, tmp_path / "outputs")
    unfinished = tmp_path / "outputs-unfinished"
    assert len(list(unfinished.glob("*.npy"))) == 2
    (unfinished / "left.incomplete-1234.npy").touch()
    outputs = collect(classifiers, images, tmp_path / "outputs")
    assert num_opened(classifiers) == [1, 1, 2]
    check_answers(outputs, classifiers, images)
    assert not unfinished.exists()


def test_the_first_is_looked_at_before_others_are_asked(tmp_path, images, classifiers):
    def look(outputs):
        seen.append((list(outputs.probabilities), num_opened(classifiers)))

    seen = []
    collect(classifiers, images, tmp_path, on_first=look)
    assert seen == [([classifiers[0].name], [1, 0, 0])]


def test_outputs_of_an_earlier_version_make_room(tmp_path, images, classifiers, caplog):
    for name in ("vgg.vgg11.tfrecord", "vgg.vgg11.json"):
        (tmp_path / name).touch()
    check_answers(collect(classifiers, images, tmp_path), classifiers, images)
    assert "in the form of an earlier version" in caplog.text
    assert not list(tmp_path.glob("vgg*"))


def test_logits_that_are_not_finite_are_refused(tmp_path, images):
    classifier = make_classifier(0, opener=Opener(0, np.inf))
    with pytest.raises(UserError, match="NaN or infinity from member 0/x for 9 of 9"):
        collect([classifier], images, tmp_path / "outputs")
    assert not list((tmp_path / "outputs").iterdir())


def test_top_k_accuracy_by_hand():
    logits = np.array([[3, 2, 1], [3, 2, 1], [3, 2, 1]], np.float32)
    labels = np.array([0, 1, 2], np.int32)
    values = [family_outputs.top_k_accuracy(logits, labels, k) for k in (1, 2, 3)]
    assert values == pytest.approx([1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("k", [1, 5])
def test_ties_do_not_count_as_right(k):
    """Who answers the same to everything is as good as chance, over all classes."""
    labels = np.arange(1000, dtype=np.int32)
    logits = np.zeros((1000, 1000), np.float32)
    assert family_outputs.top_k_accuracy(logits, labels, k) == k / 1000
    assert family_outputs.top_k_accuracy(logits[500:], labels[500:], k) == 0
