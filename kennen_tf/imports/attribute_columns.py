"""Attributes from columns of text: numbers, texts, and bins of numbers.

Columns of numbers with more than ten values become bins, whose edges the attribute
holds, so that values that come later are put into the same ones.
"""

import itertools
import math
import re

import numpy as np

from kennen_tf.attributes import Attribute, Value
from kennen_tf.vocabulary.errors import UserError

# Columns of numbers with more values than these are binned, into so many bins.
MOST_NUMBERS = 10
NUM_BINS = 4
_ENOUGH_DIGITS = 17


def distinct_values(column: list[str]) -> list[float] | list[str]:
    """Returns the different values of a column: numbers, if all are, else texts."""
    numbers = [number for text in column if (number := _number(text)) is not None]
    if len(numbers) == len(column):
        return sorted(set(numbers))
    return sorted(set(column))


def make_attribute(name: str, column: list[str]) -> Attribute:
    """Makes the attribute of a column of two different values or more."""
    distinct = distinct_values(column)
    if isinstance(distinct[0], str):
        return Attribute(name=name, values=tuple(map(str, distinct)))
    if len(distinct) <= MOST_NUMBERS:
        return Attribute(name=name, values=tuple(_as_value(float(n)) for n in distinct))
    edges = _find_edges(np.array([float(text) for text in column]))
    texts = [str(_as_value(edge)) for edge in edges]
    # Neither "-2--1" nor "1e-05-0.001" can be read.
    dash = "-" if all(re.fullmatch("[0-9.]+", text) for text in texts) else " to "
    between = [f"{low}{dash}{high}" for low, high in itertools.pairwise(texts)]
    values = (f"below {texts[0]}", *between, f"{texts[-1]} or more")
    return Attribute(name=name, values=values, edges=tuple(edges))


def _find_edges(numbers: np.ndarray) -> list[float]:
    """Returns what bins of about as many numbers meet in, ascending.

    Edges are between numbers, with as few digits as tell these apart: names of bins
    say exactly what is in them.
    """
    shares = np.arange(1, NUM_BINS) / NUM_BINS
    distinct = np.unique(numbers)
    firsts = np.unique(np.quantile(numbers, shares, method="higher"))
    if firsts[0] == distinct[0]:
        # Most numbers are the least one, and a bin below it would be empty.
        firsts = np.unique(np.quantile(distinct, shares, method="higher"))
    above = np.searchsorted(distinct, firsts)
    edges = (distinct[above - 1] + distinct[above]) / 2
    for digits in range(1, _ENOUGH_DIGITS):
        short = np.array([float(f"{edge:.{digits}g}") for edge in edges])
        if np.array_equal(
            np.searchsorted(short, distinct, side="right"),
            np.searchsorted(firsts, distinct, side="right"),
        ):
            return short.tolist()
    return firsts.tolist()


def find_value(attribute: Attribute, text: str, where: str) -> Value | None:
    """Returns the value that a cell says; None if it is empty.

    Args:
        attribute: The attribute; maybe of another table than this cell's.
        text: The cell.
        where: Its line; used in errors.

    Raises:
        UserError: If it is none of the attribute's values.
    """
    if not text:
        return None
    number = _number(text)
    if attribute.edges and number is not None:
        return attribute.bin(number)
    for value in (text, None if number is None else _as_value(number)):
        if value in attribute.values and value is not None:
            return value
    raise UserError(
        f"{where}: '{attribute.name}' must be one of {list(attribute.values)}. "
        f"Received: {text!r}."
    )


def _number(text: str) -> float | None:
    try:
        # Python reads "3_3" as 33.
        number = float(text.replace("_", "x"))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _as_value(number: float) -> Value:
    """Returns a whole number as an integer, another one as text."""
    return int(number) if float(number).is_integer() else repr(float(number))
