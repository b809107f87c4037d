"""Norms of perturbations, against numbers worked out by hand, and their laws."""

import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.imagenet.attacks.norms import L2Norm, LInfNorm, make_norm

NORMS = ("l2", "linf")


def draw(scale, shape=(5, 8, 8, 3), seed=0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def test_sizes_by_hand():
    perturbations = np.zeros((2, 2, 2, 3), np.float32)
    perturbations[0, 0, 0] = [3, -4, 12]
    np.testing.assert_allclose(L2Norm().size(perturbations), [13, 0])
    np.testing.assert_allclose(LInfNorm().size(perturbations), [12, 0])


def test_projections_by_hand():
    perturbations = np.zeros((1, 1, 2, 3), np.float32)
    perturbations[0, 0, 0] = [3, -4, 0]
    l2 = L2Norm().project(perturbations, 1.0).numpy()
    np.testing.assert_allclose(l2[0, 0, 0], [0.6, -0.8, 0], rtol=1e-6)
    linf = LInfNorm().project(perturbations, 3.5).numpy()
    np.testing.assert_allclose(linf[0, 0, 0], [3, -3.5, 0])


@pytest.mark.parametrize("name", NORMS)
def test_a_direction_has_norm_one_and_climbs(name):
    norm = make_norm(name)
    gradients = draw(1e-12)
    direction = norm.direction(gradients).numpy()
    np.testing.assert_allclose(norm.size(direction), np.ones(5), rtol=1e-5)
    assert ((direction * gradients).sum((1, 2, 3)) > 0).all()


@pytest.mark.parametrize("name", NORMS)
def test_without_a_gradient_there_is_no_step(name):
    direction = make_norm(name).direction(np.zeros((1, 4, 4, 3), np.float32))
    np.testing.assert_array_equal(direction, 0)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("epsilon", [0.0, 0.4, 3.7, 20.0])
def test_projection_stays_within_and_leaves_what_is_within(name, epsilon):
    norm = make_norm(name)
    projected = norm.project(draw(9), epsilon)
    assert (norm.size(projected).numpy() <= epsilon * (1 + 1e-6)).all()
    again = norm.project(projected, epsilon)
    np.testing.assert_allclose(again, projected, rtol=1e-5)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("epsilon", [0.0, 0.4, 3.7, 25.0, 1000.0])
def test_whole_levels_are_whole_and_within_exactly(name, epsilon):
    norm = make_norm(name)
    whole = norm.to_whole_levels(norm.project(draw(9), epsilon), epsilon).numpy()
    np.testing.assert_array_equal(whole, np.round(whole))
    sizes = norm.size(tf.cast(whole, tf.float64)).numpy()
    assert (sizes <= epsilon).all()


def test_rounding_keeps_most_of_an_l2_perturbation():
    # The paper's budget, in proportion: 2.6 levels root mean square.
    epsilon = 1000 * 32 / 224
    perturbations = L2Norm().project(draw(9, (5, 32, 32, 3)), epsilon)
    sizes = L2Norm().size(L2Norm().to_whole_levels(perturbations, epsilon)).numpy()
    assert (sizes > 0.99 * epsilon).all()


@pytest.mark.parametrize("name", NORMS)
def test_draws_are_within_centred_and_belong_to_their_seeds(name):
    norm = make_norm(name)
    shape, epsilon = tf.constant([64, 4, 4, 3]), 5.0
    seeds = np.stack([np.arange(64), np.arange(64) + 7], axis=1).astype(np.int32)
    drawn = norm.draw(shape, seeds, epsilon).numpy()
    assert (norm.size(drawn).numpy() <= epsilon * (1 + 1e-6)).all()
    deviation = drawn.std() / np.sqrt(drawn.size)
    assert abs(drawn.mean()) < 4 * deviation
    again = norm.draw(shape - [32, 0, 0, 0], seeds[32:], epsilon).numpy()
    np.testing.assert_array_equal(again, drawn[32:])


@pytest.mark.long
def test_l2_draws_are_uniform_in_the_ball():
    # In three dimensions, an eighth of the ball lies within half of its radius.
    seeds = np.stack([np.arange(2000), np.arange(2000)], axis=1).astype(np.int32)
    # Compiled, as one after the other they take seconds.
    drawn = tf.function(L2Norm().draw)(tf.constant([2000, 1, 1, 3]), seeds, 2.0)
    inner = np.mean(L2Norm().size(drawn).numpy() < 1.0)
    assert abs(inner - 1 / 8) < 4 * np.sqrt(1 / 8 * 7 / 8 / 2000)
