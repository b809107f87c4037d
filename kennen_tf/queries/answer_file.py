"""What a zoo's classifiers answered, until it is written as query outputs."""

import contextlib
import math
import threading
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from kennen_tf.vocabulary import artifacts

_FLOAT = np.dtype(np.float32)


class AnswerFile(contextlib.AbstractContextManager["AnswerFile"]):
    """One file that many threads write answers to, and that they are read from.

    A file for each of a million classifiers takes longer to make, and to remove, than
    all else; and on a full disk, a memory map ends the process without a word.
    """

    def __init__(self, path: artifacts.Path, ids: Iterable[str], shape: Sequence[int]):
        """Makes the file.

        Args:
            path: Where.
            ids: Whose answers it is for.
            shape: Of the answers of one, `(num_queries, num_classes)`.
        """
        self._shape = tuple(shape)
        self._num_bytes = _FLOAT.itemsize * math.prod(shape)
        self._place_of = {own: place for place, own in enumerate(ids)}
        self._lock = threading.Lock()
        self._file = open(path, "wb+")

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def keep(self, own_id: str, answers: npt.NDArray[np.float32]) -> None:
        """Writes the answers of one, float32 `(num_queries, num_classes)`."""
        if answers.shape != self._shape or answers.dtype != _FLOAT:
            raise ValueError(
                f"`answers` must be float32 of shape {self._shape}. Received: "
                f"{answers.dtype} of shape {answers.shape}."
            )
        with self._lock:
            self._file.seek(self._place_of[own_id] * self._num_bytes)
            self._file.write(answers.tobytes())

    def mean(self, ids: Iterable[str]) -> npt.NDArray[np.float32]:
        """Returns the mean answers of some, all of which are kept."""
        return np.mean([self._read(own) for own in ids], axis=0)

    def _read(self, own_id: str) -> npt.NDArray[np.float32]:
        with self._lock:
            self._file.seek(self._place_of[own_id] * self._num_bytes)
            return np.frombuffer(self._file.read(self._num_bytes), _FLOAT).reshape(
                self._shape
            )
