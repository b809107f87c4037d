"""Serves a classifier over HTTP, in the protocol of TF Serving, to try things on.

    GET  /v1/models/NAME            {"model_version_status": [...]}
    GET  /v1/models/NAME/metadata   the shape and type of what it takes
    POST /v1/models/NAME:predict    {"instances": [...]} -> {"predictions": [...]}

Errors are {"error": "..."}, as TF Serving's are. One request is answered at a time, and
nobody is asked who he is: it is no server for production.
"""

import http.server
import json
import re
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from kennen_tf.black_boxes.formats.opened import Opened, one_line
from kennen_tf.vocabulary.errors import UserError

_BATCH_SIZE = 1024
# Of a request; 20,000 images of 28 x 28 pixels are less.
_MOST_BYTES = 256 << 20
_TYPES = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE", "uint8": "DT_UINT8"}
_NAME = re.compile(r"[\w.-]+")


def make_server(
    opened: Opened, *, name: str, host: str, port: int
) -> http.server.ThreadingHTTPServer:
    """Makes a server of a classifier, which listens; `serve_forever` has it answer.

    Args:
        opened: What answers.
        name: Of the model.
        host: Address to listen on.
        port: 0: any that is free.

    Raises:
        UserError: If the name cannot be in a URL, or the port cannot be listened on.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            "--name must be letters, digits, dots, dashes and underscores. Received: "
            f"name={name!r}."
        )
    handler = type("Handler", (_Handler,), {"model": _Model(opened, name)})
    try:
        return http.server.ThreadingHTTPServer((host, port), handler)
    except (OSError, OverflowError) as error:
        raise UserError(
            "--host and --port must be free to listen on. Received: "
            f"{host}:{port} ({error}). Choose another --port; 0 takes any."
        ) from error


def url_of(server: http.server.HTTPServer, name: str) -> str:
    """Returns the URL of a served model."""
    host, port = server.server_address[:2]
    return f"http://{host!s}:{port}/v1/models/{name}"


class _Model:
    """A classifier, and what it says of itself."""

    def __init__(self, opened: Opened, name: str):
        self.path = f"/v1/models/{name}"
        self._opened = opened
        self._spec = {"name": name, "signature_name": "", "version": "1"}
        # What runs a model may not bear to be called twice at a time.
        self._lock = threading.Lock()

    def status(self) -> dict[str, Any]:
        ok = {"error_code": "OK", "error_message": ""}
        status = {"version": "1", "state": "AVAILABLE", "status": ok}
        return {"model_version_status": [status]}

    def metadata(self) -> dict[str, Any]:
        opened = self._opened
        sides = [opened.batch_size or -1, *(side or -1 for side in opened.shape or ())]
        shape: dict[str, Any] = {"unknown_rank": True}
        if opened.shape is not None:
            dims = [{"size": str(side), "name": ""} for side in sides]
            shape = {"dim": dims, "unknown_rank": False}
        dtype = _TYPES.get(opened.dtype.name, f"DT_{opened.dtype.name.upper()}")
        tensor = {"dtype": dtype, "tensor_shape": shape, "name": "images"}
        signature = {
            "inputs": {"images": tensor},
            "outputs": {},
            "method_name": "tensorflow/serving/predict",
        }
        signatures = {"signature_def": {"serving_default": signature}}
        return {"model_spec": self._spec, "metadata": {"signature_def": signatures}}

    def predict(self, body: bytes) -> dict[str, Any]:
        """Answers a request. Raises `UserError` if it is none."""
        try:
            instances = json.loads(body)["instances"]
            images = np.asarray(instances, self._opened.dtype)
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(
                'The body must be {"instances": [...]} with images of equal shapes. '
                f"Received: {one_line(error)}."
            ) from error
        self._check(images.shape)
        with self._lock:
            parts = [
                np.asarray(self._opened.answer(images[start : start + _BATCH_SIZE]))
                for start in range(0, len(images), _BATCH_SIZE)
            ]
        return {"predictions": np.concatenate(parts).tolist()}

    def _check(self, shape: Sequence[int]) -> None:
        """Raises `UserError` if the classifier does not take images of that shape."""
        wanted, size = self._opened.shape, self._opened.batch_size
        fits = len(shape) > 0 and shape[0] > 0 and shape[0] == (size or shape[0])
        if fits and wanted is not None:
            fits = len(shape) == len(wanted) + 1 and all(
                want in (None, got) for want, got in zip(wanted, shape[1:], strict=True)
            )
        if not fits:
            raise UserError(
                f"`instances` must be {size or 'one or more'} images of shape "
                f"{wanted}. Received: an array of shape {tuple(shape)}."
            )


class _Handler(http.server.BaseHTTPRequestHandler):
    model: _Model

    def do_GET(self) -> None:
        if self.path == self.model.path:
            self._reply(200, self.model.status())
        elif self.path == f"{self.model.path}/metadata":
            self._reply(200, self.model.metadata())
        else:
            self._refuse()

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length") or ""
        if not length.isdecimal() or int(length) > _MOST_BYTES:
            self.close_connection = True  # What is sent is not read.
            text = f"Content-Length must be given, and at most {_MOST_BYTES}."
            self._reply(413, {"error": text})
            return
        body = self.rfile.read(int(length))
        if self.path != f"{self.model.path}:predict":
            self._refuse()
            return
        try:
            self._reply(200, self.model.predict(body))
        except UserError as error:
            self._reply(400, {"error": str(error)})
        except Exception as error:  # Whatever the model's library raises.
            self._reply(500, {"error": one_line(error)})

    def _refuse(self) -> None:
        text = f"Malformed request: {self.command} {self.path}. Try {self.model.path}."
        self._reply(404, {"error": text})

    def _reply(self, status: int, content: dict[str, Any]) -> None:
        # NaN stays NaN, as TF Serving has it, which JSON does not know.
        encoded = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing of single requests."""
