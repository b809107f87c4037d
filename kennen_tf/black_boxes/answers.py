"""What black boxes answer: of which kind, checked, and turned into probabilities."""

from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.black_boxes.fineness import SUM_TOLERANCE, find_unit
from kennen_tf.black_boxes.forms import FloatArray
from kennen_tf.configs.revealing import LABELS
from kennen_tf.vocabulary.errors import UserError

# Rounding may put a probability this far below 0.
LEAST = -1e-6


class UnreadableAnswersError(UserError):
    """What came are no answers: NaN, or numbers of no kind that is known."""


def find_kind(answers: npt.NDArray[Any]) -> str:
    """Returns which of `OUTPUTS` answers are, by their form."""
    if answers.ndim == 1 and np.issubdtype(answers.dtype, np.integer):
        return LABELS
    if not np.issubdtype(answers.dtype, np.number) or answers.ndim != 2:
        return "probabilities"
    found = _guess_kind(answers)
    # Numbers below 0 are no probabilities, whatever else; others are never logits.
    return found or ("logits" if (answers < 0).any() else "probabilities")


def to_probabilities(
    answers: npt.NDArray[Any], outputs_kind: str, num_classes: int
) -> FloatArray:
    """Turns answers of one of the `OUTPUTS` into probabilities.

    Args:
        answers: `(n, num_classes)`; labels `(n,)`.
        outputs_kind: What they are.
        num_classes: Number of classes.

    Returns:
        float32 `(n, num_classes)`.

    Raises:
        UserError: If they are something else than they are said to be.
    """
    if outputs_kind == LABELS:
        return _one_hot(answers, num_classes)
    if not np.issubdtype(answers.dtype, np.number) or np.iscomplexobj(answers):
        return validate_probabilities(answers, len(answers), num_classes)
    if not np.issubdtype(answers.dtype, np.floating):
        answers = answers.astype(np.float64)
    check_said(answers, outputs_kind)
    if outputs_kind == "logits":
        if (answers >= 0).all() and (answers.max() <= 1 or _is_cut_or_rounded(answers)):
            raise UserError(
                "Logits have numbers below 0, too. Received: none, and rows that sum "
                "to about 1, 100 or 255 or less, or no number above 1, as "
                "probabilities that were rounded or cut, and sigmoids, do. Say "
                "--outputs=probabilities."
            )
        answers = answers.astype(np.float64)
        with np.errstate(invalid="ignore"):  # What is not finite is refused below.
            answers = np.exp(answers - answers.max(axis=1, keepdims=True))
            answers = answers / answers.sum(axis=1, keepdims=True)
    elif outputs_kind == "log-probabilities":
        with np.errstate(over="ignore"):
            answers = np.exp(answers.astype(np.float64))
    return validate_probabilities(answers, len(answers), num_classes)


def check_said(answers: npt.NDArray[Any], outputs_kind: str) -> None:
    """Raises `UserError` if answers can only be of another kind than is said."""
    looks_like = _guess_kind(answers)
    if looks_like not in ("", outputs_kind):
        raise UserError(
            f"--outputs={outputs_kind} was said or taken as given, but all answers are "
            f"{looks_like}: say --outputs={looks_like}."
        )


def _is_cut_or_rounded(answers: npt.NDArray[Any]) -> bool:
    return bool(find_unit(np.asarray(answers, np.float64))[0])


def _one_hot(labels: npt.NDArray[Any], num_classes: int) -> FloatArray:
    if labels.ndim != 1:
        raise UserError(
            "Labels must be one for each image: shape (n,). Received: shape "
            f"{labels.shape}."
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"Labels must be whole numbers. Received: {labels.dtype}.")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise UserError(
            f"Labels must be at least 0 and at most {num_classes - 1}. Received: "
            f"{labels.min()} to {labels.max()}."
        )
    return np.eye(num_classes, dtype=np.float32)[labels]


def _guess_kind(answers: npt.NDArray[Any]) -> str:
    """Returns what the answers can only be, or "" where it is not that clear."""
    if (answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=1e-3):
        return "probabilities"
    if (answers <= 0).all() and np.allclose(np.exp(answers).sum(axis=1), 1, atol=1e-3):
        return "log-probabilities"
    return ""


def validate_probabilities(
    array: np.ndarray, num_queries: int, num_classes: int
) -> np.ndarray:
    """Checks what a black box answered.

    Args:
        array: Its outputs for all queries.
        num_queries: How many were sent.
        num_classes: Between how many classes it chooses.

    Returns:
        float32 `(num_queries, num_classes)`, in [0, 1].

    Raises:
        UserError: If the outputs are not one row of probabilities for each query.
    """
    array = np.asarray(array)
    if array.shape != (num_queries, num_classes):
        raise UserError(
            f"A black box must return {num_classes} probabilities for each image, "
            f"shape {(num_queries, num_classes)}. Received: shape {array.shape}."
        )
    check_numbers(array, num_classes)
    array = array.astype(np.float32)
    sums = array.sum(axis=1)
    wrong = (np.abs(sums - 1) > SUM_TOLERANCE) | (array < LEAST).any(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(
            "A black box must return probabilities: at least 0, with sum 1. Received: "
            f"{int(wrong.sum())} of {num_queries} rows that are none, the first with "
            f"sum {sums[row]:.4g} and least value {array[row].min():.4g}."
            + (
                " If they are logits, say --outputs=logits."
                if _may_be_logits(array)
                else ""
            )
        )
    return np.clip(array, 0.0, 1.0)


def _may_be_logits(numbers: npt.NDArray[np.floating]) -> bool:
    """Tells whether numbers are no probabilities, cut and rounded as they may be."""
    if (numbers < 0).any():
        return True
    is_cut = (numbers == 0).any() or numbers.max() <= 1
    return not is_cut and not find_unit(np.asarray(numbers, np.float64))[0]


def check_numbers(array: npt.NDArray[Any], num_classes: int) -> None:
    """Raises `UserError` unless answers are finite real numbers, one for each class."""
    if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise UserError(
            f"A black box must return real numbers. Received: {array.dtype}."
        )
    if array.ndim != 2 or array.shape[1] != num_classes:
        raise UserError(
            f"A black box must return {num_classes} numbers for each image. Received: "
            f"shape {array.shape}."
        )
    is_finite = np.isfinite(array)
    if not is_finite.all():
        rows = int((~is_finite).any(axis=1).sum())
        raise UserError(
            f"A black box must return finite numbers. Received: NaN or infinity for "
            f"{rows} of {len(array)} images."
        )
