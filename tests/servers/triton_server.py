"""Triton through PyTriton: the digits over HTTP, on the loopback address.

python triton_server.py PORT FOLDER
"""

import os
import sys

import numpy as np
import served_digits as digits
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

IMAGE = Tensor(name="image", dtype=np.float32, shape=digits.SHAPE)
PROBABILITIES = Tensor(name="probabilities", dtype=np.float32, shape=(digits.CLASSES,))
LABEL = Tensor(name="label", dtype=np.int64, shape=(1,))


def answer(image):
    return digits.Diary().answer(image).astype(np.float32)


@batch
def infer(image):
    return {"probabilities": answer(image)}


@batch
def infer_both(image):
    found = answer(image)
    return {"label": found.argmax(axis=1)[:, np.newaxis], "probabilities": found}


@batch
def fail(image):
    raise ValueError("the digits are not at home")


def main():
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=int(sys.argv[1]),
        allow_grpc=False,
        allow_metrics=False,
    )
    workspace = os.path.join(sys.argv[2], str(os.getpid()))  # It must be new.
    most = ModelConfig(max_batch_size=digits.MOST)
    with Triton(config=config, workspace=workspace) as triton:
        triton.bind("both", infer_both, [IMAGE], [LABEL, PROBABILITIES], config=most)
        triton.bind("broken", fail, [IMAGE], [PROBABILITIES], config=most)
        # Last: once it is there, all are.
        triton.bind(digits.NAME, infer, [IMAGE], [PROBABILITIES], config=most)
        triton.serve()


if __name__ == "__main__":
    main()
