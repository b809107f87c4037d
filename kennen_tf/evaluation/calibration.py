"""Whether probabilities are as they should be: of answers with 80%, 80% are right.

Only NumPy. The error is that of Kumar, Liang and Ma (Verified Uncertainty Calibration,
NeurIPS 2019): the root of the mean square over bins of confidence less accuracy, of
which is taken off what chance alone would make of it. Entries of one combination of
attribute values are alike, so what chance makes is found from combinations, not from
entries.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import MISSING

# Bins hold as many answers as each other, at least so many if there are several.
MOST_BINS, LEAST_IN_BIN = 15, 25

FloatArray = npt.NDArray[np.floating]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far confidence and accuracy are apart.

    Attributes:
        error: Root mean square over bins, without what chance makes of it; in [0, 1].
        confidence, accuracy: Their means in each bin, in [0, 1], bins of low confidence
            first.
        deviation: Standard deviation of each bin's accuracy less confidence that is
            owed to the choice of entries.
        count: Answers in each bin.
    """

    error: float
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    deviation: tuple[float, ...]
    count: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Calibration":
        lists = ("confidence", "accuracy", "deviation", "count")
        return cls(error=values["error"], **{n: tuple(values[n]) for n in lists})


def measure(
    confidence: FloatArray, is_right: npt.NDArray[np.bool_], clusters: Sequence[str]
) -> Calibration:
    """Measures the calibration of answers.

    Args:
        confidence: Probability of what each answer names, `(answers,)`, one or more.
        is_right: Whether that is the truth, `(answers,)`.
        clusters: What each answer comes from; those of one are not independent.
    """
    order = np.argsort(confidence, kind="stable")
    gap = is_right.astype(float) - confidence
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    num_bins = min(max(len(order) // LEAST_IN_BIN, 1), MOST_BINS)
    square, rows = 0.0, []
    for places in np.array_split(order, num_bins):
        variance = _variance_of_mean(gap[places], cluster[places])
        square += len(places) * (gap[places].mean() ** 2 - variance)
        rows.append(
            (
                float(confidence[places].mean()),
                float(is_right[places].mean()),
                float(np.sqrt(variance)),
                len(places),
            )
        )
    confidences, accuracies, deviations, counts = zip(*rows, strict=True)
    return Calibration(
        error=float(np.sqrt(max(square / len(order), 0.0))),
        confidence=confidences,
        accuracy=accuracies,
        deviation=deviations,
        count=counts,
    )


def measure_all(
    labels: Mapping[str, npt.NDArray[np.integer]],
    probabilities: Mapping[str, FloatArray],
    clusters: Sequence[str],
) -> tuple[Calibration | None, dict[str, Calibration]]:
    """Measures what is said of all attributes, together and one by one.

    Args:
        labels: Of each attribute, `(entries,)`, `MISSING` without a value.
        probabilities: Of each attribute that is named, `(entries, values)`.
        clusters: What each entry comes from, `(entries,)`.

    Returns:
        The calibration of all answers, None if there are none, and that of each
        attribute that some entry has a value of.
    """
    by_attribute, parts = {}, []
    names = np.asarray(clusters)
    for name, own in probabilities.items():
        known = labels[name] != MISSING
        if known.any():
            read = own[known]
            is_right = read.argmax(axis=1) == labels[name][known]
            confidence = read.max(axis=1)
            parts.append((confidence, is_right, names[known]))
            by_attribute[name] = measure(confidence, is_right, names[known].tolist())
    if not parts:
        return None, {}
    confidence, is_right, cluster = map(np.concatenate, zip(*parts, strict=True))
    return measure(confidence, is_right, cluster.tolist()), by_attribute


def _variance_of_mean(gap: FloatArray, cluster: npt.NDArray[np.integer]) -> float:
    """Returns the variance of a mean, whole clusters being drawn."""
    _, places = np.unique(cluster, return_inverse=True)
    sums = np.bincount(places, gap - gap.mean())
    if len(sums) < 2:  # Of one, nothing says how much another would differ.
        return 0.0
    return float(len(sums) / (len(sums) - 1) * np.sum(sums**2) / len(gap) ** 2)
