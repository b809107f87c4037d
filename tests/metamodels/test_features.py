"""What the first layer of a metamodel reads."""

import fakes
import keras
import numpy as np
import pytest

from kennen_tf.metamodels.recipes import features

NUM_QUERIES = 24


def make_arrays(num_entries=200, planted=True, seed=0):
    entries = fakes.make_entries(num_entries, seed)
    return fakes.make_arrays(entries, NUM_QUERIES, planted=planted)


@pytest.mark.parametrize("center", [False, True])
def test_features_are_standardised_over_the_training_entries(center):
    x, _ = make_arrays(50)
    x[:, 3] = -2.5  # Never varies.
    inputs = keras.Input(x.shape[1:])
    flat = features.add_features(
        inputs, x, center=center, standardize=True, deviation_floor=0.01
    )
    made = keras.Model(inputs, flat).predict(x, verbose=0).reshape(x.shape)
    np.testing.assert_allclose(made.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.delete(made.std(axis=0), 3, axis=0), 1, rtol=1e-3)
    assert np.abs(made[:, 3]).max() < 1e-3


def test_the_scale_of_an_output_is_told_beside_its_proportions():
    x, _ = make_arrays(20)
    how = {"center": True, "separate_scale": True}
    related = np.asarray(features.relate(x, **how))
    tripled = np.asarray(features.relate(3 * x, **how))
    assert related.shape == (20, NUM_QUERIES, 11)
    np.testing.assert_allclose(tripled[..., :10], related[..., :10], atol=1e-4)
    np.testing.assert_allclose(tripled[..., 10] - related[..., 10], np.log(3), 1e-4)
    np.testing.assert_allclose(np.square(related[..., :10]).mean(-1), 1, rtol=1e-4)
    # A black box that names all digits alike.
    assert np.isfinite(features.relate(np.full((1, 1, 10), -2.3), **how)).all()


def test_divided_answers_tell_their_shape_and_not_how_sharp_they_are():
    x, _ = make_arrays(20)
    divided = np.asarray(features.divide(x))
    centered = x - x.mean(axis=-1, keepdims=True)
    number = np.sqrt(np.mean(centered**2, axis=(1, 2)))
    np.testing.assert_allclose(
        divided, centered / number[:, np.newaxis, np.newaxis], rtol=1e-3, atol=1e-5
    )
    inputs = keras.Input(x.shape[1:])
    for how in ({"center": True, "separate_scale": True}, {"power": 0.05}):
        how |= {"divides": True, "normalize": "power" in how}
        flat = features.add_features(
            inputs, x, standardize=True, deviation_floor=0.1, **how
        )
        model = keras.Model(inputs, flat)
        # A classifier that is three times as sure of all, and none that is of none.
        np.testing.assert_allclose(
            features.call(model, 3 * x), features.call(model, x), atol=2e-3
        )
        assert np.isfinite(features.call(model, np.full_like(x, -2.3))).all()


def test_a_feature_that_hardly_varied_in_training_does_not_explode():
    x, _ = make_arrays(50)
    x[:, 3] = -2.5
    inputs = keras.Input(x.shape[1:])
    flat = features.add_features(
        inputs, x, center=False, standardize=True, deviation_floor=0.1
    )
    other = np.array(x[:1])
    other[:, 3] = -23.0
    assert np.abs(keras.Model(inputs, flat).predict(other, verbose=0)).max() < 300


@pytest.mark.parametrize("deviation_floor", [0.0, 0.1])
def test_features_that_do_not_vary_at_all_are_zero(deviation_floor):
    x = np.full((5, 2, 10), -1.0, np.float32)
    reader = features.make_standardizer(x, center=True, deviation_floor=deviation_floor)
    assert not features.call(reader, x).any()


def test_without_a_floor_all_that_varies_has_deviation_1():
    x, _ = make_arrays(50)
    x[:, 3] = -2.5 + 1e-3 * x[:, 3]
    x[:, 4] = -2.5
    made = features.call(features.make_standardizer(x, deviation_floor=0.0), x)
    deviations = made.std(axis=0).reshape(x.shape[1:])
    np.testing.assert_allclose(np.delete(deviations, 4, axis=0), 1, rtol=1e-2)
    assert not deviations[4].any()
