"""build_zoo on a Ray cluster: bits of the local pool, whoever is killed meanwhile."""

import os
import signal
import subprocess
import sys
import time

import build_fakes
import commands
import engine_fakes
import pytest

from kennen_tf.machine import processors
from kennen_tf.vocabulary import artifacts
from kennen_tf.zoo import store

pytest.importorskip("ray")
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def cluster():
    """A head and another node, of a core each."""
    with (
        pytest.MonkeyPatch.context() as patch,
        engine_fakes.two_nodes(patch) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """The command, but for the zoo and the engine."""
    command = build_fakes.write_source(tmp_path_factory.mktemp("source"))
    return f"{command} --epochs=8 --min_accuracy=0.5"


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
    try:
        deadline = time.monotonic() + 120
        while not (manifest.exists() and manifest.read_text().count("\n") >= 1):
            assert time.monotonic() < deadline and driver.poll() is None
            time.sleep(0.05)
    finally:
        driver.send_signal(signal.SIGKILL)
        _, shown = driver.communicate()
    assert f"build_zoo 0/{len(build_fakes.SPECS)}" in shown
    before = artifacts.read_json_lines(manifest)
    assert 1 <= len(before) < len(build_fakes.SPECS)

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
    assert len(after) == len(build_fakes.SPECS) == len(before) + len(seen)
    assert build_fakes.contents(other) == build_fakes.contents(local)
    zoo = store.Zoo.open(other)
    for record in zoo.accepted:
        zoo.check_classifier(record)
    kinds = store.read_header(other).processors
    assert kinds == (processors.describe().kind,) == store.read_header(local).processors
    assert not [p for p in os.listdir(other) if artifacts.TEMPORARY_MARK in p]
