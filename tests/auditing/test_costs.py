"""What a defence costs, counted by hand."""

import numpy as np
import pytest

from kennen_tf.auditing import costs, defences


def measure(name, plain, labels, seed=0):
    seeds = np.random.default_rng(seed).integers(0, 2**63, len(plain), np.uint64)
    return costs.measure(plain, defences.find(name).apply(plain, seeds), labels)


@pytest.fixture
def plain():
    return np.random.default_rng(0).dirichlet(np.ones(10), 300)


def test_nothing_costs_nothing(plain):
    cost = measure("none", plain, plain.argmax(axis=1))
    assert (cost.flipped, cost.tied, cost.l1, cost.l2, cost.kl) == (0, 0, 0, 0, 0)
    assert cost.ranking_kept == pytest.approx(1)
    assert cost.accuracy_lost == 0
    assert cost.calibration[0] == cost.calibration[1]


def test_costs_are_those_counted_by_hand():
    plain = np.array([[0.5, 0.3, 0.2], [0.2, 0.45, 0.35], [0.1, 0.1, 0.8]])
    defended = np.array([[0.4, 0.4, 0.2], [0.2, 0.35, 0.45], [0.0, 0.0, 1.0]])
    cost = costs.measure(plain, defended, np.array([0, 1, -1]))
    assert cost.flipped == pytest.approx(1 / 3)
    assert cost.tied == pytest.approx(1 / 3)
    assert cost.l1 == pytest.approx((0.2 + 0.2 + 0.4) / 3)
    assert cost.l2 == pytest.approx((0.02**0.5 + 0.02**0.5 + 0.06**0.5) / 3)
    expected = [
        0.5 * np.log(0.5 / 0.4) + 0.3 * np.log(0.3 / 0.4),
        0.45 * np.log(0.45 / 0.35) + 0.35 * np.log(0.35 / 0.45),
        0.2 * np.log(0.1 / 1e-10) + 0.8 * np.log(0.8),
    ]
    assert cost.kl == pytest.approx(np.mean(expected))
    assert cost.accuracy_lost == pytest.approx(1 / 2)  # Of the two that are known.


def test_the_label_that_a_tie_loses_is_counted():
    rows = np.array([[0.04, 0.06, *[0.9 / 8] * 8], [0.31, 0.34, *[0.35 / 8] * 8]])
    cost = measure("round:1", rows, np.array([2, 1]))
    assert cost.tied == 0.5  # The second; the first was tied before.
    assert cost.flipped == 1  # By one that comes before it.
    assert cost.accuracy_lost == 1


def test_a_label_alone_leaves_no_ranking_but_the_first(plain):
    cost = measure("label", plain, plain.argmax(axis=1))
    assert cost.flipped == cost.accuracy_lost == 0
    assert 0 < cost.ranking_kept < 0.6
    assert np.isfinite(cost.kl)


def test_rankings_are_kept_by_temperatures_and_lost_by_noise(plain):
    labels = plain.argmax(axis=1)
    assert measure("temperature:3", plain, labels).ranking_kept == pytest.approx(1)
    kept = [
        measure(f"gaussian:{s}", plain, labels).ranking_kept for s in (0.01, 0.1, 10)
    ]
    assert 1 > kept[0] > kept[1] > kept[2]
    assert abs(kept[2]) < 0.1


def test_whoever_is_made_unsure_is_no_longer_calibrated():
    random = np.random.default_rng(0)
    plain = random.dirichlet(np.full(10, 0.3), 3000)
    drawn = (plain.cumsum(axis=1) > random.random((3000, 1))).argmax(axis=1)
    before, after = measure("temperature:5", plain, drawn).calibration
    assert before < 0.03
    assert after > 0.2


def test_without_a_truth_there_is_no_accuracy(plain):
    cost = measure("round:1", plain, np.full(len(plain), -1))
    assert cost.accuracy_lost is None
    assert cost.calibration is None
    assert cost.l1 > 0
