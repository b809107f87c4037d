"""Grades of AIPs, by hand, and what they may never be."""

import numpy as np
import pytest

from kennen_tf.imagenet.attacks import grading
from kennen_tf.vocabulary.errors import UserError


def test_ranks_by_hand():
    logits = np.array([[3.0, 1, 2], [3, 1, 2], [3, 1, 2], [1, 1, 1], [1, 1, 1]])
    ranks = grading.rank_labels(logits, np.array([0, 1, 2, 0, 2]))
    np.testing.assert_array_equal(ranks, [0, 2, 1, 0, 2])


def test_rank_0_is_what_argmax_says():
    logits = np.random.default_rng(0).integers(0, 3, (200, 5)).astype(float)
    labels = np.random.default_rng(1).integers(0, 5, 200)
    is_first = grading.rank_labels(logits, labels) == 0
    np.testing.assert_array_equal(is_first, logits.argmax(1) == labels)


def test_of_equal_logits_each_class_has_a_rank_of_its_own():
    """So who answers all images alike is right for one class, and in the first 5."""
    for values in (
        np.zeros((7, 7)),
        np.tile(np.float32([1, 0, 1, 1, 0, 0, 1]), (7, 1)),
    ):
        ranks = grading.rank_labels(values, np.arange(7))
        assert sorted(ranks) == list(range(7))
        wanted = np.argsort(np.argsort(-values[0], kind="stable"))
        np.testing.assert_array_equal(ranks, wanted)


def test_logits_that_are_no_numbers_are_refused():
    with pytest.raises(UserError, match="finite"):
        grading.rank_labels(np.array([[np.nan, 1.0]]), np.array([0]))


def test_grades_by_hand():
    clean = np.array([0, 0, 0, 1, 7, 4])
    perturbed = np.array([0, 2, 9, 0, 7, 5])
    grades = grading.grade(clean, perturbed)
    assert [(r.wrong, r.count) for r in grades["top1"].values()] == [
        (3, 6),  # clean
        (4, 6),  # all
        (2, 3),  # right before
    ]
    assert [(r.wrong, r.count) for r in grades["top5"].values()] == [
        (1, 6),
        (3, 6),
        (2, 5),
    ]
    assert grades["top1"]["right_before"].rate == 2 / 3


def test_rates_have_wilsons_interval():
    rate = grading.make_rate(np.array([True] * 5 + [False] * 5))
    # Of 5 of 10, from a published table.
    np.testing.assert_allclose(rate.interval, [0.2366, 0.7634], atol=1e-4)
    assert grading.make_rate(np.zeros(0, bool)).rate is None


def test_measured_norms_by_hand():
    clean = np.full((2, 1, 1, 3), 100, np.uint8)
    perturbed = clean.copy()
    perturbed[0, 0, 0] = [103, 96, 100]
    sizes = grading.measure(clean, perturbed)
    np.testing.assert_allclose(sizes["l2"], [5, 0])
    np.testing.assert_allclose(sizes["linf"], [4, 0])
