"""Class-balanced accuracy, from the confusion matrix; chance taken off or not.

Entries whose label is `attributes.MISSING` do not count.
"""

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import MISSING


def confusion_matrix(
    labels: npt.ArrayLike, predictions: npt.ArrayLike, num_values: int
) -> npt.NDArray[np.int64]:
    """Counts entries by true label (row) and predicted label (column)."""
    labels, predictions = np.asarray(labels, int), np.asarray(predictions, int)
    is_known = labels != MISSING
    matrix = np.zeros((num_values, num_values), np.int64)
    np.add.at(matrix, (labels[is_known], predictions[is_known]), 1)
    return matrix


def class_balanced_accuracy(
    labels: npt.ArrayLike, predictions: npt.ArrayLike, num_values: int
) -> float | None:
    """Returns the mean recall over the values that occur; None without entries."""
    matrix = confusion_matrix(labels, predictions, num_values)
    count = matrix.sum(axis=1)
    occurs = count > 0
    if not occurs.any():
        return None
    return float(np.mean(matrix.diagonal()[occurs] / count[occurs]))


def normalized_accuracy(accuracy: float, chance: float) -> float:
    """Returns the accuracy on a scale where chance is 0 and perfect is 1."""
    return (accuracy - chance) / (1 - chance)
