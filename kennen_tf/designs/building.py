"""From a design to Keras models: checked, seeded, and with probabilities on top."""

import contextlib
from collections.abc import Iterator

import keras

from kennen_tf.attributes import Values
from kennen_tf.designs.design import Design, SeedOf
from kennen_tf.vocabulary.errors import UserError

COMPUTE_DTYPES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def build_logits(
    design: Design, values: Values, seed: SeedOf, compute_dtype: str = "float32"
) -> keras.Model:
    """Builds an untrained classifier, up to its logits.

    Args:
        design: Of the zoo.
        values: Value of each chosen attribute.
        seed: From names to seeds.
        compute_dtype: "float32" or "bfloat16"; weights are float32 always.

    What `build` raises is let through: it may be one classifier's fault only.

    Raises:
        UserError: If the design's `build` returns something else.
    """
    # Whatever takes no seed of its own gets one from here, in order.
    keras.utils.set_random_seed(seed("layers"))
    with _dtype_policy(COMPUTE_DTYPES[compute_dtype]):
        model = design.build(values, seed)
    if not isinstance(model, keras.Model):
        raise UserError(
            f"`build` of design {design.name} must return a Keras model. Received: "
            f"{type(model).__name__}."
        )
    return model


def build_classifier(design: Design, values: Values) -> keras.Model:
    """Builds an untrained classifier that answers probabilities, in float32.

    Its file says nothing of seeds, so that equal classifiers have equal files.
    """
    logits = build_logits(design, values, no_seed)
    probabilities = keras.layers.Softmax(dtype="float32", name="probabilities")
    return keras.Model(
        logits.inputs[0], probabilities(logits.outputs[0]), name="classifier"
    )


def no_seed(*names: str | int) -> int:
    """Returns the seed of what takes part in no training."""
    return 0


def check_model(
    model: keras.Model,
    design: Design,
    image_shape: tuple[int, ...],
    num_classes: int,
) -> None:
    """Raises `UserError` unless a model takes a design's images and answers classes."""
    inputs = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if len(inputs) != 1 or not _takes(inputs[0], image_shape):
        raise UserError(
            f"`build` of design {design.name} must make classifiers of its images, of "
            f"shape {image_shape}. Received: inputs of shape {inputs}."
        )
    outputs = [tuple(tensor.shape[1:]) for tensor in model.outputs]
    if outputs != [(num_classes,)]:
        raise UserError(
            f"`build` of design {design.name} must make classifiers that answer "
            f"{num_classes} logits, one for each class of its images. Received: "
            f"outputs of shape {outputs}."
        )


def _takes(declared: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    return len(declared) == len(shape) and all(
        side in (None, wanted) for side, wanted in zip(declared, shape, strict=True)
    )


@contextlib.contextmanager
def _dtype_policy(policy: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
