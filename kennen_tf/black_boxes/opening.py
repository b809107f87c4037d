"""Opens black boxes: files of many formats, told by their content, and functions."""

import dataclasses
import importlib
import pathlib
import sys
from typing import Any

import numpy as np

from kennen_tf.black_boxes.black_box import BATCH_SIZE, Answer, BlackBox
from kennen_tf.black_boxes.formats import detection
from kennen_tf.black_boxes.formats.opened import Opened, one_line
from kennen_tf.black_boxes.forms import (
    FloatArray,
    Form,
    Shape,
    find_image_shape,
    reshape,
)
from kennen_tf.black_boxes.kept_answers import KeptAnswers
from kennen_tf.black_boxes.pixels import WHOLE
from kennen_tf.configs.revealing import AUTO, OUTPUTS, PIXELS
from kennen_tf.vocabulary.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Access:
    """How a black box is reached, and how fast it may be asked.

    Attributes:
        signature: Of a SavedModel or TF Serving, which to ask; "": the one that fits.
        headers: Path of a file with HTTP headers; "": none.
        token_variable: Environment variable with a token to send; "": none.
        timeout: Seconds that an answer over HTTP may take.
        batch_size: Images to send at once; 0: as many as it takes.
        max_queries_per_second: Images to send in a second; 0: any number.
    """

    signature: str = ""
    headers: str = ""
    token_variable: str = ""
    timeout: float = 60.0
    batch_size: int = 0
    max_queries_per_second: float = 0.0


DIRECT = Access()


def open_black_box(
    where: str,
    *,
    outputs_kind: str = "probabilities",
    pixels: str = "unit",
    form: Form,
    access: Access = DIRECT,
    kept: KeptAnswers | None = None,
) -> BlackBox:
    """Opens a black box.

    Args:
        where: Path of a file or folder in one of the formats of `formats.detection`, or
            "module:function"; modules of the current folder are found.
        outputs_kind: One of `OUTPUTS`.
        pixels: One of `PIXELS`.
        form: What it takes and answers.
        access: How it is reached, and how fast it may be asked.
        kept: What it answered before; None keeps nothing.

    Raises:
        UserError: If there is none, or it cannot be opened or does not take images of
            that form.
    """
    if outputs_kind not in (AUTO, *OUTPUTS) or pixels not in (AUTO, *PIXELS):
        raise ValueError(f"Received: {outputs_kind=}, {pixels=}.")
    kept = KeptAnswers() if kept is None else kept
    path = pathlib.Path(where)
    if where.startswith(("http://", "https://")):
        from kennen_tf.black_boxes.servers.opened import open_server

        opened = open_server(
            where,
            headers=access.headers,
            token_variable=access.token_variable,
            timeout=access.timeout,
            signature=access.signature,
            shapes=form.shapes,
            note_sent=kept.note_sent,
        )
    elif path.exists():
        opened = open_file(path, access.signature)
    elif ":" in where:
        opened = Opened(answer=_import_function(where), shape=form.shapes[0])
    else:
        raise UserError(
            f"--black_box must be one of: {detection.READABLE}. Received: {where}, and "
            "there is no such file."
        )
    return wrap(
        where,
        opened,
        outputs_kind=outputs_kind,
        pixels=pixels,
        form=form,
        access=access,
        kept=kept,
    )


def wrap(
    where: str,
    opened: Opened,
    *,
    outputs_kind: str,
    pixels: str,
    form: Form,
    access: Access = DIRECT,
    kept: KeptAnswers | None = None,
) -> BlackBox:
    """Makes a black box of what was opened.

    Args:
        where: What it is called.
        opened: What answers, and what it takes.
        outputs_kind, pixels, form, access, kept: As those of `open_black_box`.

    Raises:
        UserError: If it does not take images of that form.
    """
    is_whole = opened.dtype.kind in "iu"
    if is_whole and pixels not in (AUTO, *WHOLE):
        raise UserError(
            f"{where}, takes pixels that are whole numbers ({opened.dtype.name}): say "
            f"--pixels=byte. Received: pixels={pixels}."
        )
    shape = _find_shape(where, opened, form)

    def answer(images: FloatArray) -> Any:
        return opened.answer(reshape(images, shape).astype(opened.dtype))

    size = opened.batch_size
    return BlackBox(
        where,
        _fill_batches(answer, size) if size else answer,
        outputs_kind=outputs_kind,
        pixels=pixels,
        form=form,
        image_shape=shape,
        batch_size=size or access.batch_size or BATCH_SIZE,
        max_per_second=access.max_queries_per_second,
        takes_whole=is_whole,
        kept=kept,
    )


def open_recorded(where: str, *, outputs_kind: str, form: Form) -> BlackBox:
    """Opens answers that were had before, in place of who gave them.

    Args:
        where: Path of what `KeptAnswers` wrote, or of an `.npz` file with `queries`,
            names of images as `query_files.write_queries` gives them, and `answers`.
        outputs_kind: One of `OUTPUTS`, or "auto".
        form: What was taken and answered.

    Raises:
        UserError: If there is no such file, or it is damaged.
    """
    if not pathlib.Path(where).exists():
        raise UserError(f"--black_box must be there. Received: {where}, and it is not.")
    kept = KeptAnswers(where)
    kept.path = None  # Nothing is added to it.

    def refuse(images: FloatArray) -> Any:
        raise UserError(
            f"{where} must hold an answer to each query of the metamodel. Received: "
            f"none to {len(images)} of them. Send the others, too (--queries_only "
            "writes all), or ask with the metamodel that they were sent for."
        )

    return BlackBox(
        where,
        refuse,
        outputs_kind=outputs_kind,
        pixels=AUTO,
        form=form,
        kept=kept,
        is_recorded=True,
    )


def open_file(path: pathlib.Path, signature: str = "") -> Opened:
    """Opens a file or folder in one of the formats of `formats.detection`.

    Args:
        path: It is there.
        signature: Of a SavedModel, which to ask; "": the one that fits.

    Raises:
        UserError: If it is in no such format, or cannot be opened.
    """
    kind, path = detection.find_format(path)
    # Here, since each loads a large library, and only one is needed.
    if kind in (detection.KERAS, detection.HDF5):
        from kennen_tf.black_boxes.formats import keras_files

        return keras_files.open_keras(path, kind)
    if kind == detection.SAVED_MODEL:
        from kennen_tf.black_boxes.formats import saved_models

        return saved_models.open_saved_model(path, signature)
    if kind == detection.TFLITE:
        from kennen_tf.black_boxes.formats import tflite_files

        return tflite_files.open_tflite(path)
    if kind == detection.ONNX:
        from kennen_tf.black_boxes.formats import onnx_files

        return onnx_files.open_onnx(path)
    if kind == detection.TORCHSCRIPT:
        from kennen_tf.black_boxes.formats import torchscript_files

        return torchscript_files.open_torchscript(path)
    from kennen_tf.black_boxes.formats import graphs

    return graphs.open_graph(path)


def _find_shape(where: str, opened: Opened, form: Form) -> Shape:
    """Returns the shape of an image as a black box takes it.

    Where its file does not say, it is the first that it answers to.
    """
    if opened.shape is not None:
        return find_image_shape(where, opened.shape, form)
    if not opened.channels_first:
        return form.shapes[0]
    height, width, channels = form.shapes[0]
    first = (channels, height, width)
    errors = []
    for shape in (first, *(own for own in form.shapes if own != first)):
        if None not in shape:
            try:
                opened.answer(
                    np.zeros((1, *map(int, filter(None, shape))), opened.dtype)
                )
                return shape
            except Exception as error:  # Whatever its library raises.
                errors.append(one_line(error))
    raise UserError(
        f"{where}, must take images of one of the shapes {form.shapes}. Received: one "
        f"that fails for all of them: {errors[0] if errors else 'no fixed size'}"
    )


def _fill_batches(answer: Answer, size: int) -> Answer:
    """Returns what asks a model of one batch size about no more images than that."""

    def answer_some(images: FloatArray) -> Any:
        missing = size - len(images)
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        return np.asarray(answer(filled))[: len(images)]

    return answer_some


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
