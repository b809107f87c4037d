"""Answers of a black box, on disk before more is sent, and never asked for twice.

    NAME.answers.npz
      queries        names of the images answered: the SHA-256 of what was sent
      answers        (n, classes) or, of labels, (n,): what came, as it came
      num_sent       how many images were sent in all, answered or not
      description    JSON: kind, schema_version, what was asked, and a fingerprint of
                     the pairs of queries and answers, in whatever order they are

A file that someone else wrote needs `queries` and `answers` alone.

Answers may cost money, so the file is written as a whole after each batch, and the
count of what is sent before it: after a kill, it is never too low.
"""

import hashlib
import json
import pathlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

SUFFIX = ".answers.npz"
KIND = "answers of a black box"
SCHEMA_VERSION = 1


def name_images(images: npt.NDArray[Any]) -> list[str]:
    """Returns the SHA-256 of each image, as it is sent."""
    return [
        hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
        for image in images
    ]


def _fingerprint(answers: Mapping[str, npt.NDArray[Any]]) -> str:
    """Returns what is another one if an answer is given to another query."""
    digest = hashlib.sha256()
    for name in sorted(answers):
        answer = answers[name]
        # Of whatever type they were saved again as.
        numbers = answer.astype(np.float64) if answer.dtype.kind in "biuf" else answer
        digest.update(name.encode() + numbers.tobytes())
    return digest.hexdigest()


class KeptAnswers:
    """What a black box was sent and answered so far.

    Attributes:
        path: Of the file; None keeps them in memory alone.
        num_sent: Images that were sent.
        description: What was asked.
    """

    def __init__(
        self,
        path: artifacts.Path | None = None,
        description: dict[str, Any] | None = None,
    ):
        """Reads the answers that are there.

        Raises:
            UserError: If the file is damaged, or holds answers of something else.
        """
        self.path = None if path is None else pathlib.Path(path)
        self.num_sent = 0
        self.description = dict(description or {})
        self._answers: dict[str, npt.NDArray[Any]] = {}
        if self.path is not None and self.path.exists():
            self._read(self.path, description)

    def __len__(self) -> int:
        return len(self._answers)

    def __contains__(self, name: str) -> bool:
        return name in self._answers

    def get(self, names: Sequence[str]) -> npt.NDArray[Any]:
        """Returns the answers to images, `(n, ...)`. All of them are there."""
        return np.stack([self._answers[name] for name in names])

    def note_sent(self, count: int) -> None:
        """Notes that images are about to be sent."""
        self.num_sent += count
        self._write()

    def add(self, names: Sequence[str], answers: npt.NDArray[Any]) -> None:
        """Keeps answers, `(n, ...)`.

        Raises:
            UserError: If they are of another form than those before.
        """
        for other in self._answers.values():
            if other.shape != answers.shape[1:]:
                raise UserError(
                    f"All answers must be alike. Received: {other.shape} numbers for "
                    f"an image before, and now {answers.shape[1:]}."
                )
            break
        self._answers |= dict(zip(names, answers, strict=True))
        self._write()

    def _write(self) -> None:
        if self.path is None:
            return
        artifacts.make_folder(self.path.absolute().parent)
        answers = list(self._answers.values())
        text = json.dumps(
            {
                "kind": KIND,
                "schema_version": SCHEMA_VERSION,
                **self.description,
                "fingerprint": _fingerprint(self._answers),
            }
        )
        with artifacts.atomic_path(self.path) as temporary:
            with open(temporary, "wb") as file:
                np.savez(
                    file,
                    queries=np.array(list(self._answers), "U64"),
                    answers=np.stack(answers) if answers else np.zeros((0, 0)),
                    num_sent=np.int64(self.num_sent),
                    description=np.array(text),
                )

    def _read(self, path: pathlib.Path, description: dict[str, Any] | None) -> None:
        names, answers, found = self._load(path)
        if names.ndim != 1 or not answers.ndim or len(names) != len(answers):
            raise UserError(
                f"{path} must hold one answer for each of its `queries`. Received: "
                f"`queries` {names.shape}, `answers` {answers.shape}."
            )
        own = dict(zip(map(str, names), answers, strict=True))
        for name, answer in zip(map(str, names), answers, strict=True):
            if answer.tobytes() != own[name].tobytes():
                raise UserError(
                    f"{path} must hold one answer for each of its `queries`. Received: "
                    f"two different ones for {name}."
                )
        if found.get("kind"):
            if found["kind"] != KIND:
                raise UserError(f"{path} must hold {KIND}. Received: {found['kind']}.")
            artifacts.check_schema(found, SCHEMA_VERSION, path)
        for key, wanted in (description or {}).items():
            if found.get(key) not in (None, wanted):
                raise UserError(
                    f"{path} holds answers of {found.get('black_box')} ({key} "
                    f"{found[key]}). Received: a black box with {key} {wanted}. Name "
                    "another file with --answers."
                )
        if found.get("fingerprint") not in (None, _fingerprint(own)):
            raise UserError(
                f"{path} was changed since it was written: its answers are not those "
                "that were given to its queries. Put it back as it was, or move it "
                "away: then its images are sent again."
            )
        self.description = {**found, **(description or {})}
        self.num_sent = max(self.num_sent, len(own))
        self._answers = own

    def _load(
        self, path: pathlib.Path
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """Returns what is in a file: names, answers and what was asked."""
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                missing = {"queries", "answers"} - {*stored.files}
                if missing:
                    raise UserError(
                        f"{path} must hold `queries` (names of images, as "
                        "--queries_only writes them) and `answers`, in the same order. "
                        f"Received: no {', '.join(sorted(missing))}."
                    )
                if "num_sent" in stored:
                    self.num_sent = int(stored["num_sent"])
                text = str(stored["description"]) if "description" in stored else "{}"
                return stored["queries"], stored["answers"], dict(json.loads(text))
        except UserError:
            raise
        # Also of what is no archive, but an array by itself.
        except (
            *(OSError, EOFError, ValueError, TypeError, AttributeError),
            *(zipfile.BadZipFile, zlib.error),
        ) as error:
            raise UserError(
                f"{path} must hold answers of a black box. Received: "
                f"{type(error).__name__}. Put the file back as it was, or move it "
                "away: then its images are sent again."
            ) from error
