"""What is ruled out: as often wrongly as promised, and nothing if nothing is told."""

import numpy as np
import pytest

from kennen_tf.evaluation import conformal


def draw(num_groups, strength, seed=0, copies=3):
    """Draws answers of groups, whose entries differ little, and their labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(3, size=num_groups)
    scores = strength * np.eye(3)[labels] + random.normal(size=(num_groups, 3))
    scores = np.repeat(scores, copies, axis=0)
    scores = np.exp(scores + 0.1 * random.normal(size=scores.shape))
    ids = [f"g{i:04d}" for i in np.repeat(np.arange(num_groups), copies)]
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    return probabilities, np.repeat(labels, copies), ids


def covers(probabilities, labels, thresholds):
    holds = conformal.plausible(probabilities, thresholds)
    return holds[np.arange(len(labels)), labels]


@pytest.mark.parametrize("num_groups", [60, 400])
def test_the_true_value_of_each_class_is_ruled_out_as_often_as_promised(num_groups):
    shares = []
    for seed in range(60):
        thresholds = conformal.find_thresholds(*draw(num_groups, 2.0, seed))
        read, labels, _ = draw(500, 2.0, 1000 + seed)
        own = covers(read, labels, thresholds)
        shares.append([own[labels == value].mean() for value in range(3)])
    np.testing.assert_allclose(np.mean(shares, axis=0), 0.9, atol=0.03)


def test_copies_of_entries_do_not_count_as_others():
    read, labels, ids = draw(200, 2.0, copies=1)
    # The same, but one entry of each value comes a hundred times.
    first = [int(np.argmax(labels == value)) for value in range(3)]
    places = np.concatenate([np.arange(200), np.repeat(first, 100)])
    alone = conformal.find_thresholds(read, labels, ids)
    many = conformal.find_thresholds(
        read[places], labels[places], [ids[place] for place in places]
    )
    np.testing.assert_allclose(many, alone, atol=0.03)


def test_sets_hold_all_values_where_answers_tell_nothing():
    thresholds = []
    for seed in range(40):
        read, labels, ids = draw(100, 3.0, seed, copies=1)
        shuffled = np.random.default_rng(seed).permutation(labels)
        thresholds.append(conformal.find_thresholds(read, shuffled, ids))
    # By chance, labels look told in a few of a hundred cases.
    assert np.mean([own.any() for own in thresholds]) < 0.1


def test_few_combinations_rule_nothing_out():
    read, labels, ids = draw(300, 4.0)
    is_rare = labels == 2
    rare = np.unique(np.array(ids)[is_rare])
    kept = ~is_rare | np.isin(ids, rare[: conformal.LEAST_COMBINATIONS - 1])
    found = conformal.find_thresholds(read[kept], labels[kept], np.array(ids)[kept])
    assert found[2] == 0.0 and (found[:2] > 0.0).all()
    assert conformal.plausible(np.array([1.0, 0.0, 0.0]), found).tolist() == [
        *(True, False, True)
    ]


def test_who_was_not_asked_has_no_say():
    read, labels, ids = draw(200, 2.0)
    expected = conformal.find_thresholds(read[:300], labels[:300], ids[:300])
    unasked = np.array(read)
    unasked[300:450] = np.nan
    unknown = np.array(labels)
    unknown[450:] = -1
    found = conformal.find_thresholds(unasked, unknown, ids)
    np.testing.assert_array_equal(found, expected)
    nobody = conformal.find_thresholds(np.full((5, 3), np.nan), labels[:5], ids[:5])
    assert not nobody.any()


def test_p_values_are_shares_of_the_zoo_and_of_nobody_zero():
    left_out, weights = np.array([1.0, 2.0, 2.2, 3.0]), np.array([1.0, 0.5, 0.5, 1.0])
    scores = np.array([0.0, 1.0, 2.0, 2.6, 3.0, 9.0])
    found = conformal.find_p_values(scores, left_out, weights)
    np.testing.assert_allclose(found, np.array([3.0, 3.0, 2.25, 1.375, 1.0, 0.5]) / 4)


def test_one_of_few_is_as_strange_as_promised():
    random, levels = np.random.default_rng(0), np.array([0.05, 0.1, 0.3])
    drawn = random.normal(size=(4000, 50))
    p_values = [
        conformal.find_p_values(own[:1], np.sort(own[1:]), np.ones(49))[0]
        for own in drawn
    ]
    found = np.mean(np.array(p_values)[:, None] <= levels, axis=0)
    np.testing.assert_allclose(found, levels, atol=0.012)


def test_shares_of_weights():
    np.testing.assert_allclose(conformal.share_weights(["b", "a", "b"]), [0.5, 1, 0.5])
