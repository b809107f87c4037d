"""The zoo on disk: equal models give equal bytes, and damage is told by name."""

import dataclasses
import json
import shutil

import fakes
import numpy as np
import pytest

from kennen_tf.attributes import Attribute, AttributeTable, SharedValues
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.keras_models import saving
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import store

SPECS = [fakes.spec_at(11, 3), fakes.spec_at(11, 4), fakes.spec_at(12, 0)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return fakes.make_zoo(tmp_path_factory.mktemp("made") / "zoo", SPECS)


@pytest.fixture
def zoo(made, tmp_path):
    """A copy, that a test may damage."""
    folder = tmp_path / "zoo"
    shutil.copytree(made.zoo_dir, folder)
    config = dataclasses.replace(made.config, zoo_dir=str(folder))
    store.prepare(fakes.make_header(config))
    return store.Zoo.open(folder)


def test_records_come_back_sorted_by_id(zoo):
    assert [record.spec for record in zoo.accepted] == SPECS
    assert [record.id for record in zoo.records] == [spec.id for spec in SPECS]


def test_loaded_classifier_is_the_saved_one(zoo):
    wanted = fakes.build_classifier(SPECS[0])
    random = np.random.default_rng([11, 3])
    weights = [random.normal(0, 0.1, w.shape) for w in wanted.get_weights()]
    for a, b in zip(
        weights, zoo.load_classifier(zoo.accepted[0]).get_weights(), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_equal_models_give_equal_bytes(tmp_path):
    model = fakes.build_classifier(SPECS[0])
    twin = fakes.build_classifier(SPECS[0])
    twin.set_weights(model.get_weights())
    saving.save_model(model, tmp_path / "a.keras")
    saving.save_model(twin, tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.keras", "b.keras"]


def test_torn_last_line_is_mended_and_the_rest_kept(zoo):
    manifest = zoo.zoo_dir / store.MANIFEST_NAME
    with open(manifest, "a") as file:
        file.write('{"id": "c000')
    assert [r.id for r in store.read_manifest(zoo.zoo_dir)] == [s.id for s in SPECS]
    store.prepare(fakes.make_header(zoo.config))
    fakes.add_classifier(zoo.zoo_dir, fakes.spec_at(13, 0))
    assert len(store.read_manifest(zoo.zoo_dir)) == 4


def test_records_that_are_alike_share_their_values(zoo):
    row = artifacts.canonical_json(zoo.records[0].to_json())
    shared = SharedValues()
    first, again = (
        store.ClassifierRecord.from_json(json.loads(row), shared) for _ in range(2)
    )
    assert first == again == zoo.records[0]
    assert first.values is again.values
    assert first.spec.combination is again.spec.combination


def test_leftovers_of_a_killed_run_are_removed(zoo):
    leftover = zoo.zoo_dir / "classifiers" / ".incomplete-1.keras"
    leftover.touch()
    store.prepare(fakes.make_header(zoo.config))
    assert not leftover.exists()
    assert all(store.is_whole(zoo.zoo_dir, record) for record in zoo.records)


@pytest.mark.parametrize("damage", ["missing", "truncated", "altered"])
def test_damaged_classifier_is_refused_by_name(zoo, damage):
    record = zoo.accepted[1]
    path = zoo.classifier_path(record)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        cut = content[:-100] if damage == "truncated" else b"x" + content[1:]
        path.write_bytes(cut)
    with pytest.raises(UserError, match=record.id):
        zoo.load_classifier(record)
    assert store.is_whole(zoo.zoo_dir, record) == (damage == "altered")


def test_other_schema_version_is_refused(zoo):
    path = zoo.zoo_dir / store.CONFIG_NAME
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "schema_version": 99}))
    with pytest.raises(UserError, match="schema version 1. Received: 99"):
        store.Zoo.open(zoo.zoo_dir)


def test_a_damaged_attribute_table_is_refused(zoo):
    path = zoo.zoo_dir / store.ATTRIBUTES_NAME
    table = json.loads(path.read_text())
    del table["attributes"][0]["values"]
    path.write_text(json.dumps(table))
    with pytest.raises(UserError, match="attribute table"):
        store.Zoo.open(zoo.zoo_dir)


@pytest.mark.parametrize("there", [False, True])
def test_missing_and_empty_folders_are_told(tmp_path, there):
    folder = tmp_path / "nothing"
    if there:
        folder.mkdir()
    with pytest.raises(UserError, match="No zoo at .*nothing.*build_zoo"):
        store.Zoo.open(folder)


def test_zoo_cannot_be_continued_with_other_settings(zoo):
    other = ZooConfig.from_json({**zoo.config.to_json(), "epochs": 7})
    with pytest.raises(UserError, match="--epochs=1. Received: epochs=7"):
        store.prepare(fakes.make_header(other))
    # Weights depend on them.
    threads = ZooConfig.from_json({**zoo.config.to_json(), "threads": 2})
    with pytest.raises(UserError, match="--threads=1. Received: threads=2"):
        store.prepare(fakes.make_header(threads))
    larger = ZooConfig.from_json({**zoo.config.to_json(), "num_models": 20_000})
    store.prepare(fakes.make_header(larger))
    assert store.Zoo.open(zoo.zoo_dir).config.num_models == 20_000


def test_attributes_can_be_appended_and_nothing_else(zoo):
    thirteenth = Attribute(name="decay", values=("no", "yes"), group="optimization")
    grown = AttributeTable([*fakes.TABLE, thirteenth])
    store.prepare(fakes.make_header(zoo.config, grown))
    assert store.Zoo.open(zoo.zoo_dir).attributes == grown
    with pytest.raises(UserError, match="Attributes can be appended and nothing else"):
        store.prepare(fakes.make_header(zoo.config))


def test_a_zoo_of_before_there_were_designs_opens(zoo):
    path = zoo.zoo_dir / store.CONFIG_NAME
    stored = json.loads(path.read_text())
    for name in ("imported", "image_shape", "num_classes"):
        del stored[name]
    for name in ("design", "max_failures", "retry_failed"):
        del stored["config"][name]
    path.write_text(json.dumps(stored))
    again = store.Zoo.open(zoo.zoo_dir)
    assert (again.image_shape, again.num_classes) == ((28, 28, 1), 10)
    assert again.design.name == "mnist_net"
    wanted = again.records[0].spec.combination
    values = again.values_of(again.records[:1])
    assert wanted.items() <= values.items() and set(values) == set(fakes.TABLE.names)


def test_fingerprint_names_the_accepted_classifiers(zoo):
    same = store.Zoo.open(zoo.zoo_dir)
    assert same.fingerprint == zoo.fingerprint
    fakes.add_classifier(zoo.zoo_dir, fakes.spec_at(14, 0))
    assert store.Zoo.open(zoo.zoo_dir).fingerprint != zoo.fingerprint


def test_disk_that_fills_up_leaves_the_manifest_readable(zoo, monkeypatch):
    record = zoo.accepted[0]

    def full(path, value):
        with open(path, "a") as file:
            file.write(artifacts.canonical_json(value)[:40])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifacts, "append_json_line", full)
    with pytest.raises(OSError, match="No space left"):
        store.add_record(zoo.zoo_dir, record)
    monkeypatch.undo()
    store.prepare(fakes.make_header(zoo.config))
    assert len(store.read_manifest(zoo.zoo_dir)) == 3


def test_disk_that_fills_up_leaves_no_half_classifier(zoo, monkeypatch):
    path = zoo.classifier_path(zoo.accepted[0])
    content = path.read_bytes()

    def full(source, target):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving, "_copy", full)
    with pytest.raises(OSError, match="No space left"):
        saving.save_model(fakes.build_classifier(SPECS[0]), path)
    assert path.read_bytes() == content
    assert len(list(path.parent.iterdir())) == 3
