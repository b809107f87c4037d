"""The transfer matrix and the scenarios, from grades written by hand."""

import numpy as np
import pytest
from family_fakes import find, make_registry

from kennen_tf.imagenet.aips import generator_sets, transfer
from kennen_tf.imagenet.aips.transfer import Graded

RATES = {
    ("a", "a"): 0.9,
    ("a", "b"): 0.3,
    ("b", "a"): 0.5,
    ("b", "b"): 0.8,
    ("one of each", "a"): 0.6,
    ("one of each", "b"): 0.7,
    ("the target itself", "a"): 1.0,
    ("the target itself", "b"): 1.0,
}


def ranks(share):
    """Ten images, that share of them wrong."""
    return np.where(np.arange(10) < round(10 * share), 3, 0).astype(np.int32)


@pytest.fixture
def registry():
    return make_registry(a=2, b=3)


@pytest.fixture
def graded(registry):
    return [
        Graded(p, ranks(0.2), ranks(RATES[p.generated_on, p.target.family]), ranks(0))
        for p in generator_sets.pair_all(registry, seed=0)
    ]


def test_the_matrix_has_generators_in_rows_and_targets_in_columns(graded):
    matrix = transfer.transfer_matrix(graded, ["a", "b"], only_right_before=False)
    assert matrix["clean"] == pytest.approx({"a": 0.2, "b": 0.2})
    assert matrix["a"] == pytest.approx({"a": 0.9, "b": 0.3})
    assert matrix["b"] == pytest.approx({"a": 0.5, "b": 0.8})
    assert matrix["one of each"] == pytest.approx({"a": 0.6, "b": 0.7})


def test_images_wrong_before_can_be_left_out(graded):
    matrix = transfer.transfer_matrix(graded, ["a", "b"], only_right_before=True)
    assert "clean" not in matrix
    # The two images that were wrong before are among the wrong ones.
    assert matrix["a"] == pytest.approx({"a": 7 / 8, "b": 1 / 8})


def test_scenarios_by_hand(registry, graded):
    predicted = {
        classifier: [classifier.family] * 4 for classifier in registry.classifiers
    }
    # One classifier of "a" is taken for a "b" half of the time.
    predicted[find(registry, "a0")] = ["a", "b", "b", "a"]
    scenarios = transfer.compare_scenarios(graded, ["a", "b"], predicted, seed=0)
    rates = {scenario.name: scenario.rate for scenario in scenarios}
    assert rates == pytest.approx(
        {
            "target known": 1.0,
            "family known": (0.9 + 0.8) / 2,
            "family predicted": ((0.7 + 0.9) / 2 + 0.8) / 2,
            "several families": (0.6 + 0.7) / 2,
        }
    )
    for scenario in scenarios:
        lower, upper = scenario.interval
        assert lower <= scenario.rate <= upper
        assert scenario.num_targets == 5


def test_targets_without_relatives_are_in_no_scenario():
    registry = make_registry(a=1, b=2)
    graded = [
        Graded(p, ranks(0.2), ranks(0.5), ranks(0))
        for p in generator_sets.pair_all(registry, seed=0)
    ]
    predicted = {classifier: [classifier.family] for classifier in registry.classifiers}
    scenarios = transfer.compare_scenarios(graded, ["a", "b"], predicted, seed=0)
    assert {scenario.num_targets for scenario in scenarios} == {2}
