"""Grades of AIPs: how often a target errs on them, and how large they are.

Misclassification is counted over all images, as in the paper, and over those that the
target classified rightly when they were clean.
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.configs.aips import L2, LINF
from kennen_tf.vocabulary.errors import UserError

TOPS = (1, 5)
_CONFIDENCE = 0.95

IntArray = npt.NDArray[np.integer[Any]]


def rank_labels(
    logits: npt.NDArray[np.floating[Any]], labels: IntArray
) -> npt.NDArray[np.int32]:
    """Returns how many classes a classifier finds likelier than the true one.

    Args:
        logits: `(n, classes)`, or probabilities.
        labels: `(n,)`.

    Returns:
        int32 `(n,)`: 0 where it is right. Of equal logits, the lower class index comes
        first, as for `argmax`.

    Raises:
        UserError: If logits are not finite.
    """
    logits = np.asarray(logits)
    if not np.isfinite(logits).all():
        raise UserError("Logits must be finite numbers. Received: NaN or infinity.")
    true = np.take_along_axis(logits, labels[:, np.newaxis], axis=1)
    before = np.arange(logits.shape[1]) < labels[:, np.newaxis]
    return ((logits > true) | ((logits == true) & before)).sum(1).astype(np.int32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rate:
    """A share of images, with the 95% interval of Wilson.

    Attributes:
        wrong: Number of images misclassified.
        count: Number of images looked at.
        rate: Their ratio in [0, 1]; None of no images.
        interval: Its interval; None of no images.
    """

    wrong: int
    count: int
    rate: float | None
    interval: tuple[float, float] | None


def make_rate(wrong: npt.NDArray[np.bool_]) -> Rate:
    """Returns the rate of what is true in `wrong`, `(n,)`."""
    from scipy import stats

    count, num_wrong = len(wrong), int(wrong.sum())
    if not count:
        return Rate(wrong=0, count=0, rate=None, interval=None)
    found = stats.binomtest(num_wrong, count).proportion_ci(_CONFIDENCE, "wilson")
    interval = (float(found.low), float(found.high))
    return Rate(wrong=num_wrong, count=count, rate=num_wrong / count, interval=interval)


def grade(clean_ranks: IntArray, ranks: IntArray) -> dict[str, dict[str, Rate]]:
    """Grades one target on AIPs of some images.

    Args:
        clean_ranks: `rank_labels` of the clean images, `(n,)`.
        ranks: Of the perturbed images, `(n,)`.

    Returns:
        For "top1" and "top5": "clean", the error on clean images; "all", the
        misclassification of all perturbed images; "right_before", that of those whose
        clean image was classified rightly.
    """
    grades = {}
    for top in TOPS:
        clean_wrong, wrong = clean_ranks >= top, ranks >= top
        grades[f"top{top}"] = {
            "clean": make_rate(clean_wrong),
            "all": make_rate(wrong),
            "right_before": make_rate(wrong[~clean_wrong]),
        }
    return grades


def measure(
    clean: npt.NDArray[np.uint8], perturbed: npt.NDArray[np.uint8]
) -> dict[str, npt.NDArray[np.float64]]:
    """Measures perturbations, in levels.

    Args:
        clean: uint8 `(n, height, width, 3)`.
        perturbed: Like `clean`.

    Returns:
        For each of `NORMS`, `(n,)`.
    """
    sizes: dict[str, list[float]] = {L2: [], LINF: []}
    for before, after in zip(
        clean, perturbed, strict=True
    ):  # Not all at once in memory.
        difference = after.astype(np.float64) - before
        sizes[L2].append(float(np.sqrt((difference**2).sum())))
        sizes[LINF].append(float(np.abs(difference).max()))
    return {norm: np.array(values) for norm, values in sizes.items()}
