"""The design in docs/designs.md does what is said of it: the very text is run."""

import dataclasses
import pathlib
import re
import sys

import commands
import numpy as np
import pytest
from design_fakes import check_reset, make_spec, small_images

from kennen_tf.designs.design import load_design
from kennen_tf.machine.engines import making
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.zoo import store

pytestmark = pytest.mark.long

ATTRIBUTES = ("blocks", "width", "norm", "augment", "bs")
SMALL = ("--num_models=4", "--epochs=1", "--min_accuracy=0", "--workers=1")


def read_section():
    """Returns the section on designs of one's own."""
    # Of the checkout, whatever package is tested.
    document = pathlib.Path(__file__).resolve().parents[2] / "docs" / "designs.md"
    _, _, rest = document.read_text().partition("## Your own design\n")
    return rest.partition("\n## ")[0]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the module and a zoo of four small classifiers of it."""
    section = read_section()
    [module] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    folder = tmp_path_factory.mktemp("documented")
    (folder / "my_resnets.py").write_text(module)
    build, query, *others = re.findall("^kennen-.*$", section, re.MULTILINE)
    for line in others:
        commands.parse(line)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "make_engine", commands.EngineHere)
        commands.run(folder, build, *SMALL)
    return folder, build, query


def test_the_commands_build_and_query_a_zoo(built):
    folder, _, query = built
    zoo = store.Zoo.open(folder / "resnets")
    assert zoo.attributes.names == ATTRIBUTES
    assert (zoo.image_shape, zoo.num_classes) == ((16, 16, 3), 10)
    assert len(zoo.records) == 4

    commands.run(folder, query, "--num_queries=12")
    info = QueryOutputsInfo.open(folder / "resnet_queries")
    assert info.attributes == zoo.attributes
    assert (info.image_shape, info.num_classes) == ((16, 16, 3), 10)
    assert len(info.records) == len(zoo.accepted)


def test_its_augmentation_is_active_in_training_only(built):
    folder, _, _ = built
    zoo = store.Zoo.open(folder / "resnets")
    changed = [r for r in zoo.accepted if r.values["augment"] != "none"]
    assert changed
    images = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    for record in changed:
        model = zoo.load_classifier(record)
        answers = [np.asarray(model(images, training=False)) for _ in range(2)]
        np.testing.assert_array_equal(*answers)
        trained = [np.asarray(model(images, training=True)) for _ in range(2)]
        assert not np.array_equal(*trained)


def test_it_goes_on_with_the_same_command(built):
    folder, build, _ = built
    before = (folder / "resnets" / store.MANIFEST_NAME).read_text()
    commands.run(folder, build, *SMALL)
    assert (folder / "resnets" / store.MANIFEST_NAME).read_text() == before


def test_its_trainer_forgets_what_it_trained_before(built, monkeypatch):
    folder, _, _ = built
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    design = dataclasses.replace(load_design("my_resnets:DESIGN"), epochs=2)
    # Statistics of normalisation, and random shifts whose generator goes on.
    chosen = {"norm": "batch", "augment": "shift", "bs": 16}
    spec, other = (make_spec(design, seed, **chosen) for seed in (3, 4))
    check_reset(design, small_images(design, num_train=64), spec, other)
