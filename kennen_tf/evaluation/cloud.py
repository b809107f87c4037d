"""Where the answers of a zoo's classifiers lie, by shape and by sharpness."""

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy.sparse import linalg

NUM_DIRECTIONS = 20
_DEVIATION_FLOOR = 0.1
_LEAST_SCALE = 1e-3

Array = npt.NDArray[np.floating]


def find_sharpness(outputs: Array) -> Array:
    """Returns the root mean square of centred log-probabilities.

    Args:
        outputs: Log-probabilities `(entries, num_queries, classes)`.

    Returns:
        `(entries,)`.
    """
    centered = outputs - outputs.mean(axis=-1, keepdims=True)
    return np.sqrt(np.mean(centered**2, axis=(1, 2)) + _LEAST_SCALE**2)


def find_shape(outputs: Array) -> Array:
    """Returns each query's centred log-probabilities over their root mean square.

    Returns:
        `(entries, num_queries * classes)`.
    """
    centered = outputs - outputs.mean(axis=-1, keepdims=True)
    size = np.sqrt(np.mean(centered**2, axis=-1, keepdims=True) + _LEAST_SCALE**2)
    return (centered / size).reshape(len(outputs), -1)


def find_spread(outputs: Array) -> Array:
    """Returns how far answers differ over the queries, `(entries,)`, in [0, 1]."""
    centered = outputs - outputs.mean(axis=-1, keepdims=True)
    deviations = centered - centered.mean(axis=1, keepdims=True)
    return np.sqrt(np.mean(deviations**2, axis=(1, 2))) / find_sharpness(outputs)


@dataclasses.dataclass(frozen=True)
class Cloud:
    """Where the answers of a zoo's classifiers lie.

    Attributes:
        center, scale: Of each feature of shapes, `(features,)`.
        directions: In which shapes vary most, over deviations along them,
            `(features, directions)`.
        sharpness: The least and the largest logarithm, `(2,)`.
    """

    center: Array
    scale: Array
    directions: Array
    sharpness: Array

    @classmethod
    def fit(cls, outputs: Array) -> "Cloud":
        shapes = find_shape(outputs)
        center, variance = shapes.mean(axis=0), shapes.var(axis=0)
        variance = np.maximum(variance, _DEVIATION_FLOOR**2 * variance.mean())
        scale = np.sqrt(np.where(variance > 0, variance, 1.0))
        directions = _find_directions((shapes - center) / scale)
        sharpness = np.log(find_sharpness(outputs))
        ends = np.array([sharpness.min(), sharpness.max()])
        return cls(center, scale, directions, ends)

    def measure(self, outputs: Array) -> Array:
        """Returns distances of shapes and what `excess` does, `(entries, 3)`."""
        distances = self.distance(outputs)[:, np.newaxis]
        return np.concatenate([distances, self.excess(outputs)], axis=1)

    def distance(self, outputs: Array) -> Array:
        """Returns how strange shapes are, `(entries,)`, of no unit.

        The product of two: the squared distance along the main directions, in the
        deviations there, and that along all.
        """
        standardized = (find_shape(outputs) - self.center) / self.scale
        whole = np.mean(standardized**2, axis=1)
        if not self.directions.shape[1]:
            return whole
        return whole * np.mean((standardized @ self.directions) ** 2, axis=1)

    def excess(self, outputs: Array) -> Array:
        """Returns how far the logarithm of sharpness is outside of the zoo's.

        Returns:
            `(entries, 2)`, how much flatter and how much sharper; 0 inside.
        """
        least, most = self.sharpness
        own = np.log(find_sharpness(outputs))
        return np.maximum(np.stack([least - own, own - most], axis=1), 0.0)


def _find_directions(standardized: Array) -> Array:
    count = min(NUM_DIRECTIONS, min(standardized.shape) - 2)
    if count < 1 or np.abs(standardized).max() < _LEAST_SCALE:
        return np.zeros((standardized.shape[1], 0))
    # Of entries or of features, whatever there are fewer of: to go through all numbers
    # at each of hundreds of steps would take five times as long.
    is_wide = standardized.shape[1] > len(standardized)
    rows = standardized if is_wide else standardized.T
    # From a fixed start, so that the same zoo gives the same directions.
    start = np.random.default_rng(0).normal(size=len(rows))
    squares, axes = linalg.eigsh(rows @ rows.T, k=count, v0=start)
    deviations = np.sqrt(np.maximum(squares, 0.0) / len(standardized))
    varies = deviations > _LEAST_SCALE * deviations.max()
    axes, deviations = axes[:, varies], deviations[varies]
    if is_wide:
        axes = rows.T @ axes / (deviations * np.sqrt(len(standardized)))
    return axes / deviations
