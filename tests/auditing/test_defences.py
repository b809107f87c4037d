"""Defences: rows stay probabilities, each on its own, and noise follows its seed."""

import numpy as np
import pytest

from kennen_tf.auditing import defences
from kennen_tf.vocabulary.errors import UserError

NAMES = (
    *("none", "round:3", "round:2", "round:1", "top:1", "top:2", "top:5"),
    *("top-raw:1", "top-raw:3", "label", "cut:0.9", "temperature:4"),
    *("temperature:0.1", "gaussian:0.02", "laplace:0.1", "laplace:0.1:fresh"),
    *("reverse-sigmoid:0.4", "l1:0.2", "l1:3"),
)


def make_rows(count, num_classes=10, concentration=0.3, seed=0):
    random = np.random.default_rng(seed)
    rows = random.dirichlet(np.full(num_classes, concentration), count)
    hot = np.eye(num_classes)
    even = np.full((1, num_classes), 1 / num_classes)
    return np.concatenate([rows, hot, even])


def make_seeds(rows, seed=0):
    return np.random.default_rng(seed).integers(0, 2**63, len(rows), np.uint64)


@pytest.mark.parametrize("num_classes", [2, 10, 100])
@pytest.mark.parametrize("name", NAMES)
def test_rows_stay_probabilities(name, num_classes):
    rows = make_rows(50, num_classes)
    answers = defences.find(name).apply(rows, make_seeds(rows))
    assert answers.shape == rows.shape
    assert np.isfinite(answers).all()
    assert answers.min() >= 0
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_what_one_row_gets_does_not_depend_on_the_others(name):
    rows = make_rows(20)
    seeds = make_seeds(rows)
    apply = defences.find(name).apply
    order = np.random.default_rng(1).permutation(len(rows))
    whole = apply(rows, seeds)
    np.testing.assert_array_equal(apply(rows[order], seeds[order]), whole[order])
    for place in (0, 7, len(rows) - 1):
        own = slice(place, place + 1)
        np.testing.assert_array_equal(apply(rows[own], seeds[own]), whole[own])


@pytest.mark.parametrize("name", NAMES)
def test_noise_follows_its_seed_and_what_has_none_follows_nothing(name):
    rows = make_rows(20)
    defence = defences.find(name)
    seeds, others = make_seeds(rows), make_seeds(rows, seed=1)
    first = defence.apply(rows, seeds)
    np.testing.assert_array_equal(defence.apply(rows, seeds), first)
    differs = (defence.apply(rows, others) != first).any(axis=1)
    assert differs[:20].all() if defence.is_random else not differs.any()


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_in_is_left_alone(name):
    rows = make_rows(20)
    before = rows.copy()
    defences.find(name).apply(rows, make_seeds(rows))
    np.testing.assert_array_equal(rows, before)


# Who rounds to one digit, or adds noise, may lose the label; nobody else does.
@pytest.mark.parametrize(
    "name", [n for n in NAMES if n.split(":")[0] not in ("gaussian", "laplace", "l1")]
)
def test_the_likeliest_label_stays_among_the_likeliest(name):
    rows = make_rows(200)
    answers = defences.find(name).apply(rows, make_seeds(rows))
    named = answers[np.arange(len(rows)), rows.argmax(axis=1)]
    np.testing.assert_allclose(named, answers.max(axis=1), rtol=1e-12)


ROW = np.array([[0.62, 0.253, 0.1, 0.027]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", ROW[0]),
        ("round:1", [0.6, 0.3, 0.1, 0.0]),
        ("top:2", [0.62 / 0.873, 0.253 / 0.873, 0, 0]),
        ("top-raw:2", [0.62, 0.253, 0.0635, 0.0635]),
        ("label", [1, 0, 0, 0]),
        ("cut:0.61", [0.61, 0.13, 0.13, 0.13]),
        ("cut:0.7", ROW[0]),
        ("temperature:1", ROW[0]),
        ("temperature:0.5", ROW[0] ** 2 / (ROW[0] ** 2).sum()),
    ],
)
def test_each_does_what_it_says(name, expected):
    answers = defences.find(name).apply(ROW, make_seeds(ROW))
    np.testing.assert_allclose(answers[0], expected, rtol=1e-9)


def test_a_reverse_sigmoid_flattens_what_is_sure_and_keeps_the_order():
    answers = defences.find("reverse-sigmoid:0.2").apply(ROW, make_seeds(ROW))[0]
    assert answers[0] < 0.62
    assert answers[3] > 0.027
    assert (np.diff(answers) < 0).all()


def test_a_step_has_its_length():
    rows = make_rows(500)[:500]
    answers = defences.find("l1:0.1").apply(rows, make_seeds(rows))
    lengths = np.abs(answers - rows).sum(axis=1)
    assert lengths.max() <= 0.1 + 1e-9
    assert np.mean(lengths > 0.0999) > 0.95  # The others are where they step to.


def test_noise_has_its_scale():
    rows = np.full((4000, 10), 0.1)
    answers = defences.find("gaussian:0.01").apply(rows, make_seeds(rows))
    # Rows are brought back to a sum of 1.
    assert np.std(answers - rows) == pytest.approx(0.01 * np.sqrt(0.9), rel=0.05)


def half(rows):
    """A defence of a user's own: half of it is noise that is the same for all."""
    return (rows + 1 / rows.shape[1]) / 2


def no_probabilities(rows):
    return rows * 2


def of_another_shape(rows):
    return rows[:, :1]


def test_the_users_own_is_asked():
    rows = make_rows(5)
    defence = defences.find(f"{__name__}:half")
    answers = defence.apply(rows, make_seeds(rows))
    np.testing.assert_array_equal(answers, half(rows))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("no_probabilities", "must return probabilities.* sums from 2 to 2"),
        ("of_another_shape", r"of shape \(16, 10\). Received: float64 of shape"),
    ],
)
def test_the_users_own_must_return_probabilities(function, message):
    rows = make_rows(5)
    with pytest.raises(UserError, match=message):
        defences.find(f"{__name__}:{function}").apply(rows, make_seeds(rows))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "must be one of none, ranking, label"),
        ("top", "with a number"),
        ("label:3", "with a number"),
        ("top:1.5", "a whole number"),
        ("top:0", "above 0"),
        ("top:x", "a whole number"),
        ("cut:1.5", "at most 1"),
        ("temperature:-1", "above 0"),
        ("gaussian:0.1:stale", "nothing or :fresh"),
        ("no_such_module:function", "no defence no_such_module:function"),
        (f"{__name__}:NAMES", "must be a function"),
        (f"{__name__}:missing", "no defence"),
    ],
)
def test_what_is_no_defence_is_refused(name, message):
    with pytest.raises(UserError, match=message):
        defences.find(name)
