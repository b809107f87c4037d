"""What the training of a metamodel ends with, whatever the method."""

import dataclasses
from typing import Any

import keras

from kennen_tf.evaluation.limits import Limits
from kennen_tf.metamodels.limiting import Limited
from kennen_tf.queries.query_inputs import QueryInputs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training ends with.

    Attributes:
        model: From features to a dict from attribute to probabilities.
        crafted: The queries, if they were crafted.
        last: The last row of the metrics; empty if none were kept.
        coarse: The same as `model` for coarser answers; see `limiting.Limited`.
        limits: What is known of its limits, if it was to be found.
        query_accuracies: Which share of the training entries names each query rightly;
            empty where limits are not found, either, or features do not tell it.
    """

    model: keras.Model
    crafted: QueryInputs | None = None
    last: dict[str, Any] = dataclasses.field(default_factory=dict)
    coarse: tuple[keras.Model, ...] = ()
    limits: tuple[Limits, ...] = ()
    query_accuracies: tuple[float, ...] = ()

    @classmethod
    def of(cls, limited: Limited, **others: Any) -> "Trained":
        """Makes one of a metamodel that knows its limits, and the other fields."""
        return cls(
            model=limited.model,
            coarse=limited.coarse,
            limits=limited.limits,
            **others,
        )
