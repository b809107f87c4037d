"""The twelve attributes: values, labels, derived ones, the table in artifacts."""

import json

import pytest

from kennen_tf import attributes
from kennen_tf.errors import UserError

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
    return attributes.Facts(
        combination={**COMBINATION, **changes},
        num_params=num_params,
        num_members=num_members,
    )


def test_names_and_numbers_of_values_are_the_papers():
    sizes = {a.name: len(a.values) for a in attributes.ATTRIBUTES}
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
    chance = [round(100 * a.chance, 1) for a in attributes.ATTRIBUTES]
    assert chance == [25, 50, 50, 50, 33.3, 33.3, 12.5, 50, 33.3, 33.3, 33.3, 14.3]
    assert round(sum(chance) / 12, 1) == 34.9


def test_values_differ_and_groups_are_known():
    for attribute in attributes.ATTRIBUTES:
        assert len(set(attribute.values)) == len(attribute.values)
        assert attribute.group in attributes.GROUPS
    assert len(set(attributes.NAMES)) == len(attributes.NAMES)


def test_label_is_the_position_of_the_value():
    for attribute in attributes.ATTRIBUTES:
        labels = [attribute.label(value) for value in attribute.values]
        assert labels == list(range(len(attribute.values)))


def test_an_unknown_value_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="'act'.*relu.*Received: 'gelu'"):
        attributes.by_name("act").label("gelu")


def test_an_attribute_is_found_by_name_and_by_the_papers_code():
    assert attributes.by_name("conv") is attributes.by_name("#conv")
    with pytest.raises(UserError, match="Expected one of.*Received: 'depth'"):
        attributes.by_name("depth")


@pytest.mark.parametrize(
    ("num_params", "par"), [(2**14, 14), (2**15 - 1, 14), (2**15, 15), (2**22 - 1, 21)]
)
def test_par_is_the_floor_of_log2(num_params, par):
    assert attributes.all_values(facts(num_params))["par"] == par


@pytest.mark.parametrize("num_params", [2**14 - 1, 2**22])
def test_a_derived_value_outside_the_table_is_refused(num_params):
    with pytest.raises(UserError, match="'par'"):
        attributes.all_values(facts(num_params))


@pytest.mark.parametrize(("num_members", "ens"), [(1, "no"), (2, "yes"), (4, "yes")])
def test_ens_says_whether_there_are_several_members(num_members, ens):
    assert attributes.all_values(facts(num_members=num_members))["ens"] == ens


def test_size_follows_from_split():
    sizes = {
        split: attributes.all_values(facts(split=split))["size"]
        for split in attributes.by_name("split").values
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
    values = attributes.all_values(facts())
    assert tuple(values) == attributes.NAMES
    assert attributes.labels(values) == {
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
    attributes.check_table(json.loads(json.dumps(attributes.table())), "here")


def test_a_table_of_some_attributes_has_their_rows_in_order():
    whole = attributes.table()
    some = attributes.table(["pool", "act"])
    assert [row["name"] for row in some["attributes"]] == ["act", "pool"]
    assert all(row in whole["attributes"] for row in some["attributes"])
    assert some["schema_version"] == whole["schema_version"]


def test_another_table_is_refused_by_the_name_of_its_file():
    table = attributes.table()
    table["attributes"][0]["values"].reverse()
    with pytest.raises(UserError, match="queries/attributes.json.*different: .'act'"):
        attributes.check_table(table, "queries/attributes.json")


@pytest.mark.parametrize("damaged", [{}, [], None, {"attributes": None}])
def test_what_is_no_table_is_refused(damaged):
    with pytest.raises(UserError, match="attribute table"):
        attributes.check_table(damaged, "here")
