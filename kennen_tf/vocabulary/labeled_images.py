"""The images that classifiers are trained, validated and queried with."""

import dataclasses
from typing import NamedTuple

import numpy as np

from kennen_tf.vocabulary.errors import UserError


class LabeledImages(NamedTuple):
    """A set of labelled images in two parts.

    Attributes:
        train_images: uint8 `(num_train, height, width, channels)`.
        train_labels: int32 `(num_train,)` in [0, classes).
        test_images: uint8 `(num_test, height, width, channels)`; the zoo's validation
            images.
        test_labels: int32 `(num_test,)` in [0, classes).
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels of an image."""
        return self.test_images.shape[1:]

    @property
    def num_classes(self) -> int:
        """Number of classes: each of 0 to this less one has an image."""
        return int(self.test_labels.max()) + 1


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ValidationImages:
    """Labelled images that imported classifiers are asked about.

    Attributes:
        images: uint8 `(n, height, width, channels)`.
        labels: int32 `(n,)`, 0-based classes.
        num_folders: Number of classes, where labels are positions among folders; 0 if
            they were given as numbers, which need not name all classes.
    """

    images: np.ndarray
    labels: np.ndarray
    num_folders: int = 0

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels of an image."""
        return self.images.shape[1:]

    @classmethod
    def from_arrays(
        cls, images: np.ndarray, labels: np.ndarray, where: str
    ) -> "ValidationImages":
        """Makes them of arrays that somebody gave.

        Args:
            images: `(n, height, width, channels)`, or without channels.
            labels: `(n,)`.
            where: From what file; used in errors.

        Raises:
            UserError: If they are something else.
        """
        shaped = images[..., np.newaxis] if images.ndim == 3 else images
        if shaped.ndim != 4 or shaped.dtype != np.uint8 or not shaped.size:
            raise UserError(
                f"{where} must hold images as uint8 (n, height, width, channels), or "
                "without channels, one or more. Received: "
                f"{images.dtype} of shape {images.shape}."
            )
        check_labels(labels, len(images), where)
        return cls(images=shaped, labels=labels.astype(np.int32))

    def check_classes(self, num_classes: int, where: str) -> None:
        """Raises `UserError` if labels cannot be classes that classifiers answer."""
        if self.num_folders not in (0, num_classes):
            raise UserError(
                f"{where} must have a folder for each of the {num_classes} classes of "
                "the classifiers, as folders with names are classes in sorted order. "
                f"Received: {self.num_folders} folders. Name folders "
                "after the numbers of their classes, or write a csv with the columns "
                "file and label."
            )
        if self.labels.max() >= num_classes:
            raise UserError(
                f"Labels in {where} must be classes that the classifiers answer, 0 to "
                f"{num_classes - 1}. Received: {self.labels.max()}. Are they numbered "
                "from 1, or of other classes?"
            )


def check_labels(labels: np.ndarray, num_images: int, where: str) -> None:
    """Raises `UserError` unless there is a 0-based class for each image."""
    if (
        labels.shape != (num_images,)
        or not np.issubdtype(labels.dtype, np.integer)
        or labels.min(initial=0) < 0
    ):
        raise UserError(
            f"{where} must hold labels as whole numbers from 0 on, one for each of the "
            f"{num_images} images. Received: {labels.dtype} of shape {labels.shape}"
            + (f", from {labels.min()} on." if labels.size else ".")
        )
