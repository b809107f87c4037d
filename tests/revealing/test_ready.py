"""Ready metamodels: named, solved for once, kept, and read as exported ones are."""

import shutil

import fakes
import numpy as np
import package_fakes
import pytest

import kennen_tf
from kennen_tf.configs.exporting import ExportConfig
from kennen_tf.export_metamodel import export_metamodel
from kennen_tf.queries import packages
from kennen_tf.revealing import cache, ready, solved_readers
from kennen_tf.revealing.exported_metamodel import ExportedMetamodel
from kennen_tf.vocabulary.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A package in mine, and what is solved for from it in cache."""
    folder = tmp_path_factory.mktemp("ready")
    # Few attributes are solved for and saved sooner.
    table = fakes.TABLE.select(("act", "drop", "pool", "alg"))
    package_fakes.make_package(folder, table=table)
    return folder


@pytest.fixture(autouse=True)
def cached(folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    return folder / "cache" / "kennen_tf"


@pytest.fixture(scope="module")
def mine(folder):
    return str(folder / "mine")


def answers_of(mine, entry):
    chosen = packages.find_package(mine).description["chosen"]
    return fakes.make_probabilities(entry, package_fakes.NUM_STORED, planted=True)[
        chosen
    ]


def held_out_entry(mine):
    solving = solved_readers.Solving(packages.find_package(mine), "kennen-s")
    [own] = [e for e in solving.info.entries if e.id == solving.split.test_ids[0]]
    return own


def test_it_is_solved_for_once_and_kept(mine, cached, monkeypatch):
    metamodel = ready.open_metamodel(f"{mine}/kennen-s")
    assert str(metamodel) == f"{mine}/kennen-s"
    assert len(metamodel.queries) == package_fakes.NUM_QUERIES
    [kept] = [path for path in cached.iterdir() if path.is_dir()]
    assert kept.name.startswith("mine-kennen-s-0-")
    monkeypatch.setattr(solved_readers.Solving, "solve", None)
    again = ready.open_metamodel(f"{mine}/kennen-s")
    assert again.path == kept


def test_it_names_what_the_answers_betray(mine):
    metamodel = ready.open_metamodel(f"{mine}/kennen-s")
    entry = held_out_entry(mine)
    [found] = metamodel.assess(answers_of(mine, entry)[np.newaxis])
    named = {
        attribute.name: attribute.values[found.probabilities[attribute.name].argmax()]
        for attribute in metamodel.table
    }
    right = [name for name, value in named.items() if value == entry.values[name]]
    assert len(right) >= 3
    accuracies = metamodel.description["test_accuracy"]
    assert set(accuracies) == set(metamodel.table.names)
    assert np.mean(list(accuracies.values())) > 0.6
    assert found.p_value is not None and found.plausible is not None


@pytest.mark.long
def test_coarser_answers_are_solved_for_when_they_are_met(mine, cached):
    metamodel = ready.open_metamodel(f"{mine}/kennen-s")
    answers = answers_of(mine, held_out_entry(mine))[np.newaxis]
    before = set(cached.iterdir())
    both = metamodel.assess(np.concatenate([answers, answers]), [1e-3, 0.0])
    assert [own.resolution for own in both] == [1e-2, 0.0]
    [kept] = [path for path in set(cached.iterdir()) - before if path.is_dir()]
    assert kept.name.startswith("mine-kennen-s-4-")
    [fine] = metamodel.assess(answers)
    for name in metamodel.table.names:
        np.testing.assert_array_equal(
            both[1].probabilities[name], fine.probabilities[name]
        )
    assert any(
        not np.array_equal(both[0].probabilities[n], fine.probabilities[n])
        for n in metamodel.table.names
    )


@pytest.mark.long
def test_written_to_a_folder_it_is_the_same_with_all_levels(mine, tmp_path, capsys):
    config = ExportConfig(
        metamodel_dir=f"{mine}/kennen-s", export_dir=str(tmp_path / "own")
    )
    export_metamodel(config)
    assert f"own: {mine}/kennen-s." in capsys.readouterr().out
    own, metamodel = (
        ready.open_metamodel(name) for name in (tmp_path / "own", f"{mine}/kennen-s")
    )
    assert [level.resolution for level in own.limits] == [0, 1e-6, 1e-5, 1e-4, 1e-2]
    answers = np.repeat(answers_of(mine, held_out_entry(mine))[np.newaxis], 2, axis=0)
    for one, other in zip(
        own.assess(answers, [0.0, 1e-3]),
        metamodel.assess(answers, [0.0, 1e-3]),
        strict=True,
    ):
        assert one.plausible == other.plausible
        assert one.p_value == pytest.approx(other.p_value, abs=1e-6)
        for name in own.table.names:
            np.testing.assert_allclose(
                one.probabilities[name], other.probabilities[name], atol=1e-5
            )
    export_metamodel(config)  # It is left alone.


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "representation", "reads_labels"),
    [("labels", "top-1", True), ("ranking", "ranking", False)],
)
def test_others_read_less_of_an_answer(mine, kind, representation, reads_labels):
    metamodel = ready.open_metamodel(f"{mine}/{kind}")
    assert metamodel.description["representation"] == representation
    assert metamodel.reads_labels == reads_labels
    assert metamodel.find_coarser is None
    assert np.mean(list(metamodel.description["test_accuracy"].values())) > 0.5


def test_from_python_a_box_that_answers_labels_is_told_of_the_one_that_reads_them(
    mine,
):
    answers = answers_of(mine, held_out_entry(mine))
    queries = ready.open_metamodel(f"{mine}/kennen-s").queries
    label_of = {
        query.tobytes(): int(own.argmax())
        for query, own in zip(queries, answers, strict=True)
    }

    def classify(images):
        return np.array([label_of[image.tobytes()] for image in np.asarray(images)])

    settings = {"outputs": "labels", "pixels": "unit"}
    with pytest.raises(UserError, match="/mine/labels. Received: .*mine/kennen-s, "):
        kennen_tf.reveal(classify, metamodel=f"{mine}/kennen-s", **settings)
    revealed = kennen_tf.reveal(classify, metamodel=f"{mine}/labels", **settings)
    assert len(revealed.revelation.answers) == 4


@pytest.mark.parametrize("name", ["", "/", "/kennen-o", "/kennen-io", "/natural"])
def test_a_wrong_name_lists_what_there_is(mine, name):
    with pytest.raises(
        UserError,
        match=r"metamodels \S*mine/kennen-s, \S*mine/labels, \S*mine/ranking. Received",
    ):
        ready.open_metamodel(f"{mine}{name}")


def test_what_is_no_package_is_looked_for_as_an_export(tmp_path):
    for name in ("other/kennen-s", "kennen-s", str(tmp_path)):
        assert ready.find(name) is None
        with pytest.raises(UserError, match="No exported metamodel at"):
            ready.open_metamodel(name)


def test_an_exported_metamodel_wins_over_a_name(mine, folder, monkeypatch):
    source = ready.open_metamodel(f"{mine}/labels").path
    monkeypatch.chdir(folder)
    shutil.copytree(source, folder / "mine" / "kennen-s")
    try:
        opened = ready.open_metamodel("mine/kennen-s")
    finally:
        shutil.rmtree(folder / "mine" / "kennen-s")
    assert opened.reads_labels
    assert not ready.open_metamodel("mine/kennen-s").reads_labels


@pytest.mark.long
def test_what_is_damaged_in_the_cache_is_made_again(mine):
    kept = ready.open_metamodel(f"{mine}/labels").path
    (kept / "saved_model.pb").write_bytes(b"cut off")
    assert ready.open_metamodel(f"{mine}/labels").reads_labels
    assert ExportedMetamodel.load(kept).reads_labels


def test_another_version_or_other_data_are_kept_apart(mine, monkeypatch, tmp_path):
    def name_of(package):
        found = ready.find(f"{package}/kennen-s")
        solving = solved_readers.Solving(found.package, "kennen-s")
        return found._folder_name(solving, 0)

    own = name_of(mine)
    assert (
        own
        == name_of(mine)
        != name_of(package_fakes.make_package(tmp_path, num_entries=60).folder)
    )
    monkeypatch.setattr(ready, "_LIBRARIES", ("numpy",))
    assert name_of(mine) != own


def test_without_a_cache_it_is_solved_for_in_a_temporary_folder(
    tmp_path, monkeypatch, caplog
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    cache._temporary.cache_clear()
    made = [cache.keep(name, lambda folder: folder.mkdir()) for name in "abc"]
    assert len({folder.parent for folder in made}) == 1
    assert all(folder.is_dir() for folder in made)
    assert caplog.text.count("Set XDG_CACHE_HOME") == 1
    shutil.rmtree(made[0].parent)
    cache._temporary.cache_clear()


def test_what_fails_on_its_way_is_not_kept(cached):
    def fail(folder):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.keep("never", fail)
    assert not (cached / "never").exists()
    assert cache.keep("never", lambda folder: folder.mkdir()).is_dir()
