"""build_zoo when trainings fail, and on how many cores it runs."""

import json
import subprocess
import sys

import pytest

from kennen_tf.machine import processors
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import store, workers
from kennen_tf.zoo.specs import ClassifierSpec

# `build` fails for one number of layers and `optimizer` for one name, unless mended.
MODULE = """
import pathlib
import keras
import numpy as np
from kennen_tf.attributes import Attribute
from kennen_tf.designs.design import Design
from kennen_tf.labeled_images import LabeledImages

def images():
    random = np.random.default_rng(0)
    labels = (np.arange(60) % 3).astype(np.int32)
    made = random.integers(0, 99, (60, 4, 4, 1), np.uint8)
    made += 70 * labels[:, None, None, None].astype(np.uint8)
    return LabeledImages(made[:40], labels[:40], made[40:], labels[40:])

def build(values, seed):
    x = inputs = keras.Input((4, 4, 1))
    if values["depth"] == 9 and not pathlib.Path("mended").exists():
        raise ValueError("too deep\\nby far")
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))

def optimizer(values):
    if values["alg"] == "lion" and not pathlib.Path("mended").exists():
        raise RuntimeError("no such optimizer")
    return keras.optimizers.SGD()

CLASSES = 3
DESIGN = Design(
    attributes=[
        Attribute(name="depth", values=(1, 2, 9)),
        Attribute(name="alg", values=("sgd", "lion")),
    ],
    images=images,
    build=build,
    step_attributes=["depth", "alg"],
    optimizer=optimizer,
    batch_size=lambda values: 8,
    epochs=1,
)
"""
GOOD = [{"depth": depth, "alg": "sgd", "seed": 1} for depth in (1, 2)]
BAD = [
    {"depth": 9, "alg": "sgd", "seed": 1},
    {"depth": 1, "alg": "lion", "seed": 1},
]
SPECS = [GOOD[0], *BAD, GOOD[1]]


@pytest.fixture
def folder(tmp_path):
    """A folder with the design and a file of specs of which two fail."""
    (tmp_path / "fails.py").write_text(MODULE)
    (tmp_path / "specs.jsonl").write_text("\n".join(map(json.dumps, SPECS)))
    return tmp_path


def build(folder, *flags):
    return subprocess.run(
        [
            *(sys.executable, "-m", "kennen_tf.build_zoo", "--design=fails:DESIGN"),
            *("--specs=specs.jsonl", "--workers=1", *flags),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def read(folder):
    """Returns status and reason of each classifier, and the number of records."""
    records = store.read_manifest(folder / "zoo")
    lines = (folder / "zoo" / store.MANIFEST_NAME).read_text().splitlines()
    states = {
        (r.spec["depth"], r.spec["alg"], r.spec.seed): (r.status, r.reason)
        for r in records
    }
    return states, len(lines)


def test_failures_are_recorded_and_tried_again_only_if_asked(folder):
    result = build(folder)
    assert result.returncode == 0, result.stderr
    assert "The training of 2 failed; --retry_failed tries again" in result.stdout
    assert "ValueError: too deep" in result.stderr
    states, num_lines = read(folder)
    assert states[9, "sgd", 1] == (store.FAILED, "ValueError: too deep")
    assert states[1, "lion", 1] == (store.FAILED, "RuntimeError: no such optimizer")
    for depth in (1, 2):
        assert states[depth, "sgd", 1][0] != store.FAILED
    assert num_lines == 4

    (folder / "mended").touch()
    assert build(folder).returncode == 0
    assert read(folder) == (states, 4)

    result = build(folder, "--retry_failed")
    assert result.returncode == 0, result.stderr
    states, num_lines = read(folder)
    assert store.FAILED not in {status for status, _ in states.values()}
    assert num_lines == 6  # The later line counts.

    result = build(folder, "--threads=2")
    assert result.returncode == 1
    assert "is built with --threads=1. Received: threads=2" in result.stderr
    assert "Traceback" not in result.stderr


def test_more_failures_than_allowed_end_the_build(folder):
    result = build(folder, "--max_failures=1")
    assert result.returncode == 1
    [error] = [x for x in result.stderr.splitlines() if x.startswith("error:")]
    assert "--max_failures=1" in error and "RuntimeError: no such optimizer" in error
    states, _ = read(folder)
    assert len(states) == 3  # Groups are trained one after the other.

    # They are not counted again.
    result = build(folder, "--max_failures=0")
    assert result.returncode == 0, result.stderr
    assert len(read(folder)[0]) == 4


def test_a_model_with_other_classes_ends_the_build(folder):
    module = folder / "fails.py"
    module.write_text(MODULE.replace("CLASSES = 3", "CLASSES = 4"))
    result = build(folder)
    assert result.returncode == 1
    [error] = [x for x in result.stderr.splitlines() if x.startswith("error:")]
    assert "answer 3 logits" in error
    assert "Traceback" not in result.stderr


def test_the_reason_of_a_failure_is_one_line():
    spec = ClassifierSpec(3, 4, {"depth": 1})
    record = workers._describe_failure(spec, ValueError("first\nsecond"), 1.23456)
    assert (record.status, record.reason) == (store.FAILED, "ValueError: first")
    assert record.seconds == 1.235
    assert workers._describe_failure(spec, KeyError(), 0).reason == "KeyError: "


def test_errors_of_workers_keep_their_meaning():
    error = workers._portable(UserError("one sentence"))
    assert type(error) is UserError and str(error) == "one sentence"
    disk = workers._portable(OSError(28, "No space left on device", "zoo/a.keras"))
    assert isinstance(disk, OSError) and disk.errno == 28


@pytest.mark.parametrize(
    ("affinity", "limit", "cores"),
    [
        ({0, 1, 5}, None, 3),
        ({0, 1, 5}, "max 100000\n", 3),
        ({0, 1, 5}, "200000 100000\n", 2),
        ({0, 1, 5}, "150000 100000\n", 2),  # A part of a core is used, too.
        ({0, 1, 5}, "50000 100000\n", 1),
        ({0, 1, 5}, "800000 100000\n", 3),
        ({7}, "max 100000\n", 1),
    ],
)
def test_cores_are_those_of_affinity_and_container(
    tmp_path, monkeypatch, affinity, limit, cores
):
    path = tmp_path / "cpu.max"
    if limit is not None:
        path.write_text(limit)
    monkeypatch.setattr(processors, "_CONTAINER", path)
    monkeypatch.setattr(
        processors.os, "sched_getaffinity", lambda pid: affinity, raising=False
    )
    assert processors.available_cores() == cores


def test_cores_without_affinity_are_those_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(processors, "_CONTAINER", tmp_path / "none")
    monkeypatch.delattr(processors.os, "sched_getaffinity")
    monkeypatch.setattr(processors.os, "cpu_count", lambda: 6)
    assert processors.available_cores() == 6
    monkeypatch.setattr(processors.os, "cpu_count", lambda: None)
    assert processors.available_cores() == 1
