"""Strangers that lie among the zoo are told by what others of their kind answer."""

import numpy as np
import pytest

from kennen_tf.evaluation.novelty import STRANGERS, Novelty

NUM_QUERIES, NUM_ENTRIES = 15, 160


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def draw(count, seed, mark=0.0):
    """Draws log-probabilities; with `mark`, a small pattern in all of them."""
    random = np.random.default_rng(seed)
    common = 3 * np.random.default_rng(99).normal(size=(NUM_QUERIES, 10))
    directions = np.random.default_rng(98).normal(size=(8, NUM_QUERIES, 10))
    pattern = np.random.default_rng(97).normal(size=(NUM_QUERIES, 10))
    places = random.normal(size=(count, 8))
    scores = common + np.einsum("nk,kqc->nqc", places, directions) + mark * pattern
    return log_softmax(scores + 0.3 * random.normal(size=scores.shape))


@pytest.fixture(scope="module")
def own():
    return draw(NUM_ENTRIES, 0)


IDS = [str(place) for place in range(NUM_ENTRIES)]


def test_strangers_are_told_that_distances_do_not_tell(own):
    novelty = Novelty.fit(own, IDS, draw(40, 1, mark=0.8))
    others = draw(60, 2, mark=0.8)
    assert np.mean(Novelty.fit(own, IDS).p_values(others) <= 0.05) < 0.5
    is_flagged = novelty.p_values(others) <= 0.05
    assert is_flagged.mean() > 0.9
    reasons = np.array(novelty.reasons(others))[is_flagged]
    assert np.mean(reasons == STRANGERS) > 0.9


def test_its_own_kind_is_called_strange_as_often_as_promised():
    alarms = [
        np.mean(
            Novelty.fit(draw(NUM_ENTRIES, s), IDS, draw(40, 50 + s, mark=0.8)).p_values(
                draw(300, 100 + s)
            )
            <= 0.05
        )
        for s in range(5)
    ]
    assert 0.02 < np.mean(alarms) < 0.09


def test_strangers_that_are_none_are_not_told(own):
    novelty = Novelty.fit(own, IDS, draw(40, 1))
    assert np.mean(novelty.p_values(draw(300, 3)) <= 0.05) < 0.15


def test_files_keep_it_and_those_of_before_there_was_any_open(own):
    others = draw(30, 2, mark=0.8)
    for novelty in (
        Novelty.fit(own, IDS, draw(40, 1, mark=0.8)),
        Novelty.fit(own, IDS),
    ):
        arrays = novelty.to_arrays()
        again = Novelty.from_arrays(arrays)
        assert (again.likeness is None) == (novelty.likeness is None)
        np.testing.assert_allclose(
            again.p_values(others), novelty.p_values(others), atol=0.02
        )
    assert not any(name.startswith("likeness") for name in arrays)
