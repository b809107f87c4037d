"""Query outputs in half precision: what is kept, and that every reader reads it."""

import hashlib

import fakes
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from kennen_tf.queries import records
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from pipelines import query_outputs as pipeline
from pipelines.outputs_in_memory import OutputsInMemory

NUM_ENTRIES, NUM_QUERIES = 20, 7


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "queries"
    entries = fakes.write_query_outputs(
        folder, NUM_ENTRIES, NUM_QUERIES, planted=True, is_half=True
    )
    return folder, entries


def answers_of(entry):
    return fakes.make_probabilities(entry, NUM_QUERIES, planted=True)


def halve_and_read(probabilities):
    entry = fakes.make_entries(1)[0]
    serialized = records.encode(fakes.TABLE, entry, probabilities, is_half=True)
    parsed = records.parse(
        tf.constant([serialized]), fakes.TABLE, *probabilities.shape, is_half=True
    )
    return parsed["probabilities"][0].numpy()


def check_close(read, written):
    """Checks that logarithms differ by no more than rounding to 11 bits lets them."""
    np.testing.assert_allclose(np.log(read), np.log(written), rtol=2**-10, atol=1e-3)
    np.testing.assert_allclose(read.sum(axis=-1), 1, atol=1e-6)
    assert read.dtype == np.float32


def test_small_probabilities_keep_their_size():
    small = np.array([1e-4, 1e-7, 1e-10, 1e-20, 1e-30], np.float32)
    written = np.append(small, 1 - small.sum()).reshape(1, 6).astype(np.float32)
    read = halve_and_read(written)
    check_close(read, written)
    # As probabilities, most would be 0 in half precision.
    assert (written.astype(np.float16) == 0).sum() == 3
    assert (read > 0).all()


def test_certainty_and_nothing_stay_what_they_are():
    read = halve_and_read(np.eye(4, dtype=np.float32)[[2]])
    np.testing.assert_array_equal(read.argmax(axis=1), [2])
    assert read[0, 2] == 1
    assert (np.delete(read, 2) < 1e-37).all() and np.isfinite(read).all()


def test_the_bytes_of_a_halved_record_are_the_same_for_ever():
    entry = fakes.make_entries(3)[2]
    serialized = records.encode(fakes.TABLE, entry, answers_of(entry), is_half=True)
    digest = "9ef42cfb63c220b92a02a8e299472e9f22bdac3c8cdfc4b000f87b2fef99f205"
    assert hashlib.sha256(serialized).hexdigest() == digest


def test_a_record_in_half_precision_takes_half_as_many_bytes():
    entry = fakes.make_entries(1)[0]
    answers = fakes.make_probabilities(entry, 300, planted=True)
    full, half = (
        len(records.encode(fakes.TABLE, entry, answers, is_half=is_half))
        for is_half in (False, True)
    )
    assert full - half == pytest.approx(300 * 10 * 2, abs=50)


def test_float64_is_refused_as_in_full_precision():
    entry = fakes.make_entries(1)[0]
    with pytest.raises(ValueError, match="`log_probabilities` .* Received: float64"):
        records.encode(fakes.TABLE, entry, np.full((7, 10), 0.1), is_half=True)


def test_they_are_read_as_others_are(made):
    folder, entries = made
    info = QueryOutputsInfo.open(folder)
    assert info.is_half
    ids = [entry.id for entry in entries]
    written = np.stack([answers_of(entry) for entry in entries])
    features, labels = pipeline.load_arrays(info, ids, range(NUM_QUERIES), None)
    check_close(features, written)
    for name, own in info.labels(info.entries).items():
        np.testing.assert_array_equal(labels[name], own)
    kept, _ = OutputsInMemory(info).load_arrays(info, ids, [3, 0], None)
    np.testing.assert_array_equal(kept, features[:, [3, 0]])


def test_those_in_full_precision_are_what_they_were(tmp_path):
    fakes.write_query_outputs(tmp_path, 3, NUM_QUERIES, planted=True)
    info = QueryOutputsInfo.open(tmp_path)
    assert not info.is_half
    assert '"schema_version": 1,' in (tmp_path / "config.json").read_text()


def test_plain_tf_data_reads_them_without_our_code(made):
    by_id = {entry.id: entry for entry in made[1]}
    files = tf.io.gfile.glob(str(made[0] / "query_outputs-*"))
    spec = {
        "id": tf.io.FixedLenFeature((), tf.string),
        "log_probabilities": tf.io.FixedLenFeature((), tf.string),
    }
    seen = set()
    for record in tf.data.TFRecordDataset(sorted(files)):
        stored = tf.io.parse_single_example(record, spec)
        halves = tf.io.decode_raw(stored["log_probabilities"], tf.float16)
        halves = tf.reshape(halves, (NUM_QUERIES, -1))
        own_id = stored["id"].numpy().decode()
        answers = tf.nn.softmax(tf.cast(halves, tf.float32)).numpy()
        check_close(answers, answers_of(by_id[own_id]))
        seen.add(own_id)
    assert seen == set(by_id)


def test_tensorflow_datasets_reads_them(made):
    builder = tfds.builder_from_directory(made[0])
    by_id = {entry.id: entry for entry in made[1]}
    feature = builder.info.features["log_probabilities"]
    assert feature.shape == (NUM_QUERIES, 10) and feature.np_dtype == np.float16
    assert "in half precision" in feature.doc.desc
    assert "the logarithms, in half precision, of" in builder.info.description
    seen = set()
    for record in builder.as_dataset(split="entries"):
        entry = by_id[record["id"].numpy().decode()]
        answers = tf.nn.softmax(tf.cast(record["log_probabilities"], tf.float32))
        check_close(answers.numpy(), answers_of(entry))
        seen.add(entry.id)
    assert seen == set(by_id)
