"""Which entries have a value of which attributes."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import Attribute, AttributeTable
from kennen_tf.metamodels.recipes.heads import Labels


def group(
    table: AttributeTable, labels: Labels
) -> Iterator[tuple[npt.NDArray[np.bool_], list[Attribute]]]:
    """Groups attributes that the same entries have; leaves out those that none has.

    A regression to the values of several attributes at once has to be fitted to entries
    that have all of them.

    Args:
        table: The attributes.
        labels: For each attribute, `(entries,)`.

    Yields:
        bool `(entries,)`, which have a value, and these attributes.
    """
    groups: dict[bytes, list[Attribute]] = {}
    for attribute in table:
        is_known = labels[attribute.name] >= 0
        groups.setdefault(is_known.tobytes(), []).append(attribute)
    for key, attributes in groups.items():
        is_known = np.frombuffer(key, bool)
        if is_known.any():
            yield is_known, attributes


def patterns(
    table: AttributeTable, labels: Labels
) -> Iterator[tuple[npt.NDArray[np.bool_], npt.NDArray[np.integer]]]:
    """Groups attributes as `group` does, for values side by side.

    Args:
        table: The attributes.
        labels: For each attribute, `(entries,)`.

    Yields:
        bool `(entries,)`, which have a value, and the places of these attributes'
        values among the values of all, side by side.
    """
    ends = dict(zip(table.names, np.cumsum(table.num_values), strict=True))
    for is_known, attributes in group(table, labels):
        places = [
            np.arange(ends[own.name] - len(own.values), ends[own.name])
            for own in attributes
        ]
        yield is_known, np.concatenate(places)
