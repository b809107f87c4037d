"""TF Serving's REST API, which KServe's and MLServer's first version speaks, too.

POST ...:predict  {"instances": [...]} -> {"predictions": [...]}
"""

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from kennen_tf.black_boxes.servers.client import Client
from kennen_tf.black_boxes.servers.numbers_in_json import (
    from_images,
    say_keys,
    to_rows,
)
from kennen_tf.black_boxes.servers.taken import Taken, to_side
from kennen_tf.vocabulary.errors import UserError

_WHOLE = {"DT_UINT8": "uint8", "DT_INT32": "int32", "DT_INT64": "int64"}


class TfServing:
    """TF Serving's REST API, as its documents have it."""

    def __init__(self, client: Client, url: str, signature: str):
        self._client = client
        self._url = url
        self._signature = signature

    def describe(self) -> Taken:
        found = self._client.get(f"{self._url}/metadata")
        try:
            signatures = found["metadata"]["signature_def"]["signature_def"]
            name = self._signature or "serving_default"
            inputs = signatures[name]["inputs"]
        except (TypeError, KeyError):
            return Taken()
        if len(inputs) != 1:
            raise UserError(
                f"{self._url} must take one input, images. Received: {sorted(inputs)}."
            )
        [(input_name, spec)] = inputs.items()
        shape = spec.get("tensor_shape", {})
        if shape.get("unknown_rank"):
            return Taken(name=input_name)
        sides = [to_side(axis.get("size")) for axis in shape.get("dim", [])]
        return Taken(
            name=input_name,
            shape=tuple(sides[1:]) if sides else None,
            dtype=_WHOLE.get(spec.get("dtype", ""), "float32"),
            batch_size=sides[0] if sides else None,
        )

    def ask(
        self, images: npt.NDArray[Any], taken: Taken, note_again: Callable[[], None]
    ) -> npt.NDArray[Any]:
        body: dict[str, Any] = {"instances": from_images(images)}
        if self._signature:
            body["signature_name"] = self._signature
        content = self._client.post(f"{self._url}:predict", body, note_again)
        rows = content.get("predictions") if isinstance(content, dict) else None
        if rows is None:
            raise UserError(
                f"{self._url} must answer with `predictions`. Received: "
                f"{say_keys(content)}."
            )
        return to_rows(rows, len(images), self._url)
