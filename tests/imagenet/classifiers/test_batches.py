"""Batches: the logits of one batch, whatever the size, and memory that runs out."""

import gc
import weakref

import image_fakes
import keras
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.imagenet.classifiers import batches
from kennen_tf.keras_models.pixel_models import PixelModel
from kennen_tf.machine import memory

SIZE, NUM_CLASSES, NUM_IMAGES = 8, 5, 13


def make_classifier(model=None):
    if model is None:
        inputs = keras.Input((SIZE, SIZE, 3))
        x = keras.layers.Rescaling(1 / 255)(inputs)
        x = keras.layers.Conv2D(4, 3, activation="relu")(x)
        x = keras.layers.Dense(NUM_CLASSES)(keras.layers.Flatten()(x))
        model = keras.Model(inputs, x)
    return PixelModel("small", model)


@pytest.fixture(scope="module")
def classifier():
    keras.utils.set_random_seed(0)
    return make_classifier()


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (NUM_IMAGES, SIZE, SIZE, 3), np.uint8)


@pytest.mark.parametrize("batch_size", [0, 1, 4, 5, NUM_IMAGES, 100])
def test_logits_do_not_depend_on_the_batch_size(classifier, pixels, batch_size):
    wanted = classifier.model.predict(pixels.astype(np.float32), verbose=0)
    given = []
    logits = batches.predict_logits(classifier, pixels, batch_size, given.append)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, wanted, atol=1e-5)
    assert sum(given) == NUM_IMAGES
    assert max(given) <= (batch_size or NUM_IMAGES)


def test_no_images_have_no_logits(classifier, pixels):
    assert batches.predict_logits(classifier, pixels[:0]).shape == (0, NUM_CLASSES)


def test_images_of_another_size_are_resized(classifier):
    rng = np.random.default_rng(1)
    large = rng.integers(0, 256, (3, 2 * SIZE, 2 * SIZE, 3), np.uint8)
    np.testing.assert_allclose(
        batches.predict_logits(classifier, large), classifier(large), atol=1e-5
    )


def test_a_read_only_file_of_images_will_do(classifier, pixels, tmp_path):
    np.save(tmp_path / "pixels.npy", pixels)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        batches.predict_logits(classifier, mapped, 4),
        batches.predict_logits(classifier, pixels, 4),
    )


class Counting:
    """Stands for a classifier; counts traces and refuses large batches."""

    name, num_classes = "counting", NUM_CLASSES

    def __init__(self, largest=1000):
        self.largest = largest
        self.traced = []

    def __call__(self, pixels):
        self.traced.append(pixels.shape[0])
        if pixels.shape[0] > self.largest:
            raise tf.errors.ResourceExhaustedError(None, None, "no memory")
        return tf.reduce_mean(pixels, axis=[1, 2, 3])[:, tf.newaxis] * tf.ones(
            NUM_CLASSES
        )


def test_there_is_one_trace_for_all_batches_and_calls(pixels):
    classifier = Counting()
    for _ in range(2):
        batches.predict_logits(classifier, pixels, 5)
    assert classifier.traced == [5]


def test_many_classifiers_are_compiled_without_a_warning(pixels):
    def work():
        for _ in range(6):
            batches.predict_logits(Counting(), pixels, 5)

    assert image_fakes.tensorflows_warnings(work) == []


def test_batches_are_nearly_full(pixels):
    # 13 images in batches of at most 12: 7 and 6, not 12 and 1.
    classifier, given = Counting(), []
    batches.predict_logits(classifier, pixels, 12, given.append)
    assert given == [7, 6]


def test_batches_are_halved_when_memory_runs_out(pixels):
    classifier = Counting(largest=3)
    logits = batches.predict_logits(classifier, pixels, NUM_IMAGES)
    assert classifier.traced == [13, 7, 4, 2]
    means = pixels.reshape(NUM_IMAGES, -1).mean(axis=1)
    np.testing.assert_allclose(logits[:, 0], means, rtol=1e-5)


def test_no_memory_for_one_image_is_an_error(pixels):
    with pytest.raises(tf.errors.ResourceExhaustedError):
        batches.predict_logits(Counting(largest=0), pixels, 2)


def test_compiled_functions_go_with_their_classifiers(pixels):
    classifier = make_classifier()
    batches.predict_logits(classifier, pixels)
    reference = weakref.ref(classifier)
    del classifier
    gc.collect()
    assert reference() is None


def test_an_images_bytes_are_those_of_all_layers_outputs():
    inputs = keras.Input((4, 4, 3))
    inner = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3)])
    model = keras.Model(inputs, keras.layers.Flatten()(inner(inputs)))
    # Inputs, convolution (2 x 2 x 2; Sequential does not count its input), flattened.
    assert batches.image_bytes(model) == 4 * (48 + 8 + 8)


def test_the_batch_size_is_bounded_by_memory(classifier, monkeypatch):
    monkeypatch.setattr(batches, "image_bytes", lambda model: 1 << 20)
    monkeypatch.setattr(memory, "available_memory", lambda: 16 << 20)
    assert batches.choose_batch_size(classifier.model) == 4
    monkeypatch.setattr(memory, "available_memory", lambda: 0)
    assert batches.choose_batch_size(classifier.model) == 1
    monkeypatch.setattr(memory, "available_memory", lambda: 1 << 40)
    assert batches.choose_batch_size(classifier.model) == 128
