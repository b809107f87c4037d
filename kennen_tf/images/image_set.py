"""Labelled images for classifiers of natural images, decoded and resized."""

import dataclasses

import numpy as np
import numpy.typing as npt

from kennen_tf.vocabulary.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Images of one size, with labels.

    Attributes:
        names: Unique name of each image, e.g. its path within its folder.
        labels: int32 `(num_images,)`, the true classes, 0-based.
        pixels: uint8 `(num_images, size, size, 3)`, RGB.
        fingerprint: Changes whenever the names, their order, the labels, the contents
            or the size do.
        num_classes: Number of classes, where labels are positions among folders; 0 if
            labels were given as numbers, which need not name all classes.
    """

    names: tuple[str, ...]
    labels: npt.NDArray[np.int32]
    pixels: npt.NDArray[np.uint8]
    fingerprint: str
    num_classes: int = 0

    def __len__(self) -> int:
        return len(self.names)

    @property
    def image_size(self) -> int:
        """Side of the images, in pixels."""
        return self.pixels.shape[1]


def check_labels(images: ImageSet, num_classes: int) -> None:
    """Checks that labels can be those of classifiers with `num_classes` classes.

    Raises:
        UserError: If a label is none of 0 to `num_classes` - 1, or labels are positions
            among folders and there are not as many folders as classes.
    """
    if images.num_classes and images.num_classes != num_classes:
        raise UserError(
            f"Folders with other names than whole numbers are classes in sorted order, "
            f"so there must be one for each of the classifiers' {num_classes} classes. "
            f"Received: {images.num_classes} folders. Name folders after the numbers "
            f"of their classes, 0 to {num_classes - 1}, or write a csv with the "
            "columns file and label."
        )
    lowest, highest = int(images.labels.min()), int(images.labels.max())
    if lowest < 0 or highest >= num_classes:
        raise UserError(
            f"Labels must be 0-based classes of the classifiers, 0 to "
            f"{num_classes - 1}. Received: labels {lowest} to {highest}. Are they "
            "numbered from 1, or of other classes than the classifiers'?"
        )
