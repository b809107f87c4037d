"""Sends queries to many classifiers fast: those of one shape share one Keras model.

Loading a classifier costs several times what its answers cost. So for each shape one
model is built and its forward pass traced, and each classifier only brings its weights,
read from its file without Keras: several times faster again.
"""

import collections
import concurrent.futures
import io
import os
import threading
import zipfile
from collections.abc import Callable, Sequence

import h5py
import numpy as np
import tensorflow as tf

from kennen_tf.artifacts import Path
from kennen_tf.errors import UserError
from kennen_tf.labeled_images import IMAGE_SHAPE
from kennen_tf.zoo import classifiers
from kennen_tf.zoo.specs import ClassifierSpec, ShapeKey, shape_key
from kennen_tf.zoo.store import ClassifierRecord, Zoo

BATCH_SIZE = 500
# Reading weights and building models hold Python's lock: more threads gain nothing.
MAX_THREADS = 4

Keep = Callable[[ClassifierRecord, np.ndarray], None]


class Querier:
    """Sends fixed queries to classifiers of one shape, one after the other.

    Args:
        spec: A spec with the shape.
        pixels: float32 `(num_queries, 28, 28, 1)` in [0, 1].
    """

    def __init__(self, spec: ClassifierSpec, pixels: np.ndarray):
        self._model = classifiers.build_classifier(spec)
        self._layers = [x for x in self._model.layers if x.trainable_variables]
        self._batches = [
            tf.constant(pixels[start : start + BATCH_SIZE])
            for start in range(0, len(pixels), BATCH_SIZE)
        ]
        self._forward = tf.function(
            lambda images: self._model(images, training=False)
        ).get_concrete_function(tf.TensorSpec((None, *IMAGE_SHAPE)))

    def query(self, zoo: Zoo, record: ClassifierRecord) -> np.ndarray:
        """Returns a classifier's probabilities, float32 `(num_queries, 10)`.

        Raises:
            UserError: If its file is missing or is not the one recorded.
        """
        path = zoo.check_classifier(record)
        weights = read_weights(path)
        for layer in self._layers:
            for variable, value in zip(
                layer.trainable_variables, weights[layer.name], strict=True
            ):
                variable.assign(value)
        answers = [self._forward(batch).numpy() for batch in self._batches]
        probabilities = np.concatenate(answers)
        if not np.isfinite(probabilities).all():
            raise UserError(
                f"{path} must return probabilities. Received: NaN. Reject it: build "
                "the zoo again without it."
            )
        return probabilities


def query_classifiers(
    zoo: Zoo,
    records: Sequence[ClassifierRecord],
    pixels: np.ndarray,
    keep: Keep,
    num_threads: int = 0,
) -> None:
    """Sends queries to classifiers of a zoo, in any order.

    Args:
        zoo: The zoo.
        records: Which of its accepted classifiers.
        pixels: float32 `(num_queries, 28, 28, 1)` in [0, 1].
        keep: Called with each record and its probabilities, float32 `(num_queries,
            10)`, as they come, from several threads.
        num_threads: 0 is one per core, up to `MAX_THREADS`. While one thread reads
            weights, another's classifier answers.

    Raises:
        UserError: If a classifier's file is missing or is not the one recorded.
    """
    groups: dict[ShapeKey, list[ClassifierRecord]] = collections.defaultdict(list)
    for record in records:
        groups[shape_key(without_dropout(record.spec))].append(record)
    stop = threading.Event()

    def query_group(group: Sequence[ClassifierRecord]) -> None:
        querier = Querier(without_dropout(group[0].spec), pixels)
        for record in group:
            if stop.is_set():
                return
            keep(record, querier.query(zoo, record))

    num_threads = num_threads or min(os.cpu_count() or 1, MAX_THREADS)
    largest_first = sorted(groups.values(), key=len, reverse=True)
    with concurrent.futures.ThreadPoolExecutor(num_threads) as executor:
        futures = [executor.submit(query_group, group) for group in largest_first]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
        finally:
            # After an error or Ctrl-C, threads end with the classifier at hand.
            stop.set()


def without_dropout(spec: ClassifierSpec) -> ClassifierSpec:
    """Returns the spec without dropout: at inference, the same graph."""
    return ClassifierSpec.from_json({**spec.to_json(), "drop": "no"})


def read_weights(path: Path) -> dict[str, list[np.ndarray]]:
    """Reads the variables of each layer, by the layer's name, from a `.keras` file.

    The file is a zip archive with an HDF5 file in it, where each layer has a group of
    numbered variables and its name as an attribute.
    """
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content, "r") as file:
        groups = [layer["vars"] for layer in file["layers"].values()]
        return {
            group.attrs["name"]: [group[str(i)][()] for i in range(len(group))]
            for group in groups
            if len(group)
        }
