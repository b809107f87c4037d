"""Black boxes in ONNX files, asked by ONNX Runtime."""

import pathlib
from typing import Any

import numpy as np

from kennen_tf.black_boxes.formats.opened import Opened, one_line
from kennen_tf.vocabulary.errors import UserError

_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}


def open_onnx(path: pathlib.Path) -> Opened:
    """Opens an ONNX file.

    Raises:
        UserError: If ONNX Runtime is not installed, the file cannot be opened, or it
            has several inputs or outputs.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"{path} is an ONNX file, and ONNX Runtime is needed to ask it. Install "
            "it: pip install 'kennen_tf[onnx]'."
        ) from error
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # Errors.
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise UserError(
            f"{path} cannot be opened as an ONNX file: {one_line(error)}"
        ) from error
    # Old files list weights among inputs, too.
    inputs, outputs = session.get_inputs(), session.get_outputs()
    numbers = [own for own in outputs if own.type in _TYPES]
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(
            f"{path} must have one input, images, and one output. Received: inputs "
            f"{[own.name for own in inputs]}, outputs {[own.name for own in outputs]}"
            + (
                f". Give a function that returns {numbers[-1].name}, as "
                "module:function."
                if numbers
                else "."
            )
        )
    [taken], [given] = inputs, outputs
    if taken.type not in _TYPES:
        raise UserError(f"{path} must take numbers. Received: {taken.type}.")
    input_type = np.dtype(_TYPES[taken.type])
    # Names, None and -1 stand for any size.
    sides = [s if isinstance(s, int) and s > 0 else None for s in taken.shape]

    def answer(images: np.ndarray) -> Any:
        [result] = session.run([given.name], {taken.name: images.astype(input_type)})
        return result

    return Opened(
        answer=answer,
        shape=tuple(sides[1:]) if sides else None,
        dtype=np.dtype("float32") if input_type.kind == "f" else input_type,
        batch_size=sides[0] if sides else None,
        channels_first=True,
    )
