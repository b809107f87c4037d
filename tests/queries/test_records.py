"""Records and query outputs: round trips, both readers, damage, overwriting."""

import dataclasses
import hashlib
import json

import fakes
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from kennen_tf.attributes import Attribute, AttributeTable
from kennen_tf.configs.queries import QueryConfig
from kennen_tf.queries import (
    output_folder,
    query_inputs,
    records,
    tfds_metadata,
    writing,
)
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo.entries import QueriedEntry
from pipelines import query_outputs as pipeline

NUM_ENTRIES, NUM_QUERIES, NUM_SHARDS = 40, 7, 3


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "queries"
    entries = fakes.write_query_outputs(
        folder, NUM_ENTRIES, NUM_QUERIES, planted=True, num_shards=NUM_SHARDS
    )
    return folder, entries


@pytest.fixture
def copy(made, tmp_path):
    """Query outputs that a test may damage."""
    folder = tmp_path / "queries"
    folder.mkdir()
    for path in made[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def answers_of(entry):
    return fakes.make_probabilities(entry, NUM_QUERIES, planted=True)


# Records.


def test_a_record_is_parsed_as_it_was_encoded():
    entry = fakes.make_entries(3)[2]
    serialized = records.encode(fakes.TABLE, entry, answers_of(entry))
    parsed = records.parse(tf.constant([serialized]), fakes.TABLE, NUM_QUERIES, 10)
    assert parsed["id"][0] == entry.id.encode()
    assert parsed["combination_id"][0] == entry.combination_id.encode()
    assert parsed["members"].to_list() == [[m.encode() for m in entry.members]]
    assert {n: int(parsed[n][0]) for n in fakes.TABLE.names} == fakes.TABLE.labels(
        entry.values
    )
    np.testing.assert_array_equal(parsed["probabilities"][0], answers_of(entry))


def test_the_bytes_of_a_record_are_the_same_for_ever():
    entry = fakes.make_entries(3)[2]
    serialized = records.encode(fakes.TABLE, entry, answers_of(entry))
    digest = "49373f5943fafc5a0cb4cc2b1f6a48f5f47aef2983667e42dd03236cdb62c881"
    assert hashlib.sha256(serialized).hexdigest() == digest


def test_every_attribute_and_nothing_unknown_is_in_the_schema():
    others = {"id", "combination_id", "members", "accuracy", "probabilities"}
    assert set(records.fields(fakes.TABLE, 1, 10)) == others | set(fakes.TABLE.names)


def test_a_wrong_field_of_a_record_is_named():
    entry = fakes.make_entries(1)[0]
    with pytest.raises(ValueError, match="float32 of shape .* Received: float64"):
        records.encode(fakes.TABLE, entry, np.zeros((7, 10)))


def test_an_entry_survives_json():
    for entry in fakes.make_entries(3):
        text = json.dumps(entry.to_json())
        assert QueriedEntry.from_json(json.loads(text)) == entry


# Query inputs.


def test_queries_are_drawn_without_replacement_and_their_seed_decides():
    images = (
        np.arange(50 * 784, dtype=np.uint32).astype(np.uint8).reshape(50, 28, 28, 1)
    )
    labels = np.arange(50, dtype=np.int64) % 10
    drawn = query_inputs.draw(images, labels, 50, 0)
    assert sorted(drawn.indices) == list(range(50))
    np.testing.assert_array_equal(drawn.images, images[drawn.indices])
    np.testing.assert_array_equal(drawn.labels, labels[drawn.indices])
    assert drawn.fingerprint == query_inputs.draw(images, labels, 50, 0).fingerprint
    assert drawn.fingerprint != query_inputs.draw(images, labels, 50, 1).fingerprint
    with pytest.raises(UserError, match="at most .* 50. Received: num_queries=51"):
        query_inputs.draw(images, labels, 51, 0)


def test_queries_are_sent_as_float32_from_0_to_1():
    pixels = QueryInputs(
        images=np.full((1, 28, 28, 1), 255, np.uint8),
        labels=np.zeros(1, np.int32),
        indices=np.zeros(1, np.int32),
    ).pixels
    assert pixels.dtype == np.float32 and pixels.min() == pixels.max() == 1.0


def test_queries_survive_their_file_and_can_be_taken_apart(tmp_path):
    queries = fakes.make_query_inputs(5)
    queries.save(tmp_path / "queries.npz")
    first = (tmp_path / "queries.npz").read_bytes()
    loaded = QueryInputs.load(tmp_path / "queries.npz")
    assert loaded.fingerprint == queries.fingerprint
    np.testing.assert_array_equal(loaded.take([3, 0]).images, queries.images[[3, 0]])
    loaded.save(tmp_path / "queries.npz")
    assert (tmp_path / "queries.npz").read_bytes() == first


@pytest.mark.parametrize("content", [None, b"", b"PK not a zip", b"\x93NUMPY"])
def test_a_missing_or_damaged_file_of_queries_is_named(tmp_path, content):
    path = tmp_path / "queries.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="queries.npz must hold query images"):
        QueryInputs.load(path)


# Query outputs on disk.


def test_opened_query_outputs_are_as_written(made):
    folder, entries = made
    info = QueryOutputsInfo.open(folder)
    assert list(info.entries) == entries
    assert info.num_queries == NUM_QUERIES
    assert len(info.shard_paths) == NUM_SHARDS
    assert info.query_inputs.fingerprint == (
        fakes.make_query_inputs(NUM_QUERIES).fingerprint
    )


def test_plain_tf_data_reads_them(made):
    info = QueryOutputsInfo.open(made[0])
    by_id = {entry.id: entry for entry in made[1]}
    shards = tf.data.TFRecordDataset([str(path) for path in info.shard_paths])
    ids = []
    for parsed in shards.batch(8).map(
        lambda s: records.parse(s, info.attributes, NUM_QUERIES, info.num_classes)
    ):
        for i, entry_id in enumerate(parsed["id"].numpy()):
            ids.append(entry_id.decode())
            entry = by_id[ids[-1]]
            np.testing.assert_array_equal(parsed["probabilities"][i], answers_of(entry))
    assert ids == [entry.id for entry in info.records]
    assert sorted(ids) == sorted(by_id)


def test_tensorflow_datasets_reads_them(made):
    builder = tfds.builder_from_directory(made[0])
    by_id = {entry.id: entry for entry in made[1]}
    assert list(builder.info.splits) == ["entries"]
    assert builder.info.splits["entries"].num_examples == NUM_ENTRIES
    assert builder.info.features["act"].names == ["relu", "prelu", "elu", "tanh"]
    seen = set()
    for record in tfds.as_numpy(builder.as_dataset(split="entries")):
        entry = by_id[record["id"].decode()]
        seen.add(entry.id)
        assert [m.decode() for m in record["members"]] == list(entry.members)
        assert {n: record[n] for n in fakes.TABLE.names} == fakes.TABLE.labels(
            entry.values
        )
        np.testing.assert_array_equal(record["probabilities"], answers_of(entry))
    assert seen == set(by_id)


def test_tensorflow_datasets_tells_what_they_are(made):
    info = tfds.builder_from_directory(made[0]).info
    assert "the same 7 queries: images of 28 x 28 pixels" in info.description
    assert "The only split, 'entries', holds all entries" in info.description
    assert "act, drop, pool, ks, #conv, " in info.description
    assert "Oh and Max Augustin and Bernt Schiele and Mario Fritz" in info.citation
    assert info.homepage.startswith("https://openreview.net/forum?id=")
    declared = dict(info.features)
    assert all(feature.doc.desc for feature in declared.values())
    assert not set(declared) & set(info.splits)
    assert declared["conv"].doc.desc.startswith("#conv: convolution layers. A label")
    assert declared["conv"].doc.value_range.startswith("2, 3, 4; -1 where it is not")
    assert declared["probabilities"].doc.value_range == "0 to 1, each row with sum 1"
    assert "answer to the same 7 queries" in str(info)


def test_queries_without_images_are_described(tmp_path):
    queries = QueryInputs(
        images=np.zeros((2, 0, 0, 0), np.uint8),
        labels=np.zeros(2, np.int32),
        indices=np.arange(2, dtype=np.int32),
    )
    words = tfds_metadata.describe(SMALL, queries, 3)
    assert "the same 2 queries: whose images are not there. One record" in words
    assert "its attributes (depth, family)" in words


def test_query_outputs_of_before_the_split_was_renamed_are_read(made, copy):
    info = QueryOutputsInfo.open(copy)
    former = {
        name: name.replace("-entries.", "-classifiers.")
        for name in (path.name for path in info.shard_paths)
    }
    for name, old in former.items():
        assert name != old
        (copy / name).rename(copy / old)
    path = copy / "config.json"
    stored = json.loads(path.read_text())
    stored["shards"] = list(former.values())
    path_of_splits = copy / "dataset_info.json"
    path_of_splits.write_text(
        path_of_splits.read_text().replace('"entries"', '"classifiers"')
    )
    for name, old in former.items():
        stored["files"][old] = stored["files"].pop(name)
    content = path_of_splits.read_bytes()
    stored["files"]["dataset_info.json"] = {
        "num_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    path.write_text(json.dumps(stored))

    old = QueryOutputsInfo.open(copy)
    assert old.records == info.records
    ids = [entry.id for entry in made[1]]
    features, _ = pipeline.load_arrays(old, ids, range(NUM_QUERIES), None)
    np.testing.assert_array_equal(features, [answers_of(entry) for entry in made[1]])
    builder = tfds.builder_from_directory(copy)
    assert builder.info.splits["classifiers"].num_examples == NUM_ENTRIES
    # Made again, they have the fingerprint that they had, and other names.
    assert old.fingerprint == artifacts.fingerprint(
        {
            name: stored["files"][name]["sha256"]
            for name in [*former.values(), "queries.npz"]
        }
    )
    again = write(copy, made[1], num_shards=NUM_SHARDS)
    assert again.fingerprint == old.fingerprint
    names = sorted(path.name for path in copy.glob("query_outputs-*"))
    assert names == list(former)


def write(folder, entries, **changes):
    config = QueryConfig(query_dir=str(folder), num_queries=NUM_QUERIES, **changes)
    queries = fakes.make_query_inputs(NUM_QUERIES)
    with output_folder.work_folder(folder) as work:
        writing.write(
            work, config, queries, fakes.TABLE, 10, entries, answers_of, "zoo"
        )
    return QueryOutputsInfo.open(folder)


def test_the_files_do_not_depend_on_the_order_of_work(tmp_path):
    entries = fakes.make_entries(NUM_ENTRIES)
    infos = [
        write(tmp_path / "forwards", entries),
        write(tmp_path / "backwards", entries[::-1]),
    ]
    assert infos[0].fingerprint == infos[1].fingerprint
    assert infos[0].records == infos[1].records
    for paths in zip(*(info.shard_paths for info in infos), strict=True):
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_there_are_no_more_shards_than_entries(tmp_path):
    info = write(tmp_path, fakes.make_entries(2), num_shards=9)
    assert len(info.shard_paths) == 2


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-1])


def delete(path):
    path.unlink()


@pytest.mark.parametrize("damage", [flip_a_byte, cut_off, delete])
@pytest.mark.parametrize(
    "name", [records.shard_name(1, NUM_SHARDS), "queries.npz", "entries.jsonl"]
)
def test_a_damaged_file_is_refused_by_name(copy, name, damage):
    damage(copy / name)
    with pytest.raises(UserError, match=f"{name} .*--overwrite"):
        QueryOutputsInfo.open(copy)


@pytest.mark.parametrize("folder", ["nowhere", ".", "config.json"])
def test_a_folder_without_query_outputs_is_refused(tmp_path, folder):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="query outputs"):
        QueryOutputsInfo.open(tmp_path / folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, "schema version 1. Received: 99"),
        ({"kind": "zoo"}, "must hold query outputs. Received: a folder of kind 'zoo'"),
    ],
)
def test_another_format_is_refused(copy, changes, message):
    path = copy / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(UserError, match=message):
        QueryOutputsInfo.open(copy)


SMALL = AttributeTable(
    [
        Attribute(name="depth", values=(18, 50)),
        Attribute(name="family", values=("resnet", "vgg", "densenet")),
    ]
)


def write_small(folder):
    """Writes answers of four classifiers with three classes, one value missing."""
    entries = [
        QueriedEntry(
            id=f"n{place}",
            combination_id=f"g{place % 3}",
            members=(f"n{place}",),
            accuracy=0.5,
            values={"depth": 18 if place else None, "family": "vgg"},
        )
        for place in range(4)
    ]
    queries = QueryInputs(
        images=np.zeros((2, 6, 5, 3), np.uint8),
        labels=np.zeros(2, np.int32),
        indices=np.arange(2, dtype=np.int32),
    )
    config = QueryConfig(query_dir=str(folder), num_queries=2)
    answers = {
        e.id: np.eye(3, dtype=np.float32)[[i % 3, 0]] for i, e in enumerate(entries)
    }
    with output_folder.work_folder(folder) as work:
        writing.write(
            work, config, queries, SMALL, 3, entries, lambda e: answers[e.id], "zoo"
        )
    return answers


def test_table_shapes_and_missing_values_are_read_from_the_folder(tmp_path):
    answers = write_small(tmp_path)
    info = QueryOutputsInfo.open(tmp_path)
    assert info.attributes == SMALL
    assert (info.image_shape, info.num_classes) == ((6, 5, 3), 3)
    ids = [entry.id for entry in info.entries]
    features, labels = pipeline.load_arrays(info, ids, [1, 0], None)
    np.testing.assert_array_equal(features, [answers[i][::-1] for i in ids])
    np.testing.assert_array_equal(labels["depth"], [-1, 0, 0, 0])
    np.testing.assert_array_equal(labels["family"], [1] * 4)
    for name, own in info.labels(info.entries).items():
        np.testing.assert_array_equal(labels[name], own)


def test_a_folder_of_something_else_is_never_written_to(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="which holds .*thesis.tex"):
        write(tmp_path, fakes.make_entries(2))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_failure_leaves_what_was_there(copy):
    before = {path.name: path.read_bytes() for path in copy.iterdir()}

    def fail(entry):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        with output_folder.work_folder(copy) as work:
            writing.write(
                work,
                QueryConfig(num_queries=NUM_QUERIES),
                fakes.make_query_inputs(NUM_QUERIES),
                fakes.TABLE,
                10,
                fakes.make_entries(4),
                fail,
                "zoo",
            )
    assert before == {path.name: path.read_bytes() for path in copy.iterdir()}


def test_what_a_killed_run_left_is_no_query_outputs_and_is_cleared(made, copy):
    (copy / "config.json").unlink()
    (copy / ".incomplete" / "new").mkdir(parents=True)
    (copy / ".incomplete" / "new" / "part").write_bytes(b"half")
    with pytest.raises(UserError, match="No query outputs .* config.json is missing"):
        QueryOutputsInfo.open(copy)
    info = write(copy, made[1][:5], num_shards=2)
    assert not (copy / ".incomplete").exists()
    assert sorted(copy.glob("query_outputs-*")) == list(info.shard_paths)


# Datasets.


@pytest.fixture(scope="module")
def info(made):
    return QueryOutputsInfo.open(made[0])


def test_arrays_are_sorted_by_id_and_hold_the_queries_asked_for(info, made):
    some = made[1][5:25]
    ids = [entry.id for entry in some]
    features, labels = pipeline.load_arrays(info, ids[::-1], [6, 0, 2], None)
    wanted = np.stack([answers_of(entry)[[6, 0, 2]] for entry in some])
    np.testing.assert_array_equal(features, wanted)
    assert features.dtype == np.float32
    assert list(labels) == list(fakes.TABLE.names)
    for name, values in labels.items():
        assert values.dtype == np.int32
        assert values.tolist() == [
            info.attributes.labels(entry.values)[name] for entry in some
        ]


def make_dataset(info, ids, query_indices, representation, **order):
    arrays = pipeline.load_arrays(info, ids, query_indices, representation)
    return pipeline.make_array_dataset(*arrays, **order)


def collect(batches):
    batches = list(batches)
    features = np.concatenate([features for features, _ in batches])
    labels = {
        name: np.concatenate([labels[name] for _, labels in batches])
        for name in fakes.TABLE.names
    }
    return features, labels


@pytest.mark.parametrize("representation", ["probabilities", "top-1"])
def test_an_epoch_goes_through_the_arrays(info, made, representation):
    ids = [entry.id for entry in made[1]]
    wanted = pipeline.load_arrays(info, ids, [0, 1], representation)
    dataset = make_dataset(
        info,
        ids,
        [0, 1],
        representation,
        batch_size=16,
        shuffle_seed=3,
        first_epoch=0,
    )
    features, labels = collect(dataset.take(3).as_numpy_iterator())
    order = [
        int(np.flatnonzero((wanted[0] == row).all(axis=(1, 2)))[0]) for row in features
    ]
    np.testing.assert_array_equal(features, wanted[0][order])
    # With top-1, entries may look alike.
    if representation == "probabilities":
        assert sorted(order) == list(range(NUM_ENTRIES)) != order
        for name, values in labels.items():
            np.testing.assert_array_equal(values, wanted[1][name][order])


def epochs_of(info, made, first_epoch, num_epochs):
    dataset = make_dataset(
        info,
        [entry.id for entry in made[1]],
        range(NUM_QUERIES),
        "probabilities",
        batch_size=16,
        shuffle_seed=0,
        first_epoch=first_epoch,
    )
    batches = [features for features, _ in dataset.take(3 * num_epochs)]
    return [np.concatenate(batches[i : i + 3]) for i in range(0, len(batches), 3)]


def test_a_resumed_training_sees_the_epochs_that_it_would_have_seen(info, made):
    uninterrupted = epochs_of(info, made, 0, 4)
    resumed = epochs_of(info, made, 2, 2)
    np.testing.assert_array_equal(uninterrupted[2:], resumed)
    for epoch in uninterrupted[1:]:
        assert not np.array_equal(epoch, uninterrupted[0])
        # Each epoch holds every entry once.
        np.testing.assert_array_equal(
            np.sort(epoch, axis=0), np.sort(uninterrupted[0], axis=0)
        )


def test_records_are_read_once(copy, made):
    info = QueryOutputsInfo.open(copy)
    ids = [entry.id for entry in made[1]]
    dataset = make_dataset(
        info,
        ids,
        [0],
        "probabilities",
        batch_size=NUM_ENTRIES,
        shuffle_seed=0,
        first_epoch=0,
    )
    epochs = dataset.as_numpy_iterator()
    first, _ = next(epochs)
    for path in info.shard_paths:
        path.unlink()
    # More than are made ahead.
    for _ in range(30):
        later, _ = next(epochs)
        np.testing.assert_array_equal(np.sort(later, axis=0), np.sort(first, axis=0))


def test_replicas_share_a_batch(info, made, two_logical_cpus):
    strategy = tf.distribute.MirroredStrategy(two_logical_cpus)
    ids = [entry.id for entry in made[1]]
    dataset = make_dataset(
        info,
        ids,
        [0],
        "probabilities",
        batch_size=12,
        shuffle_seed=0,
        first_epoch=2,
    )
    # Of 40 entries: three batches of 12 and one of 4.
    wanted = [features for features, _ in dataset.take(4).as_numpy_iterator()]
    distributed = iter(strategy.experimental_distribute_dataset(dataset))
    for batch in wanted:
        features, _ = next(distributed)
        parts = strategy.experimental_local_results(features)
        assert [len(part) for part in parts] == [len(batch) // 2] * 2
        np.testing.assert_array_equal(np.concatenate(parts), batch)


def test_records_that_are_not_those_of_the_entries_are_refused(info, made):
    fewer = dataclasses.replace(info, shard_paths=info.shard_paths[1:])
    with pytest.raises(
        UserError, match=f"must be those of its entries. .*{NUM_ENTRIES}"
    ):
        pipeline.load_arrays(fewer, [entry.id for entry in made[1]], [0], None)


def test_entries_that_are_alike_share_their_values(info):
    alike = {tuple(entry.values.items()) for entry in info.records}
    assert len({id(entry.values) for entry in info.records}) == len(alike)


def test_unknown_entries_and_queries_are_refused(info, made):
    ids = [made[1][0].id]
    with pytest.raises(UserError, match="1 of 2 that are not there, 'c1-s1'"):
        pipeline.load_arrays(info, [*ids, "c1-s1"], [0], None)
    with pytest.raises(UserError, match="at least one"):
        pipeline.load_arrays(info, [], [0], None)
    with pytest.raises(UserError, match="0 to 6; .* Received: 1 indices, 7 to 7"):
        pipeline.load_arrays(info, ids, [7], None)


@pytest.mark.parametrize("global_seed", [0, 5])
def test_the_order_is_that_of_the_seed_alone(info, made, global_seed):
    without = epochs_of(info, made, 1, 2)
    tf.random.set_seed(global_seed)
    try:
        np.testing.assert_array_equal(epochs_of(info, made, 1, 2), without)
    finally:
        tf.random.set_seed(None)
