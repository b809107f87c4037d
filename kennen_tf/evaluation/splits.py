"""Splits of a zoo into training and test entries.

A combination serves one side only, so no member of a test ensemble is ever trained
on, alone or in another ensemble. What is a combination of attribute values in a zoo
that was built, is called a group here: of a zoo that was imported, it is e.g. all
weights of one architecture.

    R                    a fifth of the entries, whole groups drawn at random
    development          as R, of what no test of R with the seeds 0, 1 and 2 holds
    group                a fifth of the groups
    E-conv ...           of the paper (Table 3), for its attributes
    conv:2,3>4;bs:64>256 training values > test values of some attributes
    leave-one-out:family one group of each value; the seeds go through all of them
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from kennen_tf.attributes import Attribute, AttributeTable, Value
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.seeds import derive_seed

RANDOM = "R"
DEVELOPMENT = "development"
GROUP = "group"
LEAVE_ONE_OUT = "leave-one-out"

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

# What is reported is tested by `RANDOM` with these seeds.
REPORTED_SEEDS = (0, 1, 2)
# Such a test holds the groups that come first in the order of its seed: about
# `DEFAULT_TEST_SHARE` of all places that there are. Groups that come later than this
# share of the places, by each of these seeds, stay untested when the zoo grows.
_LEAST_DEVELOPMENT_PLACE = 0.25
_NUM_PLACES = 2**31  # `derive_seed` gives one of them.

_FORM = (
    f"--split must be {RANDOM}, {DEVELOPMENT}, {GROUP}, {LEAVE_ONE_OUT}:ATTRIBUTE, one "
    f"of {', '.join(EXTRAPOLATIONS)}, or training values > test values of some "
    "attributes, e.g. 'pool:no>yes' or 'conv:2,3>4;bs:64>256'"
)


class Entry(Protocol):
    """What a split needs to know of an entry of the zoo."""

    @property
    def id(self) -> str: ...
    @property
    def combination_id(self) -> str: ...
    @property
    def values(self) -> Mapping[str, Value | None]: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """Values of one splitting attribute on either side."""

    attribute: Attribute
    train_values: tuple[Value, ...]
    test_values: tuple[Value, ...]

    def sides(self, entry: Entry) -> tuple[bool, bool]:
        """Says whether an entry suits training and test; without a value, neither."""
        value = entry.values.get(self.attribute.name)
        return value in self.train_values, value in self.test_values


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


def parse_split(split: str, table: AttributeTable) -> tuple[Rule, ...]:
    """Returns the rules of a split; none for those that draw groups.

    Args:
        split: See the top of this module.
        table: The attributes that there are.

    Raises:
        UserError: If it is no split, or not one of this table.
    """
    kind, _, name = split.partition(":")
    if split in (RANDOM, DEVELOPMENT, GROUP):
        return ()
    try:
        if kind == LEAVE_ONE_OUT:
            _ = table[name.strip()]
            return ()
        return _parse_rules(EXTRAPOLATIONS.get(split, split), table)
    except UserError as error:
        if split in EXTRAPOLATIONS:
            raise UserError(
                f"--split={split} stands for {EXTRAPOLATIONS[split]!r}, in a zoo with "
                f"the paper's attributes. Received: {', '.join(table.names)}. Choose "
                f"{RANDOM}, {GROUP}, or values of these."
            ) from error
        raise UserError(f"{_FORM}. Received: split={split!r}. {error}") from error


def _parse_rules(text: str, table: AttributeTable) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for part in text.split(";"):
        name, colon, sides = part.partition(":")
        train, arrow, test = sides.partition(">")
        if not colon or not arrow:
            raise UserError("A rule needs a colon and an arrow.")
        attribute = table[name.strip()]
        rule = Rule(
            attribute=attribute,
            train_values=_parse_values(attribute, train),
            test_values=_parse_values(attribute, test),
        )
        both = set(rule.train_values) & set(rule.test_values)
        if both or attribute in [r.attribute for r in rules]:
            raise UserError("Wanted: each attribute once and each value on one side.")
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
    table: AttributeTable,
    seed: int,
    num_train: int = 0,
    num_test: int = 0,
) -> Split:
    """Divides entries into those to train on and those to test on.

    Groups all of whose suitable entries suit one side serve that side. Those with
    entries for both, which in a random split are all, are taken in an order that the
    seed decides: for the test until it has enough, then for training.

    Args:
        entries: Classifiers and ensembles of the zoo.
        split: See the top of this module.
        table: The attributes of the zoo.
        seed: Root seed.
        num_train: Entries to train on; 0: all that the test leaves.
        num_test: Entries to test on; 0: at least a fifth of the suitable ones, or of
            their groups.

    Raises:
        UserError: If the split is unknown, or a side has too few entries.
    """
    rules = parse_split(split, table)
    if split == DEVELOPMENT:
        entries = _never_reported(list(entries), table)
    if split.startswith(LEAVE_ONE_OUT):
        attribute = table[split.partition(":")[2].strip()]
        if num_train or num_test:
            raise UserError(
                f"--split={split} says who is trained on and who is tested on: "
                "--num_train and --num_test must be 0. Received: "
                f"num_train={num_train}, num_test={num_test}."
            )
        return _leave_one_out(entries, attribute, seed)
    groups: dict[str, tuple[list[Entry], list[Entry]]] = {}
    ordered = _in_seed_order(entries, seed)
    for entry in ordered:
        train, test = groups.setdefault(entry.combination_id, ([], []))
        sides = [rule.sides(entry) for rule in rules]
        if all(suits for suits, _ in sides):
            train.append(entry)
        if all(suits for _, suits in sides):
            test.append(entry)

    def count(side: Iterable[Entry]) -> int:
        by_group = split == GROUP and not num_test
        return len({e.combination_id if by_group else e.id for e in side})

    suitable = [e for sides in groups.values() for side in sides for e in side]
    wanted = num_test or math.ceil(DEFAULT_TEST_SHARE * count(suitable))
    train_side = [e for train, test in groups.values() if not test for e in train]
    test_side = [e for train, test in groups.values() if not train for e in test]
    held_out = count(test_side)
    for train, test in groups.values():
        if train and test:
            if held_out < wanted:
                test_side += test
                held_out += count(test)
            else:
                train_side += train
    _check_numbers(split, len(train_side), len(test_side), num_train, num_test)
    # Groups for both sides come last in `train_side`; cut off evenly instead.
    place_of = {entry.id: place for place, entry in enumerate(ordered)}
    train_side.sort(key=lambda entry: place_of[entry.id])
    chosen_train = train_side[: num_train or None]
    chosen_test = test_side[: num_test or None]
    return Split(
        train_ids=tuple(sorted(entry.id for entry in chosen_train)),
        test_ids=tuple(sorted(entry.id for entry in chosen_test)),
        split_attributes=_not_scored(table, rules, chosen_train, chosen_test),
    )


def _leave_one_out(entries: Iterable[Entry], attribute: Attribute, seed: int) -> Split:
    """Holds out one group of each value that has two or more.

    Of n groups of a value, seed s holds out number s modulo n, in an order that the
    seed has no part in: so n seeds in a row hold out each of them.

    Raises:
        UserError: If a group has entries of several values, or no value two groups.
    """
    values: dict[str, set[Value]] = {}
    known = []
    for entry in entries:
        value = entry.values.get(attribute.name)
        if value is not None:
            known.append(entry)
            values.setdefault(entry.combination_id, set()).add(value)
    mixed = sorted(group for group, own in values.items() if len(own) > 1)
    if mixed:
        raise UserError(
            f"--split={LEAVE_ONE_OUT}:{attribute.name} needs groups of entries with "
            f"one value of {attribute.name} each. Received: {len(mixed)} groups with "
            f"several, {mixed[0]!r} for one. Choose another attribute, or {GROUP}."
        )
    held_out: set[str] = set()
    for value in attribute.values:
        groups = [group for group, own in values.items() if value in own]
        # By name, neighbours may be alike in other ways, e.g. all be small.
        groups.sort(key=lambda group: (derive_seed(0, LEAVE_ONE_OUT, group), group))
        if len(groups) > 1:
            held_out.add(groups[seed % len(groups)])
    if not held_out:
        raise UserError(
            f"--split={LEAVE_ONE_OUT}:{attribute.name} needs a value of "
            f"{attribute.name} that two groups or more have. Received: {len(values)} "
            "groups, all of other values. Choose another attribute, or a larger zoo."
        )
    test_ids = {entry.id for entry in known if entry.combination_id in held_out}
    train_ids = {entry.id for entry in known} - test_ids
    return Split(
        train_ids=tuple(sorted(train_ids)),
        test_ids=tuple(sorted(test_ids)),
        split_attributes=(),
    )


def _in_seed_order(entries: Iterable[Entry], seed: int) -> list[Entry]:
    """Sorts by group and entry, each in an order of its own for every seed.

    An entry's place depends on the seed and its name only, so a zoo that has grown
    keeps most of its split.
    """

    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.combination_id, []).append(entry)

    def order(name: str) -> tuple[int, str]:
        return _place(seed, name), name

    return [
        entry
        for group in sorted(groups, key=order)
        for entry in sorted(groups[group], key=lambda entry: order(entry.id))
    ]


def _place(seed: int, name: str) -> int:
    """Returns where a group or an entry comes for a seed, among `_NUM_PLACES`."""
    return derive_seed(seed, "split", name)


def _never_reported(entries: Sequence[Entry], table: AttributeTable) -> list[Entry]:
    """Returns the entries whose groups no reported test holds, now or later.

    What is chosen by them, e.g. the constants of recipes, was chosen without a look at
    what is reported. They are about four tenths of a zoo.
    """
    tested = {
        entry_id
        for seed in REPORTED_SEEDS
        for entry_id in make_split(entries, RANDOM, table, seed).test_ids
    }
    # Of a small zoo, a test may reach further than its share of the places.
    now = {entry.combination_id for entry in entries if entry.id in tested}
    least = _LEAST_DEVELOPMENT_PLACE * _NUM_PLACES

    def is_free(group: str) -> bool:
        return group not in now and all(
            _place(seed, group) >= least for seed in REPORTED_SEEDS
        )

    return [entry for entry in entries if is_free(entry.combination_id)]


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
    table: AttributeTable,
    rules: Sequence[Rule],
    train: Sequence[Entry],
    test: Sequence[Entry],
) -> tuple[str, ...]:
    names = {rule.attribute.name for rule in rules}
    for name in table.names if rules else ():
        trained = {entry.values.get(name) for entry in train} - {None}
        tested = {entry.values.get(name) for entry in test} - {None}
        # E.g. which data was trained on, in a split by the amount of data.
        if tested and not trained & tested:
            names.add(name)
    return tuple(name for name in table.names if name in names)
