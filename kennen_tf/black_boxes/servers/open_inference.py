"""The Open Inference Protocol, version 2: KServe, MLServer, Triton.

POST .../infer    {"inputs": [...]}    -> {"outputs": [...]}
"""

import math
import uuid
from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from kennen_tf.black_boxes.servers.client import Client
from kennen_tf.black_boxes.servers.numbers_in_json import (
    check_rows,
    from_images,
    say_keys,
    to_numbers,
)
from kennen_tf.black_boxes.servers.taken import Taken, to_side
from kennen_tf.vocabulary.errors import UserError

_FLOATS = ("FP16", "FP32", "FP64", "BF16")
_WHOLE = {
    "UINT8": "uint8",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
}


class OpenInference:
    """The Open Inference Protocol, version 2."""

    def __init__(self, client: Client, url: str, output: str = ""):
        self._client = client
        self._url = url
        self._output = output

    def describe(self) -> Taken:
        found = self._client.get(self._url)
        if not isinstance(found, dict) or not found.get("inputs"):
            return Taken(output=self._output)
        inputs = [str(own.get("name", "")) for own in found["inputs"]]
        outputs = [str(own.get("name", "")) for own in found.get("outputs") or []]
        if len(inputs) != 1:
            raise UserError(
                f"{self._url} must take one input, images. Received: {inputs}."
            )
        if self._output and outputs and self._output not in outputs:
            raise UserError(
                f"--signature must be one of the outputs of {self._url}: {outputs}. "
                f"Received: {self._output}."
            )
        if len(outputs) > 1 and not self._output:
            raise UserError(
                f"{self._url} must give one output. Received: {outputs}. Name one with "
                "--signature."
            )
        [spec] = found["inputs"]
        datatype = str(spec.get("datatype", "FP32"))
        if datatype not in (*_FLOATS, *_WHOLE):
            raise UserError(f"{self._url} must take numbers. Received: {datatype}.")
        sides = [to_side(side) for side in spec.get("shape") or []]
        return Taken(
            name=str(spec.get("name", "")),
            shape=tuple(sides[1:]) if sides else None,
            dtype=_WHOLE.get(datatype, "float64" if datatype == "FP64" else "float32"),
            batch_size=sides[0] if sides else None,
            output=self._output,
        )

    def ask(
        self, images: npt.NDArray[Any], taken: Taken, note_again: Callable[[], None]
    ) -> npt.NDArray[Any]:
        datatypes = {"float32": "FP32", "float64": "FP64"} | {
            v: k for k, v in _WHOLE.items()
        }
        sent = {
            "name": taken.name or "input",
            "shape": list(images.shape),
            "datatype": datatypes[taken.dtype],
            "data": from_images(images.ravel()),
        }
        # An id may be left out; but models of KServe that give it back fail then.
        body: dict[str, Any] = {"id": uuid.uuid4().hex, "inputs": [sent]}
        if taken.output:
            body["outputs"] = [{"name": taken.output}]
        content = self._client.post(f"{self._url}/infer", body, note_again)
        given = self._pick_output(content)
        flat = to_numbers(given.get("data"), self._url).ravel()
        shape = [int(side) for side in given.get("shape") or [len(flat)]]
        if math.prod(shape) != len(flat):
            raise UserError(
                f"{self._url} must answer as many numbers as it says. Received: "
                f"{len(flat)} numbers for the shape {shape}."
            )
        return check_rows(flat.reshape(shape), len(images), self._url)

    def _pick_output(self, content: Any) -> dict[str, Any]:
        """Returns the output to read of what was answered."""
        outputs = content.get("outputs") if isinstance(content, dict) else None
        if not isinstance(outputs, list):
            raise UserError(
                f"{self._url} must answer with `outputs`. Received: "
                f"{say_keys(content)}."
            )
        picked = outputs
        if self._output:  # All may be given, though one was asked for.
            picked = [own for own in outputs if own.get("name") == self._output]
        if len(picked) != 1:
            names = [str(own.get("name", "")) for own in outputs]
            raise UserError(
                f"{self._url} must give one output. Received: {names}. Name one with "
                "--signature."
            )
        [found] = picked
        return dict(found)
