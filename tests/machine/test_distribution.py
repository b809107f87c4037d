"""Strategies: two devices, or two processes, train what one device trains."""

import concurrent.futures
import dataclasses
import json
import os
import socket
import subprocess
import sys
import time

import fakes
import keras
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.recipes import EVERY, RECIPES
from kennen_tf.machine import distribution, startup
from kennen_tf.machine.cluster import Cluster
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.train_metamodel import train_metamodel
from kennen_tf.vocabulary.errors import UserError

# 77 training entries and batches of 10: batches and replicas divide unevenly.
SETTINGS = {
    "recipe": "paper",
    "epochs": 3,
    "batch_size": 10,
    "num_queries": 20,
    "num_train": 77,
    "num_test": 20,
}


@pytest.fixture(scope="module")
def query_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("queries")
    table = fakes.TABLE.select(["act", "alg"])
    fakes.write_query_outputs(folder, 120, 24, planted=True, table=table)
    return str(folder)


@pytest.fixture(scope="module")
def one_device(query_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one_device") / "m"
    train_metamodel(
        MetamodelConfig(
            **SETTINGS,
            query_dir=query_dir,
            metamodel_dir=str(folder),
            strategy="one_device",
        )
    )
    return folder


def assert_same_training(folder, expected):
    """Compares losses and weights within the tolerance of float32 sums."""
    losses = [
        json.loads((f / "metrics.jsonl").read_text().splitlines()[-1])["train"]["loss"]
        for f in (folder, expected)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    weights = [Metamodel.load(f).keras_model.get_weights() for f in (folder, expected)]
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.long
def test_two_mirrored_devices_train_what_one_trains(
    two_logical_cpus, query_dir, one_device, tmp_path
):
    strategy = distribution.make_strategy("mirrored")
    assert strategy.num_replicas_in_sync == len(two_logical_cpus) == 2
    with strategy.scope():
        variable = keras.Variable(1.0)
    assert isinstance(variable.value, tf.distribute.DistributedValues)
    folder = tmp_path / "m"
    train_metamodel(
        MetamodelConfig(
            **SETTINGS,
            query_dir=query_dir,
            metamodel_dir=str(folder),
            strategy="mirrored",
        )
    )
    assert_same_training(folder, one_device)


@pytest.mark.long
def test_dropout_runs_under_two_devices(
    two_logical_cpus, query_dir, tmp_path, monkeypatch
):
    # One small network instead of eight shows it.
    small = dataclasses.replace(
        RECIPES["mlp"], groups=((EVERY,),), members=1, hidden_units=(16,)
    )
    assert small.dropout > 0
    monkeypatch.setitem(RECIPES, "mlp", small)
    settings = {**SETTINGS, "recipe": "mlp"}
    train_metamodel(
        MetamodelConfig(
            **settings,
            query_dir=query_dir,
            metamodel_dir=str(tmp_path),
            strategy="mirrored",
        )
    )
    assert (tmp_path / "finished.json").exists()


@pytest.mark.long
def test_three_logical_cpus_train_what_one_trains(query_dir, one_device, tmp_path):
    """As the documents have it: batches of ten and of seven are no three shares."""
    folder = tmp_path / "m"
    flags = {"strategy": "mirrored", "logical_cpus": 3}
    done = subprocess.run(
        make_command(query_dir, folder, **flags),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "3 device(s)" in done.stderr
    assert_same_training(folder, one_device)
    # The number decides nothing.
    train_metamodel(make_config(query_dir, folder, strategy="mirrored"))


@pytest.mark.long
def test_two_workers_train_what_one_device_trains(query_dir, one_device, tmp_path):
    folder = tmp_path / "m"
    workers = start_workers(tmp_path, query_dir, folder)
    try:
        codes = [worker.wait(timeout=180) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    logs = read_logs(tmp_path)
    assert codes == [0, 0], logs[0][-3000:]
    assert_same_training(folder, one_device)
    limits = [json.loads((f / "limits.json").read_text()) for f in (folder, one_device)]
    assert_nearly_same(*limits)
    assert f"\n{folder}: kennen-o trained; class-balanced accuracy" in logs[0]
    said = "kennen-o trained by worker 1 of 2 and the others; worker 0 has written it."
    assert f"{folder}: {said}" in logs[1].splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_worker_that_is_left_alone_says_so(killed, query_dir, tmp_path):
    folder = tmp_path / "m"
    workers = start_workers(tmp_path, query_dir, folder, epochs=3000)
    left = workers[1 - killed]
    try:
        deadline = time.monotonic() + 180
        while not (folder / "metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        workers[killed].kill()
        assert left.wait(timeout=120) == 1
    finally:
        for worker in workers:
            worker.kill()
    said = read_logs(tmp_path)[1 - killed]
    assert f"\nerror: This is worker {1 - killed}: another worker has ended" in said
    assert "Traceback" not in said


def make_config(query_dir, folder, **settings):
    return MetamodelConfig(
        **{
            **SETTINGS,
            "query_dir": query_dir,
            "metamodel_dir": str(folder),
            **settings,
        }
    )


def make_command(query_dir, folder, **settings):
    flags = {
        **SETTINGS,
        "query_dir": query_dir,
        "metamodel_dir": str(folder),
        **settings,
    }
    command = [sys.executable, "-m", "kennen_tf.train_metamodel"]
    return [*command, *(f"--{name}={value}" for name, value in flags.items())]


def start_workers(tmp_path, query_dir, folder, **settings):
    """Starts two workers, whose output goes to files; returns their processes."""
    command = make_command(query_dir, folder, strategy="multi_worker", **settings)
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    workers = []
    for index in range(2):
        environment = {**os.environ, "TF_CONFIG": make_cluster(addresses, index)}
        with open(tmp_path / f"log{index}", "w") as log:
            workers.append(
                subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            )
    return workers


def make_cluster(addresses, index):
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


def read_logs(tmp_path):
    return [(tmp_path / f"log{index}").read_text() for index in range(2)]


def assert_nearly_same(ours, theirs):
    """Compares values of JSON, numbers within the tolerance of float32 sums."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        ours, theirs = list(ours.values()), list(theirs.values())
    if isinstance(theirs, list):
        for own, their in zip(ours, theirs, strict=True):
            assert_nearly_same(own, their)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5, nan_ok=True)
    else:
        assert ours == theirs


def free_ports(count):
    """Returns ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def test_auto_is_one_device_without_gpus():
    strategy = distribution.make_strategy("auto")
    assert strategy.num_replicas_in_sync == 1
    assert distribution.is_chief(strategy)
    assert not distribution.is_multi_worker(strategy)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "nonsense",
        "[]",
        '{"cluster": {}, "task": {}}',
        make_cluster(["a:1", "b:1"], 2),
        make_cluster(["a", "b"], 0),
        make_cluster(["a:1"], "first"),
        make_cluster(["a:1"], 0).replace("worker", "evaluator"),
    ],
)
def test_workers_without_a_cluster_are_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG.*Received"):
        distribution.make_strategy("multi_worker")


def test_workers_wait_for_each_other(monkeypatch):
    ports = free_ports(2)
    addresses = [f"localhost:{port}" for port in ports]
    monkeypatch.setenv("TF_CONFIG", make_cluster(addresses, 0))
    first = Cluster.from_environment()
    assert first.own == "worker 0"
    with pytest.raises(UserError, match=f"worker 1 at localhost:{ports[1]} .*refused"):
        first.meet(0.0)
    monkeypatch.setenv("TF_CONFIG", make_cluster(addresses, 1))
    second = Cluster.from_environment()
    with concurrent.futures.ThreadPoolExecutor() as threads:
        waiting = threads.submit(first.meet, 60.0)
        time.sleep(0.2)
        assert not waiting.done()
        second.meet(60.0)
        # As TensorFlow does from then on.
        with socket.create_server(("", ports[1])):
            waiting.result()
            parting = threads.submit(first.see_off, 60.0)
            time.sleep(0.2)
            assert not parting.done()
        parting.result()
    with socket.create_server(("", ports[0])):
        with pytest.raises(UserError, match=f"port of localhost:{ports[0]}.*be free"):
            first.meet(0.0)


def test_a_lost_worker_is_a_sentence_and_other_errors_are_not(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", make_cluster(["a:1", "b:1"], 1))
    lost = tf.errors.UnavailableError(None, None, "{{x}} aborted by: y gone\nz")
    with pytest.raises(UserError, match="This is worker 1: .*says: y gone$"):
        with distribution.naming_lost_workers("multi_worker"):
            raise lost
    with pytest.raises(tf.errors.UnavailableError):
        with distribution.naming_lost_workers("mirrored"):
            raise lost


def test_one_process_agrees_with_itself():
    strategy = distribution.make_strategy("one_device")
    distribution.check_same(strategy, object(), "object")


def test_an_unknown_strategy_is_refused():
    with pytest.raises(UserError, match="must be one of auto.*Received.*'tpu'"):
        distribution.make_strategy("tpu")


@pytest.mark.parametrize(
    "solved", [{"recipe": "kernel"}, {"recipe": "ridge"}, {"method": "linear"}]
)
def test_what_is_solved_for_is_refused_to_workers_before_they_meet(
    solved, query_dir, tmp_path, monkeypatch
):
    monkeypatch.setattr(Cluster, "from_environment", None)
    settings = {**solved, "strategy": "multi_worker", "epochs": 0, "batch_size": 0}
    config = make_config(query_dir, tmp_path / "m", **settings)
    with pytest.raises(UserError, match="solved for at once.*take --strategy=auto"):
        train_metamodel(config)
    assert not (tmp_path / "m").exists()


@pytest.mark.long
@pytest.mark.parametrize("solved", [{"recipe": "kernel"}, {"method": "linear"}])
def test_what_is_solved_for_is_so_once_whatever_the_devices(
    solved, query_dir, two_logical_cpus, tmp_path
):
    folders = [tmp_path / name for name in ("one_device", "mirrored")]
    for folder in folders:
        settings = {**solved, "strategy": folder.name, "epochs": 0, "batch_size": 0}
        train_metamodel(make_config(query_dir, folder, **settings))
    for name in ("metrics.jsonl", "limits.json"):
        texts = [(folder / name).read_text() for folder in folders]
        assert texts[0] == texts[1]
    weights = [Metamodel.load(f).keras_model.get_weights() for f in folders]
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_logical_cpus_are_for_what_takes_them_and_decide_nothing(monkeypatch):
    with pytest.raises(UserError, match="for --strategy=mirrored.*strategy='auto'"):
        MetamodelConfig(logical_cpus=2)
    with pytest.raises(UserError, match="--logical_cpus must be at least 1"):
        MetamodelConfig(logical_cpus=0)
    startup.import_tensorflow(1)
    found = len(tf.config.list_logical_devices("CPU"))
    startup.import_tensorflow(found)
    with pytest.raises(UserError, match=f"before TensorFlow.*=7, where.*{found} alre"):
        startup.import_tensorflow(7)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda *kind: ["GPU"] * 3)
    with pytest.raises(UserError, match="without a GPU: the 3 here would be taken"):
        startup.import_tensorflow(2)
