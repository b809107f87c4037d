"""The loss that the heads share, and the scores of their logits."""

import fakes
import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from kennen_tf.attributes import MISSING
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.metamodels import metrics
from kennen_tf.metamodels.recipes import heads, joint_loss

NUM_QUERIES = 24


SUM_OF_VALUES = sum(TABLE.num_values)


def make_arrays(num_entries=200, planted=True, seed=0):
    entries = fakes.make_entries(num_entries, seed)
    return fakes.make_arrays(entries, NUM_QUERIES, planted=planted)


def take_away(labels, name, first):
    """Takes the values of an attribute away from entry `first` on."""
    return {
        **labels,
        name: np.where(np.arange(len(labels[name])) < first, labels[name], MISSING),
    }


def make_targets(labels, balance=0, label_smoothing=0):
    return joint_loss.make_targets(
        TABLE, labels, balance=balance, max_weight=10, label_smoothing=label_smoothing
    )


def encode(labels):
    return joint_loss.encode_targets(TABLE, labels, tf.constant(make_targets(labels)))


@pytest.mark.parametrize("num_rows", [5, 6, 17])
def test_rows_that_fill_a_batch_count_for_nothing(num_rows):
    features, labels = make_arrays(5)
    targets = encode(labels)
    more, filled = joint_loss.fill(tf.constant(features), targets, num_rows)
    assert len(more) == len(filled) == num_rows
    np.testing.assert_array_equal(more, features[np.arange(num_rows) % 5])
    np.testing.assert_array_equal(filled[:5], targets)
    loss = joint_loss.JointCrossEntropy(TABLE, 5)
    logits = np.random.default_rng(0).normal(size=(num_rows, 1, SUM_OF_VALUES))
    logits = tf.constant(logits, tf.float32)
    assert float(loss(filled, logits)) == pytest.approx(
        float(loss(targets, logits[:5])), rel=1e-6
    )


def test_the_loss_is_the_sum_of_twelve_cross_entropies():
    _, labels = make_arrays(30)
    logits = np.random.default_rng(0).normal(0, 20, (30, SUM_OF_VALUES))
    logits = logits.astype(np.float32)
    targets = encode(labels)
    loss = joint_loss.JointCrossEntropy(TABLE, 30)(targets, logits[:, np.newaxis])
    expected = sum(
        keras.losses.sparse_categorical_crossentropy(
            labels[name], own, from_logits=True
        ).numpy()
        for name, own in heads.split_logits(TABLE, logits).items()
    )
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-5)
    score = metrics.score(TABLE, labels, logits, skip=())
    assert score["loss"] == pytest.approx(expected.mean(), rel=1e-5)


def test_each_member_has_the_loss_of_its_own():
    _, labels = make_arrays(30)
    logits = np.random.default_rng(0).normal(size=(30, 3, SUM_OF_VALUES))
    targets = encode(labels)
    loss = joint_loss.JointCrossEntropy(TABLE, 30)
    own = [float(loss(targets, logits[:, [member]])) for member in range(3)]
    assert len(set(own)) == 3
    assert float(loss(targets, logits)) == pytest.approx(np.mean(own), rel=1e-5)


def test_members_are_joined_by_their_mean_probabilities():
    logits = np.random.default_rng(0).normal(size=(5, 3, SUM_OF_VALUES))
    joined = heads.split_logits(TABLE, heads.join_members(TABLE, logits))
    by_member = [heads.split_logits(TABLE, logits[:, member]) for member in range(3)]
    for name, own in joined.items():
        mean = np.mean([special.softmax(m[name], axis=1) for m in by_member], axis=0)
        np.testing.assert_allclose(special.softmax(own, axis=1), mean, rtol=1e-5)


def test_the_loss_of_parts_of_a_batch_adds_up_to_that_of_the_batch():
    _, labels = make_arrays(30)
    logits = np.random.default_rng(0).normal(size=(30, 2, SUM_OF_VALUES))
    targets = encode(labels)
    loss = joint_loss.JointCrossEntropy(TABLE, 30)
    parts = [loss(targets[a:b], logits[a:b]) for a, b in ((0, 11), (11, 30))]
    assert float(sum(parts)) == pytest.approx(float(loss(targets, logits)), rel=1e-5)


def test_the_loss_is_finite_at_the_corners():
    _, labels = make_arrays(4)
    targets = encode(labels)
    logits = tf.Variable(np.tile([1e4, -1e4], (4, 1, SUM_OF_VALUES // 2)))
    with tf.GradientTape() as tape:
        loss = joint_loss.JointCrossEntropy(TABLE, 4)(targets, logits)
    assert np.isfinite(loss)
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_weights_make_values_count_alike_as_far_as_the_limit():
    labels = {name: np.zeros(100, int) for name in TABLE.names}
    labels["pool"] = np.repeat([0, 1], [80, 20])
    labels["drop"] = np.repeat([0, 1], [99, 1])
    targets = make_targets(labels, balance=1)
    index = TABLE.names.index
    pool, drop, act = (targets[index(name)] for name in ("pool", "drop", "act"))
    np.testing.assert_allclose(np.diag(pool)[:2], [100 / 160, 100 / 40])
    np.testing.assert_allclose(np.diag(drop)[:2], [100 / 198, 10], rtol=1e-6)
    np.testing.assert_allclose(act[0], [1, 0, 0, 0, 0, 0, 0, 0])


def test_label_smoothing_spreads_the_target_over_the_attributes_own_values():
    _, labels = make_arrays(50)
    targets = make_targets(labels, label_smoothing=0.1)
    pool = targets[TABLE.names.index("pool")]
    np.testing.assert_allclose(pool[1], [0.05, 0.95, 0, 0, 0, 0, 0, 0], atol=1e-7)


def test_scores_leave_out_what_is_skipped_or_has_one_value():
    _, labels = make_arrays(60)
    labels["fc"] = np.full(60, 1)
    logits = np.zeros((60, SUM_OF_VALUES), np.float32)
    score = metrics.score(TABLE, labels, logits, skip=("conv",))
    assert set(TABLE.names) - set(score["accuracy"]) == {"fc", "conv"}
    assert score["average"] == pytest.approx(np.mean(list(score["accuracy"].values())))


def test_a_value_that_is_missing_counts_neither_in_the_loss_nor_in_its_gradient():
    _, labels = make_arrays(30)
    logits = tf.Variable(np.random.default_rng(0).normal(size=(30, 1, SUM_OF_VALUES)))
    without = take_away(labels, "split", 20)
    loss = joint_loss.JointCrossEntropy(TABLE, 30)
    with tf.GradientTape() as tape:
        found = loss(encode(without), logits)
    ends = np.cumsum(TABLE.num_values)
    gradient = tape.gradient(found, logits).numpy()
    assert not gradient[20:, 0, ends[-2] :].any() and gradient[:20, 0, ends[-2] :].all()
    # What is left out of the sum is what those entries had in it.
    own = {name: v[20:] for name, v in labels.items()}
    whole = loss(encode(labels), logits)
    split = heads.split_logits(TABLE, logits.numpy()[20:, 0])["split"]
    gone = keras.losses.sparse_categorical_crossentropy(own["split"], split, True)
    assert float(whole - found) == pytest.approx(np.sum(gone) / 30, rel=1e-4)


def test_values_are_balanced_among_entries_that_have_one():
    _, labels = make_arrays(40)
    labels["pool"] = np.repeat([0, 1, MISSING], [8, 2, 30])
    labels["drop"] = np.full(40, MISSING)
    targets = make_targets(labels, balance=1)
    pool, drop = (targets[TABLE.names.index(name)] for name in ("pool", "drop"))
    np.testing.assert_allclose(np.diag(pool)[:2], [10 / 16, 10 / 4])
    assert not drop.any()
    weights = joint_loss.weigh(targets, labels["pool"], TABLE.names.index("pool"))
    assert weights.tolist() == [10 / 16] * 8 + [10 / 4] * 2 + [0] * 30


def test_scores_are_of_entries_that_have_a_value():
    _, labels = make_arrays(60)
    logits = np.random.default_rng(0).normal(size=(60, SUM_OF_VALUES))
    without = {
        name: np.where(np.arange(60) < 40, v, MISSING) for name, v in labels.items()
    }
    some = {name: v[:40] for name, v in labels.items()}
    assert metrics.score(TABLE, without, logits, skip=()) == metrics.score(
        TABLE, some, logits[:40], skip=()
    )
    nothing = {name: np.full(60, MISSING) for name in labels}
    assert metrics.score(TABLE, nothing, logits, skip=()) == {
        "loss": 0.0,
        "accuracy": {},
        "average": None,
    }
