"""Querying a zoo: the right answers, of the right zoo, or a sentence."""

import dataclasses
import json
import pathlib
import pickle
import shutil

import commands
import fakes
import keras
import numpy as np
import pytest

from kennen_tf.configs.queries import QueryConfig
from kennen_tf.machine.engines import making
from kennen_tf.queries import output_folder
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.query_zoo import query_zoo
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import querying, store
from pipelines import query_outputs as pipeline

NUM_QUERIES = 12

CHOICES = [
    # Every activation, with and without dropout and pooling, all depths.
    {"act": "relu", "drop": "no", "pool": "no", "ks": 3, "conv": 2, "fc": 2},
    {"act": "prelu", "drop": "yes", "pool": "yes", "ks": 5, "conv": 3, "fc": 3},
    {"act": "elu", "drop": "yes", "pool": "no", "ks": 5, "conv": 4, "fc": 4},
    {"act": "tanh", "drop": "no", "pool": "yes", "ks": 3, "conv": 4, "fc": 2},
]
OTHERS = {"alg": "sgd", "bs": 64, "split": "half0"}


def make_spec(choice, seed):
    return fakes.read_spec({**choice, **OTHERS, "seed": seed})


SPECS = [make_spec(choice, seed=7) for choice in CHOICES] + [
    # An ensemble of three with the last of them, and a shape that only dropout parts.
    make_spec(CHOICES[-1], seed=8),
    make_spec(CHOICES[-1], seed=9),
    make_spec({**CHOICES[-1], "drop": "yes"}, seed=8),
]


@pytest.fixture(scope="module")
def images_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    fakes.write_idx(folder, fakes.make_digits())
    return folder


@pytest.fixture(scope="module")
def queried(images_folder, tmp_path_factory):
    """A zoo and its query outputs; tests leave both as they are."""
    folder = tmp_path_factory.mktemp("queried")
    zoo = fakes.make_zoo(folder / "zoo", SPECS, dataset=f"idx:{images_folder}")
    config = QueryConfig(
        zoo_dir=str(folder / "zoo"),
        query_dir=str(folder / "queries"),
        num_queries=NUM_QUERIES,
    )
    query_zoo(config)
    return zoo, config


@pytest.fixture
def changeable(queried, tmp_path):
    """Copies of the same, for tests that change them."""
    zoo, config = queried
    copies = {}
    for name in ("zoo_dir", "query_dir"):
        target = tmp_path / name
        for path in sorted(p for p in _folder(config, name).rglob("*") if p.is_file()):
            copied = target / path.relative_to(_folder(config, name))
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_bytes(path.read_bytes())
        copies[name] = str(target)
    config = dataclasses.replace(config, **copies)
    return store.Zoo.open(config.zoo_dir), config


def _folder(config, name):
    return pathlib.Path(getattr(config, name))


def contents(folder):
    return {p.name: p.read_bytes() for p in pathlib.Path(folder).iterdir()}


def answers(config):
    """Returns the probabilities of each entry by its id."""
    info = QueryOutputsInfo.open(config.query_dir)
    ids = [entry.id for entry in info.entries]
    features, _ = pipeline.load_arrays(info, ids, range(info.num_queries), None)
    return dict(zip(ids, features, strict=True))


def test_answers_are_those_of_the_loaded_classifiers(queried):
    zoo, config = queried
    received = answers(config)
    pixels = QueryOutputsInfo.open(config.query_dir).query_inputs.pixels
    for record in zoo.accepted:
        path = zoo.classifier_path(record)
        model = keras.models.load_model(path, compile=False)
        wanted = model(pixels, training=False)
        np.testing.assert_allclose(received[record.id], wanted, atol=1e-6)
        # They differ from image to image: a law that constant answers would not pass.
        assert np.ptp(received[record.id], axis=0).max() > 1e-3


def test_ensembles_answer_with_the_mean_of_their_members(queried):
    received = answers(queried[1])
    entries = QueryOutputsInfo.open(queried[1].query_dir).entries
    ensembles = [entry for entry in entries if len(entry.members) > 1]
    assert [len(entry.members) for entry in ensembles].count(2) == 3
    assert [len(entry.members) for entry in ensembles].count(3) == 1
    for entry in ensembles:
        wanted = np.mean([received[member] for member in entry.members], axis=0)
        np.testing.assert_allclose(received[entry.id], wanted, atol=1e-7)
        assert entry.values["ens"] == "yes"


def test_entries_tell_the_attributes_of_their_specs(queried):
    zoo, config = queried
    values = {e.id: e.values for e in QueryOutputsInfo.open(config.query_dir).entries}
    for record in zoo.accepted:
        chosen = {**values[record.id], "seed": record.spec.seed}
        wanted = record.spec.to_json()
        assert {name: chosen[name] for name in wanted} == wanted


def test_queries_are_validation_images(queried):
    queries = QueryOutputsInfo.open(queried[1].query_dir).query_inputs
    digits = fakes.make_digits()
    assert len(set(queries.indices)) == NUM_QUERIES
    np.testing.assert_array_equal(queries.images, digits.test_images[queries.indices])
    np.testing.assert_array_equal(queries.labels, digits.test_labels[queries.indices])


def test_batches_threads_and_the_order_of_classifiers_do_not_matter(
    queried, monkeypatch
):
    zoo, config = queried
    received = answers(config)
    pixels = QueryOutputsInfo.open(config.query_dir).query_inputs.pixels
    monkeypatch.setattr(querying, "BATCH_SIZE", 5)
    again = {}

    def keep(record, probabilities):
        again[record.id] = probabilities

    querying.query_classifiers(zoo, zoo.accepted[::-1], pixels, keep, num_threads=1)
    assert set(again) == {record.id for record in zoo.accepted}
    for classifier_id, probabilities in again.items():
        np.testing.assert_allclose(probabilities, received[classifier_id], atol=1e-6)


def test_a_second_run_finds_that_nothing_is_to_be_done(queried, capsys):
    before = contents(queried[1].query_dir)
    query_zoo(queried[1])
    assert "up to date" in capsys.readouterr().out
    assert contents(queried[1].query_dir) == before


def test_a_second_query_of_the_same_zoo_gives_the_same_bytes(changeable):
    config = changeable[1]
    before = QueryOutputsInfo.open(config.query_dir)
    query_zoo(dataclasses.replace(config, overwrite=True))
    assert QueryOutputsInfo.open(config.query_dir).fingerprint == before.fingerprint


@pytest.mark.parametrize(
    "change",
    [{"num_queries": 5}, {"query_seed": 1}, {"query_pool": 50}, {"num_shards": 2}],
)
def test_other_settings_need_overwrite(changeable, change):
    config = dataclasses.replace(changeable[1], **change)
    before = contents(config.query_dir)
    name = next(iter(change))
    with pytest.raises(UserError, match=f"made with --{name}=.*--overwrite"):
        query_zoo(config)
    assert contents(config.query_dir) == before
    query_zoo(dataclasses.replace(config, overwrite=True))
    made_with = QueryOutputsInfo.open(config.query_dir).config
    assert getattr(made_with, name) == change[name]


def test_queries_are_drawn_from_the_first_images_alone(changeable):
    config = dataclasses.replace(changeable[1], query_pool=15, overwrite=True)
    query_zoo(config)
    info = QueryOutputsInfo.open(config.query_dir)
    assert max(info.query_inputs.indices) < 15
    with pytest.raises(UserError, match="images to draw from, 3"):
        query_zoo(dataclasses.replace(config, query_pool=3))


def test_a_zoo_that_changed_meanwhile_makes_the_outputs_stale(changeable):
    zoo, config = changeable
    fakes.add_classifier(config.zoo_dir, make_spec(CHOICES[0], seed=500))
    with pytest.raises(UserError, match=f"of the zoo in {config.zoo_dir}.*--overwrite"):
        query_zoo(config)
    query_zoo(dataclasses.replace(config, overwrite=True))
    info = QueryOutputsInfo.open(config.query_dir)
    info.check_zoo(store.Zoo.open(config.zoo_dir))
    with pytest.raises(UserError, match="another zoo, or this one before it changed"):
        info.check_zoo(zoo)


def test_less_accurate_classifiers_can_be_left_out(changeable):
    _, config = changeable
    worse = make_spec(CHOICES[0], seed=500)
    fakes.add_classifier(config.zoo_dir, worse, accuracy=0.5)
    config = dataclasses.replace(config, overwrite=True, min_accuracy=0.9)
    query_zoo(config)
    assert worse.id not in answers(config)
    with pytest.raises(UserError, match="accuracy 0.99 or more.* 8 of them accepted"):
        query_zoo(dataclasses.replace(config, min_accuracy=0.99))


@pytest.mark.parametrize("damage", [lambda content: content[:-1], None])
def test_a_damaged_classifier_is_named_and_nothing_is_written(changeable, damage):
    zoo, config = changeable
    path = zoo.classifier_path(zoo.accepted[3])
    if damage:
        path.write_bytes(damage(path.read_bytes()))
    else:
        path.unlink()
    before = contents(config.query_dir)
    with pytest.raises(UserError, match=path.name):
        query_zoo(dataclasses.replace(config, overwrite=True))
    assert contents(config.query_dir) == before


def test_a_zoo_without_accepted_classifiers_is_refused(tmp_path):
    fakes.make_zoo(tmp_path / "zoo", [])
    with pytest.raises(UserError, match="0 classifiers, 0 of them accepted"):
        query_zoo(QueryConfig(zoo_dir=str(tmp_path / "zoo"), query_dir=str(tmp_path)))


def test_a_missing_zoo_is_refused(tmp_path):
    with pytest.raises(UserError, match="No zoo at"):
        query_zoo(QueryConfig(zoo_dir=str(tmp_path), query_dir=str(tmp_path / "q")))
    assert not (tmp_path / "q").exists()


def test_a_zoo_of_another_schema_version_is_refused(changeable):
    zoo, config = changeable
    path = zoo.zoo_dir / store.CONFIG_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 9}))
    with pytest.raises(UserError, match="schema version 1. Received: 9"):
        query_zoo(config)


def test_all_images_may_be_queries_each_once(changeable):
    config = dataclasses.replace(changeable[1], num_queries=100, overwrite=True)
    query_zoo(config)
    info = QueryOutputsInfo.open(config.query_dir)
    digits = fakes.make_digits()
    order = np.argsort(info.query_inputs.indices)
    np.testing.assert_array_equal(info.query_inputs.indices[order], np.arange(100))
    np.testing.assert_array_equal(info.query_inputs.images[order], digits.test_images)
    images = {image.tobytes() for image in info.query_inputs.images}
    assert len(images) == 100
    assert {a.shape for a in answers(config).values()} == {(100, 10)}


def test_more_queries_than_images_are_refused(changeable, tmp_path):
    config = dataclasses.replace(
        changeable[1], num_queries=101, query_dir=str(tmp_path / "new")
    )
    with pytest.raises(UserError, match="draw from, 100. Received: num_queries=101"):
        query_zoo(config)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_something_else_is_refused(changeable):
    config = dataclasses.replace(changeable[1], query_dir=changeable[1].zoo_dir)
    for overwrite in (False, True):
        with pytest.raises(UserError, match="--query_dir must be a new or empty"):
            query_zoo(dataclasses.replace(config, overwrite=overwrite))


def test_two_runs_do_not_write_to_one_folder(changeable):
    config = dataclasses.replace(changeable[1], overwrite=True)
    with output_folder.work_folder(config.query_dir):
        with pytest.raises(UserError, match="Another process is querying a zoo"):
            query_zoo(config)


def test_workers_answer_what_threads_do_and_refuse_a_changed_file(
    queried, tmp_path, monkeypatch
):
    zoo, config = queried
    monkeypatch.setattr(making, "make_engine", SendingEngine)
    again = dataclasses.replace(config, query_dir=str(tmp_path / "q"), engine="ray")
    query_zoo(again)
    ours, theirs = map(QueryOutputsInfo.open, (again.query_dir, config.query_dir))
    assert ours.fingerprint == theirs.fingerprint

    shutil.copytree(zoo.zoo_dir, tmp_path / "zoo")
    path = next((tmp_path / "zoo" / "classifiers").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    changed = dataclasses.replace(
        again, zoo_dir=str(tmp_path / "zoo"), query_dir=str(tmp_path / "other")
    )
    message = f"{path.name} must be the file that the manifest records"
    with pytest.raises(UserError, match=message):
        query_zoo(changed)
    path.unlink()
    with pytest.raises(UserError, match=message):
        query_zoo(changed)
    assert not (tmp_path / "other" / "config.json").exists()


class SendingEngine(commands.EngineHere):
    """An engine that works here, on what a worker elsewhere would get."""

    def run(self, tasks, make_work, name_of=str):
        yield from super().run(pickle.loads(pickle.dumps(tasks)), make_work)
