"""A black box opened from a file: what answers, and what it says that it takes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.black_boxes.forms import Shape


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opened:
    """What answers, and what is known of it.

    Attributes:
        answer: From numbers `(n, *shape)` of type `dtype` to what it gives for each.
        shape: Shape of an image as it takes it, None for a side of any size; None
            altogether if the file does not say.
        dtype: Type of a pixel.
        batch_size: The only number of images that it takes at once; None: any.
        channels_first: Whether, where the file says no shape, channels come first.
    """

    answer: Callable[[npt.NDArray[Any]], Any]
    shape: Shape | None
    dtype: np.dtype[Any] = np.dtype("float32")
    batch_size: int | None = None
    channels_first: bool = False


def one_line(error: Exception) -> str:
    """Returns the kind of an error and the line of its text that tells the cause.

    Keras puts what went wrong into the last line, others into the first.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    causes = [line for line in lines if line.startswith("Exception encountered:")]
    text = causes[-1].partition(":")[2].strip() if causes else lines[0]
    return f"{type(error).__name__}: {text}"


class TooMuch(Exception):
    """A black box does not take as many images at once; fewer may do."""
