"""Gradients through many classifiers, with respect to the images they are sent.

A classifier's weights are read once and stay in memory. Two compiled functions for each
shape, forward and back, take weights and images, so that a classifier costs its
arithmetic and nothing else: no loading, no tracing, no Keras. What classifiers have in
common is done once for all of them: the images are standardized once, and gradients
with respect to patches of the images are added up and folded together once. Classifiers
are divided over devices and threads; sums are taken in the order of the classifiers, so
results depend on neither.
"""

import concurrent.futures
import dataclasses
import os
import threading
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from kennen_tf.errors import UserError
from kennen_tf.labeled_images import IMAGE_SHAPE, NUM_CLASSES
from kennen_tf.zoo import passes, querying
from kennen_tf.zoo.passes import Weights
from kennen_tf.zoo.specs import ShapeKey, shape_key
from kennen_tf.zoo.store import ClassifierRecord, Zoo

# As in querying: more threads wait for one another.
MAX_THREADS = querying.MAX_THREADS

_MEGABYTE = 1 << 20
_BYTES_OF_NUMBER = 4
# What a forward pass leaves for the way back.
_Kept = list[tf.Tensor]

_fold = tf.function(passes.fold, reduce_retracing=True)


@dataclasses.dataclass(frozen=True)
class _Shape:
    """What classifiers of one shape share: compiled passes.

    Attributes:
        forward, backward: As those of `passes.Passes`.
        kernel_size: Of the first convolution.
    """

    forward: Callable[[Weights, tf.Tensor], tuple[tf.Tensor, _Kept]]
    backward: Callable[[Weights, _Kept, tf.Tensor], tf.Tensor]
    kernel_size: int

    @classmethod
    def build(cls, record: ClassifierRecord, weights: Weights) -> "_Shape":
        """Compiles for any number of images, each function once."""
        both = passes.Passes(record.spec)
        likes = tf.nest.map_structure(
            lambda weight: tf.TensorSpec(weight.shape), weights
        )
        images_like = tf.TensorSpec((None, *IMAGE_SHAPE))
        forward = tf.function(both.forward).get_concrete_function(likes, images_like)
        _, kept = forward.structured_outputs
        kept_like = [tf.TensorSpec(tensor.shape) for tensor in kept]
        gradient_like = tf.TensorSpec((None, NUM_CLASSES))
        backward = tf.function(both.backward).get_concrete_function(
            likes, kept_like, gradient_like
        )
        return cls(forward, backward, both.kernel_size)


@dataclasses.dataclass(frozen=True)
class Answers:
    """What classifiers answered, and the way back to the images.

    Attributes:
        log_probabilities: float32 `(classifiers, n, 10)`.
        image_gradient: From the gradient of a loss with respect to
            `log_probabilities`, of their shape, to its gradient with respect to the
            images, float32 `(n, 28, 28, 1)`. To be called once at most.
    """

    log_probabilities: tf.Tensor
    image_gradient: Callable[[tf.Tensor], tf.Tensor]


class GradientBank:
    """Classifiers of a zoo to compute gradients through.

    Only classifiers that it was made with are ever opened.

    Attributes:
        ids: Of the classifiers, in the order of `records`.
    """

    def __init__(
        self,
        zoo: Zoo,
        records: Sequence[ClassifierRecord],
        *,
        devices: Sequence[str] = ("/device:CPU:0",),
        max_memory_mb: int = 4096,
        num_threads: int = 0,
    ):
        """Opens classifiers; their weights are read when they are first needed.

        Args:
            zoo: The zoo.
            records: Which of its accepted classifiers.
            devices: Names of devices; the classifiers are dealt out to them.
            max_memory_mb: Bound on weights and on what is kept of forward passes.
                Weights come first: to read them costs most. Beyond it, weights are
                read again, and forward passes made again.
            num_threads: 0 is one per core, up to `MAX_THREADS`, and one per device at
                least.
        """
        self.ids = tuple(record.id for record in records)
        self._zoo = zoo
        self._records = {record.id: record for record in records}
        self._device_of = {
            record.id: devices[place % len(devices)]
            for place, record in enumerate(records)
        }
        self._shapes: dict[ShapeKey, _Shape] = {}
        self._weights: dict[str, Weights] = {}
        self._weight_bytes = 0
        self._max_bytes = max_memory_mb * _MEGABYTE
        num_params = sum(record.num_params for record in self._records.values())
        self._max_kept_bytes = self._max_bytes - _BYTES_OF_NUMBER * num_params
        self._lock = threading.Lock()
        cores = min(os.cpu_count() or 1, MAX_THREADS)
        self._executor = concurrent.futures.ThreadPoolExecutor(
            num_threads or max(cores, len(devices))
        )

    def answer(self, ids: Sequence[str], images: tf.Tensor) -> Answers:
        """Sends images and keeps the way back to them.

        Args:
            ids: Which classifiers; in this order they answer.
            images: float32 `(n, 28, 28, 1)`.

        Raises:
            UserError: If a classifier's file is missing or is not the one recorded.
        """
        pixels = passes.standardize(images)
        kept: dict[int, _Kept] = {}
        kept_bytes = 0

        def forward(place: int) -> tf.Tensor:
            nonlocal kept_bytes
            answer, keep = self._forward(ids[place], pixels)
            num_bytes = sum(_BYTES_OF_NUMBER * x.shape.num_elements() for x in keep)
            with self._lock:
                if kept_bytes + num_bytes <= self._max_kept_bytes:
                    kept[place] = keep
                    kept_bytes += num_bytes
            return answer

        def backward(place: int, gradient: tf.Tensor) -> tuple[int, tf.Tensor]:
            shape, weights = self._open(ids[place])
            keep = kept.pop(place, None)
            with tf.device(self._device_of[ids[place]]):
                if keep is None:
                    _, keep = shape.forward(weights, pixels)
                return shape.kernel_size, shape.backward(weights, keep, gradient)

        def image_gradient(gradients: tf.Tensor) -> tf.Tensor:
            totals: dict[int, tf.Tensor] = {}
            places = range(len(ids))
            for kernel_size, patches in self._executor.map(
                backward, places, tf.unstack(gradients)
            ):
                total = totals.get(kernel_size)
                totals[kernel_size] = patches if total is None else total + patches
            return tf.add_n([_fold(totals[size], size) for size in sorted(totals)])

        answers = self._executor.map(forward, range(len(ids)))
        return Answers(tf.stack(list(answers)), image_gradient)

    def log_probabilities(self, ids: Sequence[str], images: tf.Tensor) -> tf.Tensor:
        """Sends images; returns log-probabilities, float32 `(classifiers, n, 10)`."""
        pixels = passes.standardize(images)
        answers = self._executor.map(lambda i: self._forward(i, pixels)[0], ids)
        return tf.stack(list(answers))

    def _forward(
        self, classifier_id: str, pixels: tf.Tensor
    ) -> tuple[tf.Tensor, _Kept]:
        shape, weights = self._open(classifier_id)
        with tf.device(self._device_of[classifier_id]):
            return shape.forward(weights, pixels)

    def _open(self, classifier_id: str) -> tuple[_Shape, Weights]:
        """Returns a classifier's shape and weights, read if they are not there."""
        record = self._records[classifier_id]
        with self._lock:
            weights = self._weights.get(classifier_id)
        if weights is None:
            weights = self._read(record)
        key = shape_key(querying.without_dropout(record.spec))
        with self._lock:
            if key not in self._shapes:
                self._shapes[key] = _Shape.build(record, weights)
            return self._shapes[key], weights

    def _read(self, record: ClassifierRecord) -> Weights:
        path = self._zoo.check_classifier(record)
        arrays = querying.read_weights(path)
        flat = [array for layer in arrays.values() for array in layer]
        if not all(np.isfinite(array).all() for array in flat):
            raise UserError(
                f"{path} must have finite weights. Received: NaN or infinity. Build "
                "the zoo again without it."
            )
        with tf.device(self._device_of[record.id]):
            weights = tf.nest.map_structure(tf.constant, arrays)
        num_bytes = sum(array.nbytes for array in flat)
        with self._lock:
            # Steps go through all classifiers in turn: to put out one that was just
            # read keeps more of them than to put out the oldest.
            if self._weight_bytes + num_bytes <= self._max_bytes:
                self._weights[record.id] = weights
                self._weight_bytes += num_bytes
        return weights
