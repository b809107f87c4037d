"""Gradients through many classifiers, with respect to the images they are sent.

A classifier's weights are read once and stay in memory. One compiled function for each
shape takes weights and images, so that a classifier costs its arithmetic and nothing
else: no loading, no tracing. Classifiers are divided over devices and threads; sums are
taken in the order of the classifiers, so results depend on neither.
"""

import concurrent.futures
import dataclasses
import os
import threading
from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from kennen_tf.errors import UserError
from kennen_tf.labeled_images import IMAGE_SHAPE
from kennen_tf.zoo import classifiers, querying
from kennen_tf.zoo.specs import ShapeKey, shape_key
from kennen_tf.zoo.store import ClassifierRecord, Zoo

# As in querying: more threads wait for one another.
MAX_THREADS = querying.MAX_THREADS

_MEGABYTE = 1 << 20
Weights = list[tf.Tensor]
# An answer, and the way back if it is kept.
_Pass = tuple[tf.Tensor, tf.GradientTape | None]


@dataclasses.dataclass(frozen=True)
class _Shape:
    """What classifiers of one shape share.

    Attributes:
        forward: Compiled, from weights and images `(n, 28, 28, 1)` to
            log-probabilities `(n, 10)`.
        layer_names: Of the layers with weights, in the order of the weights.
        num_activations: Numbers kept for the gradient, per image.
    """

    forward: Callable[[Weights, tf.Tensor], tf.Tensor]
    layer_names: tuple[str, ...]
    num_activations: int

    @classmethod
    def build(cls, record: ClassifierRecord) -> "_Shape":
        model = classifiers.build_classifier(querying.without_dropout(record.spec))
        model = keras.Model(model.input, model.get_layer("logits").output)

        def forward(weights: Weights, images: tf.Tensor) -> tf.Tensor:
            # Otherwise the gradients with respect to the weights are computed, too.
            weights = [tf.stop_gradient(weight) for weight in weights]
            logits, _ = model.stateless_call(weights, [], images, training=False)
            # From logits: probabilities that round to 0 and 1 have no gradient.
            return tf.nn.log_softmax(logits)

        layers = [layer for layer in model.layers if layer.trainable_variables]
        signature = (
            [tf.TensorSpec(variable.shape) for variable in model.trainable_variables],
            tf.TensorSpec((None, *IMAGE_SHAPE)),
        )
        compiled = tf.function(forward, input_signature=signature)
        return cls(
            # Of one trace, so that TensorFlow does not warn of many.
            forward=compiled.get_concrete_function(),
            layer_names=tuple(layer.name for layer in layers),
            num_activations=sum(
                int(np.prod(layer.output.shape[1:])) for layer in model.layers
            ),
        )


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
            max_memory_mb: Bound on weights and on what is kept of forward passes,
                half for each. Beyond it, weights are read again and forward passes
                made again.
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
        self._max_bytes = max_memory_mb * _MEGABYTE // 2
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
        keeps = self._which_to_keep(ids, len(images))

        def forward(classifier_id: str, keep: bool) -> _Pass:
            if keep:
                return self._record(classifier_id, images)
            return self._forward(classifier_id, images), None

        passes = list(self._executor.map(forward, ids, keeps))

        def backward(place: int, output_gradient: tf.Tensor) -> tf.Tensor:
            answer, tape = passes[place]
            if tape is None:
                answer, tape = self._record(ids[place], images)
            with tf.device(self._device_of[ids[place]]):
                return tape.gradient(answer, images, output_gradients=output_gradient)

        def image_gradient(output_gradients: tf.Tensor) -> tf.Tensor:
            places = range(len(passes))
            return _sum(
                self._executor.map(backward, places, tf.unstack(output_gradients))
            )

        return Answers(tf.stack([answer for answer, _ in passes]), image_gradient)

    def log_probabilities(self, ids: Sequence[str], images: tf.Tensor) -> tf.Tensor:
        """Sends images; returns log-probabilities, float32 `(classifiers, n, 10)`."""
        answers = self._executor.map(lambda i: self._forward(i, images), ids)
        return tf.stack(list(answers))

    def _forward(self, classifier_id: str, images: tf.Tensor) -> tf.Tensor:
        shape, weights = self._open(classifier_id)
        with tf.device(self._device_of[classifier_id]):
            return shape.forward(weights, images)

    def _record(
        self, classifier_id: str, images: tf.Tensor
    ) -> tuple[tf.Tensor, tf.GradientTape]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            answer = self._forward(classifier_id, images)
        return answer, tape

    def _which_to_keep(self, ids: Sequence[str], num_images: int) -> list[bool]:
        """Says for which classifiers the forward pass is kept: while they fit."""
        keeps, num_bytes = [], 0
        for classifier_id in ids:
            shape = self._shape(self._records[classifier_id])
            num_bytes += 4 * num_images * shape.num_activations
            keeps.append(num_bytes <= self._max_bytes)
        return keeps

    def _shape(self, record: ClassifierRecord) -> _Shape:
        key = shape_key(querying.without_dropout(record.spec))
        with self._lock:
            if key not in self._shapes:
                self._shapes[key] = _Shape.build(record)
            return self._shapes[key]

    def _open(self, classifier_id: str) -> tuple[_Shape, Weights]:
        """Returns a classifier's shape and weights, read if they are not there."""
        record = self._records[classifier_id]
        shape = self._shape(record)
        with self._lock:
            weights = self._weights.get(classifier_id)
        if weights is None:
            weights = self._read(record, shape)
        return shape, weights

    def _read(self, record: ClassifierRecord, shape: _Shape) -> Weights:
        path = self._zoo.check_classifier(record)
        arrays = querying.read_weights(path)
        flat = [array for name in shape.layer_names for array in arrays[name]]
        if not all(np.isfinite(array).all() for array in flat):
            raise UserError(
                f"{path} must have finite weights. Received: NaN or infinity. Build "
                "the zoo again without it."
            )
        with tf.device(self._device_of[record.id]):
            weights = [tf.constant(array) for array in flat]
        num_bytes = sum(array.nbytes for array in flat)
        with self._lock:
            # Steps go through all classifiers in turn: to put out one that was just
            # read keeps more of them than to put out the oldest.
            if self._weight_bytes + num_bytes <= self._max_bytes:
                self._weights[record.id] = weights
                self._weight_bytes += num_bytes
        return weights


def _sum(tensors: Iterable[tf.Tensor]) -> tf.Tensor:
    """Adds tensors in their order, as they come."""
    total = None
    for tensor in tensors:
        total = tensor if total is None else total + tensor
    return total
