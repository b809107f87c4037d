"""Recognises what black boxes answer, by its form, and makes it probabilities.

An API may round, keep only the likeliest classes, leave out small numbers, or count in
per cent or bytes. What is left is recognised by its form and made probabilities again;
how fine it is, is told, so that no more is read in it than it says.
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.black_boxes import fineness
from kennen_tf.black_boxes.answers import (
    LEAST,
    check_numbers,
    check_said,
    find_kind,
    to_probabilities,
    validate_probabilities,
)
from kennen_tf.black_boxes.forms import FloatArray
from kennen_tf.configs.revealing import AUTO, LABELS


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
        return Recognised(
            probabilities=to_probabilities(answers, kind, num_classes), kind=kind
        )
    if kind == "logits":
        check_numbers(answers, num_classes)
    if kind != "probabilities":
        probabilities = to_probabilities(answers, kind, num_classes)
        return _finish(probabilities, kind, 0.0, 0, [])
    check_numbers(answers, num_classes)
    check_said(answers, kind)
    rows = np.asarray(answers, np.float64)
    unit, name = fineness.find_unit(rows)
    are_sigmoids = False
    if not unit and fineness.may_be_rounding(rows, answers.dtype):
        unit = 1.0
    elif not unit and fineness.are_sigmoids(rows):
        unit, are_sigmoids = 1.0, True
    if (rows < 0).any() or not unit:
        # To be refused with what it is.
        validate_probabilities(answers, len(answers), num_classes)
    notes = [f"The answers are in {name}."] if name else []
    rows = rows / unit
    step = fineness.find_step(rows, unit, answers.dtype)
    if are_sigmoids:
        notes.append(
            "The answers do not sum to 1, as those of one sigmoid for each class: they "
            "are divided by their sum."
        )
        rows = rows / rows.sum(axis=1, keepdims=True)
    num_told, level, said = fineness.find_cut(rows, step)
    notes += said
    if step == fineness.HALF_PRECISION:
        notes.append("The answers are of half precision (float16).")
    elif step and step < 1 and not num_told:
        notes.append(f"The answers are rounded to {step:g}: nothing finer is read.")
    highest, sums = rows.max(axis=1), rows.sum(axis=1, keepdims=True)
    # Where all was left out, nothing is told.
    rows = np.where(sums > 0, rows / np.where(sums > 0, sums, 1), 1 / num_classes)
    return _finish(rows, kind, max(step, level), num_told, notes, highest)


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
