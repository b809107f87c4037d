"""Defences: what the owner of a classifier may answer instead of its probabilities.

Each is a pure function of probabilities, row by row: what one query is answered with
does not depend on what else was asked. Rows stay probabilities, so that whoever reads
them has to change nothing. Those that draw noise are given a seed for each row; equal
seeds, equal noise.

    none                    as they are
    round:DIGITS            to so many digits after the point
    top:K, top-raw:K        the K likeliest; what is left is dealt out in proportion to
                            them, or evenly to the others, as who reads fills it in
    ranking                 the order of the labels alone, as probabilities exp(-rank)
    label                   the likeliest label alone
    cut:C                   who is surer than C says C, and of the rest nothing
    temperature:T           softmax of log-probabilities over T
    gaussian:S, laplace:S   noise of that scale on each probability; it is what it is
    ...:fresh               for a query, or drawn anew each time it is asked
    reverse-sigmoid:BETA    Lee et al., Defending Against Neural Network Model Stealing
                            Attacks Using Deceptive Perturbations (2018), gamma 0.2
    l1:D                    a step of L1 length D in a random direction, the yardstick
                            of whatever moves answers as far
    MODULE:FUNCTION         your own, from float64 (rows, classes) to the same
"""

import dataclasses
import functools
import importlib
import math
import pathlib
import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from kennen_tf.black_boxes.formats.opened import one_line
from kennen_tf.vocabulary.errors import UserError

Probabilities = npt.NDArray[np.float64]
Seeds = npt.NDArray[np.uint64]

FRESH = "fresh"
_FLOOR = 1e-12
_GAMMA = 0.2
# What rows may sum to, beside 1.
_TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Defence:
    """A way to answer.

    Attributes:
        name: As it was asked for.
        apply: From probabilities `(rows, classes)` and seeds `(rows,)` to
            probabilities.
        is_random: Whether it draws noise.
        is_fresh: Whether it does so anew whenever the same is asked.
    """

    name: str
    apply: Callable[[Probabilities, Seeds], Probabilities]
    is_random: bool = False
    is_fresh: bool = False


def _none(rows: Probabilities) -> Probabilities:
    return rows


def _round_off(rows: Probabilities, digits: float) -> Probabilities:
    rounded = np.round(rows, int(digits))
    # Of many classes, each may be rounded to nothing.
    return _normalise(
        np.where(rounded.any(axis=1, keepdims=True), rounded, _label(rows))
    )


def _keep_top(rows: Probabilities, k: float) -> Probabilities:
    return _normalise(np.where(_is_top(rows, k), rows, 0.0))


def _keep_top_raw(rows: Probabilities, k: float) -> Probabilities:
    is_top = _is_top(rows, k)
    rest = np.where(is_top, 0.0, rows).sum(axis=1, keepdims=True)
    others = np.maximum((~is_top).sum(axis=1, keepdims=True), 1)
    return np.where(is_top, rows, rest / others)


def _rank(rows: Probabilities) -> Probabilities:
    places = np.argsort(-rows, axis=1, kind="stable")
    return _normalise(np.exp(-np.argsort(places, axis=1).astype(np.float64)))


def _label(rows: Probabilities) -> Probabilities:
    return np.eye(rows.shape[1])[rows.argmax(axis=1)]


def _cut(rows: Probabilities, most: float) -> Probabilities:
    named = _label(rows)
    capped = named * most + (1 - named) * (1 - most) / (rows.shape[1] - 1)
    return np.where(rows.max(axis=1, keepdims=True) > most, capped, rows)


def _soften(rows: Probabilities, temperature: float) -> Probabilities:
    logs = np.log(np.maximum(rows, _FLOOR)) / temperature
    return _normalise(np.exp(logs - logs.max(axis=1, keepdims=True)))


def _add_gaussian(rows: Probabilities, seeds: Seeds, scale: float) -> Probabilities:
    return _add_noise(rows, scale * _draw(seeds, rows.shape[1], "standard_normal"))


def _add_laplace(rows: Probabilities, seeds: Seeds, scale: float) -> Probabilities:
    return _add_noise(rows, scale * _draw(seeds, rows.shape[1], "laplace"))


def _reverse_sigmoid(rows: Probabilities, beta: float) -> Probabilities:
    inner = np.clip(rows, _FLOOR, 1 - _FLOOR)
    logits = np.log(inner) - np.log1p(-inner)
    lure = 1 / (1 + np.exp(-_GAMMA * logits)) - 0.5
    return _normalise(np.maximum(rows - beta * lure, _FLOOR))


def _step_l1(rows: Probabilities, seeds: Seeds, length: float) -> Probabilities:
    # To what lies in a random direction, or as far as it goes: of one row and another,
    # at most 2 apart, all between are probabilities.
    aims = _normalise(np.exp(3 * _draw(seeds, rows.shape[1], "standard_normal")))
    apart = np.abs(aims - rows).sum(axis=1, keepdims=True)
    return rows + np.minimum(length / np.maximum(apart, _FLOOR), 1.0) * (aims - rows)


_PLAIN = {"none": _none, "ranking": _rank, "label": _label}
# With a number: the function, what it must be above and at most, whether it is whole.
_WITH_NUMBER = {
    "round": (_round_off, 0.0, 15.0, True),
    "top": (_keep_top, 0.0, math.inf, True),
    "top-raw": (_keep_top_raw, 0.0, math.inf, True),
    "cut": (_cut, 0.0, 1.0, False),
    "temperature": (_soften, 0.0, math.inf, False),
    "reverse-sigmoid": (_reverse_sigmoid, 0.0, math.inf, False),
}
_WITH_NOISE = {"gaussian": _add_gaussian, "laplace": _add_laplace, "l1": _step_l1}


def find(name: str) -> Defence:
    """Returns a defence by what is typed, e.g. "top:3" or "laplace:0.02:fresh".

    Raises:
        UserError: If there is none of this name, its number is none or out of range, or
            the user's own cannot be found.
    """
    kind, *rest = name.split(":")
    if kind in _PLAIN and not rest:
        return Defence(name=name, apply=_without_seeds(_PLAIN[kind]))
    if kind in _WITH_NOISE and rest:
        number, *how = rest
        if how not in ([], [FRESH]):
            raise UserError(
                f"After its number, {kind} takes nothing or :{FRESH}. Received: {name}."
            )
        scale = _read_number(name, number, 0.0, math.inf, is_whole=False)
        add = _WITH_NOISE[kind]
        return Defence(
            name=name,
            apply=lambda rows, seeds: add(rows, seeds, scale),
            is_random=True,
            is_fresh=bool(how),
        )
    if kind in _WITH_NUMBER and len(rest) == 1:
        function, least, most, is_whole = _WITH_NUMBER[kind]
        read = _read_number(name, rest[0], least, most, is_whole=is_whole)
        return Defence(name=name, apply=_without_seeds(function, read))
    if len(rest) == 1 and kind not in {*_PLAIN, *_WITH_NUMBER, *_WITH_NOISE}:
        own = _import(kind, rest[0])
        return Defence(name=name, apply=functools.partial(_call_own, name, own))
    raise UserError(
        f"A defence must be one of {', '.join(_PLAIN)}, one of "
        f"{', '.join([*_WITH_NUMBER, *_WITH_NOISE])} with a number, as in top:3, or "
        f"MODULE:FUNCTION. Received: {name}."
    )


def _without_seeds(
    function: Callable[..., Probabilities], *arguments: float
) -> Callable[[Probabilities, Seeds], Probabilities]:
    return lambda rows, seeds: function(rows, *arguments)


def _read_number(
    name: str, text: str, least: float, most: float, *, is_whole: bool
) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least < number <= most or (is_whole and number % 1):
        wanted = "a whole number" if is_whole else "a number"
        bounds = f"above {least:g}" + (
            "" if most == math.inf else f", at most {most:g}"
        )
        raise UserError(f"A defence takes {wanted} {bounds}. Received: {name}.")
    return number


def _import(module: str, function: str) -> Callable[[Probabilities], Probabilities]:
    folder = str(pathlib.Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as error:  # A module of the user's may raise anything.
        raise UserError(
            f"There is no defence {module}:{function}: {one_line(error)}. It must "
            "be one of the table, or a function in a module that Python finds, in the "
            "current folder for one."
        ) from error
    if not callable(found):
        raise UserError(f"A defence must be a function. Received: {module}:{function}.")
    return found


def _call_own(
    name: str,
    function: Callable[[Probabilities], Probabilities],
    rows: Probabilities,
    seeds: Seeds,
) -> Probabilities:
    """Asks the user's own, and checks what it says."""
    try:
        answers = np.asarray(function(rows.copy()))
    except Exception as error:  # Code of the user's may raise anything.
        raise UserError(
            f"The defence {name} failed when it was given probabilities of shape "
            f"{rows.shape}: {one_line(error)}"
        ) from error
    if answers.shape != rows.shape or not np.issubdtype(answers.dtype, np.number):
        raise UserError(
            f"The defence {name} must return numbers of shape {rows.shape}. Received: "
            f"{answers.dtype} of shape {answers.shape}."
        )
    answers = answers.astype(np.float64)
    sums = answers.sum(axis=1)
    if not ((answers >= 0).all() and (np.abs(sums - 1) <= _TOLERANCE).all()):
        raise UserError(
            f"The defence {name} must return probabilities, rows of numbers from 0 on "
            f"that sum to 1. Received: numbers from {answers.min():g} to "
            f"{answers.max():g}, sums from {sums.min():g} to {sums.max():g}."
        )
    return answers


def _is_top(rows: Probabilities, k: float) -> npt.NDArray[np.bool_]:
    # Of equal ones, the first.
    places = np.argsort(-rows, axis=1, kind="stable")
    return np.argsort(places, axis=1) < k


def _add_noise(rows: Probabilities, noise: Probabilities) -> Probabilities:
    noisy = np.maximum(rows + noise, 0.0)
    return _normalise(np.where(noisy.any(axis=1, keepdims=True), noisy, _label(rows)))


def _draw(seeds: Seeds, num_classes: int, law: str) -> Probabilities:
    """Returns standard noise, each row from its own seed."""
    return np.stack(
        [getattr(np.random.default_rng(seed), law)(size=num_classes) for seed in seeds]
    )


def _normalise(rows: Probabilities) -> Probabilities:
    return rows / rows.sum(axis=1, keepdims=True)
