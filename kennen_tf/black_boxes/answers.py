"""What black boxes answer: recognised, checked, and turned into probabilities.

An API may round, keep only the likeliest classes, leave out small numbers, or count in
per cent or bytes. What is left is recognised by its form and made probabilities again;
how fine it is, is told, so that no more is read in it than it says.
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.black_boxes.forms import FloatArray
from kennen_tf.configs.revealing import AUTO, LABELS
from kennen_tf.vocabulary.errors import UserError

# A black box may round to two decimals; ten of them are then off by up to this.
SUM_TOLERANCE = 0.05
# Rounding may put a probability this far below 0.
LEAST = -1e-6
# What rounding to float16 and summing may be off by.
_CLOSE = 2e-3
_UNITS = {1.0: "", 100.0: "per cent", 255.0: "bytes", 256.0: "bytes"}
_MOST_DECIMALS = 6
# The least number of float16.
_HALF_PRECISION = 2.0**-24
# Of answers in full, some are less than this.
_LEAST_TOLD = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recognised:
    """Answers, and what they are.

    Attributes:
        probabilities: float32 `(n, classes)`, rows that sum to 1.
        kind: One of `OUTPUTS` but "auto".
        resolution: Step between neighbouring answers, or what numbers must come to so
            as not to be left out, if that is more; 0 if they tell all that float32 can.
        num_told: Of how many classes a row tells at most, if not of all; 0: of all.
        share_saturated: Share of rows whose highest number is 1 to the last digit.
        notes: Sentences about what was recognised.
    """

    probabilities: FloatArray
    kind: str
    resolution: float = 0.0
    num_told: int = 0
    share_saturated: float = 0.0
    notes: tuple[str, ...] = ()


def recognise(
    answers: npt.NDArray[Any], outputs_kind: str, num_classes: int
) -> Recognised:
    """Tells what answers are, and turns them into probabilities.

    Args:
        answers: `(n, num_classes)`; labels `(n,)`.
        outputs_kind: One of `OUTPUTS`: what they are said to be.
        num_classes: Number of classes.

    Raises:
        UserError: If they are something else than they are said to be, or cannot be
            told.
    """
    if np.issubdtype(answers.dtype, np.floating):
        answers = np.where((answers < 0) & (answers >= LEAST), 0, answers)
    kind = find_kind(answers) if outputs_kind == AUTO else outputs_kind
    if kind == LABELS:
        return Recognised(probabilities=_one_hot(answers, num_classes), kind=kind)
    if kind == "logits":
        _check_numbers(answers, num_classes)
    if kind != "probabilities":
        probabilities = to_probabilities(answers, kind, num_classes)
        return _finish(probabilities, kind, 0.0, 0, [])
    _check_numbers(answers, num_classes)
    _check_said(answers, kind)
    rows = np.asarray(answers, np.float64)
    unit, name = _find_unit(rows)
    are_sigmoids = False
    if not unit and _may_be_rounding(rows, answers.dtype):
        unit = 1.0
    elif not unit and _are_sigmoids(rows):
        unit, are_sigmoids = 1.0, True
    if (rows < 0).any() or not unit:
        # To be refused with what it is.
        validate_probabilities(answers, len(answers), num_classes)
    notes = [f"The answers are in {name}."] if name else []
    rows = rows / unit
    step = _find_step(rows, unit, answers.dtype)
    if are_sigmoids:
        notes.append(
            "The answers do not sum to 1, as those of one sigmoid for each class: they "
            "are divided by their sum."
        )
        rows = rows / rows.sum(axis=1, keepdims=True)
    num_told, level, said = _find_cut(rows, step)
    notes += said
    if step == _HALF_PRECISION:
        notes.append("The answers are of half precision (float16).")
    elif step and step < 1 and not num_told:
        notes.append(f"The answers are rounded to {step:g}: nothing finer is read.")
    highest, sums = rows.max(axis=1), rows.sum(axis=1, keepdims=True)
    # Where all was left out, nothing is told.
    rows = np.where(sums > 0, rows / np.where(sums > 0, sums, 1), 1 / num_classes)
    return _finish(rows, kind, max(step, level), num_told, notes, highest)


def _find_cut(
    rows: npt.NDArray[np.float64], step: float
) -> tuple[int, float, list[str]]:
    """Finds out whether small numbers are left out.

    Returns:
        How many classes a row tells at most, 0 if all; about how large what is left out
        may be; sentences that say so.
    """
    counts, num_classes = np.count_nonzero(rows, axis=1), rows.shape[1]
    most = int(counts.max())
    is_short = rows.sum(axis=1) < 1 - max(_CLOSE, num_classes * step)
    positive = np.where(rows > 0, rows, np.inf)
    if most < num_classes and (
        (1 < most and (counts == most).all())
        or (is_short.any() and np.mean(counts == most) >= 0.5)
    ):
        level = float(np.median(positive.min(axis=1)[counts > 0]))
        which, how = f"{most} likeliest classes", f"top-k --top_k={most}"
        if most == 1:
            which, how = "likeliest class", "top-1"
        return (
            *(most, level),
            [
                f"The answers tell the {which} only: a metamodel of "
                f"--representation={how} reads no more than that."
            ],
        )
    least = float(positive.min())
    # A softmax may come to 0, too, but only where others come near it.
    is_cut = is_short.any() or (not step and least > _LEAST_TOLD)
    if (rows > 0).all() or not is_cut:
        return 0, 0.0, []
    return (
        *(most, least),
        [
            f"Numbers below about {least:.2g} are left out: a metamodel of "
            "--representation=top-1 or ranking reads less of what is missing."
        ],
    )


def _are_sigmoids(rows: npt.NDArray[np.float64]) -> bool:
    is_within = (rows >= 0).all() and (rows <= 1 + 1e-6).all()
    return bool(
        is_within and rows.any(axis=1).all() and np.median(rows.max(axis=1)) >= 0.5
    )


def _may_be_rounding(rows: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> bool:
    """Tells whether sums are off 1 by no more than rounding to one decimal explains."""
    off = np.abs(rows.sum(axis=1) - 1).max()
    if (rows < 0).any() or not rows.any():
        return False
    return bool(off <= rows.shape[1] * _find_step(rows, 1.0, dtype) / 2)


def _finish(
    probabilities: npt.NDArray[np.floating],
    kind: str,
    resolution: float,
    num_told: int,
    notes: list[str],
    highest: npt.NDArray[np.floating] | None = None,
) -> Recognised:
    """Returns it; `highest`, `(n,)`, is from before rows were divided by their sum."""
    probabilities = probabilities.astype(np.float32)
    if highest is None:
        highest = probabilities.max(axis=1)
    saturated = float(np.mean(highest.astype(np.float32) >= 1.0))
    if saturated > 0.5:
        notes.append(
            f"{100 * saturated:.0f}% of the answers are saturated: one class has all "
            "of it, and how the others compare, which tells most, is lost."
        )
    return Recognised(
        probabilities=probabilities,
        kind=kind,
        resolution=resolution,
        num_told=num_told,
        share_saturated=saturated,
        notes=tuple(notes),
    )


def _find_unit(rows: npt.NDArray[np.float64]) -> tuple[float, str]:
    """Returns what whole rows sum to, and its name; 0 if no unit fits."""
    sums = rows.sum(axis=1)
    for unit, name in _UNITS.items():
        if (
            np.allclose(np.median(sums), unit, rtol=SUM_TOLERANCE)
            and (sums <= unit * (1 + SUM_TOLERANCE)).all()
        ):
            return unit, name
    # Classes may be left out; what is likeliest then is still most of it.
    highest = rows.max(axis=1)
    for unit, name in _UNITS.items():
        most = np.median(highest)
        if unit / 2 <= most <= unit and (sums <= unit * (1 + SUM_TOLERANCE)).all():
            return unit, name
    counts = np.count_nonzero(rows, axis=1)
    if counts.max() == rows.shape[1] or (rows < 0).any() or not rows.any():
        return 0.0, ""
    if (sums <= 1 + SUM_TOLERANCE).all():
        return 1.0, ""
    # So many of the likeliest of many classes that are about as likely.
    if (counts == counts[0]).all() and (sums <= 100 * (1 + SUM_TOLERANCE)).all():
        return 100.0, _UNITS[100.0]
    return 0.0, ""


def _find_step(
    rows: npt.NDArray[np.float64], unit: float, dtype: np.dtype[Any]
) -> float:
    """Returns what all numbers are multiples of, if they were rounded; else 0."""
    if dtype.kind in "iu":
        return 1 / unit
    given = rows * unit
    least = given[given > 0].min()
    # Of float32, the last digits are not those of the decimal number.
    tolerance = 2e-7 * max(1.0, unit)
    for decimals in range(_MOST_DECIMALS + 1):
        step = 10.0**-decimals
        # Nearly 0 is not 0: nobody rounded.
        if step >= 4 * tolerance and least >= step / 2:
            off = np.abs(given - np.round(given, decimals))
            if off.max() < tolerance:
                return float(step / unit)
    for levels in (255, 256):
        whole = rows * levels
        if np.abs(whole - np.rint(whole)).max() < 1e-4 and least * levels > unit / 2:
            return 1 / levels
    if (given.astype(np.float16) == given).all():
        return _HALF_PRECISION
    return 0.0


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
    _check_said(answers, outputs_kind)
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


def _check_said(answers: npt.NDArray[Any], outputs_kind: str) -> None:
    """Raises `UserError` if answers can only be of another kind than is said."""
    looks_like = _guess_kind(answers)
    if looks_like not in ("", outputs_kind):
        raise UserError(
            f"--outputs={outputs_kind} was said or taken as given, but all answers are "
            f"{looks_like}: say --outputs={looks_like}."
        )


def _is_cut_or_rounded(answers: npt.NDArray[Any]) -> bool:
    return bool(_find_unit(np.asarray(answers, np.float64))[0])


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
    _check_numbers(array, num_classes)
    array = array.astype(np.float32)
    sums = array.sum(axis=1)
    wrong = (np.abs(sums - 1) > SUM_TOLERANCE) | (array < LEAST).any(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(
            "A black box must return probabilities: at least 0, with sum 1. Received: "
            f"{int(wrong.sum())} of {num_queries} rows that are none, the first with "
            f"sum {sums[row]:.4g} and least value {array[row].min():.4g}."
            # What has no number below 0 may be probabilities that were cut.
            + (
                " If they are logits, say --outputs=logits."
                if (array < 0).any()
                else ""
            )
        )
    return np.clip(array, 0.0, 1.0)


def _check_numbers(array: npt.NDArray[Any], num_classes: int) -> None:
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
