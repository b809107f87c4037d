"""Tiny classifiers and images, also on disk, for tests of the ImageNet half."""

import json
import logging
import pathlib
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.eager.polymorphic_function import polymorphic_function

NUM_CLASSES = 6
IMAGE_SIZE = 8


def make_model(seed, *, image_size=IMAGE_SIZE, num_classes=NUM_CLASSES, tilt=0.0):
    """A convolutional classifier over pixels in [0, 255], with random weights.

    Args:
        seed: Decides the weights.
        image_size: Side of its input.
        num_classes: Number of its logits.
        tilt: Added to the first logit: what betrays a family.
    """

    def initializer(index):
        return keras.initializers.RandomNormal(stddev=0.5, seed=100 * seed + index)

    inputs = keras.Input((image_size, image_size, 3))
    x = keras.layers.Rescaling(1 / 64, offset=-2)(inputs)
    x = keras.layers.Conv2D(4, 3, activation="tanh", kernel_initializer=initializer(0))(
        x
    )
    x = keras.layers.Flatten()(x)
    last = keras.layers.Dense(num_classes, kernel_initializer=initializer(1))
    model = keras.Model(inputs, last(x))
    last.bias.assign(tilt * np.eye(num_classes)[0])
    return model


def make_linear(seed=0, *, image_size=IMAGE_SIZE, num_classes=NUM_CLASSES):
    """A linear classifier, for which laws of attacks hold exactly."""
    inputs = keras.Input((image_size, image_size, 3))
    outputs = keras.layers.Dense(
        num_classes, kernel_initializer=keras.initializers.RandomNormal(0, 0.02, seed)
    )(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, outputs)


def make_images(count=12, seed=0, image_size=IMAGE_SIZE):
    """Returns uint8 images `(count, image_size, image_size, 3)`."""
    shape = (count, image_size, image_size, 3)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def save_again(path, other):
    """Saves a `.keras` file's classifier again, with other names of layers.

    Args:
        path: Of a functional model of `make_model`'s kind, one layer after the other.
        other: Path of the new file, another one in every byte that does not matter.
    """
    model = keras.models.load_model(path, compile=False)
    x = inputs = keras.Input(model.input_shape[1:], name="somewhere_else")
    for layer in model.layers[1:]:
        x = type(layer).from_config({**layer.get_config(), "name": f"my_{layer.name}"})(
            x
        )
    twin = keras.Model(inputs, x, name="my_own")
    twin.set_weights(model.get_weights())
    twin.save(other)


def write_images(folder, labels, seed=0, image_size=IMAGE_SIZE):
    """Writes PNG files and a csv with their labels into a new folder."""
    folder = pathlib.Path(folder)
    folder.mkdir()
    lines = ["file,label"]
    for index, pixels in enumerate(make_images(len(labels), seed, image_size)):
        path = folder / f"image{index:03d}.png"
        path.write_bytes(tf.io.encode_png(pixels).numpy())
        lines.append(f"{path.name},{labels[index]}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_manifest(folder, families, image_size=IMAGE_SIZE):
    """Writes classifiers and their manifest.json.

    Args:
        folder: A new folder.
        families: Number of classifiers by name of family. Those of a family prefer the
            first class by the same amount, and differ otherwise.
        image_size: Side of their input.

    Returns:
        The path of the manifest.
    """
    folder = pathlib.Path(folder)
    folder.mkdir()
    rows = []
    for place, (family, count) in enumerate(families.items()):
        for index in range(count):
            model = make_model(
                10 * place + index, image_size=image_size, tilt=4 * place
            )
            name = f"{family}{index}"
            model.save(folder / f"{name}.keras")
            rows.append({"name": name, "family": family, "file": f"{name}.keras"})
    path = folder / "manifest.json"
    path.write_text(json.dumps({"schema_version": 1, "classifiers": rows}))
    return path


def tensorflows_warnings(work):
    """Does some work; returns what TensorFlow's Python side warned of."""
    records = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append
    # Of a function that is compiled too often, it warns twice only: perhaps before.
    limit = "FREQUENT_TRACING_WARNING_MAX_WARNING_PER_DETECTOR"
    tf.get_logger().addHandler(handler)
    try:
        with mock.patch.object(polymorphic_function, limit, 1000):
            work()
    finally:
        tf.get_logger().removeHandler(handler)
    return [record.getMessage() for record in records]


class Killed(BaseException):
    """What ends a run at any line."""


def die_in_call(number, function):
    """The function, but the run is killed when it is called for that time."""
    calls = []

    def dying(*args, **kwargs):
        calls.append(args)
        if len(calls) == number:
            raise Killed
        return function(*args, **kwargs)

    return dying
