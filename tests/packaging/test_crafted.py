"""Packages of a zoo: queries crafted on it, and who is told what they lack."""

import dataclasses
import json
import shutil

import fakes
import keras
import numpy as np
import package_fakes
import pytest

from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.reproduction import ReproductionConfig
from kennen_tf.experiments.catalog import run as run_experiments
from kennen_tf.metamodels import making as metamodel_making
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.package_zoo import package_zoo
from kennen_tf.packaging import crafted_queries
from kennen_tf.queries import packages
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.revealing import ready
from kennen_tf.train_metamodel import train_metamodel
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import asking
from kennen_tf.zoo.store import Zoo
from pipelines import query_outputs

pytestmark = pytest.mark.long

SETTINGS = {"num_queries": 6, "num_crafted": 4, "image_epochs": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A zoo, its query outputs, a package of them, and the metamodels made for it.

    Its making was stopped once, when both were trained; what the second run trained is
    in again.json.
    """
    folder = fakes.make_betraying_zoo(
        tmp_path_factory.mktemp("zoo"), num_combinations=12, names=("alg", "bs")
    )
    config = make_config(folder, "mine")
    load, make = Metamodel.load, metamodel_making.make
    trained = []

    def stop(path):
        if path.name == "kennen-i":
            raise KeyboardInterrupt
        return load(path)

    def note(job):
        trained.append(make(job) is not None)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Metamodel, "load", stop)
        with pytest.raises(KeyboardInterrupt):
            package_zoo(config)
    assert packages.find_package(folder / "mine") is None
    for method in ("kennen-io", "kennen-i"):
        shutil.copytree(folder / "mine" / ".work" / method, folder / "runs" / method)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(metamodel_making, "make", note)
        package_zoo(config)
    (folder / "again.json").write_text(json.dumps(trained))
    yield folder
    keras.backend.clear_session()


def make_config(folder, name, **settings):
    return package_fakes.make_config(
        folder,
        **{
            "zoo_dir": str(folder / "zoo"),
            "package_dir": str(folder / name),
            **SETTINGS,
            **settings,
        },
    )


@pytest.fixture
def package(folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    return packages.find_package(folder / "mine")


def test_all_entries_were_sent_the_crafted_queries(folder, package):
    info = QueryOutputsInfo.open(f"{package.name}/crafted")
    source = QueryOutputsInfo.open(folder / "q")
    assert info.records == source.records and info.num_queries == 4
    ids = [entry.id for entry in info.entries]
    answers, _ = query_outputs.load_arrays(info, ids, range(4), None)
    pixels = info.query_inputs.pixels
    wanted = asking.ask(Zoo.open(folder / "zoo"), info.entries, pixels)
    np.testing.assert_allclose(answers, wanted, rtol=1e-2, atol=1e-6)


def test_it_says_which_classifiers_images_descended_through(package):
    info = QueryOutputsInfo.open(f"{package.name}/crafted")
    through = package.description["descended_through"]
    combinations = {entry.combination_id for entry in info.entries}
    # Neither those held out by the split, nor those that judged the images.
    assert 0 < len(through) < 0.8 * len(combinations)
    assert set(through) < combinations


def test_metamodels_of_crafted_queries_are_ready(package):
    kennen_io = ready.open_metamodel(f"{package.name}/kennen-io")
    info = QueryOutputsInfo.open(f"{package.name}/crafted")
    np.testing.assert_array_equal(kennen_io.queries, info.query_inputs.pixels)
    kennen_i = ready.open_metamodel(f"{package.name}/kennen-i")
    assert str(kennen_i) == f"{package.name}/kennen-i"
    assert kennen_i.reads_labels and len(kennen_i.queries) == 2
    for opened in (kennen_io, kennen_i):
        assert set(opened.description["test_accuracy"]) == {"alg", "bs"}
        assert opened.description["test_accuracy"]["alg"] > 0.5
    with pytest.raises(UserError, match="/kennen-io, .*/kennen-i, .*/labels, "):
        ready.open_metamodel(f"{package.name}/kennen-o")


def test_kennen_i_is_copied_to_a_folder(package, tmp_path):
    found = ready.find(f"{package.name}/kennen-i")
    for _ in range(2):
        own = found.export(tmp_path / "own", overwrite=False)
        assert ready.open_metamodel(own).reads_labels


def test_the_zoo_is_there_without_its_classifiers(folder, package):
    zoo, whole = Zoo.open(package.zoo_dir), Zoo.open(folder / "zoo")
    assert zoo.records == whole.records and zoo.fingerprint == whole.fingerprint
    QueryOutputsInfo.open(package.name).check_zoo(zoo)
    for path in package.folder.rglob("*"):
        assert path.suffix != ".keras"
        if path.is_file():
            assert str(folder).encode() not in path.read_bytes(), path


def test_experiments_run_and_those_that_cannot_say_what_they_need(
    package, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # Where there is no zoo.
    config = ReproductionConfig(
        query_dir=package.name,
        report_dir=str(tmp_path / "report"),
        num_queries=4,
        num_seeds=1,
    )
    for experiment in ("attributes", "confusion", "crafted"):
        run_experiments(dataclasses.replace(config, experiment=experiment))
    result = (tmp_path / "report" / "crafted" / "result.json").read_text()
    assert "needs a zoo's classifiers, and a package has their answers only" in result
    [run] = (tmp_path / "report" / "runs").iterdir()
    scores = json.loads((run / "results.json").read_text())
    assert run.name.startswith("kennen-o-") and scores["average"]["accuracy"] > 0


@pytest.mark.parametrize(
    ("zoo_dir", "message"),
    [
        ("", "--zoo_dir must be given: kennen-io needs a zoo's classifiers"),
        ("mine/zoo", "kennen-io needs a zoo's classifiers, and a package has"),
    ],
)
def test_crafting_on_a_package_says_what_it_needs(folder, package, zoo_dir, message):
    with pytest.raises(UserError, match=message):
        train_metamodel(
            MetamodelConfig(
                method="kennen-io",
                query_dir=package.name,
                zoo_dir=zoo_dir and str(folder / zoo_dir),
                num_queries=4,
                metamodel_dir=str(folder / "never"),
            )
        )


def test_stopped_it_trains_nothing_again(folder):
    assert json.loads((folder / "again.json").read_text()) == [False, False]
    assert not (folder / "mine" / ".work").exists()


def test_metamodels_of_before_are_taken(folder, package, monkeypatch):
    def train(*_):
        raise AssertionError("It is trained again.")

    monkeypatch.setattr(metamodel_making, "make", train)
    names = f"{folder / 'runs' / 'kennen-io'}, {folder / 'runs' / 'kennen-i'}"
    config = make_config(folder, "other", crafted_metamodels=names)
    package_zoo(config)
    other = packages.find_package(folder / "other")
    for name in ("fingerprints", "descended_through"):
        assert other.description[name] == package.description[name]
    source = QueryOutputsInfo.open(folder / "q")
    for changes, message in (
        ({"crafted_metamodels": names.split(", ")[1]}, "must name a .* of kennen-io"),
        ({"seed": 1}, "with other training entries"),
        ({"num_crafted": 5}, "with other number of queries"),
    ):
        with pytest.raises(UserError, match=message):
            crafted_queries.craft(
                dataclasses.replace(config, **changes), source, folder
            )
