"""The metamodel that is solved for: what it answers, and how far it trusts itself."""

import dataclasses

import fakes
import numpy as np
import pytest
from scipy import special
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import euclidean_distances

from kennen_tf.attributes import MISSING
from kennen_tf.configs.recipes import RECIPES
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.metamodels import metrics
from kennen_tf.metamodels.recipes import features, heads, kernel

RECIPE = RECIPES["kernel"]
NUM_QUERIES, NUM_TRAIN = 12, 400


@pytest.fixture(scope="module")
def zoo():
    """Planted outputs, labels and combinations, sides `[:NUM_TRAIN]` and the rest."""
    entries = fakes.make_entries(NUM_TRAIN + 100)
    combinations = [entry.combination_id for entry in entries]
    return *fakes.make_arrays(entries, NUM_QUERIES, planted=True), combinations


def fit(zoo, labels=None, table=TABLE):
    x, own, combinations = zoo
    labels = labels or own
    return kernel.fit(
        RECIPE,
        table,
        x[:NUM_TRAIN],
        {name: values[:NUM_TRAIN] for name, values in labels.items()},
        combinations[:NUM_TRAIN],
    )


@pytest.fixture(scope="module")
def models(zoo):
    return fit(zoo)


def read(models, zoo):
    """Returns the logits of the test side, by attribute."""
    logits = models[1](zoo[0][NUM_TRAIN:]).numpy()
    return heads.split_logits(TABLE, logits[:, 0])


def test_it_reads_a_planted_zoo(zoo, models):
    logits = models[1](zoo[0][NUM_TRAIN:]).numpy()
    test = {name: values[NUM_TRAIN:] for name, values in zoo[1].items()}
    score = metrics.score(TABLE, test, heads.join_members(TABLE, logits), skip=())
    assert score["average"] > 0.65  # Chance is 0.36.


def test_it_answers_as_two_kernel_ridge_regressions_with_weights(zoo, models):
    x, labels, _ = zoo
    views = []
    first = {"center": True, "separate_scale": True}
    for how in (first, {"power": RECIPE.power, "normalize": True}):
        reader = features.make_standardizer(
            x[:NUM_TRAIN], deviation_floor=0.1, divides=True, **how
        )
        views.append(reader.predict(x, verbose=0).astype(float))
    for name in ("pool", "split"):
        own = labels[name][:NUM_TRAIN]
        count = np.bincount(own)
        weights = NUM_TRAIN / len(count) / count[own]
        targets = np.eye(len(count))[own] - 1 / len(count)
        expected = 0.0
        for standardized in views:
            distances = euclidean_distances(standardized, squared=True)
            mean = distances / standardized.shape[1]
            alike = (1 + RECIPE.steepness * mean[:, :NUM_TRAIN]) ** -0.5
            ridge = KernelRidge(alpha=RECIPE.ridge, kernel="precomputed")
            ridge.fit(alike[:NUM_TRAIN], targets, sample_weight=weights)
            expected += ridge.predict(alike[NUM_TRAIN:]) / len(views)
        # But for the temperature.
        answers = read(models, zoo)[name]
        temperature = np.sum(answers * expected) / np.sum(expected**2)
        assert temperature > 0
        np.testing.assert_allclose(answers, temperature * expected, atol=0.01)


def test_answers_to_what_is_not_there_to_be_told_are_near_chance(zoo):
    random = np.random.default_rng(0)
    shuffled = {name: random.permutation(v) for name, v in zoo[1].items()}
    for name, logits in read(fit(zoo, shuffled), zoo).items():
        truth = shuffled[name][NUM_TRAIN:]
        log_probabilities = logits - special.logsumexp(logits, axis=1, keepdims=True)
        told = log_probabilities[np.arange(len(truth)), truth].mean()
        # Trusting answers as those to training entries would cost several times that.
        assert told > -np.log(len(TABLE[name].values)) - 0.15, name


def test_leaving_out_is_solving_without_them(zoo):
    x, labels, _ = zoo
    # Twins, which all but give each other away if only one is left out.
    num_pairs = 200
    doubled = np.concatenate([x[:num_pairs]] * 2)
    pool = np.random.default_rng(0).permutation(labels["pool"][:num_pairs])
    trusting = dataclasses.replace(RECIPE, ridge=1e-3)

    def highest(ids):
        answering, _ = kernel.fit(
            trusting, TABLE.select(["pool"]), doubled, {"pool": np.tile(pool, 2)}, ids
        )
        return answering(x[NUM_TRAIN:])["pool"].numpy().max(axis=1).mean()

    together = [str(i) for i in range(num_pairs)] * 2
    apart = [str(i) for i in range(2 * num_pairs)]
    assert highest(together) < 0.6 < highest(apart)


def test_what_it_says_of_those_left_out_is_what_it_says_without_them(zoo):
    x, labels, combinations = zoo
    own, table = {"pool": labels["pool"][:NUM_TRAIN]}, TABLE.select(["pool"])
    left_out = {}
    kernel.fit(RECIPE, table, x[:NUM_TRAIN], own, combinations[:NUM_TRAIN], left_out)
    is_out = np.isin(combinations[:NUM_TRAIN], combinations[:1])
    others, ids = ~is_out, np.asarray(combinations[:NUM_TRAIN])
    alone, _ = kernel.fit(
        RECIPE, table, x[:NUM_TRAIN][others], {"pool": own["pool"][others]}, ids[others]
    )
    # Standardisation and temperature are those of all.
    expected = alone(x[:NUM_TRAIN][is_out])["pool"].numpy()
    np.testing.assert_allclose(left_out["pool"][is_out], expected, atol=0.05)
    known, _ = kernel.fit(RECIPE, table, x[:NUM_TRAIN], own, ids)
    likelihoods = [
        np.mean(np.log(p[np.arange(NUM_TRAIN), own["pool"]]))
        for p in (left_out["pool"], known(x[:NUM_TRAIN])["pool"].numpy())
    ]
    assert likelihoods[0] < likelihoods[1] - 0.001


def test_an_attribute_with_one_value_in_training_is_a_constant(zoo):
    labels = dict(zoo[1])
    labels["fc"] = np.ones_like(labels["fc"])
    labels["conv"] = np.where(labels["conv"] == 1, 0, labels["conv"])
    answering, _ = fit(zoo, labels, TABLE.select(["fc", "conv"]))
    answers = answering(zoo[0])
    np.testing.assert_allclose(
        answers["fc"], np.tile([0, 1, 0], (len(zoo[0]), 1)), atol=1e-6
    )
    assert np.asarray(answers["conv"])[:, 1].max() < 1e-6


def test_a_head_is_that_of_the_entries_that_have_a_value(zoo):
    x, labels, combinations = zoo
    some, table = slice(0, 80), TABLE.select(["act", "split"])
    own = {name: labels[name][some] for name in table.names}
    alone, _ = kernel.fit(RECIPE, table, x[some], own, combinations[some])
    # Twice the same entries: the standardisation is the same with half of them.
    doubled = np.concatenate([x[some]] * 2)
    twice = {name: np.tile(values, 2) for name, values in own.items()}
    ids = [*combinations[some], *(f"{name} again" for name in combinations[some])]
    whole, _ = kernel.fit(RECIPE, table, doubled, twice, ids)
    twice["split"][80:] = MISSING
    answering, _ = kernel.fit(RECIPE, table, doubled, twice, ids)
    test = x[NUM_TRAIN:]
    np.testing.assert_allclose(
        answering(test)["split"], alone(test)["split"], atol=1e-4
    )
    assert np.abs(whole(test)["split"] - alone(test)["split"]).max() > 0.01
    np.testing.assert_array_equal(answering(test)["act"], whole(test)["act"])
