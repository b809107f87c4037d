"""Strategies: two devices, or two processes, train what one device trains."""

import dataclasses
import json
import os
import socket
import subprocess
import sys

import fakes
import keras
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.recipes import EVERY, RECIPES
from kennen_tf.machine import distribution
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
def test_two_workers_train_what_one_device_trains(query_dir, one_device, tmp_path):
    folder = tmp_path / "m"
    arguments = {
        **SETTINGS,
        "query_dir": query_dir,
        "metamodel_dir": str(folder),
        "strategy": "multi_worker",
    }
    command = [sys.executable, "-m", "kennen_tf.train_metamodel"]
    command += [f"--{name}={value}" for name, value in arguments.items()]
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    workers = []
    for index in range(2):
        cluster = {
            "cluster": {"worker": addresses},
            "task": {"type": "worker", "index": index},
        }
        environment = {**os.environ, "TF_CONFIG": json.dumps(cluster)}
        with open(tmp_path / f"log{index}", "w") as log:
            workers.append(
                subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            )
    try:
        codes = [worker.wait(timeout=180) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert codes == [0, 0], (tmp_path / "log0").read_text()[-3000:]
    assert_same_training(folder, one_device)


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


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"cluster": {}, "task": {}}'])
def test_workers_without_a_cluster_are_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG.*Received"):
        distribution.make_strategy("multi_worker")


def test_an_unknown_strategy_is_refused():
    with pytest.raises(UserError, match="must be one of auto.*Received.*'tpu'"):
        distribution.make_strategy("tpu")


def test_a_batch_smaller_than_the_devices_is_refused(two_logical_cpus):
    strategy = distribution.make_strategy("mirrored")
    distribution.check_batch_size(2, strategy)
    with pytest.raises(UserError, match="each of 2 replicas. Received: batch_size=1"):
        distribution.check_batch_size(1, strategy)
