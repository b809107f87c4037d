"""Images and answers as JSON has them: nested lists of numbers."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.vocabulary.errors import UserError


def from_images(images: npt.NDArray[Any]) -> Any:
    """Returns images as nested lists."""
    # The shortest text that is the same float32, not the longer one of its double.
    if images.dtype == np.float32:
        return _shortest(images)
    return images.tolist()


def _shortest(images: npt.NDArray[np.float32]) -> Any:
    flat = [float(str(number)) for number in images.ravel()]
    return np.array(flat).reshape(images.shape).tolist()


def to_rows(rows: Any, num_images: int, where: str) -> npt.NDArray[Any]:
    """Turns a list of answers into an array, one row for each image.

    One whole number for each image is a label, int64 `(n,)`.

    Raises:
        UserError: If rows are missing, of different lengths, or of several outputs.
    """
    if isinstance(rows, list) and any(isinstance(row, dict) for row in rows):
        first = next(row for row in rows if isinstance(row, dict))
        if len(first) != 1:
            raise UserError(
                f"{where} must give one output. Received: {sorted(first)}. Ask it by a "
                "function that picks one, as module:function."
            )
        [name] = first
        rows = [row.get(name) if isinstance(row, dict) else row for row in rows]
    return check_rows(to_numbers(rows, where), num_images, where)


def check_rows(
    answers: npt.NDArray[np.float64], num_images: int, where: str
) -> npt.NDArray[Any]:
    """Returns answers of which there is one for each image, labels as int64 `(n,)`.

    Raises:
        UserError: If there are more or fewer.
    """
    if answers.ndim == 0 or len(answers) != num_images:
        count = len(answers) if answers.ndim else "a single number"
        raise UserError(
            f"{where} must answer once for each image. Received: {count} answers for "
            f"{num_images} images."
        )
    if answers.ndim == 3 and answers.shape[1] == 1:  # Nested once more than need be.
        answers = answers[:, 0]
    # JSON has one kind of numbers only.
    if answers.size == num_images and (answers == np.rint(answers)).all():
        return answers.reshape(num_images).astype(np.int64)
    return answers


def to_numbers(value: Any, where: str) -> npt.NDArray[np.float64]:
    """Turns nested lists into an array; what is no number becomes NaN.

    Raises:
        UserError: If rows are of different lengths, or hold other things.
    """
    try:
        return np.array(_without_words(value), np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{where} must answer numbers, as many for each image. Received: "
            f"{_shape_of(value)}."
        ) from error


def _without_words(value: Any) -> Any:
    """Returns numbers where JSON has texts or null for what is none."""
    if isinstance(value, list):
        return [_without_words(item) for item in value]
    if value is None:
        return math.nan
    if isinstance(value, str):
        return float(value.replace("Infinity", "inf"))
    return value


def _shape_of(value: Any) -> str:
    if not isinstance(value, list):
        return type(value).__name__
    lengths = sorted({len(row) for row in value if isinstance(row, list)})
    return f"{len(value)} rows of {lengths or 'no'} numbers"


def say_keys(content: Any) -> str:
    """Says what an answer is that is not what it should be."""
    if isinstance(content, dict):
        return f"an object with {sorted(map(str, content))[:5]}"
    return type(content).__name__
