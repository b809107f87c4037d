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
from kennen_tf.metamodels.recipes import features, heads, kernel, regression

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


def alike(x):
    """Returns how alike entries are to those to train on, as the docstring says."""
    kernels = []
    first = {"center": True, "separate_scale": True}
    for how in (first, {"power": RECIPE.power, "normalize": True}):
        reader = features.make_standardizer(
            x[:NUM_TRAIN], deviation_floor=0.1, divides=True, **how
        )
        read = features.call(reader, x).astype(float)
        distances = euclidean_distances(read, read[:NUM_TRAIN], squared=True)
        kernels.append((1 + RECIPE.steepness * distances / read.shape[1]) ** -0.5)
    return np.mean(kernels, axis=0)


def likelihood_ratios(labels):
    """Returns what is regressed on: 0 on the average, values counting alike."""
    own = np.eye(labels.max() + 1)[labels]
    return own / own.mean(axis=0) / own.shape[1] - 1 / own.shape[1]


def test_it_answers_as_a_kernel_ridge_regression_of_likelihood_ratios(zoo, models):
    x, labels, _ = zoo
    likeness = alike(x)
    for name in ("pool", "split"):
        ridge = KernelRidge(alpha=RECIPE.ridge, kernel="precomputed")
        ridge.fit(likeness[:NUM_TRAIN], likelihood_ratios(labels[name][:NUM_TRAIN]))
        expected = ridge.predict(likeness[NUM_TRAIN:])
        # But for the temperature.
        answers = read(models, zoo)[name]
        temperature = np.sum(answers * expected) / np.sum(expected**2)
        assert temperature > 0
        np.testing.assert_allclose(answers, temperature * expected, atol=0.01)


@pytest.mark.parametrize("num_landmarks", [NUM_TRAIN, 150])
def test_answers_to_those_left_out_are_those_of_solving_without_them(
    zoo, num_landmarks
):
    x, labels, combinations = zoo
    likeness = alike(x)[:NUM_TRAIN]
    _, combinations = np.unique(combinations[:NUM_TRAIN], return_inverse=True)
    landmarks = regression.choose_landmarks(NUM_TRAIN, num_landmarks)
    known = np.setdiff1d(np.arange(NUM_TRAIN), [3, 100, 101, 399])
    targets = likelihood_ratios(labels["pool"][:NUM_TRAIN])

    def solve(places, landmarks):
        return regression.solve(
            likeness[:, landmarks].astype(np.float32),
            landmarks,
            places,
            RECIPE.ridge,
            targets[places],
            combinations[places],
        )

    _, left_out = solve(known, landmarks)
    num_landmarks_out = 0
    for combination in np.unique(combinations[known])[:30]:
        is_out = combinations[known] == combination
        others = np.flatnonzero(combinations != combination)
        # Those that are not known stay landmarks.
        kept = np.setdiff1d(landmarks, known[is_out])
        num_landmarks_out += len(landmarks) - len(kept)
        if len(kept) == NUM_TRAIN - is_out.sum():
            # All others: they are to be all of the entries.
            weights = np.linalg.solve(
                likeness[np.ix_(known[~is_out], known[~is_out])]
                + RECIPE.ridge * np.eye(np.sum(~is_out)),
                targets[known[~is_out]],
            )
            expected = likeness[np.ix_(known[is_out], known[~is_out])] @ weights
        else:
            weights, _ = solve(np.intersect1d(known, others), kept)
            expected = likeness[np.ix_(known[is_out], kept)] @ weights
        np.testing.assert_allclose(left_out[is_out], expected, atol=1e-5)
    assert num_landmarks_out > 5


def test_landmarks_are_as_good_as_all_entries_once_they_are_nearly_all(zoo):
    x, labels, combinations = zoo
    targets = likelihood_ratios(labels["act"][:NUM_TRAIN])
    _, combinations = np.unique(combinations[:NUM_TRAIN], return_inverse=True)
    likeness = alike(x)
    answers, errors = {}, []
    for most in (NUM_TRAIN, 390, 100):
        landmarks = regression.choose_landmarks(NUM_TRAIN, most)
        assert len(np.unique(landmarks)) == most
        weights, left_out = regression.solve(
            likeness[:NUM_TRAIN, landmarks].astype(np.float32),
            landmarks,
            np.arange(NUM_TRAIN),
            RECIPE.ridge,
            targets,
            combinations,
        )
        answers[most] = likeness[NUM_TRAIN:, landmarks] @ weights
        errors.append(np.mean((left_out - targets) ** 2))
    distances = [np.abs(answers[most] - answers[NUM_TRAIN]).mean() for most in answers]
    assert distances[1] < 0.02 < distances[2]
    assert errors[2] < np.mean(targets**2)


def test_of_more_entries_than_landmarks_the_model_holds_the_landmarks(zoo, models):
    x, labels, combinations = zoo
    some = dataclasses.replace(RECIPE, landmarks=150)
    own = {name: values[:NUM_TRAIN] for name, values in labels.items()}
    # Answers that are all alike, and an attribute that some have no value of.
    x = np.concatenate([x[:200], x[:200], x[NUM_TRAIN:]])
    own = {name: np.tile(values[:200], 2) for name, values in own.items()}
    own["act"] = np.where(np.arange(NUM_TRAIN) % 5 == 0, MISSING, own["act"])
    left_out = {}
    ids = [*combinations[:200], *combinations[:200]]
    answering, logits = kernel.fit(some, TABLE, x[:NUM_TRAIN], own, ids, left_out)
    assert answering.count_params() < 0.5 * models[0].count_params()
    test = {name: values[NUM_TRAIN:] for name, values in labels.items()}
    joined = heads.join_members(TABLE, logits(x[NUM_TRAIN:]).numpy())
    assert metrics.score(TABLE, test, joined, skip=())["average"] > 0.5
    is_nan = np.isnan(left_out["act"]).all(axis=1)
    np.testing.assert_array_equal(is_nan, own["act"] == MISSING)
    assert np.isfinite(left_out["pool"]).all()


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
    own, table = {"split": labels["split"][:NUM_TRAIN]}, TABLE.select(["split"])
    left_out = {}
    kernel.fit(RECIPE, table, x[:NUM_TRAIN], own, combinations[:NUM_TRAIN], left_out)
    is_out = np.isin(combinations[:NUM_TRAIN], combinations[:1])
    others, ids = ~is_out, np.asarray(combinations[:NUM_TRAIN])
    alone, _ = kernel.fit(
        RECIPE,
        table,
        x[:NUM_TRAIN][others],
        {"split": own["split"][others]},
        ids[others],
    )
    # Standardisation and temperature are those of all.
    expected = alone(x[:NUM_TRAIN][is_out])["split"].numpy()
    np.testing.assert_allclose(left_out["split"][is_out], expected, atol=0.05)
    known, _ = kernel.fit(RECIPE, table, x[:NUM_TRAIN], own, ids)
    likelihoods = [
        np.mean(np.log(p[np.arange(NUM_TRAIN), own["split"]]))
        for p in (left_out["split"], known(x[:NUM_TRAIN])["split"].numpy())
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


def say_of_noise(prior, share=0.85):
    """Returns what is said of a value of that share, where nothing tells."""
    random = np.random.default_rng(1)
    x = np.log(random.dirichlet(np.ones(10), (600, 6)).astype(np.float32))
    own = {"pool": (random.random(600) < share).astype(int)}
    recipe = dataclasses.replace(RECIPE, prior=prior)
    ids = [str(place) for place in range(300)]
    train = {"pool": own["pool"][:300]}
    model, _ = kernel.fit(recipe, TABLE.select(["pool"]), x[:300], train, ids)
    return model(x[300:])["pool"].numpy()[:, 1].mean()


def test_with_a_prior_what_is_common_is_likelier():
    assert say_of_noise(0.0) == pytest.approx(0.5, abs=0.06)
    assert say_of_noise(1.0) == pytest.approx(0.85, abs=0.06)
    assert 0.62 < say_of_noise(0.5) < 0.78  # sqrt(.85) of sqrt(.85) and sqrt(.15): .70


def test_recipes_of_before_there_was_a_prior_keep_their_fingerprints():
    assert "prior" not in RECIPE.to_json()
    assert "prior" not in RECIPES["joined"].to_json()["beside"]
    other = dataclasses.replace(RECIPE, prior=0.5)
    assert type(other).from_json(other.to_json()) == other
