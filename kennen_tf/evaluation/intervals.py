"""95% intervals of class-balanced accuracy over test entries that are not independent.

By a cluster bootstrap and, where hardly an error is there to draw, Wilson's interval:
`scores.evaluate` says why.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import MISSING

NUM_RESAMPLES = 2000
_Z = 1.959964  # 97.5% quantile of the normal distribution.
_RESAMPLES_AT_ONCE = 250  # Bounds memory: 250 x 10,000 combinations are 20 MB.

IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.floating[Any]]
Interval = tuple[float, float]


def count_by_cluster(
    labels: IntArray, predictions: IntArray, cluster: IntArray, shape: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """Returns entries, and entries named rightly, by (combination, true value)."""
    is_known = labels != MISSING
    labels, predictions = labels[is_known], predictions[is_known]
    cluster = cluster[is_known]
    total, right = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (cluster, labels), 1.0)
    np.add.at(right, (cluster, labels), (labels == predictions).astype(float))
    return total, right


def resample(
    counts: Mapping[str, tuple[FloatArray, FloatArray]], num_clusters: int, seed: int
) -> dict[str, FloatArray]:
    """Returns `NUM_RESAMPLES` class-balanced accuracies of each attribute.

    They are NaN where a resample has no entry with a known value.
    """
    random = np.random.default_rng(seed)
    resampled: dict[str, list[FloatArray]] = {name: [] for name in counts}
    for _ in range(NUM_RESAMPLES // _RESAMPLES_AT_ONCE):
        # How often each combination is drawn, (resamples, combinations).
        times = random.multinomial(
            num_clusters, np.full(num_clusters, 1 / num_clusters), _RESAMPLES_AT_ONCE
        ).astype(float)
        for name, (total, right) in counts.items():
            drawn = times @ total
            recall = np.divide(times @ right, drawn, where=drawn > 0, out=0 * drawn)
            # A value that a resample misses does not count in it.
            num_values = (drawn > 0).sum(axis=1)
            accuracy = np.full(len(drawn), np.nan)
            np.divide(recall.sum(axis=1), num_values, accuracy, where=num_values > 0)
            resampled[name].append(accuracy)
    return {name: np.concatenate(parts) for name, parts in resampled.items()}


def wilson_margins(total: FloatArray, right: FloatArray) -> FloatArray:
    """Returns how far Wilson's interval reaches down and up, `(2,)`.

    Each value's recall has Wilson's interval, with the combinations that hold the
    value as trials; the recalls being independent, the margins of their mean are added
    in squares (Zou and Donner, 2008, https://doi.org/10.1002/sim.3095).
    """
    occurs = total.sum(axis=0) > 0
    recall = right.sum(axis=0)[occurs] / total.sum(axis=0)[occurs]
    trials = (total > 0).sum(axis=0)[occurs]
    scale = 1 + _Z**2 / trials
    center = (recall + _Z**2 / (2 * trials)) / scale
    half = _Z / scale * np.sqrt(recall * (1 - recall) / trials + (_Z / 2 / trials) ** 2)
    margins = np.stack([recall - (center - half), (center + half) - recall])
    return np.sqrt(np.sum(np.maximum(margins, 0) ** 2, axis=1)) / len(recall)


def make_interval(
    accuracy: float, resampled: FloatArray, margins: FloatArray
) -> Interval:
    """Returns the 95% interval of an accuracy, within [0, 1].

    Args:
        accuracy: The estimate.
        resampled: Accuracies `(resamples,)`, NaN where there is none.
        margins: How far Wilson's interval reaches down and up, `(2,)`.
    """
    counted = resampled[~np.isnan(resampled)]
    lower, upper = np.quantile(counted, (0.025, 0.975))
    return (
        float(max(min(lower, accuracy - margins[0]), 0.0)),
        float(min(max(upper, accuracy + margins[1]), 1.0)),
    )


def mean_over_attributes(resampled: FloatArray) -> FloatArray:
    """Returns each resample's mean over the attributes that have an accuracy in it.

    Args:
        resampled: `(attributes, resamples)`.
    """
    is_known = ~np.isnan(resampled)
    total = np.sum(resampled, axis=0, where=is_known)
    number = is_known.sum(axis=0)
    mean = np.full(len(total), np.nan)
    return np.divide(total, number, mean, where=number > 0)
