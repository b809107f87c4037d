"""What a defence costs those who use a classifier: what its answers are worth less.

What the classifier would have answered is the yardstick, and the truth where it is
known. All are means over images, and none is what an attacker is told.
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from kennen_tf.auditing.defences import Probabilities
from kennen_tf.evaluation import calibration

# Of a probability of 0, whose logarithm nobody can use.
_FLOOR = 1e-10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """What answers lost, from undefended to defended ones.

    Attributes:
        flipped: Share of images whose likeliest label is another, in [0, 1]; of equally
            likely ones, the first counts, as it does for who takes the largest.
        tied: Share of images that have several likeliest labels now, and had one.
        l1, l2: Distances of answers, in [0, 2] and [0, sqrt(2)].
        kl: Divergence of the defended from the undefended, in nats; a probability of 0
            counts as 1e-10.
        ranking_kept: Kendall's tau-b of the labels' ranking, 1 if it is the same, 0 if
            nothing is left of it.
        accuracy_lost: Share of right labels lost, in [-1, 1]; None where no truth is
            known.
        calibration: Calibration errors before and after, debiased, in [0, 1]; None
            where no truth is known.
    """

    flipped: float
    tied: float
    l1: float
    l2: float
    kl: float
    ranking_kept: float
    accuracy_lost: float | None
    calibration: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def measure(
    plain: Probabilities, defended: Probabilities, labels: npt.NDArray[np.integer]
) -> Cost:
    """Measures what a defence costs.

    Args:
        plain, defended: Answers to the same images, `(n, classes)`.
        labels: What the images show, `(n,)`; -1 where that is not known.
    """
    named, after = plain.argmax(axis=1), defended.argmax(axis=1)
    known = labels >= 0
    lost = errors = None
    if known.any():
        right_before = named[known] == labels[known]
        right_after = after[known] == labels[known]
        lost = float(right_before.mean() - right_after.mean())
        # Each image is another: none is like another for being of one combination.
        clusters = [str(place) for place in np.flatnonzero(known)]
        errors = (
            calibration.measure(plain[known].max(axis=1), right_before, clusters).error,
            calibration.measure(
                defended[known].max(axis=1), right_after, clusters
            ).error,
        )
    apart = defended - plain
    ratio = np.log(np.maximum(plain, _FLOOR)) - np.log(np.maximum(defended, _FLOOR))
    return Cost(
        flipped=float(np.mean(named != after)),
        tied=float(np.mean(_is_tied(defended) & ~_is_tied(plain))),
        l1=float(np.abs(apart).sum(axis=1).mean()),
        l2=float(np.sqrt((apart**2).sum(axis=1)).mean()),
        kl=float((plain * ratio).sum(axis=1).mean()),
        ranking_kept=float(
            np.mean([_tau(a, b) for a, b in zip(plain, defended, strict=True)])
        ),
        accuracy_lost=lost,
        calibration=errors,
    )


def _is_tied(rows: Probabilities) -> npt.NDArray[np.bool_]:
    return (rows == rows.max(axis=1, keepdims=True)).sum(axis=1) > 1


def _tau(plain: Probabilities, defended: Probabilities) -> float:
    # Of all labels alike, there is no ranking: nothing is left, and nothing was lost.
    if (plain == plain[0]).all() or (defended == defended[0]).all():
        return float((plain == defended).all())
    return float(stats.kendalltau(plain, defended).statistic)
