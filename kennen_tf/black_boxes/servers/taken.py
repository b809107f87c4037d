"""What a model on a server takes, and how it is asked, whatever the protocol."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy.typing as npt


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taken:
    """What a server says that its model takes.

    Attributes:
        name: Of the input.
        shape: Of an image, None for any size; None altogether if it does not say.
        dtype: Type of a pixel, of NumPy.
        batch_size: The only number of images at once; None: any.
        output: Name of the output to read, of several; "" for the only one.
    """

    name: str = ""
    shape: tuple[int | None, ...] | None = None
    dtype: str = "float32"
    batch_size: int | None = None
    output: str = ""


class ModelProtocol(Protocol):
    """How a model is asked."""

    def describe(self) -> Taken:
        """Asks the server what its model takes."""

    def ask(
        self, images: npt.NDArray[Any], taken: Taken, note_again: Callable[[], None]
    ) -> npt.NDArray[Any]:
        """Sends images as the model takes them; returns `(n, ...)` numbers.

        Args:
            images: `(n, *shape)`, of the type that it takes.
            taken: What it takes.
            note_again: See `Client.post`.
        """


def to_side(size: Any) -> int | None:
    """Returns the length of an axis, None for any."""
    try:
        number = int(size)
    except (TypeError, ValueError):
        return None
    return number if number > 0 else None
