"""Black boxes in TFLite files, quantised ones too."""

import pathlib
import warnings
from typing import Any

import numpy as np

from kennen_tf.black_boxes.formats.opened import Opened, one_line
from kennen_tf.vocabulary.errors import UserError


def open_tflite(path: pathlib.Path) -> Opened:
    """Opens a TFLite file with the interpreter that TensorFlow brings.

    Of a quantised model, pixels and answers are the numbers that its scale and zero
    point stand for; where there is no scale, pixels are whole numbers.

    Raises:
        UserError: If it cannot be opened, or has several inputs or outputs.
    """
    import tensorflow as tf

    try:
        with warnings.catch_warnings():
            # TensorFlow moves it to a package of its own.
            warnings.simplefilter("ignore")
            interpreter = tf.lite.Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
    except Exception as error:
        raise UserError(
            f"{path} cannot be opened as a TFLite file: {one_line(error)}"
        ) from error
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(
            f"{path} must have one input, images, and one output. Received: "
            f"{len(inputs)} inputs and {len(outputs)} outputs."
        )
    [taken], [given] = inputs, outputs
    # -1 stands for any number of images.
    declared = [int(side) for side in taken.get("shape_signature", taken["shape"])]
    fixed = int(taken["shape"][0])
    is_any = declared[0] == -1
    input_type = np.dtype(taken["dtype"])
    scale, zero = taken["quantization"]
    is_quantised = bool(scale) and input_type.kind in "iu"

    def answer(images: np.ndarray) -> Any:
        if is_quantised:
            limits = np.iinfo(input_type)
            images = np.clip(np.rint(images / scale + zero), limits.min, limits.max)
        if is_any and len(images) != int(
            interpreter.get_input_details()[0]["shape"][0]
        ):
            interpreter.resize_tensor_input(taken["index"], images.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(taken["index"], images.astype(input_type))
        interpreter.invoke()
        result = interpreter.get_tensor(given["index"])
        output_scale, output_zero = given["quantization"]
        if output_scale and result.dtype.kind in "iu":
            whole = result.astype(np.float32)
            return (whole - np.float32(output_zero)) * np.float32(output_scale)
        return result

    return Opened(
        answer=answer,
        shape=tuple(None if side == -1 else side for side in declared[1:]),
        dtype=np.dtype("float32")
        if is_quantised or input_type.kind == "f"
        else input_type,
        batch_size=None if is_any else fixed,
    )
