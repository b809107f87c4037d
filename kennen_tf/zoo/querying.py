"""Sends queries to many classifiers fast: those of one shape share one Keras model.

For each shape one model is built and its forward pass traced, once in a process, and
each classifier only brings its weights (`classifier_files.py`). What was imported and
is no Keras file answers as a black box.
"""

import collections
import concurrent.futures
import threading
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from kennen_tf.machine import processors
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import classifier_files, imported
from kennen_tf.zoo.classifier_files import ClassifierFile
from kennen_tf.zoo.store import ClassifierRecord, Zoo

BATCH_SIZE = 500
# Reading weights and building models hold Python's lock: more threads gain nothing.
MAX_THREADS = 4
# Bounds memory. A zoo of the paper's has 72 shapes.
_MOST_SHAPES = 128

Keep = Callable[[ClassifierRecord, np.ndarray], None]


class Querier:
    """Sends queries to classifiers of one shape, one after the other.

    Args:
        file: Of a classifier with the shape.
    """

    def __init__(self, file: ClassifierFile):
        self._model = file.build()
        self._lock = threading.Lock()
        self._forward = tf.function(
            lambda images: self._model(images, training=False)
        ).get_concrete_function(tf.TensorSpec(self._model.inputs[0].shape))

    def query(self, file: ClassifierFile, batches: Sequence[tf.Tensor]) -> np.ndarray:
        """Returns a classifier's probabilities, float32 `(num_queries, classes)`."""
        with self._lock:
            for variable, value in zip(self._model.weights, file.arrays, strict=True):
                variable.assign(value)
            return np.concatenate([self._forward(b).numpy() for b in batches])


class _Queriers:
    """Those of the shapes met so far; the latest are kept."""

    def __init__(self) -> None:
        self._by_key: collections.OrderedDict[str, Querier] = collections.OrderedDict()
        self._lock = threading.Lock()

    def find(self, file: ClassifierFile) -> Querier:
        with self._lock:
            found = self._by_key.get(file.key)
        if found is None:
            found = Querier(file)
        with self._lock:
            found = self._by_key.setdefault(file.key, found)
            self._by_key.move_to_end(file.key)
            if len(self._by_key) > _MOST_SHAPES:
                self._by_key.popitem(last=False)
        return found


_queriers = _Queriers()


def make_batches(pixels: np.ndarray) -> list[tf.Tensor]:
    """Cuts queries, float32 `(num_queries, ...)`, into batches."""
    starts = range(0, len(pixels), BATCH_SIZE)
    return [tf.constant(pixels[start : start + BATCH_SIZE]) for start in starts]


def query_file(
    path: artifacts.Path, batches: Sequence[tf.Tensor], name: str
) -> np.ndarray:
    """Sends queries to the classifier of a file.

    Args:
        path: Of the file.
        batches: What `make_batches` returned.
        name: What the file is called, in errors.

    Returns:
        Its probabilities, float32 `(num_queries, classes)`.

    Raises:
        UserError: If the file cannot be opened, or the classifier answers NaN.
    """
    file = classifier_files.read(path)
    probabilities = _queriers.find(file).query(file, batches)
    if not np.isfinite(probabilities).all():
        raise UserError(
            f"{name} must return probabilities. Received: NaN. Reject it: build the "
            "zoo again without it."
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
        pixels: float32 `(num_queries, height, width, channels)` in [0, 1].
        keep: Called with each record and its probabilities, float32 `(num_queries,
            classes)`, as they come, from several threads.
        num_threads: 0 is one per core, up to `MAX_THREADS`. While one thread reads
            weights, another's classifier answers.

    Raises:
        UserError: If a classifier's file is missing or is not the one recorded, or it
            answers NaN.
    """
    batches = make_batches(pixels)
    stop = threading.Event()

    def query_some(some: Sequence[ClassifierRecord]) -> None:
        for record in some:
            if stop.is_set():
                return
            query(record)

    def query(record: ClassifierRecord) -> None:
        if record.spec is None:
            keep(record, imported.ask_imported(zoo, record, pixels))
            return
        path = zoo.check_classifier(record)
        keep(record, query_file(path, batches, str(path)))

    num_threads = num_threads or min(processors.available_cores(), MAX_THREADS)
    # Classifiers of one shape, which wait for each other, often stand in a row.
    places = np.array_split(np.arange(len(records)), num_threads)
    with concurrent.futures.ThreadPoolExecutor(num_threads) as executor:
        futures = [
            executor.submit(query_some, [records[place] for place in own])
            for own in places
        ]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
        finally:
            # After an error or Ctrl-C, threads end with the classifier at hand.
            stop.set()
