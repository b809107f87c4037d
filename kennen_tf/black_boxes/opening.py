"""Opens black boxes: `.keras` files, SavedModel folders and Python functions."""

import dataclasses
import importlib
import pathlib
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kennen_tf.black_boxes.black_box import BATCH_SIZE, Answer, BlackBox, one_line
from kennen_tf.black_boxes.forms import (
    FloatArray,
    Form,
    Shape,
    find_image_shape,
    reshape,
)
from kennen_tf.configs.revealing import OUTPUTS, PIXELS
from kennen_tf.vocabulary.errors import UserError

SIGNATURES = ("serving_default", "serve")


def open_black_box(
    where: str,
    *,
    outputs_kind: str = "probabilities",
    pixels: str = "unit",
    form: Form,
) -> BlackBox:
    """Opens a black box.

    Args:
        where: Path of a `.keras` (or `.h5`) file or of a SavedModel folder, or
            "module:function"; modules of the current folder are found.
        outputs_kind: One of `OUTPUTS`.
        pixels: One of `PIXELS`.
        form: What it takes and answers.

    Raises:
        UserError: If there is none, or it cannot be opened or does not take images of
            that form.
    """
    if outputs_kind not in OUTPUTS or pixels not in PIXELS:
        raise ValueError(f"Received: {outputs_kind=}, {pixels=}.")
    path = pathlib.Path(where)
    if path.is_dir():
        opened = _open_saved_model(path, pixels, form)
    elif path.is_file():
        opened = _open_keras(path, form)
    elif ":" in where:
        opened = _Opened(_import_function(where), form.shapes[0])
    else:
        raise UserError(
            "--black_box must be a .keras file, a SavedModel folder or "
            f"module:function. Received: {where}, and there is no such file."
        )
    size = opened.batch_size
    return BlackBox(
        where,
        _fill_batches(opened.answer, size) if size else opened.answer,
        outputs_kind=outputs_kind,
        pixels=pixels,
        form=form,
        image_shape=opened.shape,
        batch_size=size or BATCH_SIZE,
    )


@dataclasses.dataclass(frozen=True)
class _Opened:
    """What answers, the shape of an image, and the only batch size it takes, if any."""

    answer: Answer
    shape: Shape
    batch_size: int | None = None


def _fill_batches(answer: Answer, size: int) -> Answer:
    """Returns what asks a model of one batch size about no more images than that."""

    def answer_some(images: FloatArray) -> Any:
        missing = size - len(images)
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        return np.asarray(answer(filled))[: len(images)]

    return answer_some


def _open_keras(path: pathlib.Path, form: Form) -> _Opened:
    if path.suffix not in (".keras", ".h5"):
        raise UserError(f"A black box's file must be a .keras file. Received: {path}.")
    try:
        # Safe mode runs no code that a file may hold.
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise UserError(
            f"{path} cannot be opened as a Keras model: {one_line(error)}. If it "
            "needs layers of your own, give it as module:function."
        ) from error
    shapes = model.input_shape
    declared = shapes[1:] if isinstance(shapes, tuple) else None
    shape = find_image_shape(str(path), declared, form)
    return _Opened(lambda images: model(reshape(images, shape), training=False), shape)


def _open_saved_model(path: pathlib.Path, pixels: str, form: Form) -> _Opened:
    if not (path / "saved_model.pb").exists():
        raise UserError(
            f"A black box's folder must be a SavedModel. Received: {path}, without "
            "saved_model.pb."
        )
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:
        raise UserError(
            f"{path} cannot be opened as a SavedModel: {one_line(error)}"
        ) from error
    for name in SIGNATURES:
        if name in loaded.signatures:
            where = f"{path}, signature {name}"
            return _open_signature(where, loaded, name, pixels, form)
    if not callable(loaded):
        raise UserError(
            f"A SavedModel must have a signature named {' or '.join(SIGNATURES)}, or "
            f"be callable. Received: {path}, with the signatures "
            f"{sorted(loaded.signatures)}."
        )
    functions = getattr(loaded.__call__, "concrete_functions", [])
    specs = tf.nest.flatten(
        functions[0].structured_input_signature if functions else []
    )
    spec = next((s for s in specs if isinstance(s, tf.TensorSpec)), None)
    shape, dtype, batch_size = _input_spec(str(path), spec, pixels, form)

    def answer(images: FloatArray) -> Any:
        return loaded(tf.cast(reshape(images, shape), dtype))

    return _Opened(answer, shape, batch_size)


def _open_signature(
    where: str, loaded: Any, name: str, pixels: str, form: Form
) -> _Opened:
    signature = loaded.signatures[name]
    inputs = signature.structured_input_signature[1]
    results = signature.structured_outputs
    if len(inputs) != 1 or len(results) != 1:
        raise UserError(
            f"{where}, must have one input, images, and one output. Received: inputs "
            f"{sorted(inputs)}, outputs {sorted(results)}."
        )
    [(input_name, spec)], [output_name] = inputs.items(), results
    shape, dtype, batch_size = _input_spec(where, spec, pixels, form)

    def answer(images: FloatArray) -> Any:
        images_tensor = tf.cast(reshape(images, shape), dtype)
        # The signature dies with the object it was loaded with.
        return loaded.signatures[name](**{input_name: images_tensor})[output_name]

    return _Opened(answer, shape, batch_size)


def _input_spec(
    where: str, spec: tf.TensorSpec | None, pixels: str, form: Form
) -> tuple[Shape, tf.DType, int | None]:
    """Returns shape of an image, type of a pixel and the batch size, if it is fixed."""
    if spec is None or spec.shape.rank is None:
        return form.shapes[0], spec.dtype if spec else tf.float32, None
    if spec.dtype.is_integer and pixels != "byte":
        raise UserError(
            f"{where}, takes pixels that are whole numbers ({spec.dtype.name}): say "
            f"--pixels=byte. Received: pixels={pixels}."
        )
    shape = spec.shape.as_list()
    return find_image_shape(where, tuple(shape[1:]), form), spec.dtype, shape[0]


def _import_function(where: str) -> Answer:
    module_name, _, function_name = where.partition(":")
    folder = str(pathlib.Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        function: Any = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(
            f"--black_box must be a .keras file, a SavedModel folder or "
            f"module:function. Received: {where}, and importing {module_name!r} fails: "
            f"{one_line(error)}"
        ) from error
    for part in function_name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        raise UserError(
            f"Module {module_name!r} must have a function {function_name!r}. Received: "
            f"{where}, where it is {type(function).__name__}."
        )
    return function
