"""The two protocols that inference servers speak, told by a model's URL.

TF Serving (also KServe and MLServer's first version):
    http://HOST/v1/models/NAME[/versions/N]             metadata at .../metadata
    POST ...:predict  {"instances": [...]} -> {"predictions": [...]}

Open Inference Protocol (KServe, MLServer, Triton):
    http://HOST/v2/models/NAME[/versions/N]             metadata at the URL itself
    POST .../infer    {"inputs": [...]}    -> {"outputs": [...]}
"""

import dataclasses
import math
import re
import uuid
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kennen_tf.black_boxes.servers.client import Client
from kennen_tf.vocabulary.errors import UserError

_URL = re.compile(
    r"https?://[^/]+(/.*)?/v(?P<version>[12])/models/(?P<name>[^/:]+)(?P<rest>.*)"
)
_FLOATS = ("FP16", "FP32", "FP64", "BF16")
_WHOLE = {
    "UINT8": "uint8",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
}
_SERVING_WHOLE = {"DT_UINT8": "uint8", "DT_INT32": "int32", "DT_INT64": "int64"}


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

    def ask(self, images: npt.NDArray[Any], taken: Taken) -> npt.NDArray[np.float64]:
        """Sends images as the model takes them; returns `(n, ...)` numbers."""


def find_protocol(client: Client, signature: str = "") -> ModelProtocol:
    """Returns the protocol of a URL.

    Args:
        client: Of the URL.
        signature: Of TF Serving, which to ask; in the Open Inference Protocol, the
            output to read; "" for the default, or the only one.

    Raises:
        UserError: If it is of none of the two.
    """
    found = _URL.fullmatch(client.url.rstrip("/"))
    if not found:
        raise UserError(
            "A URL must be one of a model: http://HOST/v1/models/NAME (TF Serving) or "
            "http://HOST/v2/models/NAME (Open Inference Protocol). Received: "
            f"{client.url}."
        )
    url = client.url.rstrip("/")
    if found["version"] == "1":
        return TfServing(client, url.removesuffix(":predict"), signature)
    return OpenInference(client, url.removesuffix("/infer"), signature)


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
        sides = [_side(axis.get("size")) for axis in shape.get("dim", [])]
        return Taken(
            name=input_name,
            shape=tuple(sides[1:]) if sides else None,
            dtype=_SERVING_WHOLE.get(spec.get("dtype", ""), "float32"),
            batch_size=sides[0] if sides else None,
        )

    def ask(self, images: npt.NDArray[Any], taken: Taken) -> npt.NDArray[np.float64]:
        body: dict[str, Any] = {"instances": _numbers(images)}
        if self._signature:
            body["signature_name"] = self._signature
        content = self._client.post(f"{self._url}:predict", body)
        rows = content.get("predictions") if isinstance(content, dict) else None
        if rows is None:
            raise UserError(
                f"{self._url} must answer with `predictions`. Received: "
                f"{_say_keys(content)}."
            )
        return to_rows(rows, len(images), self._url)


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
        sides = [_side(side) for side in spec.get("shape") or []]
        return Taken(
            name=str(spec.get("name", "")),
            shape=tuple(sides[1:]) if sides else None,
            dtype=_WHOLE.get(datatype, "float64" if datatype == "FP64" else "float32"),
            batch_size=sides[0] if sides else None,
            output=self._output,
        )

    def ask(self, images: npt.NDArray[Any], taken: Taken) -> npt.NDArray[np.float64]:
        datatypes = {"float32": "FP32", "float64": "FP64"} | {
            v: k for k, v in _WHOLE.items()
        }
        sent = {
            "name": taken.name or "input",
            "shape": list(images.shape),
            "datatype": datatypes[taken.dtype],
            "data": _numbers(images.ravel()),
        }
        # An id may be left out; but models of KServe that give it back fail then.
        body: dict[str, Any] = {"id": uuid.uuid4().hex, "inputs": [sent]}
        if taken.output:
            body["outputs"] = [{"name": taken.output}]
        content = self._client.post(f"{self._url}/infer", body)
        given = self._pick_output(content)
        flat = _to_numbers(given.get("data"), self._url).ravel()
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
                f"{_say_keys(content)}."
            )
        # All may be given, though one was asked for.
        wanted = [own for own in outputs if own.get("name") == self._output]
        if len(outputs) != 1 and len(wanted) != 1:
            names = [str(own.get("name", "")) for own in outputs]
            raise UserError(
                f"{self._url} must give one output. Received: {names}. Name one with "
                "--signature."
            )
        found: dict[str, Any] = (wanted or outputs)[0]
        return found


def to_rows(rows: Any, num_images: int, where: str) -> npt.NDArray[np.float64]:
    """Turns a list of answers into an array, one row for each image.

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
    return check_rows(_to_numbers(rows, where), num_images, where)


def check_rows(
    answers: npt.NDArray[np.float64], num_images: int, where: str
) -> npt.NDArray[np.float64]:
    """Returns answers of which there is one for each image.

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
        return answers[:, 0]
    return answers


def _to_numbers(value: Any, where: str) -> npt.NDArray[np.float64]:
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


def _numbers(images: npt.NDArray[Any]) -> Any:
    # The shortest text that is the same float32, not the longer one of its double.
    if images.dtype == np.float32:
        return _shortest(images)
    return images.tolist()


def _shortest(images: npt.NDArray[np.float32]) -> Any:
    flat = [float(str(number)) for number in images.ravel()]
    return np.array(flat).reshape(images.shape).tolist()


def _side(size: Any) -> int | None:
    """Returns the length of an axis, None for any."""
    try:
        number = int(size)
    except (TypeError, ValueError):
        return None
    return number if number > 0 else None


def _say_keys(content: Any) -> str:
    if isinstance(content, dict):
        return f"an object with {sorted(map(str, content))[:5]}"
    return type(content).__name__
