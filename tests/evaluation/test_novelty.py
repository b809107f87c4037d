"""Like the zoo or not: strangers are found, and its own as often as promised."""

import dataclasses

import numpy as np
import pytest

from kennen_tf.evaluation import limits as limits_lib
from kennen_tf.evaluation.cloud import find_shape, find_sharpness
from kennen_tf.evaluation.limits import Limits
from kennen_tf.evaluation.novelty import CONSTANT, FLATTER, SHAPE, SHARPER, Novelty
from kennen_tf.vocabulary.errors import UserError

NUM_QUERIES, NUM_GROUPS, COPIES = 12, 150, 2


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def draw(num_groups=NUM_GROUPS, seed=0):
    """Draws log-probabilities of groups that vary along some directions."""
    random = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(size=(6, NUM_QUERIES, 10))
    places = np.repeat(random.normal(size=(num_groups, 6)), COPIES, axis=0)
    scores = 3 * directions[0] + np.einsum("gk,kqc->gqc", places, directions)
    scores += 0.3 * random.normal(size=scores.shape)
    scores *= np.repeat(random.uniform(0.5, 2.0, num_groups), COPIES)[:, None, None]
    return log_softmax(scores), list(
        np.repeat(np.arange(num_groups), COPIES).astype(str)
    )


@pytest.fixture(scope="module")
def novelty():
    return Novelty.fit(*draw())


def test_its_own_kind_is_called_strange_as_often_as_promised():
    alarms = [
        np.mean(Novelty.fit(*draw(seed=s)).p_values(draw(400, 500 + s)[0]) <= 0.05)
        for s in range(6)
    ]
    assert 0.02 < np.mean(alarms) < 0.08


def test_planted_strangers_are_found_and_why(novelty):
    random = np.random.default_rng(5)
    own, _ = draw(20, 7)
    constant = log_softmax(np.tile(random.normal(size=(5, 1, 10)), (1, NUM_QUERIES, 1)))
    untrained = log_softmax(0.1 * random.normal(size=(5, NUM_QUERIES, 10)))
    turned = own[:, random.permutation(NUM_QUERIES)]
    # Of the zoo's accuracy and sharpness; where it never varies, something else.
    pattern = random.normal(size=(NUM_QUERIES, 10))
    like_perceptrons = log_softmax(
        (own + find_sharpness(own)[:, None, None] * pattern) / np.sqrt(2)
    )
    for strangers, reasons in (
        (constant, {CONSTANT}),
        (np.full_like(constant, -2.3), {CONSTANT}),
        (untrained, {SHAPE, FLATTER}),
        (turned, {SHAPE}),
        (like_perceptrons, {SHAPE}),
    ):
        assert (novelty.p_values(strangers) <= 0.05).mean() > 0.9, reasons
        assert set(novelty.reasons(strangers)) <= reasons
    assert (novelty.p_values(own) <= 0.05).mean() < 0.2


def test_what_is_sharper_or_flatter_than_all_of_the_zoo_is_strange(novelty):
    own, _ = draw(20, 7)
    zoo = find_sharpness(draw()[0])
    for factor, reason, rank in ((9, SHARPER, 1.0), (1 / 9, FLATTER, 0.0)):
        boxes = log_softmax(factor * own)
        np.testing.assert_allclose(find_shape(boxes), find_shape(own), atol=1e-2)
        np.testing.assert_allclose(
            find_sharpness(boxes), factor * find_sharpness(own), 1e-3
        )
        # By more than the zoo's own outermost are outside of the others.
        found = find_sharpness(boxes)
        outside = found > 1.2 * zoo.max() if rank else found < zoo.min() / 1.7
        assert outside.mean() > 0.5
        assert (novelty.sharpness_ranks(boxes)[outside] == rank).all()
        assert (novelty.p_values(boxes[outside]) <= 0.05).all()
        assert novelty.reasons(boxes[outside]) == [reason] * outside.sum()


def test_inside_of_what_the_zoo_shows_sharpness_is_not_strange(novelty):
    own, _ = draw(20, 7)
    middle = np.median(find_sharpness(draw()[0]))
    factors = middle / find_sharpness(own)[:, None, None]
    p_values = [
        novelty.p_values(log_softmax(factor * factors * own))
        for factor in (0.8, 1.0, 1.2)
    ]
    np.testing.assert_allclose(p_values[0], p_values[1], atol=0.01)
    np.testing.assert_allclose(p_values[2], p_values[1], atol=0.01)
    assert 0.2 < novelty.sharpness_ranks(own).mean() < 0.8


def test_what_is_learned_of_a_zoo_is_the_same_each_time(novelty):
    again = Novelty.fit(*draw())
    for name, array in novelty.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], array)


def test_tiny_zoos_and_zoos_that_answer_alike_have_p_values():
    outputs, ids = draw(2)
    for own in (outputs, np.tile(outputs[:1], (4, 1, 1))):
        found = Novelty.fit(own, ids).p_values(outputs)
        assert np.isfinite(found).all() and (found > 0).all()


def test_limits_are_what_was_written(tmp_path, novelty):
    full = Limits(
        resolution=0.0, floor=0.0, thresholds={"a": (0.1, 0.2)}, novelty=novelty
    )
    coarse = dataclasses.replace(full, resolution=1e-4, floor=1e-3, novelty=None)
    assert limits_lib.load(tmp_path) == ()
    limits_lib.save(tmp_path, [full, coarse])
    first, second = limits_lib.load(tmp_path)
    assert second == coarse and first.thresholds == full.thresholds
    own, _ = draw(20, 7)
    np.testing.assert_allclose(
        first.novelty.p_values(own), novelty.p_values(own), atol=1e-5
    )
    assert first.novelty.reasons(own) == novelty.reasons(own)
    path = tmp_path / limits_lib.NOVELTY_NAME
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"novelty.npz is missing or damaged"):
        limits_lib.load(tmp_path)


@pytest.mark.parametrize(
    ("resolution", "place"),
    [(0.0, 0), (6e-8, 0), (1e-6, 1), (1e-5, 2), (1e-4, 3), (1.005e-4, 3), (2e-4, 4)],
)
def test_answers_are_read_at_the_level_that_fits(resolution, place):
    levels = [
        Limits(resolution=own, floor=floor, thresholds={}, novelty=None)
        for own, floor in (limits_lib.FULL, *limits_lib.COARSE)
    ]
    assert limits_lib.choose(levels, resolution) == place
    assert limits_lib.choose(levels, 0.5) == len(levels) - 1
    assert limits_lib.choose(levels[:1], resolution) == 0
