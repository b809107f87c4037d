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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recognised:
    """Answers, and what they are.

    Attributes:
        probabilities: float32 `(n, classes)`, rows that sum to 1.
        kind: One of `OUTPUTS` but "auto".
        resolution: What is smaller than this, the answers cannot tell from 0; 0 if they
            tell all that float32 can.
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
    rows = np.asarray(answers, np.float64)
    unit, name = _find_unit(rows)
    notes = [f"The answers are in {name}."] if name else []
    if not unit and _are_sigmoids(rows):
        unit = 1.0
        notes.append(
            "The answers do not sum to 1, as those of one sigmoid for each class: they "
            "are divided by their sum."
        )
        rows = rows / rows.sum(axis=1, keepdims=True)
    if (rows < 0).any() or not unit:
        # To be refused with what it is.
        validate_probabilities(answers, len(answers), num_classes)
    rows = rows / unit
    is_float16 = answers.dtype == np.float16
    step = _find_step(rows, unit, answers.dtype)
    num_told = int(np.count_nonzero(rows, axis=1).max())
    sums = rows.sum(axis=1)
    is_cut = bool((sums < 1 - max(_CLOSE, num_classes * step)).any())
    least = float(rows[rows > 0].min())
    resolution = step / 2
    if is_cut and num_told < num_classes:
        is_top_k = len(set(np.count_nonzero(rows, axis=1).tolist())) == 1
        if is_top_k:
            notes.append(
                f"The answers tell the {num_told} likeliest classes only: a metamodel "
                f"of --representation=top-k --top_k={num_told} reads no more than that."
            )
        else:
            notes.append(
                f"Numbers below about {least:.2g} are left out: a metamodel of "
                "--representation=top-1 or ranking reads less of what is missing."
            )
        resolution = max(resolution, least / 2)
    if step and not notes:
        notes.append(f"The answers are rounded to {step:g}: nothing finer is read.")
    if is_float16:
        resolution = max(resolution, 6e-8)
    # Where all was left out, nothing is told.
    rows[sums == 0] = 1 / num_classes
    return _finish(
        rows / rows.sum(axis=1, keepdims=True),
        kind,
        resolution,
        num_told if is_cut else 0,
        notes,
    )


def _are_sigmoids(rows: npt.NDArray[np.float64]) -> bool:
    is_within = (rows >= 0).all() and (rows <= 1 + 1e-6).all()
    return bool(
        is_within and rows.any(axis=1).all() and np.median(rows.max(axis=1)) >= 0.5
    )


def _finish(
    probabilities: npt.NDArray[np.floating],
    kind: str,
    resolution: float,
    num_told: int,
    notes: list[str],
) -> Recognised:
    probabilities = probabilities.astype(np.float32)
    saturated = float(np.mean(probabilities.max(axis=1) >= 1.0))
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
    return 0.0, ""


def _find_step(
    rows: npt.NDArray[np.float64], unit: float, dtype: np.dtype[Any]
) -> float:
    """Returns what all numbers are multiples of, if they were rounded; else 0."""
    if dtype.kind in "iu":
        return 1 / unit
    for decimals in range(1, _MOST_DECIMALS + 1):
        step = 10.0**-decimals
        # Of float32, the last digits are not those of the decimal number.
        off = np.abs(rows * unit - np.round(rows * unit, decimals))
        if off.max() < 2e-7 * max(1.0, unit):
            return step / unit
    whole = rows * 255
    if np.abs(whole - np.rint(whole)).max() < 1e-4:
        return 1 / 255
    whole = rows * 256
    if np.abs(whole - np.rint(whole)).max() < 1e-4:
        return 1 / 256
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
    if not np.issubdtype(answers.dtype, np.floating):
        return validate_probabilities(answers, len(answers), num_classes)
    looks_like = _guess_kind(answers)
    if looks_like not in ("", outputs_kind):
        raise UserError(
            f"--outputs={outputs_kind} was said or taken as given, but all answers are "
            f"{looks_like}: say --outputs={looks_like}."
        )
    if outputs_kind == "logits":
        if (answers >= 0).all() and _find_unit(np.asarray(answers, np.float64))[0]:
            raise UserError(
                "Logits have numbers below 0, too. Received: none, and rows that sum "
                "to about 1, 100 or 255 or less, as probabilities that were rounded or "
                "cut do. Say --outputs=probabilities."
            )
        answers = answers.astype(np.float64)
        with np.errstate(invalid="ignore"):  # What is not finite is refused below.
            answers = np.exp(answers - answers.max(axis=1, keepdims=True))
            answers = answers / answers.sum(axis=1, keepdims=True)
    elif outputs_kind == "log-probabilities":
        with np.errstate(over="ignore"):
            answers = np.exp(answers.astype(np.float64))
    return validate_probabilities(answers, len(answers), num_classes)


def _one_hot(labels: npt.NDArray[Any], num_classes: int) -> FloatArray:
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
