"""Attribute tables, and the paper's twelve: values, labels, derived ones, JSON."""

import json

import pytest

from kennen_tf.attributes import MISSING, Attribute, AttributeTable, Facts
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.vocabulary.errors import UserError

COMBINATION = {
    "act": "elu",
    "drop": "no",
    "pool": "yes",
    "ks": 5,
    "conv": 3,
    "fc": 4,
    "alg": "adam",
    "bs": 128,
    "split": "quarter2",
}


def facts(num_params=2**15, num_members=1, **changes):
    return Facts(
        combination={**COMBINATION, **changes},
        num_params=num_params,
        num_members=num_members,
    )


def test_names_and_numbers_of_values_are_the_papers():
    sizes = {a.name: len(a.values) for a in TABLE}
    assert sizes == {
        "act": 4,
        "drop": 2,
        "pool": 2,
        "ks": 2,
        "conv": 3,
        "fc": 3,
        "par": 8,
        "ens": 2,
        "alg": 3,
        "bs": 3,
        "size": 3,
        "split": 7,
    }


def test_chance_is_the_papers():
    # Paper, Table 2, first row.
    chance = [round(100 * a.chance, 1) for a in TABLE]
    assert chance == [25, 50, 50, 50, 33.3, 33.3, 12.5, 50, 33.3, 33.3, 33.3, 14.3]
    assert round(sum(chance) / 12, 1) == 34.9


def test_label_is_the_position_of_the_value():
    for attribute in TABLE:
        labels = [attribute.label(value) for value in attribute.values]
        assert labels == list(range(len(attribute.values)))


def test_an_unknown_value_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="'act'.*relu.*Received: 'gelu'"):
        TABLE["act"].label("gelu")


def test_an_attribute_is_found_by_name_and_by_the_papers_code():
    assert TABLE["conv"] is TABLE["#conv"]
    with pytest.raises(UserError, match="Expected one of.*Received: 'depth'"):
        TABLE["depth"]


@pytest.mark.parametrize(
    ("num_params", "par"), [(2**14, 14), (2**15 - 1, 14), (2**15, 15), (2**22 - 1, 21)]
)
def test_par_is_the_floor_of_log2(num_params, par):
    assert TABLE.complete(facts(num_params))["par"] == par


@pytest.mark.parametrize("num_params", [2**14 - 1, 2**22])
def test_a_derived_value_outside_the_table_is_refused(num_params):
    with pytest.raises(UserError, match="'par'"):
        TABLE.complete(facts(num_params))


@pytest.mark.parametrize(("num_members", "ens"), [(1, "no"), (2, "yes"), (4, "yes")])
def test_ens_says_whether_there_are_several_members(num_members, ens):
    assert TABLE.complete(facts(num_members=num_members))["ens"] == ens


def test_size_follows_from_split():
    sizes = {
        split: TABLE.complete(facts(split=split))["size"]
        for split in TABLE["split"].values
    }
    assert sizes == {
        "all0": "all",
        "half0": "half",
        "half1": "half",
        "quarter0": "quarter",
        "quarter1": "quarter",
        "quarter2": "quarter",
        "quarter3": "quarter",
    }


def test_all_values_and_labels_cover_every_attribute_in_order():
    values = TABLE.complete(facts())
    assert tuple(values) == TABLE.names
    assert TABLE.labels(values) == {
        "act": 2,
        "drop": 0,
        "pool": 1,
        "ks": 1,
        "conv": 1,
        "fc": 2,
        "par": 1,
        "ens": 0,
        "alg": 1,
        "bs": 1,
        "size": 2,
        "split": 5,
    }


def test_the_table_survives_json():
    again = AttributeTable.from_json(json.loads(json.dumps(TABLE.to_json())), "here")
    assert again == TABLE and hash(again) == hash(TABLE)
    assert again["par"].derived and not again["act"].derived
    assert [a.name for a in again.chosen] == [a.name for a in TABLE.chosen]


def test_a_table_of_some_attributes_has_their_rows_in_order():
    some = TABLE.select(["pool", "act"])
    assert some.names == ("act", "pool")
    assert some["pool"] == TABLE["pool"]
    assert some != TABLE


def test_a_value_that_is_missing_has_a_label_of_its_own():
    table = AttributeTable([Attribute(name="ks", values=(3, 5))])
    assert table.labels({"ks": None}) == table.labels({}) == {"ks": MISSING}
    assert table.labels({"ks": 5}) == {"ks": 1}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "One attribute or more"),
        ([dict(name="a", values=("x",)), dict(name="a", values=("y",))], "name of"),
        (
            [dict(name="a", values=("x",)), dict(name="b", code="a", values=("y",))],
            "code of their own",
        ),
        ([dict(name="a", values=())], "'a' must be texts or whole numbers"),
        ([dict(name="a", values=(0.5,))], "'a' must be texts or whole numbers"),
        ([dict(name="a", values=(1, "1"))], "'a' must differ"),
    ],
)
def test_what_is_no_table_cannot_be_made(rows, message):
    with pytest.raises(UserError, match=message):
        AttributeTable([Attribute(**row) for row in rows])


@pytest.mark.parametrize(
    "damaged",
    [
        *({}, [], None),
        {"schema_version": 1, "attributes": None},
        {"schema_version": 1, "attributes": []},
        {"schema_version": 1, "attributes": [{"name": "a"}]},
        {"schema_version": 1, "attributes": [{"name": "a", "values": [1], "x": 1}]},
    ],
)
def test_what_is_no_table_is_refused_by_its_file(damaged):
    with pytest.raises(UserError, match="queries/attributes.json must"):
        AttributeTable.from_json(damaged, "queries/attributes.json")
