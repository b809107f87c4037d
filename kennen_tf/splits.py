"""Splits of a zoo into training and test entries: random (R) and extrapolation (E).

A combination serves one side only, so no member of a test ensemble is ever trained
on, alone or in another ensemble.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from kennen_tf import attributes
from kennen_tf.attributes import Attribute, Value
from kennen_tf.errors import UserError
from kennen_tf.seeds import derive_seed

RANDOM = "R"

# Paper, Table 3: training values > test values. E-split has no row there that this
# project could source; one quarter against the three others is our choice.
EXTRAPOLATIONS: dict[str, str] = {
    "E-conv": "conv:2,3>4",
    "E-conv-fc": "conv:2,3>4;fc:2,3>4",
    "E-alg": "alg:sgd,adam>rmsprop",
    "E-alg-bs": "alg:sgd,adam>rmsprop;bs:64,128>256",
    "E-split": "split:quarter0>quarter1,quarter2,quarter3",
    "E-size": "size:quarter>half,all",
}

DEFAULT_TEST_SHARE = 0.2

_FORM = (
    f"--split must be {RANDOM}, one of {', '.join(EXTRAPOLATIONS)}, or training values "
    "> test values of some attributes, e.g. 'pool:no>yes' or 'conv:2,3>4;bs:64>256'"
)


class Entry(Protocol):
    """What a split needs to know of an entry of the zoo."""

    @property
    def id(self) -> str: ...
    @property
    def combination_id(self) -> str: ...
    @property
    def values(self) -> Mapping[str, Value]: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """Values of one splitting attribute on either side."""

    attribute: Attribute
    train_values: tuple[Value, ...]
    test_values: tuple[Value, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """Who is trained on and who is held out; both sorted.

    Attributes:
        train_ids: Entries to train on.
        test_ids: Entries to test on.
        split_attributes: What a metamodel is not scored on: the splitting attributes
            and those none of whose test values occurs in training.
    """

    train_ids: tuple[str, ...]
    test_ids: tuple[str, ...]
    split_attributes: tuple[str, ...]

    def to_json(self) -> dict[str, list[str]]:
        return {name: list(ids) for name, ids in dataclasses.asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Split":
        return cls(**{f.name: tuple(values[f.name]) for f in dataclasses.fields(cls)})


def parse_split(split: str) -> tuple[Rule, ...]:
    """Returns the rules of a split; none for `RANDOM`.

    Raises:
        UserError: If it is no split.
    """
    if split == RANDOM:
        return ()
    text = EXTRAPOLATIONS.get(split, split)
    rules: list[Rule] = []
    for part in text.split(";"):
        name, colon, sides = part.partition(":")
        train, arrow, test = sides.partition(">")
        if not colon or not arrow:
            raise UserError(f"{_FORM}. Received: split={split!r}.")
        attribute = attributes.by_name(name.strip())
        rule = Rule(
            attribute=attribute,
            train_values=_parse_values(attribute, train),
            test_values=_parse_values(attribute, test),
        )
        both = set(rule.train_values) & set(rule.test_values)
        if both or attribute in [r.attribute for r in rules]:
            raise UserError(
                f"{_FORM}, each attribute once and each value on one side. Received: "
                f"split={split!r}."
            )
        rules.append(rule)
    return tuple(rules)


def _parse_values(attribute: Attribute, text: str) -> tuple[Value, ...]:
    by_text = {str(value): value for value in attribute.values}
    names = [name.strip() for name in text.split(",")]
    # For an unknown value, `label` raises what is wanted.
    found = [by_text.get(name, name) for name in names]
    return tuple(attribute.values[attribute.label(value)] for value in found)


def make_split(
    entries: Iterable[Entry],
    split: str,
    seed: int,
    num_train: int = 0,
    num_test: int = 0,
) -> Split:
    """Divides entries into those to train on and those to test on.

    Combinations all of whose suitable entries suit one side serve that side. Those
    with entries for both, which in a random split are all, are taken in an order that
    the seed decides: for the test until it has enough, then for training.

    Args:
        entries: Classifiers and ensembles of the zoo.
        split: `RANDOM`, a key of `EXTRAPOLATIONS`, or rules in the same form.
        seed: Root seed.
        num_train: Entries to train on; 0: all that the test leaves.
        num_test: Entries to test on; 0: at least a fifth of the suitable ones.

    Raises:
        UserError: If the split is unknown, or a side has too few entries.
    """
    rules = parse_split(split)
    combinations: dict[str, tuple[list[Entry], list[Entry]]] = {}
    for entry in _in_seed_order(entries, seed):
        train, test = combinations.setdefault(entry.combination_id, ([], []))
        if all(entry.values[r.attribute.name] in r.train_values for r in rules):
            train.append(entry)
        if all(entry.values[r.attribute.name] in r.test_values for r in rules):
            test.append(entry)
    suitable = {e.id for sides in combinations.values() for side in sides for e in side}
    wanted = num_test or math.ceil(DEFAULT_TEST_SHARE * len(suitable))

    train_side = [e for train, test in combinations.values() if not test for e in train]
    test_side = [e for train, test in combinations.values() if not train for e in test]
    for train, test in combinations.values():
        if train and test:
            if len(test_side) < wanted:
                test_side += test
            else:
                train_side += train
    _check_numbers(split, len(train_side), len(test_side), num_train, num_test)
    # Combinations for both sides come last in `train_side`; cut off evenly instead.
    train_side = _in_seed_order(train_side, seed)
    chosen_train = train_side[: num_train or None]
    chosen_test = test_side[: num_test or None]
    return Split(
        train_ids=tuple(sorted(entry.id for entry in chosen_train)),
        test_ids=tuple(sorted(entry.id for entry in chosen_test)),
        split_attributes=_not_scored(rules, chosen_train, chosen_test),
    )


def _in_seed_order(entries: Iterable[Entry], seed: int) -> list[Entry]:
    """Sorts by combination and entry, each in an order of its own for every seed.

    An entry's place depends on the seed and its name only, so a zoo that has grown
    keeps most of its split.
    """

    def order(entry: Entry) -> tuple[int, str, int, str]:
        combination, name = entry.combination_id, entry.id
        return (
            *(derive_seed(seed, "split", combination), combination),
            *(derive_seed(seed, "split", name), name),
        )

    return sorted(entries, key=order)


def _check_numbers(
    split: str, train: int, test: int, num_train: int, num_test: int
) -> None:
    if train < max(num_train, 1) or test < max(num_test, 1):
        raise UserError(
            f"Split {split} must leave at least {max(num_train, 1)} entries to train "
            f"on and {max(num_test, 1)} to test on. Received: a zoo with {train} to "
            f"train on and {test} to test on. Choose other --num_train and --num_test, "
            "another --split, or build a larger zoo."
        )


def _not_scored(
    rules: Sequence[Rule], train: Sequence[Entry], test: Sequence[Entry]
) -> tuple[str, ...]:
    names = {rule.attribute.name for rule in rules}
    for name in attributes.NAMES if rules else ():
        trained = {entry.values[name] for entry in train}
        # E.g. which data was trained on, in a split by the amount of data.
        if not trained & {entry.values[name] for entry in test}:
            names.add(name)
    return tuple(name for name in attributes.NAMES if name in names)
