"""Sends many images through a classifier, in batches as large as memory allows."""

import functools
import math
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from absl import logging

from kennen_tf.machine import memory

if TYPE_CHECKING:
    from kennen_tf.keras_models.pixel_models import PixelModel

_MAX_BATCH_SIZE = 128
_MAX_GPU_BATCH_SIZE = 256
# On a CPU, batches whose layers' outputs are larger than this are slower, not faster:
# they leave the caches. Measured with `benchmarks.imagenet_outputs` on two cores:
# batches of 8 were the fastest for EfficientNet-Lite0 (77 MB an image) and SqueezeNet
# (18 MB), of 16 to 32 for MobileNet 0.25 (18 MB), of 128 for small nets (0.3 MB); fewer
# than 8 were slower for all.
_MAX_BYTES = 256 << 20
_FEWEST = 8
# The rest is for the weights, for what kernels need, and for everybody else.
_MEMORY_SHARE = 0.25
_FLOAT_BYTES = 4

# A compiled function lives as long as its classifier.
_compiled: "weakref.WeakKeyDictionary[PixelModel, Callable[[tf.Tensor], tf.Tensor]]" = (
    weakref.WeakKeyDictionary()
)


def predict_logits(
    classifier: "PixelModel",
    pixels: npt.NDArray[np.uint8],
    batch_size: int = 0,
    on_batch: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """Classifies images.

    All batches have one shape, so that the classifier is traced once; the last one is
    padded. Pixels travel as bytes and become floats within the compiled function. If
    memory runs out, batches are halved and the work goes on.

    Args:
        classifier: Opened.
        pixels: uint8 `(num_images, size, size, 3)`; may be mapped from a file. Not
            modified.
        batch_size: Images at once; 0: `choose_batch_size`.
        on_batch: Called after each batch with the number of images in it.

    Returns:
        Logits, float32 `(num_images, num_classes)`.

    Raises:
        tf.errors.ResourceExhaustedError: If there is no memory for a single image.
    """
    num_images = len(pixels)
    logits = np.empty((num_images, classifier.num_classes), np.float32)
    if not num_images:
        return logits
    batch_size = min(batch_size or choose_batch_size(classifier.model), num_images)
    # As many batches as before, but nearly full ones.
    batch_size = math.ceil(num_images / math.ceil(num_images / batch_size))
    predict = _compile(classifier)
    first = 0
    while first < num_images:
        batch = pixels[first : first + batch_size]
        padding = batch_size - len(batch)
        padded = np.pad(batch, ((0, padding), *((0, 0),) * 3)) if padding else batch
        try:
            values = predict(tf.convert_to_tensor(padded)).numpy()
        except tf.errors.ResourceExhaustedError:
            if batch_size == 1:
                raise
            batch_size = math.ceil(batch_size / 2)
            logging.warning(
                "%s: out of memory, going on with batches of %d.",
                *(classifier.name, batch_size),
            )
            continue
        logits[first : first + len(batch)] = values[: len(batch)]
        first += len(batch)
        if on_batch is not None:
            on_batch(len(batch))
    return logits


def _compile(classifier: "PixelModel") -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a classifier's compiled function; a trace for each shape of a batch."""
    if classifier not in _compiled:
        # A strong reference would keep the key of the weak dictionary alive. Partial:
        # TensorFlow counts the traces of a function for all classifiers together, and
        # warns of many.
        predict = functools.partial(_predict, weakref.ref(classifier))
        _compiled[classifier] = tf.function(predict)
    return _compiled[classifier]


def _predict(reference: "weakref.ref[PixelModel]", pixels: tf.Tensor) -> tf.Tensor:
    classifier = reference()
    if classifier is None:
        raise ReferenceError("The classifier is gone.")
    return classifier(tf.cast(pixels, tf.float32))


def choose_batch_size(model: keras.Model) -> int:
    """Returns how many images a model should be given at once.

    As many as memory allows, if the outputs of all layers had to be there at once, but
    no more than make it faster. A GPU's memory is found out by trying.
    """
    if tf.config.list_physical_devices("GPU"):
        return _MAX_GPU_BATCH_SIZE
    one = image_bytes(model)
    allowed = int(memory.available_memory() * _MEMORY_SHARE / one)
    useful = min(max(_MAX_BYTES // one, _FEWEST), _MAX_BATCH_SIZE)
    return max(1, min(allowed, useful))


def image_bytes(model: keras.Model) -> int:
    """Returns the bytes of the outputs of all layers for one image.

    More than is needed at any one time, as outputs are freed after use.
    """
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            total += image_bytes(layer)
            continue
        for tensor in tf.nest.flatten(layer.output):
            total += _FLOAT_BYTES * math.prod(side or 1 for side in tensor.shape[1:])
    return max(total, 1)
