"""Answers are recognised by their form, whatever an API made of them, or refused."""

import numpy as np
import pytest

from kennen_tf.black_boxes.recognising import recognise
from kennen_tf.configs.revealing import OUTPUTS
from kennen_tf.vocabulary.errors import UserError

NUM = 60
LOGITS = np.random.default_rng(0).normal(size=(NUM, 10), scale=3).astype(np.float32)


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


WHOLE = softmax(LOGITS)
# So sharp that nearly all is next to 0 or to 1.
SHARP = softmax(40 * LOGITS.astype(np.float64))


def top(count):
    kept = np.sort(WHOLE, axis=1)[:, -count:].min(axis=1, keepdims=True)
    return np.where(kept <= WHOLE, WHOLE, 0)


def normalised(rows):
    return rows / rows.sum(axis=1, keepdims=True)


def say(answers, kind="auto"):
    found = recognise(np.asarray(answers), kind, 10)
    assert found.probabilities.dtype == np.float32
    assert found.probabilities.shape == (NUM, 10)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
    return found


def test_answers_in_full_are_what_they_are():
    for answers in (WHOLE, WHOLE.astype(np.float64), SHARP, SHARP.astype(np.float32)):
        found = say(answers)
        np.testing.assert_allclose(found.probabilities, answers, rtol=1e-5, atol=1e-30)
        assert (found.kind, found.resolution) == ("probabilities", 0.0)
        assert found.num_told == 0
        assert not any("rounded" in n or "left out" in n for n in found.notes)
    assert say(WHOLE).notes == ()


@pytest.mark.parametrize("decimals", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_decimals_are_counted(decimals, dtype):
    rounded = np.round(WHOLE.astype(np.float64), decimals).astype(dtype)
    found = say(rounded)
    assert found.resolution == pytest.approx(10.0**-decimals)
    assert found.notes == (
        f"The answers are rounded to {10.0**-decimals:g}: nothing finer is read.",
    )
    np.testing.assert_allclose(found.probabilities, normalised(rounded), rtol=1e-5)


@pytest.mark.parametrize("as_numbers", [np.float16, np.float32, np.float64])
def test_half_precision_is_recognised_of_whatever_type_it_comes(as_numbers):
    found = say(WHOLE.astype(np.float16).astype(as_numbers))
    assert found.resolution == 2.0**-24
    assert found.notes == ("The answers are of half precision (float16).",)
    np.testing.assert_allclose(found.probabilities, WHOLE, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("unit", [1, 100])
def test_flat_answers_are_told_as_sharp_ones_are(unit):
    flat = softmax(0.1 * LOGITS)
    kept = np.sort(flat, axis=1)[:, -3:-2]
    found = say(unit * np.where(kept <= flat, flat, 0))
    assert found.num_told == 3
    assert say(np.round(flat.astype(np.float64), 1)).resolution == pytest.approx(0.1)


def test_the_likeliest_class_alone_is_not_called_saturated():
    found = say(top(1))
    assert (found.num_told, found.share_saturated) == (1, 0)
    [note] = found.notes
    assert "likeliest class only" in note and "--representation=top-1" in note


@pytest.mark.parametrize("is_normalised", [False, True])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_likeliest_classes_are_counted(count, is_normalised):
    answers = normalised(top(count)) if is_normalised else top(count)
    found = say(answers)
    assert found.num_told == count
    [note] = found.notes
    assert f"{count} likeliest" in note and f"top-k --top_k={count}" in note
    np.testing.assert_allclose(found.probabilities, normalised(answers), rtol=1e-5)


def test_few_decimals_of_the_likeliest_classes_are_both_told():
    found = say(np.round(top(3), 4))
    assert found.num_told == 3 and found.resolution >= 1e-4


@pytest.mark.parametrize("threshold", [0.001, 0.01, 0.05])
def test_what_is_left_out_below_a_threshold_is_said(threshold):
    found = say(np.where(threshold <= WHOLE, WHOLE, 0))
    [note] = found.notes
    assert "are left out" in note and "--representation=top-1" in note
    assert threshold <= found.resolution <= 1.5 * threshold


@pytest.mark.parametrize(
    ("answers", "step"),
    [
        (100 * WHOLE, 0.0),
        (100 * WHOLE.astype(np.float64), 0.0),
        (np.round(100 * WHOLE.astype(np.float64), 2), 1e-4),
        (np.round(100 * WHOLE), 1e-2),
        (np.round(100 * WHOLE).astype(np.int64), 1e-2),
    ],
)
def test_per_cent_are_told_with_their_decimals(answers, step):
    found = say(answers)
    assert found.kind == "probabilities" and found.notes[0].endswith("in per cent.")
    assert found.resolution == pytest.approx(step)
    np.testing.assert_allclose(found.probabilities, WHOLE, atol=0.04)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64])
def test_bytes_need_not_sum_to_255(dtype):
    for scale in (255, 256):
        answers = np.minimum(np.round(scale * WHOLE), 255).astype(dtype)
        assert len(set(answers.sum(axis=1).tolist())) > 1
        found = say(answers)
        assert found.notes[0] == "The answers are in bytes."
        assert found.resolution == pytest.approx(1 / 255)
        np.testing.assert_allclose(found.probabilities, WHOLE, atol=0.02)


def test_dequantised_bytes_are_told():
    for levels in (255, 256):
        answers = (np.round(levels * WHOLE) / levels).astype(np.float32)
        found = say(answers)
        assert found.resolution == pytest.approx(1 / levels)


def test_sigmoids_are_divided_by_their_sum():
    sigmoids = 1 / (1 + np.exp(-LOGITS))
    found = say(sigmoids)
    assert "sigmoid" in found.notes[0] and found.resolution == 0
    np.testing.assert_allclose(found.probabilities, normalised(sigmoids), rtol=1e-5)
    assert say(np.round(sigmoids, 3)).resolution == pytest.approx(1e-3)


def test_logits_and_log_probabilities_are_told():
    found = say(LOGITS)
    np.testing.assert_allclose(found.probabilities, WHOLE, rtol=1e-4)
    assert found.kind == "logits" and found.notes == ()
    found = say(np.log(WHOLE))
    np.testing.assert_allclose(found.probabilities, WHOLE, rtol=1e-4)
    assert found.kind == "log-probabilities" and found.notes == ()
    with np.errstate(divide="ignore"):
        assert say(np.log(SHARP.astype(np.float32))).kind == "log-probabilities"
    whole_numbers = np.round(10 * LOGITS).astype(np.int8)
    assert say(whole_numbers).kind == say(whole_numbers, "logits").kind == "logits"


def test_saturated_answers_are_said():
    found = say(SHARP.astype(np.float32))
    assert found.share_saturated > 0.5
    assert "% of the answers are saturated" in found.notes[-1]
    for dtype in (np.float32, np.int64):
        found = say(np.eye(10, dtype=dtype)[np.arange(NUM) % 10])
        assert found.share_saturated == 1 and found.resolution == 1
        [note] = found.notes
        assert note.startswith("100% of the answers are saturated")


def test_labels_are_told_by_their_form():
    found = say(np.arange(NUM) % 10)
    assert found.kind == "labels"
    np.testing.assert_array_equal(
        found.probabilities.argmax(axis=1), np.arange(NUM) % 10
    )


@pytest.mark.parametrize(
    "answers",
    [
        WHOLE,
        np.round(WHOLE, 2),
        np.round(WHOLE, 4),
        top(3),
        0.4 * top(3),
        40 * top(3),
        top(1),
        np.where(WHOLE > 0.05, WHOLE, 0),
        100 * WHOLE,
        np.round(100 * WHOLE),
        np.round(255 * WHOLE).astype(np.uint8),
        1 / (1 + np.exp(-LOGITS)),
        np.eye(10)[np.arange(NUM) % 10],
        np.eye(10, dtype=int)[np.arange(NUM) % 10],
    ],
)
def test_probabilities_are_never_taken_as_logits(answers):
    with pytest.raises(UserError, match="--outputs=probabilities"):
        recognise(answers, "logits", 10)
    # Nor suggested.
    try:
        assert recognise(answers, "auto", 10).kind == "probabilities"
    except UserError as error:
        assert "logits" not in str(error)


def test_rows_of_which_all_was_left_out_tell_nothing():
    answers = np.where(WHOLE > 0.6, WHOLE, 0)
    empty = ~answers.any(axis=1)
    assert empty.any() and not empty.all()
    found = say(answers)
    np.testing.assert_allclose(found.probabilities[empty], 0.1)


def spoiled(value):
    answers = WHOLE.copy()
    answers[3, 2] = value
    return answers


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (WHOLE.astype(str), "real numbers"),
        (np.full((NUM, 10), None), "real numbers"),
        (WHOLE + 0j, "real numbers. Received: complex"),
        (WHOLE > 0.5, "real numbers. Received: bool"),
        (spoiled(np.nan), "NaN or infinity for 1 of 60"),
        (spoiled(np.inf), "NaN or infinity for 1 of 60"),
        (spoiled(-np.inf), "NaN or infinity for 1 of 60"),
        (np.full((NUM, 10), np.nan), "NaN or infinity for 60 of 60"),
        (WHOLE[:, :1], r"10 numbers for each image. Received: shape \(60, 1\)"),
        (WHOLE[:, :, np.newaxis], r"Received: shape \(60, 10, 1\)"),
        (np.linspace(0, 1, NUM), r"Received: shape \(60,\)"),
        (np.zeros((NUM, 10)), "sum 0 and least value 0"),
        (np.full((NUM, 10), 7.0), "sum 70"),
        (np.exp(LOGITS), "60 rows that are none|rows that are none"),
        (np.arange(NUM) - 1, "at least 0 .*Received: -1 to 58"),
    ],
)
def test_other_answers_are_refused(answers, message):
    with pytest.raises(UserError, match=message):
        recognise(answers, "auto", 10)


@pytest.mark.parametrize("kind", ["auto", *OUTPUTS])
@pytest.mark.parametrize(
    "answers",
    [
        np.tile(WHOLE[:1], (NUM, 1)),
        np.full((NUM, 10), 0.1),
        np.full((NUM, 10), 0.1, np.float32),
        np.zeros((NUM, 10)),
        np.zeros((NUM, 10), int),
        np.ones((NUM, 10)),
        np.full((NUM, 10), -1.0),
        np.full((NUM, 10), 1e30),
        np.full((NUM, 10), -1e30),
        np.full((NUM, 10), "a"),
        np.zeros(NUM, bool),
        WHOLE.astype(np.float16),
        -WHOLE,
        WHOLE[:, :1],
        np.zeros((NUM, 0)),
    ],
)
def test_whatever_comes_is_probabilities_or_a_sentence(answers, kind):
    try:
        say(answers, kind)
    except UserError as error:
        assert str(error).endswith((".", "logits.", "probabilities."))


def test_constant_answers_stay_constant():
    found = say(np.tile(WHOLE[:1], (NUM, 1)))
    np.testing.assert_allclose(found.probabilities, WHOLE[:1].repeat(NUM, 0), rtol=1e-5)
    assert found.kind == "probabilities" and found.notes == ()
