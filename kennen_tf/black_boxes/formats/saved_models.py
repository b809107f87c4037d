"""Black boxes in SavedModel folders, of TensorFlow 1 and 2, of Keras, of Serving."""

import contextlib
import logging
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kennen_tf.black_boxes.formats.opened import Opened, one_line
from kennen_tf.vocabulary.errors import UserError

SIGNATURES = ("serving_default", "serve")
_INITIALIZING = "__saved_model_init_op"


def open_saved_model(path: pathlib.Path, wanted: str = "") -> Opened:
    """Opens a SavedModel.

    Args:
        path: Its folder.
        wanted: Name of the signature to ask; "": the one that takes numbers, and of
            several, the one that is served by default.

    Raises:
        UserError: If it cannot be opened, or no signature, or no one of several, is to
            be asked.
    """
    with _quiet():
        try:
            loaded = tf.saved_model.load(str(path))
        except Exception as error:
            # E.g. slots of an optimizer of Keras 2. What is served does not need them.
            return _open_in_session(path, wanted, error)
    if loaded.signatures:
        signatures = {
            name: _describe(
                function.structured_input_signature[1], function.structured_outputs
            )
            for name, function in loaded.signatures.items()
        }
        fits = any(_takes_images(*own) for own in signatures.values())
        if wanted or fits or not callable(loaded):
            return _open_signature(loaded, _choose(path, signatures, wanted))
    if wanted or not callable(loaded):
        raise UserError(
            "A SavedModel must have a signature"
            + (f" named {wanted}" if wanted else "")
            + f" or be callable. Received: {path}, which has none."
        )
    return _open_callable(loaded)


def _describe(inputs: Mapping[str, Any], outputs: Any) -> tuple[list[Any], list[str]]:
    return list(inputs.values()), list(outputs)


def _choose(
    path: pathlib.Path,
    signatures: Mapping[str, tuple[list[Any], list[str]]],
    wanted: str,
) -> str:
    """Returns the name of the signature to ask."""
    known = ", ".join(sorted(signatures))
    if wanted:
        if wanted not in signatures:
            raise UserError(
                f"--signature must be one of {path}: {known}. Received: {wanted}."
            )
        fitting = [wanted]
    else:
        fitting = [name for name, own in signatures.items() if _takes_images(*own)]
    preferred = [name for name in SIGNATURES if name in fitting]
    if preferred or len(fitting) == 1:
        [name, *_] = preferred or fitting
        inputs, outputs = signatures[name]
        if len(inputs) != 1 or len(outputs) != 1:
            raise UserError(
                f"Signature {name} of {path} must have one input, images, and one "
                f"output. Received: {len(inputs)} inputs and {len(outputs)} outputs, "
                f"{', '.join(outputs)}."
            )
        return name
    raise UserError(
        f"{path} has {'several signatures' if fitting else 'no signature'} that take "
        "images and give one answer"
        + (": say which with --signature." if fitting else ".")
        + f" Received: {known}."
    )


def _takes_images(inputs: list[Any], outputs: list[str]) -> bool:
    if len(inputs) != 1 or len(outputs) != 1:
        return False
    dtype = tf.as_dtype(inputs[0].dtype)
    return dtype.is_floating or dtype.is_integer


def _open_signature(loaded: Any, name: str) -> Opened:
    signature = loaded.signatures[name]
    [(input_name, spec)] = signature.structured_input_signature[1].items()
    [output_name] = signature.structured_outputs

    def answer(images: np.ndarray) -> Any:
        images_tensor = tf.cast(images, spec.dtype)
        # The signature dies with the object it was loaded with.
        return loaded.signatures[name](**{input_name: images_tensor})[output_name]

    return _make_opened(answer, spec)


def _open_callable(loaded: Any) -> Opened:
    functions = getattr(loaded.__call__, "concrete_functions", [])
    specs = tf.nest.flatten(
        functions[0].structured_input_signature if functions else []
    )
    spec = next((s for s in specs if isinstance(s, tf.TensorSpec)), None)

    def answer(images: np.ndarray) -> Any:
        return loaded(tf.cast(images, spec.dtype if spec is not None else tf.float32))

    return _make_opened(answer, spec)


def _make_opened(answer: Any, spec: Any) -> Opened:
    if spec is None or spec.shape.rank is None:
        dtype = tf.as_dtype(spec.dtype) if spec is not None else tf.float32
        return Opened(answer=answer, shape=None, dtype=_pixel_type(dtype))
    batch_size, *shape = spec.shape.as_list()
    return Opened(
        answer=answer,
        shape=tuple(shape),
        dtype=_pixel_type(tf.as_dtype(spec.dtype)),
        batch_size=batch_size,
    )


def _pixel_type(dtype: tf.DType) -> np.dtype[Any]:
    # Other floats are cast to when the model is called.
    return np.dtype("float32" if dtype.is_floating else dtype.as_numpy_dtype)


def _open_in_session(path: pathlib.Path, wanted: str, cause: Exception) -> Opened:
    """Opens what is served alone, as TensorFlow 1 did."""
    v1 = tf.compat.v1
    graph = tf.Graph()
    try:
        with graph.as_default():
            session = v1.Session(graph=graph)
            meta = v1.saved_model.load(session, ["serve"], str(path))
    except Exception as error:
        raise UserError(
            f"{path} cannot be opened as a SavedModel: {one_line(cause)}"
        ) from error
    served = {
        name: (list(own.inputs.values()), list(own.outputs))
        for name, own in meta.signature_def.items()
        if name != _INITIALIZING
    }
    name = _choose(path, served, wanted)
    own = meta.signature_def[name]
    [taken], [given] = own.inputs.values(), own.outputs.values()
    spec = graph.get_tensor_by_name(taken.name)

    def answer(images: np.ndarray) -> Any:
        return session.run(
            given.name, {taken.name: images.astype(spec.dtype.as_numpy_dtype)}
        )

    return _make_opened(answer, spec)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps warnings about what is not needed here from between the lines."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
