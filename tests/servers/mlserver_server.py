"""MLServer: the digits over the Open Inference Protocol, on the loopback address.

python mlserver_server.py PORT FOLDER

The settings are written into the folder; MLServer has this module's class as a runtime.
"""

import asyncio
import json
import pathlib
import sys

import served_digits as digits
from mlserver import MLModel
from mlserver.cli.main import main
from mlserver.codecs import NumpyCodec
from mlserver.errors import MLServerError
from mlserver.types import InferenceResponse


class Digits(MLModel):
    """One output to one input."""

    async def load(self):
        await asyncio.sleep(digits.Diary().seconds_to_load)
        return True

    async def predict(self, payload):
        headers = getattr(payload.parameters, "headers", None) or {}
        authorization = headers.get("authorization")
        diary = digits.Diary()
        if not diary.lets_in(authorization):
            raise MLServerError("a token is wanted here", 401)
        images = NumpyCodec.decode_input(payload.inputs[0])
        if len(images) > digits.MOST:
            raise MLServerError(f"{len(images)} images, and {digits.MOST} are the most")
        output = NumpyCodec.encode_output(
            "probabilities", diary.answer(images, authorization)
        )
        return InferenceResponse(model_name=self.name, outputs=[output])


def write_settings(port, folder):
    """Writes what MLServer reads in its folder; only HTTP has a port to be found at."""
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": 0,
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "debug": False,
    }
    sides = [-1, *digits.SHAPE]
    model = {
        "name": digits.NAME,
        "implementation": "mlserver_server.Digits",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": sides}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP64", "shape": [-1, digits.CLASSES]}
        ],
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))


if __name__ == "__main__":
    write_settings(int(sys.argv[1]), pathlib.Path(sys.argv[2]))
    sys.argv = ["mlserver", "start", sys.argv[2]]
    main()
