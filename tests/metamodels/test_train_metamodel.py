"""Training of metamodels from end to end: resuming, what is refused, what is left."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import fakes
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from kennen_tf.configs.evaluation import EvaluationConfig
from kennen_tf.configs.metamodels import RECIPES, MetamodelConfig
from kennen_tf.configs.queries import QueryConfig
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.evaluate_metamodel import evaluate_metamodel
from kennen_tf.evaluation.results import read_results
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.metamodels.metrics import MetricsLog
from kennen_tf.metamodels.recipes import checkpoints, fitting
from kennen_tf.queries import output_folder, writing
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.train_metamodel import train_metamodel
from kennen_tf.vocabulary.errors import UserError
from pipelines import query_outputs

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    fakes.write_query_outputs(folder, 120, 24, planted=True)
    return str(folder)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Query outputs of few attributes, whose heads compile sooner."""
    folder = tmp_path_factory.mktemp("few")
    table = TABLE.select(["act", "fc", "alg", "split"])
    fakes.write_query_outputs(folder, 120, 24, planted=True, table=table)
    return str(folder)


def resumable(query_dir, metamodel_dir, **settings):
    return MetamodelConfig(
        **{
            "query_dir": query_dir,
            "metamodel_dir": str(metamodel_dir),
            "recipe": "mlp",
            "num_queries": 20,
            "batch_size": 48,  # 96 training entries: no smaller last batch.
            "epochs": 12,
            "checkpoint_every": 4,
            "evaluate_every": 3,
            **settings,
        }
    )


def assert_same_metamodel(folder, expected):
    weights = [Metamodel.load(f).keras_model.get_weights() for f in (folder, expected)]
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name in ("metrics.jsonl", "epochs.jsonl", "split.json", "queries.npz"):
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name


def metrics_rows(folder):
    return list(map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()))


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "m"
    train_metamodel(resumable(small, folder))
    return folder


@pytest.fixture(scope="module")
def finished_few(few, train, tmp_path_factory):
    folder = tmp_path_factory.mktemp("few_runs") / "m"
    train(resumable(few, folder))
    return folder


# A checkpoint is saved three times; stopped after that, the model is not written.
@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_a_resumed_training_ends_where_an_uninterrupted_one_ends(
    stop_after, few, finished_few, train, tmp_path, monkeypatch, undrawn
):
    config = resumable(few, tmp_path / "stopped")
    train_and_stop(train, config, stop_after, monkeypatch)
    assert not (tmp_path / "stopped" / "finished.json").exists()
    with pytest.raises(UserError, match="Go on with train_metamodel --resume"):
        Metamodel.load(tmp_path / "stopped")
    with pytest.raises(UserError, match="was stopped. Go on with --resume"):
        train_metamodel(config)

    train(dataclasses.replace(config, resume=True))
    assert_same_metamodel(tmp_path / "stopped", finished_few)


def test_what_is_joined_with_a_regression_is_resumed_and_ends_with_its_mean(
    few, train, tmp_path, monkeypatch, undrawn
):
    config = resumable(few, tmp_path / "stopped", recipe="joined")
    whole = dataclasses.replace(config, metamodel_dir=str(tmp_path / "whole"))
    train(whole)
    train_and_stop(train, config, 2, monkeypatch)
    train(dataclasses.replace(config, resume=True))
    assert_same_metamodel(tmp_path / "stopped", tmp_path / "whole")
    # The curves end with what the metamodel says, but for how sure it is of it.
    metamodel = Metamodel.load(tmp_path / "whole")
    evaluate_metamodel(EvaluationConfig(metamodel_dir=str(tmp_path / "whole")))
    rows = read_results(tmp_path / "whole")["attributes"]
    last = metrics_rows(tmp_path / "whole")[-1]
    assert last["epoch"] == 12
    assert {row["name"]: row["accuracy"] for row in rows} == last["test"]["accuracy"]
    # Of coarser answers, the regression has learned too.
    assert len(metamodel.load_coarse()) == len(metamodel.limits) - 1 > 0


def test_a_resumed_training_that_xla_compiles_ends_there_too(
    few, train, tmp_path, monkeypatch, undrawn
):
    monkeypatch.setattr(fitting, "_LEAST_STEPS_FOR_XLA", 0)
    small_recipe = dataclasses.replace(RECIPES["mlp"], hidden_units=(16,), members=1)
    monkeypatch.setitem(RECIPES, "mlp", small_recipe)
    own = {"compiled": fitting.CompiledModels()}
    train(resumable(few, tmp_path / "whole"), **own)
    config = resumable(few, tmp_path / "stopped")
    train_and_stop(train, config, 1, monkeypatch, **own)
    train(dataclasses.replace(config, resume=True), **own)
    assert_same_metamodel(tmp_path / "stopped", tmp_path / "whole")


def train_and_stop(train, config, stop_after, monkeypatch, **settings):
    """Stops a training where it would save its next checkpoint, or the model."""
    save, finish, saved = checkpoints.save, folder_lib.finish, []

    def or_stop(function):
        def call(*arguments):
            if len(saved) == stop_after:
                raise Stopped
            saved.append(arguments)
            function(*arguments)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", or_stop(save))
        patch.setattr(folder_lib, "finish", or_stop(finish))
        with pytest.raises(Stopped):
            train(config, **settings)


def test_a_killed_training_is_resumed(few, train, tmp_path, undrawn):
    config = resumable(
        *(few, tmp_path / "killed"), epochs=80, checkpoint_every=2, evaluate_every=20
    )
    flags = [f"--{n}={v}" for n, v in config.to_json().items() if n != "resume"]
    command = [sys.executable, "-m", "kennen_tf.train_metamodel", *flags]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "killed" / "checkpoints" / checkpoints.CHECKPOINT_NAME
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with np.load(checkpoint) as stored:
        assert 0 < stored["epoch"] < 80

    train(dataclasses.replace(config, resume=True))
    whole = dataclasses.replace(config, metamodel_dir=str(tmp_path / "whole"))
    train(whole)
    assert_same_metamodel(tmp_path / "killed", tmp_path / "whole")


def test_it_knows_which_queries_its_classifiers_name_rightly(small, finished):
    metamodel = Metamodel.load(finished)
    info = QueryOutputsInfo.open(small)
    features, _ = query_outputs.load_arrays(
        info, metamodel.split.train_ids, metamodel.query_indices, "probabilities"
    )
    expected = [
        sum(int(row[place].argmax()) == label for row in features) / len(features)
        for place, label in enumerate(metamodel.query_inputs.labels)
    ]
    assert len(set(expected)) > 1
    assert metamodel.query_accuracies == pytest.approx(expected)


def test_of_the_least_likely_labels_nobody_is_said_to_name_any_rightly(
    few, train, tmp_path, undrawn
):
    settings = {"representation": "bottom-1", "recipe": "kernel"}
    train(resumable(few, tmp_path / "m", **settings))
    assert Metamodel.load(tmp_path / "m").query_accuracies == ()


def test_equal_trainings_leave_equal_bytes(small, finished, train, tmp_path, undrawn):
    train(resumable(small, tmp_path / "m"))
    hashes = [
        json.loads((folder / "finished.json").read_text())["sha256"]
        for folder in (finished, tmp_path / "m")
    ]
    assert hashes[0] == hashes[1]


def test_a_finished_training_is_left_as_it_is(small, finished, capsys):
    before = (finished / "metamodel.keras").read_bytes()
    train_metamodel(resumable(small, finished))
    train_metamodel(resumable(small, finished, resume=True))
    assert capsys.readouterr().out.count("finished before, nothing to do") == 2
    assert (finished / "metamodel.keras").read_bytes() == before


def test_a_folder_of_before_the_table_came_from_the_data_is_known(
    small, finished, tmp_path, capsys
):
    """Then, config.json had every attribute's group, and the number of labels."""
    stored = json.loads((finished / "config.json").read_text())
    assert stored["config"]["top_k"] == 10
    assert stored["recipe"]["groups"] == [
        ["act", "drop", "pool", "ks"],
        ["conv", "fc", "par"],
        ["ens", "alg", "bs"],
        ["size", "split"],
    ]
    train_metamodel(resumable(small, finished, top_k=10))
    assert "finished before" in capsys.readouterr().out
    metamodel = Metamodel.load(finished)
    assert metamodel.attributes == TABLE
    assert metamodel.num_classes == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 1}, "other settings: --seed 0, not 1"),
        ({"resume": True, "epochs": 13}, "--epochs 12, not 13.*epochs of the recipe"),
    ],
)
def test_a_folder_with_another_training_is_refused(settings, message, small, finished):
    with pytest.raises(UserError, match=message):
        train_metamodel(resumable(small, finished, **settings))


def test_a_folder_with_something_else_is_refused(small, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="new or empty folder.*thesis.tex"):
        train_metamodel(resumable(small, tmp_path))
    with pytest.raises(UserError, match="other settings|must hold a metamodel"):
        train_metamodel(resumable(small, small))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_cannot_be_trained_on_leaves_no_folder(small, tmp_path):
    folder = tmp_path / "m"
    with pytest.raises(UserError, match="num_queries must be at most.*24.*=25"):
        train_metamodel(resumable(small, folder, num_queries=25))
    with pytest.raises(UserError, match="at least 1000 entries to train on"):
        train_metamodel(resumable(small, folder, num_train=1000))
    with pytest.raises(UserError, match="--split must be.*'depth:1>2'"):
        train_metamodel(resumable(small, folder, split="depth:1>2"))
    with pytest.raises(UserError, match="top_k must be at least 0 and at most 10"):
        train_metamodel(resumable(small, folder, top_k=11))
    with pytest.raises(UserError, match="No query outputs"):
        train_metamodel(resumable(str(tmp_path / "none"), folder))
    assert not folder.exists()


def test_a_run_leaves_these_files(finished):
    names = {path.name for path in finished.iterdir()}
    [events] = [name for name in names if name.startswith("events.out.tfevents.")]
    assert names - {".lock", events} == {
        "attributes.json",
        "checkpoints",
        "config.json",
        "epochs.jsonl",
        "finished.json",
        "limits.json",
        "metamodel.keras",
        "metrics.jsonl",
        "novelty.npz",
        "queries.npz",
        "split.json",
    }
    config = json.loads((finished / "config.json").read_text())
    assert config["kind"] == "metamodel"
    assert set(config["fingerprints"]) == {"query_outputs", "query_inputs", "zoo"}


def test_metrics_have_a_row_for_every_evaluated_epoch(finished):
    rows = metrics_rows(finished)
    assert [row["epoch"] for row in rows] == [3, 6, 9, 12]
    for side in ("train", "test"):
        assert set(rows[-1][side]) == {"loss", "accuracy", "average"}
    assert rows[-1]["train"]["loss"] < rows[0]["train"]["loss"]


def read_events(folder):
    """Returns the values of all TensorBoard summaries of a run, by tag and step."""
    found = {}
    for path in sorted(folder.rglob("events*")):
        assert path.parent == folder
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value))
    return found


def steps_of(events, tag):
    return [step for step, _ in events[tag]]


def test_tensorboard_has_one_run_of_curves_and_confusion_matrices(finished):
    events = read_events(finished)
    for side in ("train", "test"):
        for tag in (f"loss/{side}", f"accuracy/{side}/average", f"accuracy/{side}/act"):
            assert steps_of(events, tag) == [3, 6, 9, 12]
    for tag in ("fit/loss", "fit/learning_rate"):
        assert steps_of(events, tag) == list(range(1, 13))
    for name in TABLE.names:
        assert steps_of(events, f"confusion/{name}") == [12]
    _, charts = events["custom_scalars__config__"][0]
    layout = layout_pb2.Layout.FromString(charts.tensor.string_val[0])
    tags = [tag for c in layout.category for h in c.chart for tag in h.multiline.tag]
    assert len(tags) == len(set(tags)) == 2 * (len(TABLE) + 2)
    for tag in tags:
        assert tag.strip("^$") in events


def test_hparams_have_what_mattered_and_a_name_without_a_path(finished):
    events = read_events(finished)
    found = {}
    for name in ("experiment", "session_start_info"):
        [(_, value)] = events[f"_hparams_/{name}"]
        data = plugin_data_pb2.HParamsPluginData.FromString(
            value.metadata.plugin_data.content
        )
        found[name] = getattr(data, name)
    start, experiment = found["session_start_info"], found["experiment"]
    assert start.group_name == f"kennen-o/mlp/seed0 ({finished.name})"
    own = {
        name: getattr(value, value.WhichOneof("kind"))
        for name, value in start.hparams.items()
    }
    assert own == {
        "1 method": "kennen-o",
        "2 recipe": "mlp",
        "3 seed": 0,
        "4 classifiers": 96,
        "5 queries": 20,
        "answers": "probabilities",
        "batch size": 48,
        "epochs": 12,
        "learning rate": RECIPES["mlp"].learning_rate,
        "split": "R",
    }
    assert {info.name for info in experiment.hparam_infos} == set(own)
    for info in experiment.metric_infos:
        assert info.name.tag in events


def test_what_training_says_of_each_epoch_is_kept(finished):
    rows = [json.loads(s) for s in (finished / "epochs.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, 13))
    assert rows[-1]["fit/loss"] < rows[0]["fit/loss"]
    rates = [row["fit/learning_rate"] for row in rows]
    assert rates == sorted(rates, reverse=True) and rates[-1] < 1e-6 < rates[0]


def test_a_resumed_training_shows_each_epoch_once(tmp_path):
    folder = tmp_path / "kennen-o" / "mlp" / "seed0"
    folder.mkdir(parents=True)
    config = resumable("q", folder)
    rows = {}
    for last_epoch in (0, 2):
        log = MetricsLog(folder, TABLE, config, (), last_epoch, num_train=96)
        for epoch in range(last_epoch + 1, 5):
            score = {"loss": float(epoch), "accuracy": {}, "average": None}
            rows[epoch] = {"epoch": epoch, "train": score, "test": score}
            log.add_epoch(epoch, {"fit/loss": 0.5})
            log.add_row(rows[epoch])
        log.close()
    assert log.rows == list(rows.values())
    events = read_events(folder)
    for tag in ("fit/loss", "loss/test"):
        assert steps_of(events, tag) == [1, 2, 3, 4]
    [(_, value)] = events["_hparams_/session_start_info"]
    content = value.metadata.plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert start.group_name == "kennen-o/mlp/seed0"


def test_a_metamodel_that_was_altered_is_refused(finished, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(finished, folder)
    with open(folder / "metamodel.keras", "ab") as file:
        file.write(b"x")
    with pytest.raises(UserError, match="metamodel.keras is missing or was altered"):
        Metamodel.load(folder)
    os.remove(folder / "config.json")
    with pytest.raises(UserError, match="No metamodel at"):
        Metamodel.load(folder)


def test_a_loaded_metamodel_knows_its_queries_and_refuses_other_shapes(small, finished):
    metamodel = Metamodel.load(finished)
    info = QueryOutputsInfo.open(small)
    stored = info.query_inputs.images[list(metamodel.query_indices)]
    np.testing.assert_array_equal(metamodel.query_inputs.images, stored)
    assert metamodel.fingerprints["query_outputs"] == info.fingerprint
    with pytest.raises(ValueError, match="20, 10.*Received: .*19, 10"):
        metamodel.predict(np.full((2, 19, 10), 0.1, np.float32))


@pytest.mark.parametrize("split", ["E-alg", "pool:no>yes"])
def test_extrapolation_is_not_scored_on_its_splitting_attributes(
    split, small, tmp_path, undrawn
):
    config = resumable(small, tmp_path, recipe="kernel", split=split)
    train_metamodel(config)
    [name] = Metamodel.load(tmp_path).split.split_attributes
    row = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert name not in row["test"]["accuracy"]


def write_with_missing_values(query_dir):
    """Writes outputs that betray all; nobody has a value of ks, few one of act."""
    entries = [
        dataclasses.replace(entry, values={**entry.values, "ks": None, "fc": 3})
        for entry in fakes.make_entries(120)
    ]
    entries = [
        e if place % 3 else dataclasses.replace(e, values={**e.values, "act": None})
        for place, e in enumerate(entries)
    ]
    whole = {entry.id: entry for entry in fakes.make_entries(120)}
    config = QueryConfig(zoo_dir="none", query_dir=str(query_dir), num_queries=24)
    with output_folder.work_folder(query_dir) as work:
        writing.write(
            work,
            config,
            fakes.make_query_inputs(24),
            TABLE,
            10,
            entries,
            lambda entry: fakes.make_probabilities(whole[entry.id], 24, planted=True),
            zoo_fingerprint="made up",
        )


@pytest.mark.parametrize("recipe", ["kernel", "svm", "mlp", "joined"])
def test_values_that_are_missing_are_neither_learned_nor_scored(
    recipe, train, tmp_path, undrawn
):
    write_with_missing_values(tmp_path / "q")
    config = resumable(str(tmp_path / "q"), tmp_path / "m", recipe=recipe)
    train(config)
    evaluate_metamodel(EvaluationConfig(metamodel_dir=config.metamodel_dir))
    found = read_results(config.metamodel_dir)["attributes"]
    rows = {row["name"]: row for row in found}
    assert 0 < rows["act"]["count"] < rows["pool"]["count"]
    assert rows["act"]["accuracy"] is not None
    for name in ("ks", "fc"):
        assert rows[name]["accuracy"] is None and rows[name]["not_scored"]
    row = json.loads((tmp_path / "m" / "metrics.jsonl").read_text().splitlines()[-1])
    assert np.isfinite([row[side]["loss"] for side in ("train", "test")]).all()
    assert not {"ks", "fc"} & set(row["test"]["accuracy"])
    for weights in Metamodel.load(tmp_path / "m").keras_model.get_weights():
        assert np.isfinite(weights).all()
