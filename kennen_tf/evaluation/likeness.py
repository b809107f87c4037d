"""How much answers are like those of classifiers that are none of a zoo's kind.

What is far from all of a zoo is strange; so may be what lies among it: a support vector
machine answers much like a perceptron that was trained for long. Where answers of such
strangers are known, a ridge regression tells them from the zoo's.

What chose this: 128 classifiers of wild_net and 51 of scikit-learn, of six kinds, and
the development half of other people's files; 100 crafted queries. Told at a threshold
that 5% of the zoo, left out, exceeds: of each kind, without any of that kind to learn
from, all forests, neighbours, naive Bayes and discriminants, and 86% of support vector
machines (with a penalty of 0.1 81%, without the floor 62 and 52%; by 100 natural
queries 29%), and 11% of the files. Distances (`cloud.py`) told none of these machines.
"""

import dataclasses

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import Ridge

from kennen_tf.evaluation.cloud import find_shape

# Added to probabilities: how unlikely classes are that hardly are, says nothing of it.
_FLOOR = 1e-3
# Strength of the regularisation, for each feature, of deviation 1.
_PENALTY = 1.0
_DEVIATION_FLOOR = 0.1

Array = npt.NDArray[np.floating]


@dataclasses.dataclass(frozen=True)
class Likeness:
    """A regression from shapes: 0 for the zoo's classifiers, 1 for strangers.

    Attributes:
        weights: Of shapes, `(features,)`.
        offset: Added, `()`.
    """

    weights: Array
    offset: Array

    @classmethod
    def fit(cls, outputs: Array, strangers: Array) -> "Likeness":
        """Learns from log-probabilities, `(entries, num_queries, classes)` of each."""
        own, others = _read(outputs), _read(strangers)
        center, variance = own.mean(axis=0), own.var(axis=0)
        variance = np.maximum(variance, _DEVIATION_FLOOR**2 * variance.mean())
        scale = np.sqrt(np.where(variance > 0, variance, 1.0))
        rows = (np.concatenate([own, others]) - center) / scale
        right = np.repeat([0.0, 1.0], [len(own), len(others)])
        # Both sides count alike.
        weights = np.repeat([1 / len(own), 1 / len(others)], [len(own), len(others)])
        found = Ridge(alpha=_PENALTY * rows.shape[1]).fit(
            rows, right, sample_weight=weights * len(rows) / 2
        )
        own_weights = found.coef_ / scale
        return cls(own_weights, np.asarray(found.intercept_ - own_weights @ center))

    def measure(self, outputs: Array) -> Array:
        """Returns how much answers are like strangers', `(entries,)`, at least 0."""
        return np.maximum(_read(outputs) @ self.weights + self.offset, 0.0)


def _read(outputs: Array) -> Array:
    return find_shape(np.log(np.exp(outputs) + _FLOOR))
