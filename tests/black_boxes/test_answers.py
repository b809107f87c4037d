"""What black boxes answer: probabilities, or a sentence."""

import numpy as np
import pytest

from kennen_tf.black_boxes.answers import validate_probabilities
from kennen_tf.vocabulary.errors import UserError

ANSWER = np.array([[0.2, 0.4, 0.1, 0.25, 0.025, 0.025, 0, 0, 0, 0]], np.float32)


def test_good_answers_are_returned_as_float32():
    for answer in (ANSWER, ANSWER.astype(np.float64), np.round(ANSWER, 2)):
        result = validate_probabilities(answer, 1, 10)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, answer, atol=1e-7)
    onehot = np.eye(10, dtype=np.int64)[[3]]
    np.testing.assert_array_equal(validate_probabilities(onehot, 1, 10), onehot)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros((2, 10)), r"shape \(1, 10\). Received: shape \(2, 10\)"),
        (np.zeros((1, 1000)), r"Received: shape \(1, 1000\)"),
        (np.zeros(10), r"Received: shape \(10,\)"),
        (np.full((1, 10), "a"), "real numbers. Received: <U1"),
        (np.full((1, 10), np.nan), "NaN or infinity for 1 of 1 images"),
        (np.full((1, 10), np.inf), "NaN or infinity for 1 of 1 images"),
        (ANSWER * 100, "with sum 100 and least value 0.$"),
        (np.arange(10)[None] - 4.4, "1 of 1 rows .* least value -4.4"),
        (np.array([[1.5, -0.5] + [0] * 8]), "sum 1 and least value -0.5"),
    ],
)
def test_answers_that_are_no_probabilities_are_refused(answer, message):
    with pytest.raises(UserError, match=message):
        validate_probabilities(answer, 1, 10)
