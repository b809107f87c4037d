"""build_zoo when trainings fail."""

import json

import commands
import pytest

from kennen_tf.machine.engines import making
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import store, training_tasks
from kennen_tf.zoo.specs import ClassifierSpec

# `build` fails for one number of layers and `optimizer` for one name, unless mended.
MODULE = """
import pathlib
import keras
import numpy as np
from kennen_tf.attributes import Attribute
from kennen_tf.designs.design import Design
from kennen_tf.vocabulary.labeled_images import LabeledImages

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
    line = "build_zoo --design=fails:DESIGN --specs=specs.jsonl --workers=1"
    return commands.run(folder, line, *flags)


def read(folder):
    """Returns status and reason of each classifier, and the number of records."""
    records = store.read_manifest(folder / "zoo")
    lines = (folder / "zoo" / store.MANIFEST_NAME).read_text().splitlines()
    states = {
        (r.spec["depth"], r.spec["alg"], r.spec.seed): (r.status, r.reason)
        for r in records
    }
    return states, len(lines)


@pytest.mark.long
def test_failures_are_recorded_and_tried_again_only_if_asked(
    folder, caplog, monkeypatch
):
    monkeypatch.setattr(making, "make_engine", commands.EngineHere)
    # More than are allowed end the build.
    message = "--max_failures=1 .*RuntimeError: no such optimizer"
    with pytest.raises(UserError, match=message):
        build(folder, "--max_failures=1")
    assert "failed: ValueError: too deep" in caplog.text
    states, num_lines = read(folder)
    assert states[9, "sgd", 1] == (store.FAILED, "ValueError: too deep")
    assert states[1, "lion", 1] == (store.FAILED, "RuntimeError: no such optimizer")
    assert num_lines == 3  # Groups are trained one after the other.

    # They are not counted again.
    printed = build(folder, "--max_failures=0")
    assert "The training of 2 failed; --retry_failed tries again" in printed
    states, num_lines = read(folder)
    for depth in (1, 2):
        assert states[depth, "sgd", 1][0] != store.FAILED
    assert num_lines == 4

    (folder / "mended").touch()
    build(folder)
    assert read(folder) == (states, 4)

    build(folder, "--retry_failed")
    states, num_lines = read(folder)
    assert store.FAILED not in {status for status, _ in states.values()}
    assert num_lines == 6  # The later line counts.

    with pytest.raises(UserError, match="with --threads=1. Received: threads=2"):
        build(folder, "--threads=2")


@pytest.mark.long
def test_a_model_with_other_classes_ends_the_build(folder):
    # In a process of its own: what a worker raises comes from there.
    module = folder / "fails.py"
    module.write_text(MODULE.replace("CLASSES = 3", "CLASSES = 4"))
    with pytest.raises(UserError, match="answer 3 logits"):
        build(folder)


def test_the_reason_of_a_failure_is_one_line():
    spec = ClassifierSpec(3, 4, {"depth": 1})
    record = training_tasks._describe_failure(
        spec, ValueError("first\nsecond"), 1.23456
    )
    assert (record.status, record.reason) == (store.FAILED, "ValueError: first")
    assert record.seconds == 1.235
    assert training_tasks._describe_failure(spec, KeyError(), 0).reason == "KeyError: "
