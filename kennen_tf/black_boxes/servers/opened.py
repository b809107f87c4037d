"""Opens a model behind a URL: what it takes, and what answers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.black_boxes.answers import UnreadableAnswersError
from kennen_tf.black_boxes.formats.opened import Opened, TooMuch
from kennen_tf.black_boxes.forms import Shape, reshape
from kennen_tf.black_boxes.servers.client import Client, Failed, Refused
from kennen_tf.black_boxes.servers.headers import read_headers
from kennen_tf.black_boxes.servers.protocols import find_protocol
from kennen_tf.black_boxes.servers.taken import ModelProtocol, Taken
from kennen_tf.vocabulary.errors import UserError


def open_server(
    url: str,
    *,
    headers: str = "",
    token_variable: str = "",
    timeout: float = 60.0,
    signature: str = "",
    shapes: Sequence[Shape] = (),
    note_sent: Callable[[int], None] = lambda count: None,
) -> Opened:
    """Opens a model behind a URL; its server is asked what it takes.

    Args:
        url: Of the model; see `protocols`.
        headers, token_variable: See `read_headers`.
        timeout: Seconds that an answer may take.
        signature: See `find_protocol`.
        shapes: Of an image, to try in this order if the server does not say what it
            takes.
        note_sent: Called with a number of images before they are sent once more than
            was asked for.

    Raises:
        UserError: If there is no such server, or its model takes something else than
            images.
    """
    client = Client(url, headers=read_headers(headers, token_variable), timeout=timeout)
    protocol = find_protocol(client, signature)
    taken = protocol.describe()
    return Opened(
        answer=_Asked(url, protocol, taken, shapes, note_sent).answer,
        shape=taken.shape,
        dtype=np.dtype(taken.dtype),
        batch_size=taken.batch_size,
    )


class _Asked:
    """Asks a model in the shape that it takes, once that is known."""

    def __init__(
        self,
        url: str,
        protocol: ModelProtocol,
        taken: Taken,
        shapes: Sequence[Shape],
        note_sent: Callable[[int], None],
    ):
        self._url = url
        self._protocol = protocol
        self._taken = taken
        # Empty when there is nothing to find out.
        self._shapes = [] if taken.shape else [s for s in shapes if None not in s]
        self._shape: Shape | None = None
        self._note_sent = note_sent

    def answer(self, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
        try:
            answers = self._ask(images)
        except (Refused, Failed) as error:
            if self._shapes:
                self._find_shape(images[:1], error)
            if self._shape in (None, images.shape[1:]):
                self._give_up(images, error)
            self._note_sent(len(images))
            try:
                answers = self._ask(images)
            except (Refused, Failed) as second:
                self._give_up(images, second)
        self._shapes = []
        is_none = np.isnan(answers).reshape(len(answers), -1).any(axis=1)
        if is_none.any():  # Told here, so that it is not kept as an answer.
            raise UnreadableAnswersError(
                f"{self._url} must answer finite numbers. Received: NaN or infinity "
                f"for {is_none.sum()} of {len(images)} images; none of them is kept."
            )
        return answers

    def _ask(self, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
        count = len(images)
        if self._shape is not None:
            images = reshape(images, self._shape)
        return self._protocol.ask(images, self._taken, lambda: self._note_sent(count))

    def _find_shape(self, image: npt.NDArray[Any], error: Exception) -> None:
        """Finds the shape that a server takes that does not say."""
        shapes, self._shapes = self._shapes, []
        for self._shape in shapes:
            self._note_sent(1)
            try:
                self._ask(image)
                return
            except (Refused, Failed):
                pass
        raise UserError(
            f"{self._url} must take images of one of the shapes {shapes}. Received: "
            f"{error}"
        ) from error

    def _give_up(self, images: npt.NDArray[Any], error: Refused | Failed) -> None:
        if isinstance(error, Failed):
            raise error
        # It may be too much at once: servers say so by 400 as well as by 413.
        raise TooMuch(
            f"{len(images)} image(s) of the shape {images.shape[1:]} are refused: "
            f"{error.text}"
        ) from error
