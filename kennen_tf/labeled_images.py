"""The images that classifiers are trained, validated and queried with."""

from typing import NamedTuple

import numpy as np

IMAGE_SHAPE = (28, 28, 1)
NUM_CLASSES = 10


class LabeledImages(NamedTuple):
    """A set of labelled images in two parts.

    Attributes:
        train_images: uint8 `(num_train, 28, 28, 1)`.
        train_labels: int32 `(num_train,)` in [0, 10).
        test_images: uint8 `(num_test, 28, 28, 1)`; the zoo's validation images.
        test_labels: int32 `(num_test,)` in [0, 10).
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
