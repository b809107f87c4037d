"""How fine answers are: their unit, their decimals, and what is left out of them."""

from typing import Any

import numpy as np
import numpy.typing as npt

# A black box may round to two decimals; ten of them are then off by up to this.
SUM_TOLERANCE = 0.05
# What rounding to float16 and summing may be off by.
_CLOSE = 2e-3
_UNITS = {1.0: "", 100.0: "per cent", 255.0: "bytes", 256.0: "bytes"}
_MOST_DECIMALS = 6
# The least number of float16.
HALF_PRECISION = 2.0**-24
# Of answers in full, some are less than this.
_LEAST_TOLD = 1e-6


def find_unit(rows: npt.NDArray[np.float64]) -> tuple[float, str]:
    """Returns what whole rows, `(n, classes)`, sum to, and its name; 0 if none fits."""
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


def find_step(
    rows: npt.NDArray[np.float64], unit: float, dtype: np.dtype[Any]
) -> float:
    """Finds out whether answers were rounded.

    Args:
        rows: `(n, classes)`, over their unit, at least one of them above 0.
        unit: What `find_unit` returned.
        dtype: Of the answers as they came.

    Returns:
        What all of them are multiples of, over their unit; `HALF_PRECISION` if they
        are float16; 0 if they are in full.
    """
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
        return HALF_PRECISION
    return 0.0


def are_sigmoids(rows: npt.NDArray[np.float64]) -> bool:
    """Tells whether rows, `(n, classes)`, may be of one sigmoid for each class."""
    is_within = (rows >= 0).all() and (rows <= 1 + 1e-6).all()
    return bool(
        is_within and rows.any(axis=1).all() and np.median(rows.max(axis=1)) >= 0.5
    )


def may_be_rounding(rows: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> bool:
    """Tells whether sums are off 1 by no more than rounding to one decimal explains."""
    off = np.abs(rows.sum(axis=1) - 1).max()
    if (rows < 0).any() or not rows.any():
        return False
    return bool(off <= rows.shape[1] * find_step(rows, 1.0, dtype) / 2)


def find_cut(
    rows: npt.NDArray[np.float64], step: float
) -> tuple[int, float, list[str]]:
    """Finds out whether small numbers are left out.

    Args:
        rows: `(n, classes)`, over their unit.
        step: What `find_step` returned.

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
