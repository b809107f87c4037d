"""A truth.csv: what it says, what counts once, and what is wrong with one."""

import numpy as np
import pytest

from kennen_tf.designs.wild_table import TABLE
from kennen_tf.experiments.wild import answers, files
from kennen_tf.vocabulary.errors import UserError

TRUTH = """\
id,file,act,conv,fc,pool,ks,drop,filters,units,alg,same_as,trained_on
a,a.h5,relu,3,2,yes: max 2,3,yes,32 64 64,64 10,adam,b,mnist
b,b.tflite,relu,3,2,yes: max 2,3,,32 64 64,64 10,,a,mnist
c,,mixed,5,3,yes: max 2 + average 3,5 3,no,24,200 10,adadelta,,mnist
d,d.h5,relu,0,2,no,,no,,128 10,sgd,,fashion
e,e.pb,relu,2,2,no,,,32 64,10,,,nothing
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "truth.csv").write_text(TRUTH)
    (tmp_path / "a.h5").write_text("")
    return tmp_path


def read(folder):
    return {own.id: own for own in files.read_files(folder, TABLE)}


def values(file):
    found = {own.name: file.value(own) for own in TABLE}
    return {name: value for name, value in found.items() if value is not None}


def test_cells_that_say_more_than_a_value_are_read(folder):
    found = read(folder)
    assert list(found) == ["a", "b", "c", "d"]  # The last has no weights.
    assert values(found["a"]) == {
        **{"act": "relu", "conv": 3, "fc": 2, "pool": "max", "ks": 3, "drop": "yes"},
        **{"filters": 32, "units": 64, "alg": "adam"},
    }
    assert found["a"].path == folder / "a.h5" and found["b"].path is None


def test_values_that_are_several_or_none_of_the_zoos_are_not_known(folder):
    assert values(read(folder)["c"]) == {"fc": 3, "drop": "no"}


def test_files_of_the_same_weights_are_one_network(folder):
    found = read(folder)
    assert [own.network for own in found.values()] == ["a", "a", "c", "d"]
    merged = files.merge([found["b"], found["a"]])
    assert merged.id == "b" and values(merged) == values(found["a"])


def test_strangers_are_those_of_other_images(folder):
    found = read(folder)
    assert [own.is_stranger("mnist") for own in found.values()] == [False] * 3 + [True]


def test_the_fingerprint_is_of_what_is_known_and_what_is_there(folder):
    before = files.fingerprint(folder)
    assert files.fingerprint(folder) == before
    (folder / "truth.csv").write_text(TRUTH.replace("sgd", "sga"))
    changed = files.fingerprint(folder)
    (folder / "b.tflite").write_text("more")
    assert len({before, changed, files.fingerprint(folder)}) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "a folder with a truth.csv.*No such file"),
        ("id,file,colour\na,a.h5,red\n", "columns named as attributes.*colour"),
        ("id,act\na,relu\na,relu\n", "`id` or `file` of its own"),
        ("act\nrelu\n", "`id` or `file` of its own"),
        ("id,act\na,relu\nb,relu,3,2\n", "line 3: must have a cell.*2 more"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, message):
    if text is not None:
        (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        files.read_files(tmp_path, TABLE)


def test_recorded_answers_that_cannot_be_read_are_told(tmp_path):
    path = tmp_path / "outputs.npz"
    assert answers._read_recorded(path) == {}
    for content in (b"", b"PK nothing", b"text"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="must hold probabilities by id"):
            answers._read_recorded(path)
    with open(path, "wb") as file:
        np.save(file, np.zeros((2, 3)))
    with pytest.raises(UserError, match="must hold probabilities by id"):
        answers._read_recorded(path)
