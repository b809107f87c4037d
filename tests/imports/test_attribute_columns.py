"""Attributes from the columns of a CSV."""

import numpy as np
import pytest

from kennen_tf.attributes import AttributeTable
from kennen_tf.imports.attribute_columns import MOST_NUMBERS, NUM_BINS
from kennen_tf.imports.classifier_sheets import read_sheet
from kennen_tf.vocabulary.errors import UserError


def make_table(folder, text):
    (folder / "models.csv").write_text(text)
    return read_sheet(folder / "models.csv", ("name", "group")).make_table()


def read_column(folder, cells):
    (folder / "models.csv").write_text("a,other\n" + "".join(f"{c},\n" for c in cells))
    sheet = read_sheet(folder / "models.csv", ("other",))
    table = sheet.make_table()
    return table["a"], [values["a"] for values in sheet.read_values(table)]


def test_numbers_ascend_and_texts_are_in_alphabetical_order(tmp_path):
    table = make_table(tmp_path, "a,b,c,name\n10,x,0.5,n\n9,w,1,\n9.0,w,,\n")
    assert [a.values for a in table] == [(9, 10), ("w", "x"), ("0.5", 1)]


def test_empty_cells_are_unknown(tmp_path):
    attribute, values = read_column(tmp_path, ["x", "", "y"])
    assert attribute.values == ("x", "y")
    assert values == ["x", None, "y"]


def test_what_only_python_takes_for_a_number_is_text(tmp_path):
    attribute, _ = read_column(tmp_path, ["3_3", "33", "nan"])
    assert attribute.values == ("33", "3_3", "nan")


def test_ten_numbers_stay_and_eleven_are_binned(tmp_path):
    attribute, _ = read_column(tmp_path, range(MOST_NUMBERS))
    assert attribute.values == tuple(range(MOST_NUMBERS)) and not attribute.edges
    attribute, _ = read_column(tmp_path, range(MOST_NUMBERS + 1))
    assert len(attribute.values) == NUM_BINS and len(attribute.edges) == NUM_BINS - 1


def test_bins_say_what_is_in_them_and_hold_about_as_many(tmp_path):
    numbers = np.round(10.0 ** np.random.default_rng(0).uniform(-5, -1, 100), 7)
    attribute, values = read_column(tmp_path, numbers)
    counts = [values.count(value) for value in attribute.values]
    assert min(counts) >= 20 and sum(counts) == len(numbers)
    first, *_, last = attribute.values
    low, high = attribute.edges[0], attribute.edges[-1]
    assert (first, last) == (f"below {low}", f"{high} or more")
    assert {n for n, v in zip(numbers, values, strict=True) if v == first} == {
        n for n in numbers if n < low
    }
    # Of a black box that was not there.
    assert attribute.bin(low) == attribute.values[1]
    assert attribute.bin(-1) == first and attribute.bin(10.0) == last


@pytest.mark.parametrize("most", [0, 7, 20])
def test_no_bin_is_empty_where_most_numbers_are_the_same(tmp_path, most):
    attribute, values = read_column(tmp_path, [most] * 100 + list(range(21)))
    assert set(values) == set(attribute.values)
    assert len(attribute.values) >= 2


def test_edges_travel_with_the_table(tmp_path):
    attribute, _ = read_column(tmp_path, range(20))
    table = AttributeTable([attribute])
    read = AttributeTable.from_json(table.to_json(), "here")
    assert read == table and read["a"].edges == attribute.edges
    assert (
        "edges"
        not in AttributeTable(make_table(tmp_path, "a\n1\n2\n")).to_json()[
            "attributes"
        ][0]
    )


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("", "must be a header"),
        ("a,b\n", "a header alone"),
        ("a,b\n1,x\n2,x\n", r"two values or more.*b \(x\)"),
        ("a,b\n1,\n2,\n", r"b \(empty\)"),
        ("a,b\n1,0\n2,0.0\n", r"b \(0\)"),
        ("a,a\n1,2\n2,3\n", "'a'] twice"),
        ("3,0.1\n4,0.2\n", "must be a header.*'3', '0.1'"),
        ("a b\n1\n2\n", "letters, digits.*'a b'"),
        ("accuracy\n1\n2\n", "none of.*accuracy"),
        ("name,group\n1,2\n2,3\n", "no column for an attribute"),
        ("a,b\n1,x\n2\n", "line 3 must have 2 cells.*Received: 1"),
        ("a,b\n1,x\n2,y,z\n", "line 3 must have 2 cells.*Received: 3"),
    ],
)
def test_a_bad_csv_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(UserError, match=sentence):
        make_table(tmp_path, text)


def test_a_csv_that_is_none_is_said(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "a.csv", tmp_path / "missing.csv", tmp_path):
        with pytest.raises(UserError, match="A CSV in UTF-8 is wanted"):
            read_sheet(path, ())


def test_values_must_be_those_of_a_table_that_is_given(tmp_path):
    table = make_table(tmp_path, "a,b\n1,x\n2,y\n")
    (tmp_path / "more.csv").write_text("b,a\nx,1\ny,3\n")
    with pytest.raises(UserError, match="line 3: 'a' must be one of.*Received: '3'"):
        read_sheet(tmp_path / "more.csv", ()).read_values(table)
    (tmp_path / "more.csv").write_text("a\n1\n2\n")
    with pytest.raises(UserError, match="a column for each of the attributes"):
        read_sheet(tmp_path / "more.csv", ()).read_values(table)


@pytest.mark.parametrize(
    "names, sentence",
    [("x,x", "name of its own.*line 2 .x., and .*line 3"), ("x,a/b", "no /")],
)
def test_a_name_is_there_once_and_does_as_one_of_a_file(tmp_path, names, sentence):
    first, second = names.split(",")
    (tmp_path / "m.csv").write_text(f"a,name\n1,{first}\n2,{second}\n")
    with pytest.raises(UserError, match=sentence):
        read_sheet(tmp_path / "m.csv", ("name",)).read_who(["", ""])
