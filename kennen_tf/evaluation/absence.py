"""Which attributes some classifiers have no value of: no kernel without convolution.

A zoo's table does not say what an attribute applies to, but its classifiers do: where
all that have a value of one attribute have none of another, that one does not apply.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import MISSING, AttributeTable, Value

# Fewer may all lack a value by chance.
_LEAST_ENTRIES = 10

# By attribute: pairs of another one and a value, with either of which it is absent.
Absent = Mapping[str, Iterable[tuple[str, Value]]]


def find_absent(
    table: AttributeTable, labels: Mapping[str, npt.NDArray[np.integer]]
) -> dict[str, list[tuple[str, Value]]]:
    """Finds what goes without what.

    Args:
        table: The attributes.
        labels: Of training entries, `(entries,)` for each; `MISSING` without a value.

    Returns:
        Of attributes that some entries have no value of; see `Absent`.
    """
    found: dict[str, list[tuple[str, Value]]] = {}
    for attribute in table:
        is_missing = labels[attribute.name] == MISSING
        if not is_missing.any() or is_missing.all():
            continue
        for other in table:
            for label, value in enumerate(other.values):
                has_value = labels[other.name] == label
                if has_value.sum() >= _LEAST_ENTRIES and is_missing[has_value].all():
                    found.setdefault(attribute.name, []).append((other.name, value))
    return found


def list_absent(absent: Absent, named: Mapping[str, Value]) -> set[str]:
    """Returns the attributes that do not apply to what is named.

    Args:
        absent: What `find_absent` returned.
        named: Value of each attribute.
    """
    return {
        name
        for name, pairs in absent.items()
        if any(named.get(other) == value for other, value in pairs)
    }
