"""build_zoo on a Ray cluster: bits of the local pool, whoever is killed meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time

import commands
import design_fakes
import numpy as np
import pytest

from kennen_tf.designs import digits_net
from kennen_tf.machine import processors
from kennen_tf.vocabulary import artifacts
from kennen_tf.zoo import store

pytest.importorskip("ray")
pytestmark = pytest.mark.long

# Two for each of three compiled steps, on few images: what is dear is to start.
SPECS = [
    design_fakes.make_spec(digits_net.DESIGN, seed, split="half1", bs=64, **changes)
    for changes in ({"alg": "adam"}, {"alg": "sgd", "drop": "yes"}, {"fc": 2})
    for seed in (1, 2)
]


@pytest.fixture(scope="module")
def cluster():
    """A head and another node, of a core each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        made.add_node(num_cpus=1)
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """The command, but for the zoo and the engine."""
    source = tmp_path_factory.mktemp("source")
    images = design_fakes.small_images(digits_net.DESIGN, 700, 200)
    np.savez(source / "digits.npz", **images._asdict())
    lines = [json.dumps(spec.to_json()) for spec in SPECS]
    (source / "specs.jsonl").write_text("\n".join(lines))
    return (
        f"build_zoo --design=digits_net --dataset={source}/digits.npz "
        f"--specs={source}/specs.jsonl --epochs=8 --min_accuracy=0.5"
    )


def contents(zoo_dir):
    """Returns what equal zoos have in common: all but times. Its files are whole."""
    zoo = store.Zoo.open(zoo_dir)
    for record in zoo.accepted:
        zoo.check_classifier(record)
    rows = [record.to_json() for record in zoo.records]
    for row in rows:
        del row["seconds"]
    return rows


def test_bits_are_those_of_the_local_pool_whoever_is_killed(
    cluster, line, tmp_path, monkeypatch
):
    local, other = tmp_path / "local", tmp_path / "other"
    commands.run(tmp_path, line, f"--zoo_dir={local}", "--workers=1")

    on_ray = ["--engine=ray", f"--ray_address={cluster.address}", f"--zoo_dir={other}"]
    manifest = other / store.MANIFEST_NAME
    binary, *flags = line.split()
    driver = subprocess.Popen(
        [sys.executable, "-m", f"kennen_tf.{binary}", *flags, *on_ray],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (manifest.exists() and manifest.read_text().count("\n") >= 1):
        assert time.monotonic() < deadline and driver.poll() is None, driver.stderr
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    _, shown = driver.communicate()
    assert f"build_zoo 0/{len(SPECS)}" in shown
    before = artifacts.read_json_lines(manifest)
    assert 1 <= len(before) < len(SPECS)

    # The same command goes on; a node dies under it, and it ends in the same zoo.
    seen = []

    def add_record(zoo_dir, record, add=store.add_record):
        add(zoo_dir, record)
        seen.append(record)
        if len(seen) == 1:
            cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)

    monkeypatch.setattr(store, "add_record", add_record)
    commands.run(tmp_path, line, *on_ray)
    after = artifacts.read_json_lines(manifest)
    assert after[: len(before)] == before
    assert len(after) == len(SPECS) == len(before) + len(seen)
    assert contents(other) == contents(local)
    kinds = store.read_header(other).processors
    assert kinds == (processors.describe().kind,) == store.read_header(local).processors
    assert not [p for p in os.listdir(other) if artifacts.TEMPORARY_MARK in p]
