"""Sends queries to many classifiers by the workers of an engine.

Files go to the workers and answers come back, so they need no folder in common.
"""

import functools
import hashlib
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kennen_tf.machine.engines import engine
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import querying
from kennen_tf.zoo.querying import Keep
from kennen_tf.zoo.store import ClassifierRecord, Zoo

# Sent at once: some MB.
_FILES_PER_TASK = 32


class _File:
    """A classifier's file: it is read when it is sent, and not before.

    Args:
        record: Of the classifier.
        path: Of its file.
    """

    def __init__(self, record: ClassifierRecord, path: pathlib.Path):
        self.record = record
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        content = self.path.read_bytes()
        return _Content, (self.record.id, self.record.sha256, str(self.path), content)


class _Content:
    """What a worker has of it."""

    def __init__(self, name: str, sha256: str, path: str, content: bytes):
        self.name = name
        self.sha256 = sha256
        self.path = path
        self.content = content


def query_all(
    zoo: Zoo,
    records: Sequence[ClassifierRecord],
    pixels: np.ndarray,
    keep: Keep,
    workers: engine.Engine,
) -> None:
    """Sends queries to classifiers of a zoo, in any order.

    What was imported may be anything, and is asked here, not by a worker.

    Args:
        zoo, records, pixels: See `querying.query_classifiers`.
        keep: Called with each record and its probabilities, float32 `(num_queries,
            classes)`, as they come.
        workers: Who asks.

    Raises:
        UserError: If a classifier's file is missing or is not the one recorded, it
            answers NaN, or workers die of it again and again.
    """
    querying.query_classifiers(
        zoo, [record for record in records if record.spec is None], pixels, keep
    )
    files = [
        _File(record, _find(zoo, record))
        for record in records
        if record.spec is not None
    ]
    by_id = {file.record.id: file.record for file in files}
    starts = range(0, len(files), _FILES_PER_TASK)
    for answer in workers.run(
        [files[start : start + _FILES_PER_TASK] for start in starts],
        functools.partial(_make_work, pixels),
        lambda file: file.record.id,
    ):
        if answer is not None:
            name, probabilities = answer
            keep(by_id[name], probabilities)


def _find(zoo: Zoo, record: ClassifierRecord) -> pathlib.Path:
    """Returns where a classifier's file is; a worker looks at what it holds."""
    path = zoo.classifier_path(record)
    return path if path.exists() else zoo.check_classifier(record)


def _make_work(pixels: np.ndarray) -> engine.Work:
    """Runs in a worker: returns what sends queries to the classifiers of files."""
    batches = querying.make_batches(pixels)

    def ask(contents: Sequence[_Content]) -> Iterator[tuple[str, np.ndarray]]:
        for item in contents:
            if hashlib.sha256(item.content).hexdigest() != item.sha256:
                raise UserError(
                    f"{item.path} must be the file that the manifest records. It was "
                    "changed. Delete it and run build_zoo again: it trains what is "
                    "missing."
                )
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "classifier.keras"
                path.write_bytes(item.content)
                yield item.name, querying.query_file(path, batches, item.path)

    return ask
