"""Output representations against numbers worked out by hand, and checks of answers."""

import math

import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.queries import representations
from kennen_tf.vocabulary.errors import UserError

# Ranks of the labels:    2     0     3    1     4     4 (tie), then zeros: 6 7 8 9.
ANSWER = np.array([[0.2, 0.4, 0.1, 0.25, 0.025, 0.025, 0, 0, 0, 0]], np.float32)
RANKS = np.array([2, 0, 3, 1, 4, 5, 6, 7, 8, 9])


def represent(representation, top_k=10, answer=ANSWER):
    return representations.represent(tf.constant(answer), representation, top_k).numpy()


def normalized(scores):
    weights = np.exp(np.asarray(scores, np.float64))
    return np.log(weights / weights.sum())


def test_probabilities_are_logarithms_above_the_floor():
    wanted = [math.log(max(p, 1e-10)) for p in ANSWER[0].tolist()]
    np.testing.assert_allclose(represent("probabilities")[0], wanted, rtol=1e-6)
    assert representations.PROBABILITY_FLOOR == 1e-10


def test_a_ranking_decays_exponentially_and_ties_go_to_the_lower_class():
    np.testing.assert_allclose(represent("ranking")[0], normalized(-RANKS), rtol=1e-5)


@pytest.mark.parametrize("top_k", [1, 2, 5, 9, 10])
def test_top_k_ranks_the_first_k_labels_and_hides_the_rest(top_k):
    scores = [-rank if rank < top_k else -10 for rank in RANKS]
    result = represent("top-k", top_k)[0]
    np.testing.assert_allclose(result, normalized(scores), rtol=1e-5, atol=1e-6)
    # All that are not ranked look alike, and less likely than any ranked one.
    assert len(set(result[top_k <= RANKS].tolist())) == (top_k < 10)
    assert top_k == 10 or result[top_k <= RANKS].max() < result[RANKS < top_k].min()


def test_ranking_and_top_1_are_top_k():
    np.testing.assert_array_equal(represent("ranking"), represent("top-k", 10))
    np.testing.assert_array_equal(represent("ranking"), represent("top-k", 0))
    np.testing.assert_array_equal(represent("top-1"), represent("top-k", 1))


@pytest.mark.parametrize("num_classes", [2, 3, 1000])
def test_any_number_of_classes_is_ranked(num_classes):
    random = np.random.default_rng(0)
    answer = random.dirichlet(np.ones(num_classes), (2, 3))
    answer[0, 0] = 1 / num_classes  # All alike.
    ranks = np.argsort(np.argsort(-answer, axis=-1, kind="stable"), axis=-1)
    result = represent("ranking", answer=answer.astype(np.float32))
    wanted = -ranks - np.log(np.exp(-np.arange(num_classes)).sum())
    np.testing.assert_allclose(result, wanted, rtol=1e-5)
    hidden = represent("top-1", answer=answer.astype(np.float32))
    np.testing.assert_array_equal(hidden.argmax(-1), answer.argmax(-1))
    assert np.isfinite(hidden).all()


def test_bottom_1_marks_the_first_of_the_least_likely_labels():
    wanted = normalized([0.0 if label == 6 else -10.0 for label in range(10)])
    np.testing.assert_allclose(represent("bottom-1")[0], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("representation", "top_k", "ranks"),
    [
        ("ranking", 0, [0, 3, 1, 4, 2]),
        # Three labels are the likeliest, and two of them are ranked.
        ("top-k", 2, [0, None, 1, None, None]),
        ("top-1", 0, [0, None, None, None, None]),
    ],
)
def test_of_labels_that_are_equally_likely_the_first_ranks_first(
    representation, top_k, ranks
):
    answer = np.array([[0.3, 0.05, 0.3, 0.05, 0.3]], np.float32)
    scores = [-5 if rank is None else -rank for rank in ranks]
    result = represent(representation, top_k, answer)
    np.testing.assert_allclose(result[0], normalized(scores), rtol=1e-5)


def test_of_labels_that_are_equally_unlikely_the_first_is_the_last():
    answer = np.array([[0.3, 0.05, 0.3, 0.05, 0.3]], np.float32)
    result = represent("bottom-1", 0, answer)
    np.testing.assert_allclose(
        result[0], normalized([-5, 0, -5, -5, -5]), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("representation", ["ranking", "top-k", "top-1", "bottom-1"])
def test_where_all_are_equally_likely_the_class_index_decides(representation):
    result = represent(representation, 3, np.full((1, 10), 0.1, np.float32))
    num_told = {"ranking": 10, "top-k": 3}.get(representation, 1)
    scores = [-rank if rank < num_told else -10 for rank in range(10)]
    np.testing.assert_allclose(result[0], normalized(scores), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("representation", representations.REPRESENTATIONS)
def test_representations_are_logarithms_of_probabilities(representation):
    result = represent(representation, 3)
    assert result.dtype == np.float32 and result.shape == ANSWER.shape
    np.testing.assert_allclose(np.exp(result).sum(-1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("representation", representations.REPRESENTATIONS)
@pytest.mark.parametrize(
    "answer",
    [np.eye(10)[3], np.full(10, 0.1), np.zeros(10), np.eye(10)[0] * 1e-45],
    ids=["certain", "uniform", "zeros", "denormal"],
)
def test_representations_are_finite_at_the_corners(representation, answer):
    result = represent(representation, 3, np.asarray([answer], np.float32))
    assert np.isfinite(result).all()


@pytest.mark.parametrize("representation", representations.REPRESENTATIONS)
def test_a_graph_a_dataset_and_any_batch_shape_give_the_same(representation):
    random = np.random.default_rng(0)
    answers = random.dirichlet(np.ones(10), (6, 4)).astype(np.float32)
    wanted = represent(representation, 3, answers)

    def call(tensor):
        return representations.represent(tensor, representation, 3)

    flat = represent(representation, 3, answers.reshape(24, 10))
    dataset = tf.data.Dataset.from_tensor_slices(answers).map(call).batch(6)
    for result in (
        flat.reshape(6, 4, 10),
        tf.function(call)(answers).numpy(),
        dataset.get_single_element().numpy(),
    ):
        np.testing.assert_allclose(result, wanted, rtol=1e-6)


@pytest.mark.parametrize("representation", ["ranking", "top-k", "top-1", "bottom-1"])
def test_labels_tell_no_more_than_their_order(representation):
    sharper = ANSWER**3 / (ANSWER**3).sum()
    np.testing.assert_array_equal(
        represent(representation, 3), represent(representation, 3, sharper)
    )


@pytest.mark.parametrize("representation", representations.REPRESENTATIONS)
def test_only_differentiable_representations_have_gradients(representation):
    answers = tf.constant(ANSWER)
    with tf.GradientTape() as tape:
        tape.watch(answers)
        loss = tf.reduce_sum(representations.represent(answers, representation, 3))
    gradient = tape.gradient(loss, answers)
    has_gradient = gradient is not None and bool(np.any(gradient.numpy()))
    assert has_gradient == (representation in representations.DIFFERENTIABLE)


def test_unknown_representations_and_k_are_refused():
    with pytest.raises(UserError, match="top-1.*Received: representation='top1'"):
        represent("top1")
    for top_k in (-1, 11):
        with pytest.raises(UserError, match=f"at most 10. Received: top_k={top_k}"):
            represent("top-k", top_k)
