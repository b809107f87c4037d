"""Scores: numbers worked out by hand, laws, and how often intervals hold the truth."""

import json

import numpy as np
import pytest
import tables
from tables import PAPERS

from kennen_tf.attributes import MISSING
from kennen_tf.evaluation import scores
from kennen_tf.evaluation.accuracy import (
    class_balanced_accuracy,
    confusion_matrix,
    normalized_accuracy,
)
from kennen_tf.evaluation.results import Results
from kennen_tf.vocabulary.errors import UserError

NUM_ENTRIES = 120


@pytest.fixture
def labels():
    random = np.random.default_rng(0)
    return {a.name: random.integers(0, len(a.values), NUM_ENTRIES) for a in PAPERS}


def one_hot(labels):
    return {a.name: np.eye(len(a.values))[labels[a.name]] for a in PAPERS}


def noise(num_entries, seed=1):
    random = np.random.default_rng(seed)
    return {
        a.name: random.dirichlet(np.ones(len(a.values)), num_entries) for a in PAPERS
    }


def test_confusion_matrix_has_true_labels_in_rows():
    matrix = confusion_matrix([0, 0, 1, 2], [0, 1, 1, 1], 3)
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 1, 0], [0, 1, 0]])


def test_class_balanced_accuracy_is_the_mean_recall():
    # Recalls: 3/4 and 0/1; plain accuracy would be 3/5.
    accuracy = class_balanced_accuracy([0, 0, 0, 0, 1], [0, 0, 0, 1, 0], 2)
    assert accuracy == pytest.approx(0.375)


def test_class_balanced_accuracy_leaves_out_values_that_do_not_occur():
    assert class_balanced_accuracy([0, 0, 2], [0, 1, 2], 4) == 0.75


def test_class_balanced_accuracy_of_nothing_is_none():
    assert class_balanced_accuracy([], [], 3) is None


@pytest.mark.parametrize(
    ("accuracy", "expected"), [(0.25, 0.0), (1.0, 1.0), (0.625, 0.5), (0.0, -1 / 3)]
)
def test_normalized_accuracy_is_0_at_chance_and_1_if_perfect(accuracy, expected):
    assert normalized_accuracy(accuracy, 0.25) == pytest.approx(expected)


def test_a_metamodel_that_knows_all_scores_100_percent(labels):
    results = scores.evaluate(PAPERS, labels, one_hot(labels))
    assert [a.accuracy for a in results.scored] == [1.0] * len(PAPERS.names)
    assert results.average["accuracy"] == results.average["normalized_accuracy"] == 1
    lower, upper = results.average["interval"]
    # Not 1: that no entry was named wrongly does not mean that none ever is.
    assert 0.9 < lower < 1 == upper


def test_the_average_is_unweighted_and_over_scored_attributes(labels):
    labels["ens"][:] = 0
    results = scores.evaluate(PAPERS, labels, noise(NUM_ENTRIES), skip=("alg", "bs"))
    scored = [a.accuracy for a in results.attributes if a.accuracy is not None]
    assert len(scored) == len(PAPERS.names) - 3
    assert results.average["accuracy"] == pytest.approx(np.mean(scored))
    assert results["ens"].not_scored == "all test entries have the value no"
    assert results["alg"].not_scored == "the split is made by it"
    assert results["alg"].interval is None and results["alg"].count == NUM_ENTRIES


def test_an_average_over_nothing_is_empty(labels):
    results = scores.evaluate(PAPERS, labels, one_hot(labels), skip=PAPERS.names)
    assert results.average == {} and results.scored == ()


def test_attributes_without_probabilities_are_not_named_and_not_in_the_average(labels):
    whole = scores.evaluate(PAPERS, labels, noise(NUM_ENTRIES), skip=["alg"])
    some = {name: noise(NUM_ENTRIES)[name] for name in ("pool", "ks", "alg")}
    results = scores.evaluate(PAPERS, labels, some, skip=["alg", "bs"])
    assert [a.name for a in results.attributes] == list(PAPERS.names)
    assert [a.name for a in results.named] == ["pool", "ks", "alg"]
    assert [a.name for a in results.scored] == ["pool", "ks"]
    assert results["pool"] == whole["pool"] and results["alg"] == whole["alg"]
    accuracies = [results[name].accuracy for name in ("pool", "ks")]
    assert results.average["accuracy"] == pytest.approx(np.mean(accuracies))
    assert results.average["chance"] == 0.5
    for name in ("act", "bs"):
        assert results[name].not_scored == "this metamodel does not name it"
        assert results[name].count_per_value == whole[name].count_per_value
        assert np.shape(results[name].confusion) == np.shape(whole[name].confusion)
        assert not np.any(results[name].confusion)
    assert Results.from_json(json.loads(json.dumps(results.to_json()))) == results


def test_chance_counts_the_values_that_occur(labels):
    labels["act"] %= 3
    results = scores.evaluate(PAPERS, labels, one_hot(labels))
    assert results["act"].chance == pytest.approx(1 / 3)
    assert results["act"].count_per_value[3] == 0
    assert results["split"].chance == pytest.approx(1 / 7)


def test_the_confusion_matrix_agrees_with_counts_and_accuracy(labels):
    result = scores.evaluate(PAPERS, labels, noise(NUM_ENTRIES))["act"]
    matrix = np.array(result.confusion)
    np.testing.assert_array_equal(matrix.sum(axis=1), result.count_per_value)
    assert result.accuracy == np.mean(matrix.diagonal() / matrix.sum(axis=1))


def test_results_survive_json(labels):
    labels["ens"][:] = 0
    results = scores.evaluate(PAPERS, labels, noise(NUM_ENTRIES), skip=("pool",))
    text = json.dumps(results.to_json(), allow_nan=False)
    assert Results.from_json(json.loads(text)) == results


def test_same_seed_same_intervals(labels):
    first, second, other = (
        scores.evaluate(PAPERS, labels, noise(NUM_ENTRIES), seed=seed)
        for seed in (0, 0, 1)
    )
    assert first == second
    assert first["act"].interval != other["act"].interval
    assert first["act"].accuracy == other["act"].accuracy


def test_entries_of_one_combination_do_not_count_as_independent(labels):
    """Ten copies of each entry tell no more than one, and look like more."""
    probabilities = noise(NUM_ENTRIES)
    once = scores.evaluate(PAPERS, labels, probabilities)
    copied = (
        {name: np.repeat(array, 10, axis=0) for name, array in arrays.items()}
        for arrays in (labels, probabilities)
    )
    ids = [str(i) for i in np.repeat(np.arange(NUM_ENTRIES), 10)]
    repeated_labels, repeated_probabilities = copied
    clustered = scores.evaluate(
        PAPERS, repeated_labels, repeated_probabilities, combination_ids=ids
    )
    as_if = scores.evaluate(PAPERS, repeated_labels, repeated_probabilities)
    assert clustered.num_combinations == NUM_ENTRIES

    def width(results):
        lower, upper = results.average["interval"]
        return upper - lower

    assert width(clustered) == pytest.approx(width(once), rel=0.15)
    assert width(as_if) < 0.6 * width(clustered)


@pytest.mark.parametrize("accuracy", [0.5, 0.9, 0.98])
def test_intervals_hold_the_truth_in_about_95_percent_of_cases(accuracy):
    """100 zoos of 40 combinations, two entries each, right or wrong together."""
    random = np.random.default_rng(7)
    held = 0
    skip = [name for name in PAPERS.names if name != "pool"]
    for _ in range(100):
        true = np.repeat(random.permutation(np.arange(40) % 2), 2)
        right = np.repeat(random.random(40) < accuracy, 2)
        labels = {name: true for name in PAPERS.names}
        named = {
            a.name: np.eye(len(a.values))[np.where(right, true, 1 - true)]
            for a in PAPERS
        }
        ids = [str(i) for i in np.repeat(np.arange(40), 2)]
        results = scores.evaluate(PAPERS, labels, named, skip=skip, combination_ids=ids)
        lower, upper = results["pool"].interval
        held += lower <= accuracy <= upper
    assert held >= 88


def test_guesses_stay_at_chance(labels):
    results = scores.evaluate(PAPERS, labels, noise(NUM_ENTRIES))
    lower, upper = results.average["interval"]
    assert lower <= results.average["chance"] <= upper


def test_no_entries_are_refused():
    nothing = {name: np.zeros(0, int) for name in PAPERS.names}
    with pytest.raises(UserError, match="At least one test entry"):
        scores.evaluate(PAPERS, nothing, one_hot(nothing))


def test_wrong_shapes_and_nan_are_refused_by_name(labels):
    probabilities = one_hot(labels)
    probabilities["ks"] = probabilities["act"]
    with pytest.raises(ValueError, match="'ks' must have labels of shape"):
        scores.evaluate(PAPERS, labels, probabilities)
    probabilities = one_hot(labels)
    probabilities["bs"][3, 1] = np.nan
    with pytest.raises(ValueError, match="'bs' contain NaN"):
        scores.evaluate(PAPERS, labels, probabilities)


@pytest.mark.parametrize("name", ["act", "split"])
def test_one_property_alone_is_scored_as_among_the_attributes(labels, name):
    """The other attributes do not matter, and the draws are the same ones."""
    probabilities = noise(NUM_ENTRIES)
    ids = [f"combination {i % 50}" for i in range(NUM_ENTRIES)]
    labels["act"] %= 3  # One value does not occur.
    whole = scores.evaluate(PAPERS, labels, probabilities, combination_ids=ids, seed=3)
    accuracy, interval = scores.score(
        labels[name],
        probabilities[name].argmax(axis=1),
        ids,
        num_values=len(PAPERS[name].values),
        seed=3,
    )
    assert accuracy == whole[name].accuracy
    assert interval == whole[name].interval


def test_one_property_of_no_entries_has_no_score():
    nothing = np.zeros(0, int)
    with pytest.raises(ValueError, match="At least one entry with a label is needed"):
        scores.score(nothing, nothing, [], num_values=3)


def test_missing_labels_count_nowhere():
    """An entry without a value changes nothing, whatever is said of it."""
    known = tables.make_labels(tables.SMALL, 60)
    probabilities = tables.make_probabilities(tables.SMALL, known)
    whole = scores.evaluate(tables.SMALL, known, probabilities)
    random = np.random.default_rng(5)
    more = {
        name: np.concatenate([array, np.full(20, MISSING)])
        for name, array in known.items()
    }
    said = {
        name: np.concatenate([array, random.random((20, array.shape[1]))])
        for name, array in probabilities.items()
    }
    # Of the combinations that are there already, so that the draws are the same ones.
    ids = [str(i) for i in [*range(60), *range(20)]]
    results = scores.evaluate(tables.SMALL, more, said, combination_ids=ids)
    assert results.num_entries == 80
    assert results.attributes == whole.attributes
    assert results.average == whole.average


def test_a_value_known_of_some_entries_is_scored_on_these():
    labels = tables.make_labels(tables.SMALL, 90)
    # By hand: one of two is right for "MIT", all for "Apache-2.0".
    labels["license"] = np.array([0, 0, 1, 1, 1] + 85 * [MISSING])
    probabilities = tables.make_probabilities(tables.SMALL, labels)
    probabilities["license"] = np.eye(2)[[0, 1, 1, 1, 1] + 85 * [0]]
    result = scores.evaluate(tables.SMALL, labels, probabilities)["license"]
    assert (result.accuracy, result.chance) == (0.75, 0.5)
    assert (result.count, result.count_per_value) == (5, (2, 3))
    assert result.confusion == ((1, 1), (0, 3))
    lower, upper = result.interval
    assert 0 <= lower < 0.75 < upper <= 1


@pytest.mark.filterwarnings("error")
def test_draws_without_any_known_value_are_left_out():
    """With two known entries of 60, most resamples miss one, and some both."""
    labels = {name: np.full(60, MISSING) for name in tables.SMALL.names}
    for array in labels.values():
        array[:2] = 0, 1
    probabilities = tables.make_probabilities(tables.SMALL, labels)
    results = scores.evaluate(tables.SMALL, labels, probabilities)
    for interval in (
        *(a.interval for a in results.scored),
        results.average["interval"],
    ):
        assert 0 <= interval[0] <= interval[1] <= 1
    json.dumps(results.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ([], "no test entry has a known value"),
        ([1, 1], "all test entries whose value is known have the value Apache-2.0"),
        (6 * [1], "all test entries have the value Apache-2.0"),
    ],
    ids=str,
)
def test_an_attribute_of_no_two_known_values_is_not_scored(known, why):
    labels = tables.make_labels(tables.SMALL, 6)
    labels["license"] = np.array(known + (6 - len(known)) * [MISSING])
    probabilities = tables.make_probabilities(tables.SMALL, labels)
    results = scores.evaluate(tables.SMALL, labels, probabilities)
    assert results["license"].not_scored == why
    assert results["license"].count == len(known)
    assert [a.name for a in results.scored] == ["stem", "augmentation"]
    del probabilities["license"]
    results = scores.evaluate(tables.SMALL, labels, probabilities)
    assert results["license"].count == len(known)


def test_what_could_not_be_learned_is_not_scored():
    labels = tables.make_labels(tables.SMALL, 60)
    results = scores.evaluate(
        tables.SMALL,
        labels,
        tables.make_probabilities(tables.SMALL, labels),
        untrained=["stem"],
    )
    assert results["stem"].not_scored.startswith("the training entries have no two")
    assert [a.name for a in results.scored] == ["augmentation", "license"]


def test_results_carry_the_table():
    labels = tables.make_labels(tables.SMALL, 60, missing_share=0.3)
    results = scores.evaluate(
        tables.SMALL, labels, tables.make_probabilities(tables.SMALL, labels)
    )
    read = Results.from_json(json.loads(json.dumps(results.to_json())))
    assert read == results
    assert [(a.name, a.code, a.description, a.values) for a in read.table] == [
        (a.name, a.code, a.description, a.values) for a in tables.SMALL
    ]


def test_results_of_before_they_carried_the_table_are_read(labels):
    results = scores.evaluate(PAPERS, labels, one_hot(labels))
    old = json.loads(json.dumps(results.to_json()))
    for row in old["attributes"]:
        del row["code"], row["description"]
    assert Results.from_json(old) == results
