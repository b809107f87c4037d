"""Opens a model behind a URL: what it takes, and what answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.black_boxes.formats.opened import Opened, TooMuch
from kennen_tf.black_boxes.servers.client import Client, Refused
from kennen_tf.black_boxes.servers.headers import read_headers
from kennen_tf.black_boxes.servers.protocols import find_protocol


def open_server(
    url: str,
    *,
    headers: str = "",
    token_variable: str = "",
    timeout: float = 60.0,
    signature: str = "",
    note_sent: Callable[[int], None] = lambda count: None,
) -> Opened:
    """Opens a model behind a URL; its server is asked what it takes.

    Args:
        url: Of the model; see `protocols`.
        headers, token_variable: See `read_headers`.
        timeout: Seconds that an answer may take.
        signature: See `find_protocol`.
        note_sent: Called before images are sent again that the server may have taken,
            with their number.

    Raises:
        UserError: If there is no such server, or its model takes something else than
            images.
    """
    client = Client(url, headers=read_headers(headers, token_variable), timeout=timeout)
    protocol = find_protocol(client, signature)
    taken = protocol.describe()

    def answer(images: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        try:
            return protocol.ask(images, taken, lambda: note_sent(len(images)))
        except Refused as error:
            # It may be too much at once: servers say so by 400 as well as by 413.
            raise TooMuch(
                f"{len(images)} image(s) of the shape {images.shape[1:]} are refused: "
                f"{error.text}"
            ) from error

    return Opened(
        answer=answer,
        shape=taken.shape,
        dtype=np.dtype(taken.dtype),
        batch_size=taken.batch_size,
    )
