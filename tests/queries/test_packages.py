"""Names of packages: what `--query_dir` takes, and what a package says it lacks."""

import json
import shutil

import fakes
import pytest

from kennen_tf.queries import packages
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary.errors import UserError


def write_package(folder, parts=("natural", "crafted")):
    for number, part in enumerate(parts):
        fakes.write_query_outputs(
            folder / part, 3, 4 + number, planted=True, is_half=True
        )
    document = {"kind": packages.KIND, "schema_version": packages.SCHEMA_VERSION}
    (folder / "package.json").write_text(json.dumps(document))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_package(tmp_path_factory.mktemp("packages") / "mine")


@pytest.fixture
def packaged(made, tmp_path, monkeypatch):
    """A package that comes with the project, seen from an empty folder."""
    data = tmp_path / "data"
    shutil.copytree(made, data / "mnist_net")
    monkeypatch.setattr(packages, "_DATA", data)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.mark.parametrize(
    ("name", "num_queries"),
    [("", 4), ("/natural", 4), ("/crafted", 5), ("/crafted/", 5)],
)
def test_a_package_in_a_folder_is_opened(made, name, num_queries):
    info = QueryOutputsInfo.open(f"{made}{name}")
    assert (info.num_queries, info.is_half) == (num_queries, True)


@pytest.mark.parametrize(
    ("name", "num_queries"),
    [("mnist_net", 4), ("mnist_net/natural", 4), ("mnist_net/crafted", 5)],
)
@pytest.mark.usefixtures("packaged")
def test_the_packaged_one_is_opened_by_name(name, num_queries):
    info = QueryOutputsInfo.open(name)
    assert info.num_queries == num_queries


def test_a_folder_with_query_outputs_wins_over_a_name(packaged):
    fakes.write_query_outputs(packaged / "mnist_net", 3, 7, planted=True)
    assert QueryOutputsInfo.open("mnist_net").num_queries == 7


def test_a_folder_with_something_else_does_not(packaged):
    (packaged / "mnist_net").mkdir()
    (packaged / "mnist_net" / "config.json").write_text('{"kind": "zoo"}')
    assert QueryOutputsInfo.open("mnist_net").num_queries == 4


def test_a_package_of_the_users_wins_over_the_packaged_one(packaged, made):
    shutil.copytree(made / "crafted", packaged / "mnist_net" / "natural")
    shutil.copy(made / "package.json", packaged / "mnist_net")
    assert QueryOutputsInfo.open("mnist_net").num_queries == 5


@pytest.mark.usefixtures("packaged")
def test_other_names_are_no_packages():
    for name in ("mnist", "mnist_net/other", "other/crafted", "natural"):
        assert packages.find_outputs(name) is None
        with pytest.raises(UserError, match="No query outputs at"):
            QueryOutputsInfo.open(name)


def test_crafted_queries_that_are_not_there_are_said_to_be_missing(tmp_path):
    folder = write_package(tmp_path / "natural_only", parts=("natural",))
    with pytest.raises(UserError, match="natural queries only.*--num_crafted"):
        QueryOutputsInfo.open(folder / "crafted")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, "schema version 1. Received: 99"),
        ({"kind": "zoo"}, "must be of a package of a zoo. Make one with .*package_zoo"),
    ],
)
def test_another_format_is_refused(tmp_path, changes, message):
    document = {"kind": packages.KIND, "schema_version": 1, **changes}
    (tmp_path / "package.json").write_text(json.dumps(document))
    package = packages.find_package(tmp_path)
    with pytest.raises(UserError, match=message):
        _ = package.description


def test_of_which_world_a_metamodel_is_is_said():
    assert "the paper's world" in packages.say_world("mnist_net/kennen-s")
    assert "as people publish them" in packages.say_world("wild_net/labels")
    assert packages.say_world("exported/o") == "Read by exported/o."
    assert packages.say_world("") == ""
    assert packages.is_shipped("wild_net") and not packages.is_shipped("exported/o")
