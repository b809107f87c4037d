"""An attribute is appended to a design: its older zoo opens, and goes on."""

import json

import commands
import pytest

from kennen_tf.machine.engines import making
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import store

pytestmark = pytest.mark.long

MODULE = """
import keras
import numpy as np
from kennen_tf.attributes import Attribute
from kennen_tf.designs.design import Design
from kennen_tf.vocabulary.labeled_images import LabeledImages

def images():
    labels = (np.arange(60) % 3).astype(np.int32)
    made = np.zeros((60, 4, 4, 1), np.uint8)
    made[range(60), labels] = 255  # The row of a bar says the class.
    return LabeledImages(made[:40], labels[:40], made[40:], labels[40:])

def build(values, seed):
    x = inputs = keras.Input((4, 4, 1))
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))

DESIGN = Design(
    attributes=[Attribute(name="bs", values=(4, 8))],
    images=images,
    build=build,
    step_attributes=(),
    batch_size=lambda values: values["bs"],
    optimizer=lambda values: keras.optimizers.SGD(0.5),
    epochs=3,
)
"""
FIRST = 'Attribute(name="bs", values=(4, 8))'
LATER = 'Attribute(name="decay", values=("no", "yes"))'
BUILD = "build_zoo --design=grows:DESIGN --specs=specs.jsonl --workers=1"


def write(folder, attributes, specs):
    (folder / "grows.py").write_text(MODULE.replace(FIRST, attributes))
    (folder / "specs.jsonl").write_text("\n".join(map(json.dumps, specs)))


def test_an_appended_attribute_has_its_first_value_in_what_was_there(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(making, "make_engine", commands.EngineHere)
    old = [{"bs": bs, "seed": 1} for bs in (4, 8)]
    write(tmp_path, FIRST, old)
    commands.run(tmp_path, BUILD)
    manifest = tmp_path / "zoo" / store.MANIFEST_NAME
    before = manifest.read_text()

    grown = [{**spec, "decay": "no"} for spec in old]
    new = {"bs": 4, "decay": "yes", "seed": 2}
    write(tmp_path, f"{FIRST}, {LATER}", [*grown, new])
    commands.run(tmp_path, BUILD)
    # What was there was not trained again.
    assert manifest.read_text().startswith(before)
    assert manifest.read_text().count("\n") == 3

    commands.run(
        tmp_path, "query_zoo --zoo_dir=zoo --query_dir=queries --num_queries=5"
    )
    info = QueryOutputsInfo.open(tmp_path / "queries")
    assert info.attributes.names == ("bs", "decay")
    values = sorted((e.values["bs"], e.values["decay"]) for e in info.entries)
    assert values == [(4, "no"), (4, "yes"), (8, "no")]

    # Values can neither be taken away again nor stand in another order.
    for attributes in (FIRST, f"{LATER}, {FIRST}"):
        names = ["bs", "decay"] if LATER in attributes else ["bs"]
        write(tmp_path, attributes, [{k: new[k] for k in (*names, "seed")}])
        with pytest.raises(UserError, match="can be appended and nothing else"):
            commands.run(tmp_path, BUILD)
