"""Attributes of classifiers, and the table of those that a zoo varies.

A metamodel names attributes (paper, Table 1). Which there are comes with the zoo: its
table is saved beside the classifiers, their query outputs, metamodels, results and
exports, and read from there. `kennen_tf/designs` has the tables that zoos are built
with; the paper's is `designs/mnist_table.py`.

The position of a value is its label on disk, and the position of an attribute decides
the identifiers of classifiers, so to a design both are appended, never reordered.
"""

import bisect
import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

Value = str | int
# None: unknown, or the attribute does not apply (the kernel size of a perceptron).
Values = Mapping[str, Value | None]

TABLE_SCHEMA_VERSION = 1
# A description up to these characters is a name; of others, what is before a comma.
_LONGEST_NAME = 26
# Label of a value that is missing. It counts neither in losses nor in scores.
MISSING = -1


class SharedValues:
    """Values that many have alike, once: a million classifiers have few thousand."""

    def __init__(self) -> None:
        self._found: dict[tuple[tuple[str, Value | None], ...], Values] = {}

    def find(self, values: Values) -> Values:
        """Returns the first values found that are these, which nobody may change."""
        return self._found.setdefault(tuple(values.items()), values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What derived attributes are computed from.

    Attributes:
        combination: Value of every attribute that is chosen freely; None where it does
            not apply.
        num_params: Trainable parameters, summed over the members of an ensemble.
        num_members: 1 for a single classifier, else the size of the ensemble.
    """

    combination: Values
    num_params: int
    num_members: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attribute:
    """A property of a classifier that a metamodel predicts.

    Attributes:
        name: Key in flags, records, results and exported signatures.
        values: Possible values; the position of a value is its label.
        code: What tables print; by default, the name.
        description: A few words for people.
        group: What it is a property of, e.g. "architecture"; attributes of one group
            share a network in some metamodels.
        derive: In a design: computes the value from `Facts`; None if it is chosen.
        applies: In a design: says of the chosen values whether it applies; None if it
            always does.
        derived: Whether it is computed and not chosen.
        edges: Of numbers that were put into bins: what neighbouring values meet in,
            ascending; a number that is an edge belongs to the bin above it.
    """

    name: str
    values: tuple[Value, ...]
    code: str = ""
    description: str = ""
    group: str = ""
    derive: Callable[[Facts], Value | None] | None = dataclasses.field(
        default=None, compare=False, repr=False
    )
    applies: Callable[[Values], bool] | None = dataclasses.field(
        default=None, compare=False, repr=False
    )
    derived: bool = False
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        object.__setattr__(self, "edges", tuple(self.edges))
        object.__setattr__(self, "code", self.code or self.name)
        object.__setattr__(self, "derived", self.derived or self.derive is not None)
        kinds = {type(value) for value in self.values}
        if not self.values or not kinds <= {str, int}:
            raise UserError(
                f"Values of attribute '{self.name}' must be texts or whole numbers, "
                f"one or more. Received: {list(self.values)}."
            )
        if len({str(value) for value in self.values}) < len(self.values):
            raise UserError(
                f"Values of attribute '{self.name}' must differ. Received: "
                f"{list(self.values)}."
            )

    @property
    def in_full(self) -> str:
        """Its name for people, with its code, e.g. "max pooling (pool)"."""
        words = self.description
        if len(words) > _LONGEST_NAME:
            words = words.split(",")[0]
        return f"{words} ({self.code})" if words else self.code

    @property
    def chance(self) -> float:
        """Class-balanced accuracy, in [0, 1], of guessing."""
        return 1.0 / len(self.values)

    def label(self, value: Value | None) -> int:
        """Returns the position of `value`; `MISSING` for None.

        Raises:
            UserError: If it is none of the values.
        """
        if value is None:
            return MISSING
        if value not in self.values:
            raise UserError(
                f"Unknown value for attribute '{self.name}'. Expected one of "
                f"{list(self.values)}. Received: {value!r}."
            )
        return self.values.index(value)

    def bin(self, number: float) -> Value:
        """Returns the value whose bin a number is in, of an attribute with `edges`."""
        return self.values[bisect.bisect_right(self.edges, number)]

    def to_json(self) -> dict[str, Any]:
        """Returns a row of the table as artifacts hold it."""
        row = {
            "name": self.name,
            "code": self.code,
            "description": self.description,
            "values": list(self.values),
            "group": self.group,
            "derived": self.derived,
        }
        # Tables of before there were bins keep their fingerprints.
        return {**row, "edges": list(self.edges)} if self.edges else row


class AttributeTable:
    """The attributes that the classifiers of a zoo have, in a fixed order.

    Tables are equal if what artifacts hold of them is.

    Attributes:
        attributes: The rows.
    """

    def __init__(self, attributes: Iterable[Attribute]):
        """Makes a table.

        Raises:
            UserError: If it is empty, or a name or code stands in it twice.
        """
        self.attributes = tuple(attributes)
        for key in ("name", "code"):
            found = [getattr(attribute, key) for attribute in self.attributes]
            twice = sorted({name for name in found if found.count(name) > 1})
            if twice or not all(found):
                raise UserError(
                    f"Attributes must have a {key} of their own. Received: {found}."
                )
        if not self.attributes:
            raise UserError("One attribute or more is needed. Received: none.")

    def __iter__(self) -> Iterator[Attribute]:
        return iter(self.attributes)

    def __len__(self) -> int:
        return len(self.attributes)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Attribute:
        """Returns the attribute of that name or code.

        Raises:
            UserError: If there is none; names those that there are.
        """
        for attribute in self.attributes:
            if name in (attribute.name, attribute.code):
                return attribute
        raise UserError(
            f"Unknown attribute. Expected one of {self.names}. Received: {name!r}."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AttributeTable) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"AttributeTable({', '.join(self.names)})"

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all attributes."""
        return tuple(attribute.name for attribute in self.attributes)

    @property
    def chosen(self) -> tuple[Attribute, ...]:
        """The attributes that are not derived from others."""
        return tuple(a for a in self.attributes if not a.derived)

    @property
    def num_values(self) -> tuple[int, ...]:
        """Number of values of each attribute."""
        return tuple(len(attribute.values) for attribute in self.attributes)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Names the table."""
        return artifacts.fingerprint(self.to_json())

    def labels(self, values: Values) -> dict[str, int]:
        """Returns the label of every attribute; `MISSING` where there is no value."""
        return {a.name: a.label(values.get(a.name)) for a in self.attributes}

    def select(self, names: Collection[str]) -> "AttributeTable":
        """Returns the table of some attributes, in the order of this one."""
        return AttributeTable(a for a in self.attributes if a.name in names)

    def complete(self, facts: Facts) -> dict[str, Value | None]:
        """Returns the value of every attribute of a design's classifier.

        Raises:
            UserError: If a derived value is none of the attribute's values.
        """
        values: dict[str, Value | None] = {}
        for attribute in self.attributes:
            value = (
                attribute.derive(facts)
                if attribute.derive
                else facts.combination[attribute.name]
            )
            attribute.label(value)
            values[attribute.name] = value
        return values

    def to_json(self) -> dict[str, Any]:
        """Returns the table as artifacts hold it."""
        return {
            "schema_version": TABLE_SCHEMA_VERSION,
            "attributes": [attribute.to_json() for attribute in self.attributes],
        }

    @classmethod
    def from_json(cls, received: Any, where: artifacts.Path) -> "AttributeTable":
        """Makes a table from what `to_json` returned.

        Args:
            received: What was read.
            where: From what file; used in errors.

        Raises:
            UserError: If it is no attribute table of this schema version.
        """
        artifacts.check_schema(received, TABLE_SCHEMA_VERSION, where)
        try:
            return cls(
                Attribute(**{**row, "values": tuple(row["values"])})
                for row in received["attributes"]
            )
        except (KeyError, TypeError, UserError) as error:
            raise UserError(
                f"{where} must hold an attribute table. Received: {error}. Make it "
                "again."
            ) from error
