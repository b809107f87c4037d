"""Bits that answers give away, where it is known how many there are."""

import numpy as np
import pytest

from kennen_tf.attributes import MISSING
from kennen_tf.auditing import leaks


@pytest.fixture
def labels():
    return np.random.default_rng(0).integers(4, size=2000)


def clusters(labels):
    return [str(place // 4) for place in range(len(labels))]


def even(labels):
    return leaks.find_prior(labels, 4)


def test_who_knows_all_has_learned_the_entropy(labels):
    prior = even(labels)
    leak = leaks.measure(np.eye(4)[labels], labels, prior, clusters(labels))
    assert leak.entropy == pytest.approx(2, abs=0.01)
    assert leak.bits == pytest.approx(leak.entropy, abs=0.01)
    assert leak.interval[0] <= leak.bits <= leak.interval[1]


def test_who_says_what_was_known_has_learned_nothing(labels):
    prior = even(labels)
    said = np.tile(prior, (len(labels), 1))
    leak = leaks.measure(said, labels, prior, clusters(labels))
    assert leak.bits == pytest.approx(0, abs=1e-3)
    assert leaks.believed_bits(said, prior) == pytest.approx(0, abs=1e-3)


def test_half_a_bit_is_half_a_bit(labels):
    # A channel that tells nothing in half of the cases, and which half of the values
    # the truth is in otherwise.
    prior = np.full(4, 0.25)
    heard = np.random.default_rng(1).random(len(labels)) < 0.5
    which = np.where(np.arange(4) // 2 == labels[:, None] // 2, 0.5, 0.0)
    said = np.where(heard[:, None], which, 0.25)
    leak = leaks.measure(said, labels, prior, clusters(labels))
    assert leak.bits == pytest.approx(0.5, abs=0.03)
    assert leak.interval[0] < 0.5 < leak.interval[1]
    # He who is calibrated believes to have learned what he has learned.
    believed = leaks.believed_bits(said, prior).mean()
    assert believed == pytest.approx(leak.bits, abs=0.01)


def test_shuffled_answers_mislead_who_trusts_them(labels):
    said = 0.9 * np.eye(4)[np.random.default_rng(1).permutation(labels)] + 0.025
    prior = even(labels)
    leak = leaks.measure(said, labels, prior, clusters(labels))
    assert leak.bits < -1
    assert leaks.believed_bits(said, prior).mean() > 1
    wrong = leaks.measure(np.eye(4)[(labels + 1) % 4], labels, prior, clusters(labels))
    assert np.isfinite(wrong.bits)


def test_an_interval_counts_combinations(labels):
    # Of classifiers that are all alike in fours, four say no more than one.
    random = np.random.default_rng(2)
    few = random.dirichlet(np.ones(4), 100)
    truth = random.integers(4, size=100)
    prior = np.full(4, 0.25)
    once = leaks.measure(few, truth, prior, [str(i) for i in range(100)])
    four = leaks.measure(
        few.repeat(4, axis=0),
        truth.repeat(4),
        prior,
        [str(i) for i in np.arange(100).repeat(4)],
    )
    assert four.bits == pytest.approx(once.bits)
    assert four.interval == pytest.approx(once.interval)


def test_what_has_no_value_counts_not(labels):
    hidden = np.where(np.arange(len(labels)) % 2, labels, MISSING)
    said = np.eye(4)[labels]
    leak = leaks.measure(said, hidden, even(hidden), clusters(labels))
    assert leak.count == 1000
    nobody = np.full(len(labels), MISSING)
    assert leaks.measure(said, nobody, even(nobody), clusters(labels)) is None


def test_ranks_are_shares_of_others():
    others = np.array([1.0, 2.0, 3.0, 4.0])
    assert leaks.rank(3.5, others) == 0.75
    assert leaks.rank(2.0, others) == 0.375
    assert leaks.rank(0.0, others) == 0.0
