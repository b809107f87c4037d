"""Linear machines: what they answer, and how far they trust themselves."""

import dataclasses

import fakes
import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import RidgeClassifier
from sklearn.svm import SVC

from kennen_tf.attributes import MISSING, Attribute, AttributeTable
from kennen_tf.configs.recipes import RECIPES
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.metamodels import metrics
from kennen_tf.metamodels.recipes import heads, planes

# As a machine of scikit-learn's reads them: undivided.
RECIPE = dataclasses.replace(RECIPES["svm"], divide=False)
both = pytest.mark.parametrize("recipe", [RECIPE, RECIPES["ridge"]], ids=type)
NUM_TRAIN = 150


@pytest.fixture(scope="module")
def zoo():
    """Planted outputs, labels and combinations, sides `[:NUM_TRAIN]` and the rest."""
    entries = fakes.make_entries(NUM_TRAIN + 100)
    combinations = [entry.combination_id for entry in entries]
    return *fakes.make_arrays(entries, 12, planted=True), combinations


@pytest.fixture(scope="module")
def models(zoo):
    x, labels, combinations = zoo
    own = {name: values[:NUM_TRAIN] for name, values in labels.items()}
    return planes.fit(RECIPE, TABLE, x[:NUM_TRAIN], own, combinations[:NUM_TRAIN])


def test_it_reads_a_planted_zoo(zoo, models):
    x, labels, _ = zoo
    logits = heads.join_members(TABLE, models[1](x[NUM_TRAIN:]).numpy())
    test = {name: values[NUM_TRAIN:] for name, values in labels.items()}
    assert metrics.score(TABLE, test, logits, skip=())["average"] > 0.5  # Chance: 0.36.


@pytest.mark.parametrize("name", ["act", "pool"])
def test_it_answers_as_machines_of_one_against_the_rest(name, zoo, models):
    x, labels, _ = zoo
    flat, own = x.reshape(len(x), -1).astype(float), labels[name][:NUM_TRAIN]
    values = range(len(TABLE[name].values))
    by_value = [flat[:NUM_TRAIN][own == value] for value in values]
    flat -= np.mean([part.mean(axis=0) for part in by_value], axis=0)
    flat /= np.sqrt(np.mean(np.sum(flat[:NUM_TRAIN] ** 2, axis=1)))
    expected = []
    for value in values:
        machine = SVC(kernel="linear", C=10.0, class_weight="balanced")
        machine.fit(flat[:NUM_TRAIN], own == value)
        expected.append(machine.decision_function(flat[NUM_TRAIN:]))
    expected = np.stack(expected, axis=1)
    expected -= expected.mean(axis=1, keepdims=True)
    logits = models[1](x[NUM_TRAIN:]).numpy()[:, 0]
    answers = heads.split_logits(TABLE, logits)[name]
    # But for the temperature.
    temperature = np.sum(answers * expected) / np.sum(expected**2)
    assert temperature > 0
    np.testing.assert_allclose(answers, temperature * expected, atol=0.02 * temperature)


def products_of(x):
    flat = x.reshape(len(x), -1).astype(float)
    return flat @ flat.T


@pytest.mark.parametrize("num_families", [2, 3])
def test_ridge_answers_as_a_regression_with_weights(num_families):
    x, labels, ids = make_families(2, preference=1.0)
    # One family has fewer classifiers, so that weights matter.
    chosen = np.flatnonzero((labels < num_families) & (np.arange(len(x)) != 7))
    flat = x.reshape(len(x), -1).astype(float)
    own = labels[chosen]
    means = [flat[chosen][own == value].mean(axis=0) for value in range(num_families)]
    flat -= np.mean(means, axis=0)
    flat /= np.sqrt(np.mean(np.sum(flat[chosen] ** 2, axis=1)))
    ridge = RidgeClassifier(1.0, class_weight="balanced").fit(flat[chosen], own)
    expected = ridge.decision_function(flat)
    if num_families == 2:
        expected = np.stack([-expected, expected], axis=1)
    expected -= expected.mean(axis=1, keepdims=True)
    products = products_of(x)
    coefficients, bias = planes.solve(
        products[np.ix_(chosen, chosen)],
        own,
        num_families,
        np.array(ids)[chosen],
        RECIPES["ridge"],
    )
    answers = products[:, chosen] @ coefficients + bias
    # But for the temperature.
    temperature = np.sum(answers * expected) / np.sum(expected**2)
    assert temperature > 0
    np.testing.assert_allclose(answers, temperature * expected, atol=1e-6 * temperature)


def test_entries_without_a_value_have_no_part_in_it(zoo):
    x, labels, combinations = zoo
    products, own = products_of(x[:90]), np.array(labels["act"][:90])
    is_known = np.arange(90) % 3 > 0
    ids = np.array(combinations[:90])
    own[~is_known] = MISSING
    coefficients, bias = planes.solve(products, own, 4, ids, RECIPE)
    alone = products[np.ix_(is_known, is_known)]
    expected = planes.solve(alone, own[is_known], 4, ids[is_known], RECIPE)
    np.testing.assert_array_equal(coefficients[is_known], expected[0])
    np.testing.assert_array_equal(bias, expected[1])
    assert not coefficients[~is_known].any()


def test_the_origin_of_the_features_and_their_scale_do_not_matter(zoo):
    x, labels, combinations = zoo
    own = labels["alg"][:60]
    first = products_of(x[:60])
    other = products_of(100 * (x[:60] + 3))
    a, b = (planes.solve(p, own, 3, combinations[:60], RECIPE) for p in (first, other))
    logits = [p @ found + bias for p, (found, bias) in ((first, a), (other, b))]
    np.testing.assert_allclose(
        logits[0], logits[1], atol=0.02 * np.abs(logits[0]).max()
    )


def make_families(num_groups, preference, seed=0, members=3):
    """Makes few classifiers of many numbers, some of each of three families."""
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], num_groups * members)
    ids = [f"g{i // members}" for i in range(len(labels))]
    x = random.normal(0, 1, (len(labels), 20, 300)).astype(np.float32)
    x[np.arange(len(labels)), :, labels] += preference
    return x, labels, ids


TABLE_OF_FAMILIES = AttributeTable([Attribute(name="family", values=tuple("abcd"))])


@both
def test_few_classifiers_of_many_numbers_are_told_apart(recipe):
    x, labels, ids = make_families(2, preference=6.0)
    models = planes.fit(recipe, TABLE_OF_FAMILIES, x, {"family": labels}, ids)
    test, truth, _ = make_families(2, preference=6.0, seed=1)
    answers = models[0](test)["family"].numpy()
    assert (answers.argmax(axis=1) == truth).all()
    np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-5)
    assert answers[:, 3].max() < 1e-6  # Nobody is of that family.


@both
def test_answers_to_what_is_not_there_to_be_told_are_near_chance(recipe):
    x, labels, ids = make_families(8, preference=0.0)
    models = planes.fit(recipe, TABLE_OF_FAMILIES, x, {"family": labels}, ids)
    test, truth, _ = make_families(8, preference=0.0, seed=1)
    answers = models[0](test)["family"].numpy()
    told = np.log(answers[np.arange(len(truth)), truth]).mean()
    assert told > -np.log(3) - 0.15


def test_with_nobody_to_ask_the_temperature_is_1():
    x, labels, _ = make_families(2, preference=6.0)
    products = products_of(x)
    # Each family is one combination.
    coefficients, bias = planes.solve(products, labels, 3, labels.astype(str), RECIPE)
    logits = products @ coefficients + bias
    scores = [logits[labels == value, value].mean() for value in range(3)]
    # Support vectors of a hard margin are at 1 and -1, their mean over three at -1/3.
    np.testing.assert_allclose(scores, 4 / 3, atol=0.01)
    unasked, _ = planes.solve(products, labels, 3, None, RECIPE)
    np.testing.assert_array_equal(unasked, coefficients)
    _, _, ids = make_families(2, preference=6.0)
    trusting, bias = planes.solve(products, labels, 3, ids, RECIPE)
    assert np.abs(products @ trusting + bias).max() > 2 * np.abs(logits).max()


def test_parts_hold_whole_combinations_and_each_value_in_as_many_as_can_be():
    labels = np.repeat([0, 1, 2], [12, 6, 3])
    ids = np.array([f"g{i // 3}" for i in range(21)])
    folds = planes._deal(labels, ids)
    for name in set(ids):
        assert len(set(folds[ids == name])) == 1
    assert [len(set(folds[labels == value])) for value in range(3)] == [4, 2, 1]
    assert set(folds) == set(range(planes.NUM_FOLDS))


@both
@pytest.mark.parametrize("known", [[], [1], [1] * 5])
def test_with_fewer_than_two_values_the_answer_is_a_constant(known, recipe):
    labels = np.array([*known, *[MISSING] * (6 - len(known))])
    coefficients, bias = planes.solve(np.eye(6), labels, 3, list("abcdef"), recipe)
    assert not coefficients.any()
    wanted = [0, 1, 0] if known else [1 / 3] * 3
    np.testing.assert_allclose(special.softmax(bias), wanted, atol=1e-6)


@both
def test_classifiers_that_answer_all_alike_tell_nothing(recipe):
    labels = np.array([0, 1, 1, 0])
    coefficients, bias = planes.solve(np.ones((4, 4)), labels, 2, list("abcd"), recipe)
    logits = np.ones((4, 4)) @ coefficients + bias
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(special.softmax(logits, axis=1), 0.5, atol=0.05)
