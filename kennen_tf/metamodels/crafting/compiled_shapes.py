"""Passes of classifiers, forward and back, compiled once for each shape.

They take weights and images, so that one pair serves all classifiers of a shape. For
the paper's classifiers both are written by hand (`passes.py`), for all others
TensorFlow differentiates (`tape_passes.py`).
"""

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kennen_tf.designs import mnist_net
from kennen_tf.metamodels.crafting import passes, tape_passes
from kennen_tf.zoo.classifier_files import ClassifierFile
from kennen_tf.zoo.store import ClassifierRecord

# What a forward pass leaves for the way back.
Kept = list[tf.Tensor]
# Of a classifier: by the names of layers, or in Keras' order.
Weights = Any
# Gradients with respect to the images themselves, and not to patches of a size.
WHOLE = 0


@dataclasses.dataclass(frozen=True)
class CompiledShape:
    """What classifiers of one shape share: compiled passes.

    Attributes:
        forward: From weights and images to log-probabilities and what is kept.
        backward: From weights, images, what was kept, and a gradient with respect to
            log-probabilities, to one with respect to patches or whole images.
        patch_size: Of the patches; `WHOLE` if there are none.
        takes_pixels: Whether it takes images as they are, or standardized.
        pick: From a file to the weights that the passes take.
    """

    forward: Callable[[Weights, tf.Tensor], tuple[tf.Tensor, Kept]]
    backward: Callable[[Weights, tf.Tensor, Kept, tf.Tensor], tf.Tensor]
    patch_size: int
    takes_pixels: bool
    pick: Callable[[ClassifierFile], Any]


def _compile_paper_shape(
    record: ClassifierRecord, file: ClassifierFile
) -> CompiledShape:
    """Compiles the passes by hand for any number of images, each function once."""
    if record.spec is None:
        raise ValueError(f"Received: {record}.")
    both = passes.Passes(record.spec)
    likes = tf.nest.map_structure(
        lambda weight: tf.TensorSpec(weight.shape), dict(file.weights)
    )
    images_like = tf.TensorSpec((None, *mnist_net.IMAGE_SHAPE))
    forward = tf.function(both.forward).get_concrete_function(likes, images_like)
    answer, kept = forward.structured_outputs
    kept_like = [tf.TensorSpec(tensor.shape) for tensor in kept]
    backward = tf.function(both.backward).get_concrete_function(
        likes, kept_like, tf.TensorSpec(answer.shape)
    )
    return CompiledShape(
        forward,
        lambda weights, _, kept, gradient: backward(weights, kept, gradient),
        both.kernel_size,
        takes_pixels=False,
        pick=lambda file: dict(file.weights),
    )


def _compile_shape(
    record: ClassifierRecord, file: ClassifierFile, image_shape: tuple[int, ...]
) -> CompiledShape:
    """Compiles passes that TensorFlow differentiates."""
    model = file.build()
    scale = {"unit": 1.0, "byte": 255.0}[record.pixels]
    both = tape_passes.TapePasses(model, record.outputs, scale, record.image_size)
    likes = [tf.TensorSpec(array.shape) for array in file.arrays]
    images_like = tf.TensorSpec((None, *image_shape))
    forward = tf.function(both.forward).get_concrete_function(likes, images_like)
    answer, _ = forward.structured_outputs
    backward = tf.function(both.backward).get_concrete_function(
        likes, images_like, tf.TensorSpec(answer.shape)
    )
    return CompiledShape(
        forward,
        lambda weights, images, _, gradient: backward(weights, images, gradient),
        WHOLE,
        takes_pixels=True,
        pick=lambda file: file.arrays,
    )


class CompiledShapes:
    """The compiled passes of all shapes met in this process."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[object, ...], CompiledShape] = {}
        self._lock = threading.Lock()

    def find(
        self,
        record: ClassifierRecord,
        file: ClassifierFile,
        image_shape: tuple[int, ...],
        is_paper: bool,
    ) -> CompiledShape:
        own = record.pixels, record.outputs, record.image_size
        key = file.key, image_shape, *own
        with self._lock:
            if key not in self._by_key:
                self._by_key[key] = (
                    _compile_paper_shape(record, file)
                    if is_paper
                    else _compile_shape(record, file, image_shape)
                )
            return self._by_key[key]
