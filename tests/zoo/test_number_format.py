"""bfloat16 or float32: settled once for a zoo, by all processors that are there."""

import dataclasses
import logging

import commands
import pytest

from kennen_tf import build_zoo
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs.mnist_net import DESIGN
from kennen_tf.machine.processors import Processor
from kennen_tf.zoo import store

FAST, SLOW = Processor("fast", "bfloat16"), Processor("slow", "float32")


def make_engine(**processors):
    engine = commands.EngineHere()
    engine.processors = processors
    return engine


@pytest.mark.parametrize(
    ("processors", "takes", "dtype"),
    [
        ({"a": FAST, "b": FAST}, True, "bfloat16"),
        ({"a": FAST, "b": SLOW}, True, "float32"),
        ({"a": SLOW}, True, "float32"),
        ({"a": FAST}, False, "float32"),
    ],
)
def test_all_processors_decide(tmp_path, processors, takes, dtype):
    config = ZooConfig(num_models=1, zoo_dir=str(tmp_path / "zoo"))
    design = dataclasses.replace(DESIGN, takes_bfloat16=takes)
    settled = build_zoo._settle_dtype(config, design, make_engine(**processors))
    assert settled.compute_dtype == dtype


def test_a_zoo_keeps_its_own_and_tells_who_is_slow(tmp_path, caplog):
    config = ZooConfig(
        num_models=1, zoo_dir=str(tmp_path), epochs=1, compute_dtype="bfloat16"
    )
    store.prepare(
        store.ZooHeader(
            config=config,
            attributes=DESIGN.attributes,
            image_shape=(28, 28, 1),
            num_classes=10,
        )
    )
    auto = dataclasses.replace(config, compute_dtype="auto")
    engine = make_engine(a=FAST, b=SLOW)
    settled = build_zoo._settle_dtype(auto, DESIGN, engine)
    assert settled.compute_dtype == "bfloat16"

    noted = set()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            build_zoo._note_processors(settled, engine, noted)
    assert caplog.text.count("this is slow on b:") == 1
    assert store.read_header(tmp_path).processors == ("fast", "slow")
    # They stay when the zoo is gone on with, elsewhere.
    store.prepare(store.read_header(tmp_path))
    build_zoo._note_processors(settled, make_engine(c=Processor("new", "x")), set())
    assert store.read_header(tmp_path).processors == ("fast", "new", "slow")
