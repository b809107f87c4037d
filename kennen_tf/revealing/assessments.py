"""What a metamodel says of a black box, and how far that is to be trusted."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable, Value
from kennen_tf.evaluation import conformal
from kennen_tf.evaluation.limits import Limits, coarsen

FloatArray = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assessment:
    """What is said of one black box. What an export does not know is None.

    Attributes:
        probabilities: Of the values of each attribute, float32 `(values,)`.
        plausible: The values of each attribute that are not ruled out at 90%, in the
            order of the table. All of them: it cannot be told. None of them: the black
            box is like the zoo's classifiers of no value.
        p_value: Share of the zoo's classifiers, left out, whose answers are at least as
            strange: of black boxes like them, 5% have at most 0.05.
        strange_by: What is strangest of the answers, strange or not: "shape",
            "sharper", "flatter", "strangers" or "constant"; see `evaluation.novelty`.
        sharpness_rank: Share of the zoo's classifiers that set classes less far apart.
        resolution: Of the level at which answers were read; 0: at full precision.
    """

    probabilities: dict[str, FloatArray]
    plausible: dict[str, tuple[Value, ...]] | None
    p_value: float | None
    strange_by: str | None
    sharpness_rank: float | None
    resolution: float


def assess(
    table: AttributeTable,
    revealed: Mapping[str, FloatArray],
    limits: Limits | None,
    outputs: FloatArray,
) -> list[Assessment]:
    """Says how far answers are to be trusted.

    Args:
        table: The attributes that are named.
        revealed: Probabilities of the values of each, `(black boxes, values)`.
        limits: What is known at the level at which they were read, if anything is.
        outputs: Represented, `(black boxes, num_queries, classes)`.
    """
    p_values = ranks = reasons = None
    if limits is not None and limits.novelty is not None:
        read = coarsen(outputs.astype(np.float64), limits.floor)
        p_values = limits.novelty.p_values(read)
        reasons = limits.novelty.reasons(read)
        ranks = limits.novelty.sharpness_ranks(read)
    return [
        Assessment(
            probabilities={name: revealed[name][place] for name in table.names},
            plausible=_find_plausible(table, revealed, limits, place),
            p_value=None if p_values is None else float(p_values[place]),
            strange_by=None if reasons is None else reasons[place],
            sharpness_rank=None if ranks is None else float(ranks[place]),
            resolution=limits.resolution if limits else 0.0,
        )
        for place in range(len(outputs))
    ]


def _find_plausible(
    table: AttributeTable,
    revealed: Mapping[str, FloatArray],
    limits: Limits | None,
    place: int,
) -> dict[str, tuple[Value, ...]] | None:
    """Returns the values not ruled out; where no threshold is known, that is all."""
    if limits is None:
        return None
    found = {}
    for attribute in table:
        own = revealed[attribute.name][place]
        nothing = [0.0] * len(own)
        thresholds = np.asarray(limits.thresholds.get(attribute.name, nothing))
        holds = conformal.plausible(own, thresholds)
        pairs = zip(attribute.values, holds, strict=True)
        found[attribute.name] = tuple(value for value, is_held in pairs if is_held)
    return found
