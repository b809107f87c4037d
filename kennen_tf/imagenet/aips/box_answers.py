"""Answers of a black box, kept as they come: no image is ever sent twice.

answers/000000.npz   images, by the SHA-256 of their pixels, and what was answered

A file is named by the number of images answered before it, or by the next number that
is free: no file is ever written over.
"""

import hashlib
import itertools
import pathlib
import zipfile
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

# A run that is killed loses the answers to no more than these.
_IMAGES_AT_ONCE = 64


class BoxAnswers:
    """Asks a black box about images of bytes, and answers for it what it said before.

    Answers may cost money, so a run that was stopped leaves them for the next one.

    Attributes:
        num_images: Number of images that it answered, in this run and before.
        num_sent: Number of images that it answered in this run.
    """

    def __init__(self, box: BlackBox, folder: artifacts.Path):
        """Reads the answers that a folder holds; it is made if need be.

        Raises:
            UserError: If a file of them is damaged.
        """
        self._box = box
        self._folder = artifacts.make_folder(folder)
        artifacts.remove_incomplete(self._folder)
        self._answers = read_answers(self._folder)

    @property
    def num_images(self) -> int:
        return len(self._answers)

    @property
    def num_sent(self) -> int:
        return self._box.num_queries

    def probabilities(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Returns what the black box makes of images.

        Args:
            pixels: uint8 `(n, size, size, 3)`, n > 0. Those not seen before are sent.

        Returns:
            float32 `(n, num_classes)`.

        Raises:
            UserError: If it fails, or its answers are not what they should be.
        """
        names = [name_image(image) for image in pixels]
        places = {n: i for i, n in enumerate(names) if n not in self._answers}
        new = list(places)
        for start in range(0, len(new), _IMAGES_AT_ONCE):
            some = new[start : start + _IMAGES_AT_ONCE]
            self._ask(some, pixels[[places[name] for name in some]])
        return np.stack([self._answers[name] for name in names])

    def _ask(self, names: Sequence[str], pixels: npt.NDArray[np.uint8]) -> None:
        answers = self._box.probabilities(pixels / np.float32(255))
        with artifacts.atomic_path(self._new_path()) as temporary:
            np.savez(temporary, images=np.array(names), probabilities=answers)
        self._keep(names, answers)

    def _new_path(self) -> pathlib.Path:
        """Returns where nothing is yet, even if an earlier file was lost."""
        numbers = itertools.count(self.num_images)
        paths = (self._folder / f"{number:06d}.npz" for number in numbers)
        return next(path for path in paths if not path.exists())

    def _keep(self, names: Sequence[str], answers: npt.NDArray[np.float32]) -> None:
        self._answers |= dict(zip(names, answers, strict=True))


def read_answers(folder: pathlib.Path) -> dict[str, npt.NDArray[np.float32]]:
    """Returns what a black box answered, by what `name_image` calls each image.

    Raises:
        UserError: If a file of answers is damaged.
    """
    answers: dict[str, npt.NDArray[np.float32]] = {}
    for path in sorted(folder.glob("*.npz")):
        answers |= dict(zip(*_read(path), strict=True))
    return answers


def name_image(pixels: npt.NDArray[np.uint8]) -> str:
    """Returns the name that an image's answer is kept by: the SHA-256 of its pixels."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def _read(path: pathlib.Path) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Returns the names of images and what was answered for them."""
    try:
        with open(path, "rb") as file, np.load(file) as stored:
            return stored["images"].tolist(), stored["probabilities"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} must hold answers of the black box. Received: "
            f"{type(error).__name__}. Put the file back as it was, or move it away: "
            "then its images are sent again."
        ) from error
