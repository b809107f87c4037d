"""Like the zoo or not: how far answers lie from those of the zoo's classifiers.

Answers are read by their shape: log-probabilities, less their mean over the classes,
divided by one number for each classifier, their root mean square over all queries. The
distance is Mahalanobis's along the few directions in which the zoo varies most. That
number itself is the sharpness, which is told apart.

Which score: on 216 classifiers and ensembles of five epochs, and on answers of other
people's, these flagged 5% and less of those left out, and all constant answers,
untrained nets and nets of other data: leverage of the kernel regression, distance to
neighbours, local outlier factors, and distances along 5 to 50 directions. Perceptrons
among convolutional nets were flagged by none in more than 16% of cases without real
convolutional nets being flagged as often. This one is the smallest to store.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import linalg

from kennen_tf.evaluation import conformal

NUM_DIRECTIONS = 20
NUM_FOLDS = 10
_DEVIATION_FLOOR = 0.1
_LEAST_SCALE = 1e-3
# Answers that hardly depend on the query: their spread as a share of the zoo's least.
_CONSTANT = 0.5
# Beside what `_Cloud` holds.
_SAVED = ("distances", "weights", "sharpness", "least_spread")

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
    """Returns centred log-probabilities over their sharpness, `(entries, features)`."""
    centered = outputs - outputs.mean(axis=-1, keepdims=True)
    shape = centered / find_sharpness(outputs)[:, np.newaxis, np.newaxis]
    return shape.reshape(len(outputs), -1)


def find_spread(outputs: Array) -> Array:
    """Returns how far shapes differ over the queries, `(entries,)`, in [0, 1]."""
    shapes = find_shape(outputs).reshape(outputs.shape)
    return np.sqrt(np.mean((shapes - shapes.mean(axis=1, keepdims=True)) ** 2, (1, 2)))


@dataclasses.dataclass(frozen=True)
class _Cloud:
    """Where shapes lie.

    Attributes:
        center, scale: Of each feature, `(features,)`.
        directions: Over deviations along them, `(features, directions)`.
    """

    center: Array
    scale: Array
    directions: Array

    @classmethod
    def fit(cls, shapes: Array) -> "_Cloud":
        center, variance = shapes.mean(axis=0), shapes.var(axis=0)
        variance = np.maximum(variance, _DEVIATION_FLOOR**2 * variance.mean())
        scale = np.sqrt(np.where(variance > 0, variance, 1.0))
        standardized = (shapes - center) / scale
        count = min(NUM_DIRECTIONS, min(shapes.shape) - 2)
        if count < 1 or np.abs(standardized).max() < _LEAST_SCALE:
            return cls(center, scale, np.zeros((shapes.shape[1], 0)))
        # From a fixed start, so that the same zoo gives the same directions.
        start = np.random.default_rng(0).normal(size=min(shapes.shape))
        _, sizes, axes = linalg.svds(standardized, k=count, v0=start, solver="arpack")
        deviations = sizes / np.sqrt(len(shapes))
        varies = deviations > _LEAST_SCALE * deviations.max()
        return cls(center, scale, (axes[varies].T / deviations[varies]))

    def distance(self, shapes: Array) -> Array:
        standardized = (shapes - self.center) / self.scale
        return np.sum((standardized @ self.directions) ** 2, axis=1)


@dataclasses.dataclass(frozen=True)
class Novelty:
    """What tells how strange answers are.

    Attributes:
        cloud: Where the zoo's classifiers lie.
        distances: Of those left out, sorted, `(entries,)`.
        weights: How much each of them counts; see `conformal.share_weights`.
        sharpness: Of the zoo's classifiers, sorted, `(entries,)`.
        least_spread: Of the zoo's classifiers; see `find_spread`.
    """

    cloud: _Cloud
    distances: Array
    weights: Array
    sharpness: Array
    least_spread: float

    @classmethod
    def fit(cls, outputs: Array, combination_ids: Sequence[str]) -> "Novelty":
        """Learns from the answers of training entries.

        Args:
            outputs: Represented, `(entries, num_queries, classes)`; log-probabilities.
            combination_ids: `(entries,)`; those of one are left out together.
        """
        shapes = find_shape(outputs)
        ids, cluster = np.unique(np.asarray(combination_ids), return_inverse=True)
        # Dealt in an order that has nothing to do with the names.
        folds = np.random.default_rng(0).permutation(len(ids)) % NUM_FOLDS
        distances = np.zeros(len(shapes))
        for fold in np.unique(folds):
            out = folds[cluster] == fold
            if not out.all():
                distances[out] = _Cloud.fit(shapes[~out]).distance(shapes[out])
        order = np.argsort(distances, kind="stable")
        weights = conformal.share_weights(combination_ids)
        return cls(
            _Cloud.fit(shapes),
            distances[order],
            weights[order],
            np.sort(find_sharpness(outputs)),
            float(find_spread(outputs).min()),
        )

    def p_values(self, outputs: Array) -> Array:
        """Returns which share of those left out is at least as strange, `(entries,)`.

        Args:
            outputs: As those of `fit`.
        """
        distances = self.cloud.distance(find_shape(outputs))
        # They may lie in the middle of all.
        is_constant = find_spread(outputs) < _CONSTANT * self.least_spread
        distances = np.where(is_constant, np.inf, distances)
        return conformal.find_p_values(distances, self.distances, self.weights)

    def sharpness_ranks(self, outputs: Array) -> Array:
        """Returns which share of the zoo's classifiers is less sharp, `(entries,)`."""
        own = find_sharpness(outputs)
        return np.searchsorted(self.sharpness, own) / len(self.sharpness)

    def to_arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Returns what `from_arrays` takes, for an .npz file."""
        arrays = {
            **dataclasses.asdict(self.cloud),
            **{n: getattr(self, n) for n in _SAVED},
        }
        return {name: np.asarray(array, np.float32) for name, array in arrays.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "Novelty":
        of_cloud = (arrays[n] for n in ("center", "scale", "directions"))
        distances, weights, sharpness, least_spread = (arrays[n] for n in _SAVED)
        return cls(
            _Cloud(*of_cloud), distances, weights, sharpness, float(least_spread)
        )
