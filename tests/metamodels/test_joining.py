"""MLPs and a kernel regression, joined: the mean of both, whoever computes it."""

import dataclasses

import fakes
import keras
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.configs.recipes import EVERY, RECIPES, Recipe
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.metamodels import left_out as left_out_lib
from kennen_tf.metamodels.recipes import fitting, heads, joining, mlp
from kennen_tf.vocabulary.errors import UserError

FEW = TABLE.select(["act", "alg", "split"])
TINY = dataclasses.replace(
    RECIPES["joined"], groups=((EVERY,),), hidden_units=(8,), members=2
).for_table(FEW)


@pytest.fixture(scope="module")
def arrays():
    features, labels = fakes.make_arrays(fakes.make_entries(60), 6, planted=True)
    return features, {name: labels[name] for name in FEW.names}


@pytest.fixture(scope="module")
def networks(arrays):
    return fitting.PairedModels(FEW, *mlp.build(TINY, FEW, arrays[0], seed=0))


@pytest.fixture(scope="module")
def beside(arrays):
    features, labels = arrays
    ids = [f"c{place // 2}" for place in range(60)]
    return joining.Beside(TINY.beside, FEW, features, labels, ids)


@pytest.fixture(scope="module")
def joined(arrays, networks, beside):
    return beside.join(TINY, networks, arrays[0])


def test_answers_are_the_mean_of_both(arrays, networks, beside, joined):
    ours = left_out_lib.answer(joined.answering, arrays[0])
    trained = left_out_lib.answer(networks.answering, arrays[0])
    solved = left_out_lib.answer(beside._models.answering, arrays[0])
    for name in FEW.names:
        mean = (trained[name] + solved[name]) / 2
        np.testing.assert_allclose(ours[name], mean, atol=1e-5)
        assert np.abs(trained[name] - solved[name]).max() > 0.1


def test_curves_are_those_of_what_will_be_joined(arrays, networks, beside, joined):
    logits = joined.predict_logits(arrays[0])
    for _ in range(2):  # The second time, what was solved for is not asked again.
        now = beside.predict_logits(networks, arrays[0])
        np.testing.assert_allclose(now, logits, atol=1e-4)
    [_] = beside._said
    probabilities = np.exp(heads.split_logits(FEW, logits)["alg"])
    answers = left_out_lib.answer(joined.answering, arrays[0])
    np.testing.assert_allclose(probabilities, answers["alg"], atol=1e-5)


def test_networks_that_are_trained_again_change_nothing(arrays, beside):
    again = fitting.PairedModels(FEW, *mlp.build(TINY, FEW, arrays[0], seed=1))
    joined = beside.join(TINY, again, arrays[0])
    before = joined.predict_logits(arrays[0])
    for variable in again.model.variables:
        variable.assign(tf.zeros_like(variable))
    np.testing.assert_array_equal(joined.predict_logits(arrays[0]), before)


def test_only_what_neither_has_seen_is_said_of_those_left_out(beside):
    trained = {
        name: np.full((60, num_values), np.nan)
        for name, num_values in zip(FEW.names, FEW.num_values, strict=True)
    }
    for name, own in trained.items():
        own[:20] = np.eye(len(FEW[name].values))[0]
    both = beside.join_left_out(trained)
    for name, own in both.items():
        assert np.isnan(own[20:]).all()
        np.testing.assert_allclose(own[:20].sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(own[:20, 0], (1 + beside.left_out[name][:20, 0]) / 2)


def test_what_is_joined_is_one_model_of_keras_layers(arrays, joined, tmp_path):
    joined.answering.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", compile=False)
    ours = left_out_lib.answer(joined.answering, arrays[0])
    theirs = left_out_lib.answer(loaded, arrays[0])
    assert list(ours) == list(FEW.names)
    for name in FEW.names:
        np.testing.assert_array_equal(ours[name], theirs[name])
    for layer in loaded.layers:
        assert type(layer).__module__.startswith("keras."), layer


def test_a_recipe_with_another_beside_comes_back_from_json():
    recipe = RECIPES["joined"]
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert recipe.beside == RECIPES["kernel"]
    with pytest.raises(UserError, match="Unknown keys for KernelRecipe"):
        Recipe.from_json({**recipe.to_json(), "beside": {"reach": 1}})
