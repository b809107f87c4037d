"""Classifiers over pixels: preprocessing and resizing inside, logits out."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf.vocabulary.errors import UserError

# What the last layer of a Keras model gives, and the range of the pixels it takes.
LOGITS, PROBABILITIES = "logits", "probabilities"
OUTPUTS = (LOGITS, PROBABILITIES)
BYTE, UNIT = "byte", "unit"
PIXELS = (BYTE, UNIT)

Shape = tuple[int | None, ...]

MAX_LEVEL = 255.0
_CHANNELS = 3
# The least normal float32: below it, a probability has lost its digits.
_TINY = float(np.finfo(np.float32).tiny)


class PixelModel:
    """Pixels in [0, 255] go in, logits come out; the input is never written to.

    Attributes:
        name: What messages call it.
        image_size: Side of its own input, in pixels.
        num_classes: Number of its logits.
        model: The Keras model, from float32 `(n, image_size, image_size, 3)` in
            [0, 255] to float32 `(n, num_classes)`.
    """

    def __init__(
        self,
        name: str,
        model: keras.Model,
        *,
        outputs: str = LOGITS,
        pixels: str = BYTE,
        image_size: int = 0,
    ):
        """Wraps a Keras model, whose layers are shared and stay as they are.

        Args:
            name: Its name.
            model: Functional or Sequential, from `(n, size, size, 3)` to
                `(n, num_classes)`.
            outputs: One of `OUTPUTS`: what it gives. Where probabilities come out of a
                softmax, the logits are what goes into it; else log(p), finite also for
                p = 0.
            pixels: One of `PIXELS`: it takes [0, 255] or [0, 1].
            image_size: Side of its input; 0 for the one that it declares.

        Raises:
            UserError: If its input or its output has another form, or it ends in a
                softmax although `outputs` is `LOGITS`.
        """
        if outputs not in OUTPUTS or pixels not in PIXELS:
            raise ValueError(f"Received: {outputs=}, {pixels=}.")
        self.name = name
        input_shapes, output_shapes = find_shapes(model)
        self.image_size = find_image_size(name, input_shapes, image_size)
        self.num_classes = find_num_classes(name, output_shapes)
        model = _to_logits(name, model, outputs)
        self.model = _to_float_bytes(name, model, pixels, self.image_size)

    def __call__(self, pixels: tf.Tensor | npt.NDArray[Any]) -> tf.Tensor:
        """Classifies images; usable in `tf.function` and under `tf.GradientTape`.

        Args:
            pixels: `(n, height, width, 3)` in [0, 255], of any type and any size;
                resized if need be (`resize`). Not modified.

        Returns:
            Logits, float32 `(n, num_classes)`.

        Raises:
            UserError: If `pixels` has another form.
        """
        pixels = tf.cast(tf.convert_to_tensor(pixels), tf.float32)
        shape = pixels.shape
        if shape.rank != 4 or shape[3] != _CHANNELS:
            raise UserError(
                f"{self.name} takes images of the form (n, height, width, "
                f"{_CHANNELS}). Received: {tuple(shape)}."
            )
        return self.model(resize(pixels, self.image_size), training=False)


def resize(pixels: tf.Tensor, image_size: int) -> tf.Tensor:
    """Resizes whole images to a square, bicubic and antialiased, as PIL does.

    Bicubic overshoots at edges, and by rounding errors even in white areas, so what
    leaves [0, 255] is clipped. The gradient passes as if it were not: that of the clip
    is zero there, and a white sky would tell an attack nothing.

    Args:
        pixels: float32 `(n, height, width, 3)` in [0, 255].
        image_size: Side of the square.

    Returns:
        float32 `(n, image_size, image_size, 3)` in [0, 255]; `pixels` itself if that
        is their size.
    """
    if pixels.shape[1:3] == (image_size, image_size):
        return pixels
    resized = tf.image.resize(
        pixels, (image_size, image_size), tf.image.ResizeMethod.BICUBIC, antialias=True
    )
    clip = tf.grad_pass_through(lambda x: tf.clip_by_value(x, 0.0, MAX_LEVEL))
    return clip(resized)


def find_shapes(model: keras.Model) -> tuple[list[Shape], list[Shape]]:
    """Returns the shapes of a model's inputs and outputs; none if it has none yet."""
    inputs = getattr(model, "inputs", None) or []
    outputs = getattr(model, "outputs", None) or []
    return [tuple(t.shape) for t in inputs], [tuple(t.shape) for t in outputs]


def find_image_size(name: str, shapes: Sequence[Shape], wanted: int = 0) -> int:
    """Returns the side of the images that a model takes.

    Args:
        name: Its name, for messages.
        shapes: Those of its inputs.
        wanted: What the side must be, or is if the model takes any; 0: what it is.

    Raises:
        UserError: If it does not take square images of one size, or of another one.
    """
    if not shapes:
        raise UserError(
            f"{name} must be a functional or Sequential Keras model that declares the "
            "shape of its input. Received: one that does not."
        )
    shape = shapes[0]
    if len(shapes) == 1 and len(shape) == 4 and shape[3] == _CHANNELS:
        sides = {side or wanted for side in shape[1:3]}
        if len(sides) == 1 and 0 not in sides and sides >= {wanted} - {0}:
            return sides.pop()
    declared = ", ".join(map(str, shapes))
    if wanted:
        raise UserError(
            f"{name} must take images of the form (n, {wanted}, {wanted}, "
            f"{_CHANNELS}), as image_size={wanted} was given. Received: {declared}."
        )
    raise UserError(
        f"{name} must take square images of one size, (n, size, size, {_CHANNELS}). "
        f"Received: {declared}. If it takes any size, give image_size."
    )


def find_num_classes(name: str, shapes: Sequence[Shape]) -> int:
    """Returns the number of classes of a model with outputs of these shapes.

    Raises:
        UserError: If it does not give one number for each class.
    """
    if len(shapes) == 1 and len(shapes[0]) == 2 and shapes[0][1] is not None:
        return shapes[0][1]
    raise UserError(
        f"{name} must give one number for each class, (n, classes). Received: "
        f"{', '.join(map(str, shapes))}."
    )


def _to_logits(name: str, model: keras.Model, outputs: str) -> keras.Model:
    """Returns a model, of the same layers, whose outputs are logits in float32."""
    bare = without_softmax(model)
    if outputs == LOGITS and bare is not None:
        raise UserError(
            f"{name} ends in a softmax: it gives probabilities. Received: "
            f"outputs={LOGITS}. Say {PROBABILITIES}."
        )
    logits = (bare or model).outputs[0]
    if logits.dtype != "float32":  # Mixed precision.
        logits = keras.ops.cast(logits, "float32")
    if outputs == PROBABILITIES and bare is None:
        logits = keras.ops.log(keras.ops.maximum(logits, _TINY))
    if logits is model.outputs[0]:
        return model
    return keras.Model(model.inputs, logits)


def without_softmax(model: keras.Model) -> keras.Model | None:
    """Returns what stands before the softmax that a model ends in, or None.

    Weights are shared but for those of a last Dense layer, which are copied.
    """
    layer, node_index, _ = model.outputs[0]._keras_history
    inputs = layer._inbound_nodes[node_index].input_tensors
    if len(inputs) != 1:  # E.g. a masked softmax.
        return None
    if isinstance(layer, keras.Model):
        inner = without_softmax(layer)
        return inner and keras.Model(model.inputs, inner(inputs[0]))
    if type(layer).__name__ == "Softmax" and layer.axis in (-1, 1):
        return keras.Model(model.inputs, inputs[0])
    if getattr(layer, "activation", None) is not keras.activations.softmax:
        return None
    if isinstance(layer, keras.layers.Activation):
        return keras.Model(model.inputs, inputs[0])
    linear = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    logits = linear(inputs[0])
    linear.set_weights(layer.get_weights())
    return keras.Model(model.inputs, logits)


def _to_float_bytes(
    name: str, model: keras.Model, pixels: str, image_size: int
) -> keras.Model:
    """Returns a model that takes float32 pixels in [0, 255] of one size."""
    shape = (image_size, image_size, _CHANNELS)
    [own] = model.inputs
    if own.dtype == "float32" and tuple(own.shape[1:]) == shape and pixels == BYTE:
        return model
    inputs = keras.Input(shape, dtype="float32")
    if "float" in own.dtype:
        scaled = inputs
        if pixels == UNIT:
            scaled = keras.layers.Rescaling(1 / MAX_LEVEL, dtype="float32")(inputs)
        return keras.Model(inputs, model(scaled))
    if pixels == UNIT:
        raise UserError(
            f"{name} takes whole numbers ({own.dtype}), so its pixels cannot be in "
            f"[0, 1]. Received: pixels={UNIT}. Say {BYTE}."
        )
    # As it is, it would cut off what is between whole numbers, and the gradient. So
    # the same layers are called with a float input of their own.
    return keras.models.clone_model(
        model, input_tensors=inputs, clone_function=lambda layer: layer
    )
