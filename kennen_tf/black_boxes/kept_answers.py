"""Answers of a black box, on disk before more is sent, and never asked for twice.

    NAME.answers.npz
      queries        names of the images answered: the SHA-256 of what was sent
      answers        (n, classes) or, of labels, (n,): what came, as it came
      num_sent       how many images were sent in all, answered or not
      description    JSON: kind, schema_version, and what was asked

Answers may cost money, so the file is written as a whole after each batch, and the
count of what is sent before it: after a kill, it is never too low.
"""

import hashlib
import json
import pathlib
import zipfile
from collections.abc import Sequence
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
        """Keeps answers, `(n, ...)`."""
        self._answers |= dict(zip(names, answers, strict=True))
        self._write()

    def _write(self) -> None:
        if self.path is None:
            return
        artifacts.make_folder(self.path.absolute().parent)
        answers = list(self._answers.values())
        text = json.dumps(
            {"kind": KIND, "schema_version": SCHEMA_VERSION, **self.description}
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
        try:
            with np.load(path, allow_pickle=False) as stored:
                names = stored["queries"].tolist()
                answers = stored["answers"]
                self.num_sent = int(stored["num_sent"]) if "num_sent" in stored else 0
                text = str(stored["description"]) if "description" in stored else "{}"
            found = json.loads(text)
        except KeyError as error:
            raise UserError(
                f"{path} must hold `queries` (names of images, as --queries_only "
                f"writes them) and `answers`, in the same order. Received: no {error}."
            ) from error
        except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{path} must hold answers of a black box. Received: "
                f"{type(error).__name__}. Put the file back as it was, or move it "
                "away: then its images are sent again."
            ) from error
        if len(names) != len(answers) or len(set(names)) != len(names):
            raise UserError(
                f"{path} must hold one answer for each of its `queries`. Received: "
                f"{len(answers)} answers for {len(names)} queries, {len(set(names))} "
                "different ones."
            )
        if found.get("kind"):
            artifacts.check_schema(found, SCHEMA_VERSION, path)
        wanted = (description or {}).get("black_box")
        if wanted and found.get("black_box") not in (None, wanted):
            raise UserError(
                f"{path} holds answers of {found['black_box']}. Received: a black box "
                f"{wanted}. Name another file with --answers."
            )
        self.description = {**found, **(description or {})}
        self.num_sent = max(self.num_sent, len(names))
        self._answers = dict(zip(names, answers, strict=True))
