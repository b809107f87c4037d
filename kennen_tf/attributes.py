"""The twelve attributes of a classifier that a metamodel names (paper, Table 1).

Everything else derives from `ATTRIBUTES`: specs, heads, records, tables and flags.
To add a thirteenth, append it here and build it in `kennen_tf/zoo/classifiers.py`
or `kennen_tf/zoo/training.py`. The position of a value is its label on disk, and
the position of an attribute decides the identifiers of classifiers, so both are
appended, never reordered; a new attribute's first value is what the classifiers of
older zoos have.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

from kennen_tf.errors import UserError

Value = str | int

GROUPS = ("architecture", "optimization", "data")
TABLE_SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What derived attributes are computed from.

    Attributes:
        combination: Value of every attribute that is chosen freely.
        num_params: Trainable parameters, summed over the members of an ensemble.
        num_members: 1 for a single classifier, else the size of the ensemble.
    """

    combination: Mapping[str, Value]
    num_params: int
    num_members: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attribute:
    """A property of a classifier that a metamodel predicts.

    Attributes:
        name: Key in flags, records, results and exported signatures.
        code: The paper's abbreviation, as printed in tables.
        description: A few words for people.
        values: Possible values; the position of a value is its label.
        group: One of `GROUPS`.
        derive: Computes the value from `Facts`; None if it is chosen freely.
    """

    name: str
    code: str
    description: str
    values: tuple[Value, ...]
    group: str
    derive: Callable[[Facts], Value] | None = None

    @property
    def chance(self) -> float:
        """Class-balanced accuracy, in [0, 1], of guessing."""
        return 1.0 / len(self.values)

    def label(self, value: Value) -> int:
        """Returns the position of `value`. Raises `UserError` for an unknown one."""
        if value not in self.values:
            raise UserError(
                f"Unknown value for attribute '{self.name}'. Expected one of "
                f"{list(self.values)}. Received: {value!r}."
            )
        return self.values.index(value)


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute(
        name="act",
        code="act",
        description="activation",
        values=("relu", "prelu", "elu", "tanh"),
        group="architecture",
    ),
    Attribute(
        name="drop",
        code="drop",
        description="dropout",
        values=("no", "yes"),
        group="architecture",
    ),
    Attribute(
        name="pool",
        code="pool",
        description="max pooling",
        values=("no", "yes"),
        group="architecture",
    ),
    Attribute(
        name="ks",
        code="ks",
        description="kernel size",
        values=(3, 5),
        group="architecture",
    ),
    Attribute(
        name="conv",
        code="#conv",
        description="convolution layers",
        values=(2, 3, 4),
        group="architecture",
    ),
    Attribute(
        name="fc",
        code="#fc",
        description="fully connected layers, the last linear one included",
        values=(2, 3, 4),
        group="architecture",
    ),
    Attribute(
        name="par",
        code="#par",
        description="parameters, floor of log2",
        values=(14, 15, 16, 17, 18, 19, 20, 21),
        group="architecture",
        derive=lambda facts: facts.num_params.bit_length() - 1,
    ),
    Attribute(
        name="ens",
        code="ens",
        description="ensemble",
        values=("no", "yes"),
        group="architecture",
        derive=lambda facts: "yes" if facts.num_members > 1 else "no",
    ),
    Attribute(
        name="alg",
        code="alg",
        description="optimizer",
        values=("sgd", "adam", "rmsprop"),
        group="optimization",
    ),
    Attribute(
        name="bs",
        code="bs",
        description="batch size",
        values=(64, 128, 256),
        group="optimization",
    ),
    Attribute(
        name="size",
        code="size",
        description="amount of training data",
        values=("all", "half", "quarter"),
        group="data",
        derive=lambda facts: str(facts.combination["split"]).rstrip("0123"),
    ),
    Attribute(
        name="split",
        code="split",
        description="which training data",
        values=(
            "all0",
            "half0",
            "half1",
            "quarter0",
            "quarter1",
            "quarter2",
            "quarter3",
        ),
        group="data",
    ),
)

NAMES: tuple[str, ...] = tuple(a.name for a in ATTRIBUTES)
CHOSEN: tuple[Attribute, ...] = tuple(a for a in ATTRIBUTES if a.derive is None)


def by_name(name: str) -> Attribute:
    """Returns the attribute. Raises `UserError` naming the known ones."""
    for attribute in ATTRIBUTES:
        if name in (attribute.name, attribute.code):
            return attribute
    raise UserError(f"Unknown attribute. Expected one of {NAMES}. Received: {name!r}.")


def all_values(facts: Facts) -> dict[str, Value]:
    """Returns the value of every attribute, chosen and derived.

    Raises `UserError` if a derived value is none of the attribute's values.
    """
    values = {}
    for attribute in ATTRIBUTES:
        value = (
            attribute.derive(facts)
            if attribute.derive
            else facts.combination[attribute.name]
        )
        attribute.label(value)
        values[attribute.name] = value
    return values


def labels(values: Mapping[str, Value]) -> dict[str, int]:
    """Returns the label of every attribute from its value."""
    return {a.name: a.label(values[a.name]) for a in ATTRIBUTES}


def table(names: Collection[str] = NAMES) -> dict[str, Any]:
    """Returns the attribute table, or some of its rows, as artifacts hold it."""
    return {
        "schema_version": TABLE_SCHEMA_VERSION,
        "attributes": [
            {
                "name": a.name,
                "code": a.code,
                "description": a.description,
                "values": list(a.values),
                "group": a.group,
                "derived": a.derive is not None,
            }
            for a in ATTRIBUTES
            if a.name in names
        ],
    }


def check_table(received: Any, where: str) -> None:
    """Raises `UserError` if a stored table is not this package's own."""
    expected = table()
    if received == expected:
        return
    rows = received.get("attributes") if isinstance(received, Mapping) else None
    rows = rows if isinstance(rows, list) else []
    different = [a["name"] for a in expected["attributes"] if a not in rows]
    raise UserError(
        f"The attribute table in {where} must be the one of this version of kennen_tf, "
        f"schema version {TABLE_SCHEMA_VERSION}. Received: a table of {len(rows)} "
        f"attributes; missing or different: {different}. Use the version that made it, "
        "or make it again."
    )
