"""Results of a metamodel: what `results.json` holds, how it is made and read.

Accuracies are fractions in [0, 1]; `printing.py` rounds and prints per cent.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from kennen_tf.attributes import Attribute, AttributeTable, Value
from kennen_tf.designs import mnist_table
from kennen_tf.evaluation.intervals import Interval
from kennen_tf.vocabulary import artifacts

SCHEMA_VERSION = 1
RESULTS_NAME = "results.json"
KIND = "results"
NOT_NAMED = "this metamodel does not name it"
# Of a metamodel's config, what tables say of it.
DESCRIBED = ("method", "recipe", "representation", "top_k", "num_queries", "split")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttributeResult:
    """How well one attribute was named. All scores are None if it is not scored.

    Attributes:
        name: The attribute's name.
        code: What tables print.
        description: A few words for people.
        values: Its values; rows and columns of `confusion` are in this order.
        count: Number of test entries that have one of them.
        count_per_value: Number of test entries with each value.
        confusion: Number of entries by true value (row) and named value (column); all 0
            if it is not named.
        not_scored: Why there is no score (`NOT_NAMED` or other words), or "".
        accuracy: Class-balanced accuracy over the values that test entries have.
        interval: 95% interval of `accuracy`; see `scores.evaluate`.
        chance: 1 / number of values that test entries have: no guess that does not
            look at the outputs has a higher expected accuracy.
        normalized_accuracy: (accuracy - chance) / (1 - chance).
    """

    name: str
    code: str
    description: str
    values: tuple[Value, ...]
    count: int
    count_per_value: tuple[int, ...]
    confusion: tuple[tuple[int, ...], ...]
    not_scored: str = ""
    accuracy: float | None = None
    interval: Interval | None = None
    chance: float | None = None
    normalized_accuracy: float | None = None

    @property
    def attribute(self) -> Attribute:
        """The attribute as a row of a table."""
        return Attribute(
            name=self.name,
            values=self.values,
            code=self.code,
            description=self.description,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """Scores of a metamodel on one set of test entries.

    Attributes:
        attributes: One result for each attribute, in the order of the table.
        num_entries: Number of test entries.
        num_combinations: Number of combinations they come from; what is resampled.
        average: Unweighted averages over the attributes scored: "accuracy",
            "interval", "chance" and "normalized_accuracy"; empty if none is scored.
    """

    attributes: tuple[AttributeResult, ...]
    num_entries: int
    num_combinations: int
    average: dict[str, Any]

    @property
    def table(self) -> AttributeTable:
        """The attributes themselves."""
        return AttributeTable(a.attribute for a in self.attributes)

    @property
    def named(self) -> tuple[AttributeResult, ...]:
        """The attributes that the metamodel names, scored or not."""
        return tuple(a for a in self.attributes if a.not_scored != NOT_NAMED)

    @property
    def scored(self) -> tuple[AttributeResult, ...]:
        """The attributes that have a score."""
        return tuple(a for a in self.attributes if a.accuracy is not None)

    def __getitem__(self, name: str) -> AttributeResult:
        """Returns the result of the attribute of that name."""
        return {a.name: a for a in self.attributes}[name]

    def to_json(self) -> dict[str, Any]:
        """Returns plain values for `results.json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Results":
        """Makes results from what `to_json` gave, after a trip through JSON or not."""
        per_attribute = tuple(
            AttributeResult(
                **{
                    **_words(a),
                    **a,
                    "values": tuple(a["values"]),
                    "count_per_value": tuple(a["count_per_value"]),
                    "confusion": tuple(tuple(row) for row in a["confusion"]),
                    "interval": tuple(a["interval"]) if a["interval"] else None,
                }
            )
            for a in values["attributes"]
        )
        average = dict(values["average"])
        if average:
            average["interval"] = tuple(average["interval"])
        return cls(
            attributes=per_attribute,
            num_entries=values["num_entries"],
            num_combinations=values["num_combinations"],
            average=average,
        )


def _words(row: Mapping[str, Any]) -> dict[str, str]:
    """Returns code and description for a row of before results held them."""
    if "code" in row:
        return {}
    # Then there was one table.
    attribute = mnist_table.TABLE[row["name"]]
    return {"code": attribute.code, "description": attribute.description}


def results_document(
    results: Results,
    *,
    config: Mapping[str, Any],
    fingerprints: Mapping[str, str],
    num_train: int,
) -> dict[str, Any]:
    """Returns what `results.json` holds.

    Args:
        results: Scores on the test entries.
        config: JSON of the metamodel's config.
        fingerprints: Of the metamodel and of what it was made from.
        num_train: Number of entries it was trained on.
    """
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "config": dict(config),
        **{key: config[key] for key in (*DESCRIBED, "seed")},
        "num_train": num_train,
        "num_test": results.num_entries,
        **results.to_json(),
        "fingerprints": dict(fingerprints),
        "provenance": artifacts.provenance(),
    }


def read_results(metamodel_dir: artifacts.Path) -> dict[str, Any] | None:
    """Reads a metamodel's `results.json`; None if it was not evaluated.

    Raises:
        UserError: If the file is damaged or of another schema version.
    """
    path = pathlib.Path(metamodel_dir) / RESULTS_NAME
    if not path.exists():
        return None
    document = artifacts.read_json(
        path,
        wanted=KIND,
        make_with="python -m kennen_tf.evaluate_metamodel --metamodel_dir=...",
    )
    artifacts.check_schema(document, SCHEMA_VERSION, path)
    return document
