"""Black boxes in frozen TensorFlow graphs: one placeholder, one output."""

import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from kennen_tf.black_boxes.formats.opened import Opened, one_line
from kennen_tf.vocabulary.errors import UserError

_VARIABLES = ("Variable", "VariableV2", "VarHandleOp")
_PLACEHOLDERS = ("Placeholder", "PlaceholderV2")
# What stands behind an answer without changing it, or only says whether it was right.
_BESIDE = ("NoOp", "Assert", "ArgMax", "Const")


def open_graph(path: pathlib.Path) -> Opened:
    """Opens a graph whose variables were made constants.

    Raises:
        UserError: If it is none, is not trained, or has several inputs or outputs.
    """
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(path.read_bytes())
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as a TensorFlow graph: {one_line(error)}"
        ) from error
    unfrozen = [node.name for node in definition.node if node.op in _VARIABLES]
    if unfrozen or not definition.node:
        raise UserError(
            f"{path} must be a graph that holds its trained weights. Received: one "
            f"with {len(unfrozen)} variables without values. Freeze it, or name a "
            "SavedModel."
        )
    inputs = [node.name for node in definition.node if node.op in _PLACEHOLDERS]
    used = {
        name.partition(":")[0].lstrip("^")
        for node in definition.node
        for name in node.input
    }
    ends = [
        node.name
        for node in definition.node
        if node.name not in used and node.op not in (*_BESIDE, *_PLACEHOLDERS)
    ]
    softmax = [node.name for node in definition.node if node.op == "Softmax"]
    outputs = [name for name in ends if name in softmax] or ends or softmax
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(
            f"{path} must be a graph with one placeholder, images, and one output. "
            f"Received: placeholders {inputs}, outputs {outputs}. Give a function that "
            "asks it, as module:function."
        )
    wrapped = tf.compat.v1.wrap_function(
        lambda: tf.compat.v1.import_graph_def(definition, name=""), []
    )
    taken = wrapped.graph.get_tensor_by_name(f"{inputs[0]}:0")
    given = wrapped.graph.get_tensor_by_name(f"{outputs[0]}:0")
    function = wrapped.prune(taken, given)

    def answer(images: np.ndarray) -> Any:
        return function(tf.constant(images.astype(taken.dtype.as_numpy_dtype)))

    floats = taken.dtype.is_floating
    dtype = np.dtype("float32" if floats else taken.dtype.as_numpy_dtype)
    if taken.shape.rank is None:
        return Opened(answer=answer, shape=None, dtype=dtype)
    batch_size, *shape = taken.shape.as_list()
    return Opened(answer=answer, shape=tuple(shape), dtype=dtype, batch_size=batch_size)
