"""Entries of a zoo: single classifiers and ensembles, as black boxes that are asked."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from kennen_tf.attributes import SharedValues, Values


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class QueriedEntry:
    """A zoo entry as records describe it: all but its outputs.

    Attributes:
        id: "c04211-s017" for a classifier, "c04211-s017+s102" for an ensemble.
        combination_id: "c04211"; entries with the same may share members, and are
            never on both sides of a split.
        members: Ids of the classifiers in it.
        accuracy: Mean validation accuracy of its members, in [0, 1].
        values: Value of every attribute; None where it is unknown or does not apply.
    """

    id: str
    combination_id: str
    members: tuple[str, ...]
    accuracy: float
    values: Values

    def to_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "members": list(self.members)}

    @classmethod
    def from_json(
        cls, values: Mapping[str, Any], shared: SharedValues | None = None
    ) -> "QueriedEntry":
        """Makes an entry of what `to_json` returned.

        Args:
            values: What was read.
            shared: Of entries that were read before, for those that have the same.
        """
        own = (shared or SharedValues()).find(values["values"])
        return cls(**{**values, "members": tuple(values["members"]), "values": own})
