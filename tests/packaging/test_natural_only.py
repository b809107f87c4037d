"""Packages of answers alone: which queries, what is said, stopping and replacing."""

import json
import os
import shutil

import fakes
import numpy as np
import package_fakes
import pytest

from kennen_tf.evaluation import splits
from kennen_tf.metamodels import kennen_s
from kennen_tf.packaging import describing, making, precision
from kennen_tf.queries import packages
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary.errors import UserError
from pipelines import query_outputs


@pytest.fixture
def copy(made, tmp_path):
    """The same, to be written into."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def info(made):
    return QueryOutputsInfo.open(made / "mine")


@pytest.fixture(scope="module")
def source(made):
    return QueryOutputsInfo.open(made / "q")


def open_package(folder):
    return packages.find_package(folder / "mine")


def test_it_holds_the_same_answers_to_the_chosen_queries(made, info, source):
    chosen = open_package(made).description["chosen"]
    assert info.records == source.records
    assert len(chosen) == info.num_queries == package_fakes.NUM_QUERIES
    np.testing.assert_array_equal(
        info.query_inputs.images, source.query_inputs.images[chosen]
    )
    ids = [entry.id for entry in source.entries]
    full, _ = query_outputs.load_arrays(source, ids, chosen, None)
    half, _ = query_outputs.load_arrays(info, ids, range(len(chosen)), None)
    np.testing.assert_allclose(half, full, rtol=5e-3)


def test_queries_are_those_of_kennen_s_on_the_training_side_alone(made, source):
    split = splits.make_split(source.entries, "R", source.attributes, 0)
    train_ids = split.train_ids
    outputs, labels = query_outputs.load_arrays(
        source, train_ids, range(source.num_queries), "probabilities"
    )
    of = {entry.id: entry.combination_id for entry in source.entries}
    wanted = kennen_s.choose(
        source.attributes, outputs, labels, [of[i] for i in train_ids], 5, 0
    )
    description = open_package(made).description
    assert description["chosen"][:5] == wanted
    assert description["split"] == {
        "split": "R",
        "seed": 0,
        "num_train": len(train_ids),
        "num_test": len(split.test_ids),
    }


def test_it_says_what_it_is_and_nothing_of_where_it_was_made(made):
    package = open_package(made)
    description = package.description
    num_single = sum(len(e.members) == 1 for e in fakes.make_entries(90))
    assert description["counts"] == {
        "classifiers": num_single,
        "ensembles": 90 - num_single,
        "attributes": 12,
        "natural queries": package_fakes.NUM_QUERIES,
    }
    assert not package.has_crafted and not (made / "mine" / "zoo").exists()
    readme = (made / "mine" / "README.md").read_text()
    assert "## Licence\n\nMIT.\n" in readme and "(18, classes)" in readme
    assert max(map(len, readme.splitlines())) <= 88
    for path in (made / "mine").rglob("*"):
        if path.is_file():
            assert str(made).encode() not in path.read_bytes(), path
    names = {path.name for path in (made / "mine").iterdir()}
    assert names == {"package.json", "README.md", "natural"}
    assert not (made / "mine" / "natural" / ".lock").exists()


def test_commands_are_told_without_the_folders_of_a_machine():
    given = ["/a/b.py", "--zoo_dir=/c/zoo", "--query_dir=q/r", "--x=1", "--flag", "/d"]
    told = ["b.py", "--zoo_dir=zoo", "--query_dir=q/r", "--x=1", "--flag", "d"]
    assert describing.without_places(given) == told


def test_what_the_readme_shows_reads_it(made, monkeypatch):
    monkeypatch.chdir(made / "mine")
    blocks = (made / "mine" / "README.md").read_text().split("```python\n")[1:]
    assert len(blocks) == 2
    shown = {}
    for block in blocks:
        exec(block.partition("```")[0], shown)
        assert shown["probabilities"].shape == (package_fakes.NUM_QUERIES, 10)
        np.testing.assert_allclose(
            shown["probabilities"].numpy().sum(axis=1), 1, atol=1e-6
        )


def test_made_again_nothing_is_done(copy):
    path = copy / "mine" / "package.json"
    before = path.stat().st_mtime_ns
    package_fakes.make_package(copy, licence="MIT")
    assert path.stat().st_mtime_ns == before


def test_other_settings_replace_it_as_a_whole(copy):
    assert open_package(copy).description["config"]["num_queries"] == 18
    (copy / "mine" / "crafted").mkdir()  # As if it had had some.
    package = package_fakes.make_package(copy, num_queries=3, overwrite=True)
    assert package.description["counts"]["natural queries"] == 3
    assert QueryOutputsInfo.open(copy / "mine").num_queries == 3
    assert not package.has_crafted


def test_another_package_is_refused_without_overwrite(copy):
    with pytest.raises(UserError, match="another package.*--overwrite"):
        package_fakes.make_package(copy, num_queries=3)
    assert QueryOutputsInfo.open(copy / "mine").num_queries == 18


@pytest.mark.parametrize(
    "stage", ["query_outputs.load_arrays", "describing.write", "_move_in", "os.replace"]
)
def test_stopped_it_is_no_package_and_goes_on(copy, stage, monkeypatch):
    shutil.rmtree(copy / "mine")

    def stop(*_, **__):
        raise KeyboardInterrupt

    replace = os.replace

    def stop_at_the_end(source, target):
        if target == copy / "mine" / "package.json":
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patched:
        module, _, name = stage.rpartition(".")
        owner = getattr(making, module) if module else making
        patched.setattr(owner, name, stop_at_the_end if name == "replace" else stop)
        with pytest.raises(KeyboardInterrupt):
            package_fakes.make_package(copy)
    assert open_package(copy) is None
    if stage != "query_outputs.load_arrays":
        # What was chosen is not chosen again.
        monkeypatch.setattr(kennen_s, "choose", stop)
    package = package_fakes.make_package(copy)
    assert QueryOutputsInfo.open(copy / "mine").num_queries == 18
    assert {p.name for p in package.folder.iterdir()} == {
        *("package.json", "README.md", "natural"),
    }


def test_a_folder_of_something_else_is_never_written_to(copy):
    (copy / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="--package_dir must be.*thesis.tex"):
        package_fakes.make_package(copy, num_queries=3, overwrite=True)


def test_crafted_queries_need_the_zoo(made):
    with pytest.raises(UserError, match="--zoo_dir must be given"):
        package_fakes.make_config(made, num_crafted=3)
    with pytest.raises(UserError, match="crafted on.* No zoo at .*--num_crafted=0"):
        package_fakes.make_package(made, num_crafted=3, zoo_dir=str(made / "none"))


def test_more_queries_than_there_are_are_refused(made, tmp_path):
    with pytest.raises(UserError, match="number of queries in .*, 24"):
        package_fakes.make_package(
            made, num_queries=25, package_dir=str(tmp_path / "other")
        )


@pytest.mark.long
def test_what_half_precision_costs_is_measured_and_kept(copy, source, capsys):
    package = open_package(copy)
    precision.measure_and_note(package, source)
    rows = json.loads((copy / "mine" / "package.json").read_text())["half_precision"]
    assert [row["reader"] for row in rows] == [
        *("kennen-s", "kennen-o", "linear", "ranking", "top-1")
    ]
    for row in rows:
        assert 0.2 < row["full"] <= 1
        assert row["half"] == pytest.approx(row["full"], abs=0.02)
    printed = capsys.readouterr().out
    readme = (copy / "mine" / "README.md").read_text()
    for row in rows:
        assert f"{100 * row['half']:.1f}" in printed
        assert f"| {row['reader']} | {100 * row['full']:.1f} |" in readme
