"""Splits: no member of a test ensemble is ever trained on, in whatever zoo."""

import dataclasses
import itertools
import types

import fakes
import numpy as np
import pytest

from kennen_tf.attributes import Attribute, AttributeTable
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.evaluation import splits
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError


def make_zoo(seed, num_combinations=60, most_seeds=4):
    """Makes random combinations with one to four classifiers and all ensembles."""
    random = np.random.default_rng(seed)
    entries = []
    for index in random.choice(fakes.NUM_COMBINATIONS, num_combinations, replace=False):
        num_seeds = int(random.integers(1, most_seeds + 1))
        num_params = int(2 ** random.uniform(14, 19))
        specs = [fakes.spec_at(int(index), s) for s in range(num_seeds)]
        for size in range(1, num_seeds + 1):
            for members in itertools.combinations(specs, size):
                entries.append(fakes.make_entry(members, num_params))
    return entries


ZOO = make_zoo(0, 200)
BY_ID = {entry.id: entry for entry in ZOO}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "split",
    [
        "R",
        "development",
        "group",
        *splits.EXTRAPOLATIONS,
        "ens:no>yes",
        "par:14,15,16>17,18,19,20,21",
    ],
)
def test_no_member_of_a_test_entry_is_trained_on(split, seed):
    zoo = make_zoo(seed, 200)
    by_id = {entry.id: entry for entry in zoo}
    made = splits.make_split(zoo, split, TABLE, seed)
    trained = {m for i in made.train_ids for m in by_id[i].members}
    tested = {m for i in made.test_ids for m in by_id[i].members}
    assert trained and tested
    assert not trained & tested
    combinations = [
        {by_id[i].combination_id for i in ids}
        for ids in (made.train_ids, made.test_ids)
    ]
    assert not combinations[0] & combinations[1]


@pytest.mark.parametrize(
    ("split", "train", "test"),
    [
        ("E-conv", {"conv": {2, 3}}, {"conv": {4}}),
        ("E-conv-fc", {"conv": {2, 3}, "fc": {2, 3}}, {"conv": {4}, "fc": {4}}),
        ("E-alg", {"alg": {"sgd", "adam"}}, {"alg": {"rmsprop"}}),
        (
            "E-alg-bs",
            {"alg": {"sgd", "adam"}, "bs": {64, 128}},
            {"alg": {"rmsprop"}, "bs": {256}},
        ),
        (
            "E-split",
            {"split": {"quarter0"}},
            {"split": {"quarter1", "quarter2", "quarter3"}},
        ),
        ("E-size", {"size": {"quarter"}}, {"size": {"half", "all"}}),
        ("pool:no>yes", {"pool": {"no"}}, {"pool": {"yes"}}),
        (
            "#conv: 2, 3 > 4; bs:64>256",
            {"conv": {2, 3}, "bs": {64}},
            {"conv": {4}, "bs": {256}},
        ),
    ],
)
def test_sides_have_the_values_of_the_split_and_all_such_entries(split, train, test):
    made = splits.make_split(ZOO, split, TABLE, seed=0)
    for ids, wanted in ((made.train_ids, train), (made.test_ids, test)):
        fitting = {
            e.id
            for e in ZOO
            if all(e.values[n] in values for n, values in wanted.items())
        }
        assert set(ids) == fitting
    assert set(train) <= set(made.split_attributes)


def test_attributes_that_cannot_be_known_are_not_scored():
    # What was trained on half of the data was not trained on a quarter.
    made = splits.make_split(ZOO, "E-size", TABLE, seed=0)
    assert made.split_attributes == ("size", "split")
    assert splits.make_split(ZOO, "R", TABLE, seed=0).split_attributes == ()


def test_without_numbers_a_random_split_uses_all_and_tests_on_a_fifth():
    made = splits.make_split(ZOO, "R", TABLE, seed=0)
    assert sorted(made.train_ids + made.test_ids) == sorted(BY_ID)
    assert 0.2 <= len(made.test_ids) / len(ZOO) < 0.2 + 15 / len(ZOO)


@pytest.mark.parametrize("split", ["R", "E-alg", "ens:no>yes"])
def test_numbers_are_exact(split):
    made = splits.make_split(ZOO, split, TABLE, seed=0, num_train=33, num_test=17)
    assert (len(set(made.train_ids)), len(set(made.test_ids))) == (33, 17)


def test_the_seed_decides_and_the_order_of_entries_does_not():
    made = splits.make_split(ZOO, "R", TABLE, seed=3)
    assert splits.make_split(ZOO[::-1], "R", TABLE, seed=3) == made
    assert splits.make_split(ZOO, "R", TABLE, seed=4) != made


def test_a_zoo_that_grows_keeps_most_of_its_split():
    before = splits.make_split(ZOO, "R", TABLE, seed=0)
    after = splits.make_split(ZOO + make_zoo(9, 20), "R", TABLE, seed=0)
    assert len(set(before.test_ids) & set(after.test_ids)) > 0.7 * len(before.test_ids)


def make_plain_zoo(num_combinations):
    """Makes combinations of one to four entries that have no values."""
    return [
        types.SimpleNamespace(
            id=f"c{index:05d}-{place}", combination_id=f"c{index:05d}", values={}
        )
        for index in range(num_combinations)
        for place in range(1 + index * 7 % 4)
    ]


def reported_tests(zoo):
    """Returns the combinations that any reported test holds."""
    made = [splits.make_split(zoo, "R", TABLE, seed) for seed in (0, 1, 2)]
    return {i.partition("-")[0] for split in made for i in split.test_ids}


def development_sides(zoo, seed=0):
    """Returns the entries to train on and to test on."""
    made = splits.make_split(zoo, "development", TABLE, seed)
    return set(made.train_ids), set(made.test_ids)


@pytest.mark.parametrize("num_combinations", [20, 60, 200, 600])
def test_nothing_that_is_reported_is_developed_on(num_combinations):
    zoo = make_plain_zoo(num_combinations)
    train, test = development_sides(zoo, seed=3)
    developed_on = {i.partition("-")[0] for i in train | test}
    assert not developed_on & reported_tests(zoo)
    # Of a fifth thrice, a half would be left, and less for certain.
    assert 0.15 < len(developed_on) / num_combinations < 0.6
    assert 0.2 <= len(test) / len(train | test) < 0.2 + 4 / len(train | test)


def test_what_was_developed_on_is_not_reported_when_the_zoo_has_grown():
    sizes = (300, 400, 600, 1500)
    zoos = [make_plain_zoo(size) for size in sizes]
    tests = [reported_tests(zoo) for zoo in zoos]
    for place, zoo in enumerate(zoos):
        train, test = development_sides(zoo)
        developed_on = {i.partition("-")[0] for i in train | test}
        for later in tests[place:]:
            assert not developed_on & later


def test_seeds_develop_on_the_same_and_hold_out_others():
    zoo = make_plain_zoo(200)
    (train, test), (other_train, other_test) = (
        development_sides(zoo, seed) for seed in (0, 1)
    )
    assert train | test == other_train | other_test
    assert test != other_test


def test_a_split_on_ensembles_trains_on_some_that_could_be_tested():
    made = splits.make_split(ZOO, "ens:no>yes", TABLE, seed=0)
    singles = {e.combination_id for e in ZOO if len(e.members) == 1}
    with_ensembles = {e.combination_id for e in ZOO if len(e.members) > 1}
    trained = {BY_ID[i].combination_id for i in made.train_ids}
    assert singles - with_ensembles < trained
    assert trained & with_ensembles


def test_too_few_entries_are_counted_in_the_error():
    small = [entry for entry in ZOO if entry.values["alg"] == "sgd"]
    with pytest.raises(UserError, match=f"Received: a zoo with {len(small)} to.*and 0"):
        splits.make_split(small, "E-alg", TABLE, seed=0)
    with pytest.raises(UserError, match="at least 100000 entries to train on and 10 "):
        splits.make_split(ZOO, "R", TABLE, seed=0, num_train=100_000, num_test=10)
    with pytest.raises(UserError, match="with 0 to train on and 0"):
        splits.make_split([], "R", TABLE, seed=0)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            "E-none",
            "must be R, dev.*, group, .*one of E-conv.*Received: split='E-none'",
        ),
        ("", "--split must be"),
        ("pool:no", "--split must be"),
        ("depth:2>3", "--split must be.*Unknown attribute.*'depth'"),
        ("leave-one-out", "--split must be.*Unknown attribute"),
        ("leave-one-out:depth", "--split must be.*Unknown attribute.*'depth'"),
        ("conv:2>5", "attribute 'conv'.*Received: '5'"),
        ("conv:>4", "attribute 'conv'.*Received: ''"),
        ("conv:2,3>3", "each value on one side"),
        ("conv:2>3;conv:3>4", "each attribute once"),
    ],
)
def test_a_wrong_split_is_refused(split, message):
    with pytest.raises(UserError, match=message):
        splits.parse_split(split, TABLE)


# A zoo of families, as they are imported: groups of several sizes, some unknown values.
FAMILIES = AttributeTable(
    [
        Attribute(name="family", values=("vgg", "resnet", "dense", "squeeze")),
        Attribute(name="depth", values=(11, 16)),
    ]
)


@dataclasses.dataclass(frozen=True)
class Imported:
    id: str
    combination_id: str
    values: dict


def make_families():
    """Makes three groups of vgg, two of resnet, one of dense; a family is unknown."""
    groups = {"vgg": 3, "resnet": 2, "dense": 1, None: 2}
    return [
        Imported(
            f"{family}{number}-{member}",
            f"{family}{number}",
            {"family": family, "depth": (11, 16, None)[member]},
        )
        for family, count in groups.items()
        for number in range(count)
        for member in range(3)
    ]


def held_out_groups(made):
    return sorted({entry_id.split("-")[0] for entry_id in made.test_ids})


def test_one_group_of_each_value_is_left_out_and_seeds_go_through_all():
    entries = make_families()
    found = [
        splits.make_split(entries, "leave-one-out:family", FAMILIES, seed)
        for seed in range(6)
    ]
    for made in found:
        held_out = held_out_groups(made)
        assert [name[:3] for name in held_out] == ["res", "vgg"]
        # Whole groups; those of an unknown family are on neither side.
        assert len(made.test_ids) == 6
        assert len(made.train_ids) == 12
        assert not set(held_out) & {i.split("-")[0] for i in made.train_ids}
        assert not [i for i in made.train_ids + made.test_ids if "None" in i]
        assert made.split_attributes == ()
    for start in range(4):
        own = [
            group
            for made in found[start : start + 3]
            for group in held_out_groups(made)
        ]
        assert {"vgg0", "vgg1", "vgg2"} <= set(own)
    assert found[0] != found[1]
    again = splits.make_split(entries[::-1], "leave-one-out:family", FAMILIES, 0)
    assert again == found[0]


def test_what_cannot_be_left_out_is_refused():
    entries = make_families()

    def refuse(message, split, chosen=entries, **numbers):
        with pytest.raises(UserError, match=message):
            splits.make_split(chosen, split, FAMILIES, 0, **numbers)

    family = "leave-one-out:family"
    refuse("--num_train and --num_test must be 0.*num_test=3", family, num_test=3)
    refuse("groups of entries with one value of depth", "leave-one-out:depth")
    refuse("two groups or more", family, [e for e in entries if "dense" in e.id])
    refuse("paper's attributes. Received: family, depth", "E-conv")


def test_groups_are_counted_and_not_entries():
    # Of ten groups, nine have one entry and one has 21.
    sizes = {f"g{number}": 21 if number == 3 else 1 for number in range(10)}
    entries = [
        Imported(f"{group}-{member}", group, {"family": "vgg", "depth": None})
        for group, size in sizes.items()
        for member in range(size)
    ]
    for seed in range(5):
        made = splits.make_split(entries, "group", FAMILIES, seed)
        assert len(held_out_groups(made)) == 2
        assert len(made.train_ids) + len(made.test_ids) == 30


def test_entries_without_the_splitting_value_are_on_neither_side():
    made = splits.make_split(make_families(), "depth:11>16", FAMILIES, 0)
    assert all(i.endswith("-0") for i in made.train_ids)
    assert all(i.endswith("-1") for i in made.test_ids)
    assert made.train_ids and made.test_ids
    # Nobody's family is known on one side only.
    assert made.split_attributes == ("depth",)


@pytest.mark.parametrize(
    ("split", "numbers", "fingerprint"),
    [
        ("R", (0, 0), "11bf04b91fd04589"),
        ("R", (50, 20), "7bd4efec31d623c4"),
        ("group", (0, 0), "01caaffa341e51e0"),
        ("E-alg", (0, 0), "b12f19b5891ba65e"),
        ("ens:no>yes", (0, 0), "f1e289e3a34c776f"),
    ],
)
def test_splits_are_the_same_for_ever(split, numbers, fingerprint):
    made = splits.make_split(ZOO, split, TABLE, 1, *numbers)
    assert artifacts.fingerprint(made.to_json()) == fingerprint
