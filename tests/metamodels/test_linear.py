"""The yardstick: what it answers is what scikit-learn does."""

import fakes
import numpy as np

from kennen_tf.attributes import MISSING
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.metamodels import metrics
from kennen_tf.metamodels.recipes import heads, linear

NUM_QUERIES = 24


def make_arrays(num_entries=200, planted=True, seed=0):
    entries = fakes.make_entries(num_entries, seed)
    return fakes.make_arrays(entries, NUM_QUERIES, planted=planted)


def take_away(labels, name, first):
    """Takes the values of an attribute away from entry `first` on."""
    return {
        **labels,
        name: np.where(np.arange(len(labels[name])) < first, labels[name], MISSING),
    }


def test_the_linear_metamodel_reads_a_planted_zoo_and_answers_as_sklearn_does():
    from sklearn.linear_model import LogisticRegression

    x, labels = make_arrays(600)
    answering, trained = linear.fit(
        TABLE, x[:500], {n: v[:500] for n, v in labels.items()}, is_balanced=False
    )
    flat = x.reshape(len(x), -1)
    mean, deviation = flat[:500].mean(axis=0), flat[:500].std(axis=0)
    standardized = (flat - mean) / deviation
    for name in ("pool", "split"):
        regression = LogisticRegression(C=linear.INVERSE_REGULARIZATION, max_iter=5000)
        regression.fit(standardized[:500], labels[name][:500])
        np.testing.assert_allclose(
            answering(x[500:])[name],
            regression.predict_proba(standardized[500:]),
            atol=2e-3,
        )
    logits = heads.join_members(TABLE, trained(x[500:]).numpy())
    score = metrics.score(
        TABLE, {n: v[500:] for n, v in labels.items()}, logits, skip=()
    )
    # Chance is 0.36; with so few entries, strong regularisation takes its toll.
    assert score["average"] > 0.65


def test_an_attribute_with_one_value_in_training_is_a_constant():
    x, labels = make_arrays(60)
    labels["fc"] = np.full(60, 1)
    labels["conv"] = np.repeat([0, 2], 30)
    answering, _ = linear.fit(TABLE, x, labels, is_balanced=True)
    answers = answering(x)
    np.testing.assert_allclose(answers["fc"], np.tile([0, 1, 0], (60, 1)), atol=1e-6)
    assert np.asarray(answers["conv"])[:, 1].max() < 1e-6


def test_the_linear_head_is_that_of_the_entries_that_have_a_value():
    x, labels = make_arrays(40)
    # Twice the same entries: the standardisation is the same with half of them.
    doubled = np.concatenate([x, x])
    twice = {name: np.tile(values, 2) for name, values in labels.items()}
    without = take_away(twice, "act", 40)
    alone, _ = linear.fit(TABLE, x, labels, is_balanced=True)
    answering, _ = linear.fit(TABLE, doubled, without, is_balanced=True)
    np.testing.assert_allclose(answering(x)["act"], alone(x)["act"], atol=1e-5)
    whole, _ = linear.fit(TABLE, doubled, twice, is_balanced=True)
    assert np.abs(whole(x)["act"] - alone(x)["act"]).max() > 1e-3
