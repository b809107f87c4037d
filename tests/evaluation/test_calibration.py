"""Calibration error: found where it is planted, and nothing where there is none."""

import numpy as np
import pytest
from figure_checks import assert_nothing_is_cut_off
from numpy.testing import assert_allclose

from kennen_tf.attributes import MISSING
from kennen_tf.evaluation import calibration
from kennen_tf.evaluation.calibration import Calibration
from kennen_tf.evaluation.reliability_figure import reliability_figure


def draw(num_answers, gap=0.0, seed=0, copies=1):
    """Draws answers that are right `gap` less often than their confidence says."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.4, 0.95, num_answers)
    is_right = random.random(num_answers) < confidence - gap
    names = [str(i) for i in range(num_answers)]
    return (
        np.repeat(confidence, copies),
        np.repeat(is_right, copies),
        list(np.repeat(names, copies)),
    )


@pytest.mark.parametrize("gap", [0.1, 0.3])
def test_a_gap_that_is_planted_is_found(gap):
    assert_allclose(calibration.measure(*draw(4000, gap)).error, gap, atol=0.02)


@pytest.mark.parametrize("copies", [1, 5])
def test_what_chance_makes_of_few_answers_is_no_error(copies):
    # Copies of an answer are one: as so many, they would look like a large error.
    found = [calibration.measure(*draw(200, 0.0, s, copies)) for s in range(40)]
    squares = [
        np.average(np.subtract(own.accuracy, own.confidence) ** 2, weights=own.count)
        for own in found
    ]
    assert np.sqrt(np.mean(squares)) > 0.07
    assert np.mean([own.error for own in found]) < 0.04


def test_bins_hold_all_answers_and_survive_json():
    own = calibration.measure(*draw(90))
    assert len(own.count) == 3 and sum(own.count) == 90
    assert list(own.confidence) == sorted(own.confidence)
    assert Calibration.from_json(own.to_json()) == own
    single = calibration.measure(np.array([0.8]), np.array([True]), ["a"])
    assert single.error == pytest.approx(0.2) and single.deviation == (0.0,)


def test_entries_without_a_value_are_not_asked_whether_it_is_right():
    probabilities = {"a": np.array([[0.9, 0.1], [0.2, 0.8]]), "b": np.eye(2)}
    labels = {"a": np.array([0, MISSING]), "b": np.array([MISSING, MISSING])}
    whole, by_attribute = calibration.measure_all(labels, probabilities, ["x", "y"])
    assert whole.count == (1,) and whole.error == pytest.approx(0.1)
    assert list(by_attribute) == ["a"]
    nothing = {name: np.full(2, MISSING) for name in labels}
    assert calibration.measure_all(nothing, probabilities, "xy") == (None, {})


def test_the_figure_has_the_diagonal_and_a_point_for_each_bin():
    own = calibration.measure(*draw(500, 0.2))
    figure = reliability_figure(own, "a title")
    axes = figure.axes[0]
    assert any(
        line.get_xydata().tolist() == [[0, 0], [100, 100]] for line in axes.lines
    )
    [points] = axes.containers
    x, y = points.lines[0].get_data()
    x, y = np.asarray(x, float), np.asarray(y, float)
    assert_allclose(x, 100 * np.array(own.confidence))
    assert_allclose(y, 100 * np.array(own.accuracy))
    assert_nothing_is_cut_off(figure)
