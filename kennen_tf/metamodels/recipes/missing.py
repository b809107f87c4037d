"""Which entries have a value of which attributes."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable
from kennen_tf.metamodels.recipes.heads import Labels


def patterns(
    table: AttributeTable, labels: Labels
) -> Iterator[tuple[npt.NDArray[np.bool_], npt.NDArray[np.integer]]]:
    """Groups attributes that the same entries have; leaves out those that none has.

    A regression to the values of several attributes at once has to be fitted to entries
    that have all of them.

    Args:
        table: The attributes.
        labels: For each attribute, `(entries,)`.

    Yields:
        bool `(entries,)`, which have a value, and the places of these attributes'
        values among the values of all, side by side.
    """
    ends = np.cumsum(table.num_values)
    columns: dict[bytes, list[int]] = {}
    for attribute, end in zip(table, ends, strict=True):
        is_known = labels[attribute.name] >= 0
        own = range(end - len(attribute.values), end)
        columns.setdefault(is_known.tobytes(), []).extend(own)
    for key, places in columns.items():
        is_known = np.frombuffer(key, bool)
        if is_known.any():
            yield is_known, np.array(places)
