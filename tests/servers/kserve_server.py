"""KServe: the digits over both protocols, on the loopback address.

python kserve_server.py PORT FOLDER
"""

import sys

import fastapi
import kserve
import numpy as np
import served_digits as digits
import uvicorn
from kserve.errors import InvalidInput

_HOST = "127.0.0.1"


class _LocalConfig(uvicorn.Config):
    """KServe leaves no choice of the address, and takes all there are."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **{**settings, "host": _HOST})


class Digits(kserve.Model):
    """Answers `predictions` to `instances` (v1), and one output to one input (v2)."""

    def __init__(self):
        super().__init__(digits.NAME)
        self._diary = digits.Diary()
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        authorization = (headers or {}).get("authorization")
        if not self._diary.lets_in(authorization):
            raise fastapi.HTTPException(401, "a token is wanted here")
        is_first = isinstance(payload, dict)
        images = payload["instances"] if is_first else payload.inputs[0].as_numpy()
        images = np.asarray(images, np.float32)
        if len(images) > digits.MOST:
            raise InvalidInput(f"{len(images)} images, and {digits.MOST} are the most")
        answers = self._diary.answer(images, authorization)
        if is_first:
            return {"predictions": answers.tolist()}
        output = kserve.InferOutput("probabilities", list(answers.shape), "FP64")
        output.set_data_from_numpy(answers, binary_data=False)
        return kserve.InferResponse(payload.id, self.name, [output])


class Rows(kserve.Model):
    """Takes 784 numbers for each image, and neither says so nor is polite about it."""

    def __init__(self):
        super().__init__("rows")
        self._diary = digits.Diary()
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        rows = np.asarray(payload["instances"], np.float32)
        rows @ np.ones(784, np.float32)  # Raises, if they are none.
        return {"predictions": self._diary.answer(rows).tolist()}


if __name__ == "__main__":
    uvicorn.Config = _LocalConfig
    port = int(sys.argv[1])
    kserve.ModelServer(http_port=port, enable_grpc=False).start([Digits(), Rows()])
