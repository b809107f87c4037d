"""The images that classifiers are trained, validated and queried with."""

from typing import NamedTuple

import numpy as np

IMAGE_SHAPE = (28, 28, 1)
NUM_CLASSES = 10


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
