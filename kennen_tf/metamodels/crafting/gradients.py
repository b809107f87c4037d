"""Gradients through many classifiers, with respect to the images they are sent.

A classifier's weights are read once and stay in memory. Two compiled functions for each
shape, forward and back (`compiled_shapes.py`), take weights and images, so that a
classifier costs its arithmetic and nothing else: no loading, no tracing, no Keras. What
classifiers have in common is done once for all of them: the paper's images are
standardized once, and gradients with respect to patches of the images are added up and
folded together once. Classifiers are divided over devices and threads; sums are taken
in the order of the classifiers, so results depend on neither.
"""

import concurrent.futures
import dataclasses
import functools
import threading
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from kennen_tf.designs import mnist_net
from kennen_tf.machine import processors
from kennen_tf.metamodels.crafting import passes
from kennen_tf.metamodels.crafting.compiled_shapes import (
    WHOLE,
    CompiledShape,
    CompiledShapes,
    Kept,
    Weights,
)
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import classifier_files, querying
from kennen_tf.zoo.store import ClassifierRecord, Zoo

# As in querying: more threads wait for one another.
MAX_THREADS = querying.MAX_THREADS

_MEGABYTE = 1 << 20
_BYTES_OF_NUMBER = 4
_fold = tf.function(passes.fold, reduce_retracing=True)


# All that were met in this process.
_shapes = CompiledShapes()


@dataclasses.dataclass(frozen=True)
class DifferentiableAnswers:
    """What classifiers answered, and the way back to the images.

    Attributes:
        log_probabilities: float32 `(classifiers, n, classes)`.
        image_gradient: From the gradient of a loss with respect to
            `log_probabilities`, of their shape, to its gradient with respect to the
            images, float32 `(n, height, width, channels)`. To be called once at most.
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
        self._is_paper = (
            zoo.design is not None and zoo.design.name == mnist_net.DESIGN.name
        )
        self._opened: dict[str, tuple[CompiledShape, Weights]] = {}
        self._weight_bytes = 0
        self._max_bytes = max_memory_mb * _MEGABYTE
        num_params = sum(record.num_params for record in self._records.values())
        self._max_kept_bytes = self._max_bytes - _BYTES_OF_NUMBER * num_params
        self._lock = threading.Lock()
        cores = min(processors.available_cores(), MAX_THREADS)
        self._executor = concurrent.futures.ThreadPoolExecutor(
            num_threads or max(cores, len(devices))
        )

    def answer(self, ids: Sequence[str], images: tf.Tensor) -> DifferentiableAnswers:
        """Sends images and keeps the way back to them.

        Args:
            ids: Which classifiers; in this order they answer.
            images: float32 `(n, height, width, channels)` in [0, 1].

        Raises:
            UserError: If a classifier's file is missing or is not the one recorded.
        """
        views = _Views(images)
        kept: dict[int, Kept] = {}
        kept_bytes = 0

        def forward(place: int) -> tf.Tensor:
            nonlocal kept_bytes
            answer, keep = self._forward(ids[place], views)
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
                own = views.of(shape)
                if keep is None:
                    _, keep = shape.forward(weights, own)
                return shape.patch_size, shape.backward(weights, own, keep, gradient)

        def image_gradient(gradients: tf.Tensor) -> tf.Tensor:
            totals: dict[int, tf.Tensor] = {}
            places = range(len(ids))
            for size, patches in self._executor.map(
                backward, places, tf.unstack(gradients)
            ):
                total = totals.get(size)
                totals[size] = patches if total is None else total + patches
            return tf.add_n(
                [
                    totals[size] if size == WHOLE else _fold(totals[size], size)
                    for size in sorted(totals)
                ]
            )

        answers = self._executor.map(forward, range(len(ids)))
        return DifferentiableAnswers(tf.stack(list(answers)), image_gradient)

    def log_probabilities(self, ids: Sequence[str], images: tf.Tensor) -> tf.Tensor:
        """Sends images; returns log-probabilities `(classifiers, n, classes)`."""
        views = _Views(images)
        answers = self._executor.map(lambda i: self._forward(i, views)[0], ids)
        return tf.stack(list(answers))

    def _forward(self, classifier_id: str, views: "_Views") -> tuple[tf.Tensor, Kept]:
        shape, weights = self._open(classifier_id)
        with tf.device(self._device_of[classifier_id]):
            return shape.forward(weights, views.of(shape))

    def _open(self, classifier_id: str) -> tuple[CompiledShape, Weights]:
        """Returns a classifier's shape and weights, read if they are not there."""
        with self._lock:
            opened = self._opened.get(classifier_id)
        return opened or self._read(self._records[classifier_id])

    def _read(self, record: ClassifierRecord) -> tuple[CompiledShape, Weights]:
        if record.spec is None and not record.sha256:
            raise UserError(
                "kennen-i and kennen-io descend through training classifiers, which "
                f"must be Keras files. Received: {record.id}, a function "
                f"({record.file}). Use kennen-o or kennen-s."
            )
        path = self._zoo.check_classifier(record)
        file = classifier_files.read(path)
        if not all(np.isfinite(array).all() for array in file.arrays):
            raise UserError(
                f"{path} must have finite weights. Received: NaN or infinity. Build "
                "the zoo again without it."
            )
        shape = _shapes.find(record, file, self._zoo.image_shape, self._is_paper)
        with tf.device(self._device_of[record.id]):
            weights = tf.nest.map_structure(tf.constant, shape.pick(file))
        num_bytes = sum(array.nbytes for array in file.arrays)
        with self._lock:
            # Steps go through all classifiers in turn: to put out one that was just
            # read keeps more of them than to put out the oldest.
            if self._weight_bytes + num_bytes <= self._max_bytes:
                self._opened[record.id] = shape, weights
                self._weight_bytes += num_bytes
        return shape, weights


class _Views:
    """Images as the passes take them, each view made once."""

    def __init__(self, images: tf.Tensor):
        self._images = images

    @functools.cached_property
    def _standardized(self) -> tf.Tensor:
        return passes.standardize(self._images)

    def of(self, shape: CompiledShape) -> tf.Tensor:
        return self._images if shape.takes_pixels else self._standardized
