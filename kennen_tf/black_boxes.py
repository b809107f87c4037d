"""Black boxes: classifiers that can only be asked, wherever they come from.

A black box is a `.keras` file, a SavedModel folder or a Python function. It takes
images and answers a number for each class, or one label; nothing else of it is looked
at. What images, and between how many classes it chooses, its `Form` says.
"""

import dataclasses
import importlib
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf import outputs
from kennen_tf.configs.revealing import LABELS, OUTPUTS, PIXELS
from kennen_tf.errors import UserError

SIGNATURES = ("serving_default", "serve")
_BATCH_SIZE = 256

FloatArray = npt.NDArray[np.float32]
Shape = tuple[int | None, ...]
Answer = Callable[[FloatArray], Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """What black boxes of one kind take and answer.

    Attributes:
        noun: What they classify; used in messages.
        shapes: Shapes of an image that they may take; the first, height, width and
            channels, is that of the images they are sent. The others hold the same
            numbers in the same order, or the channels first. None stands for any size.
        num_classes: How many numbers they answer; 0: as many as each does, two or more.
    """

    noun: str
    shapes: tuple[Shape, ...]
    num_classes: int

    @classmethod
    def of(
        cls, image_shape: tuple[int, ...], num_classes: int, noun: str = "images"
    ) -> "Form":
        """Returns the form of black boxes that take images of one shape.

        They may do without an axis for a single channel, have the channels first, or
        take all numbers in a row.

        Args:
            image_shape: Height, width and channels.
            num_classes: How many numbers they answer.
            noun: What they classify.
        """
        height, width, channels = image_shape
        plain = [(height, width)] if channels == 1 else []
        others = [(channels, height, width), (height * width * channels,)]
        shapes = (tuple(image_shape), *plain, *others)
        return cls(noun=noun, shapes=shapes, num_classes=num_classes)


class BlackBox:
    """A classifier that answers queries, counts them and checks its answers.

    Attributes:
        name: What the user called it; used in messages.
        outputs_kind: One of `OUTPUTS`: what it answers.
        image_shape: Shape of the images it takes, with None for any size.
        num_queries: Number of images sent so far.
    """

    def __init__(
        self,
        name: str,
        answer: Answer,
        *,
        outputs_kind: str = "probabilities",
        pixels: str = "unit",
        form: Form,
        image_shape: Shape | None = None,
        batch_size: int = _BATCH_SIZE,
    ):
        """Wraps what answers.

        Args:
            name: Its name.
            answer: From float32 images, `(n, height, width, channels)`, to `(n,
                classes)`, or `(n,)` if it answers labels; n <= `batch_size`.
            outputs_kind: One of `OUTPUTS`: what it answers.
            pixels: One of `PIXELS`: the range of the pixels that it takes.
            form: What it takes and answers.
            image_shape: Shape of the images it takes; None: the first of the form.
            batch_size: Images to send at once.
        """
        self.name = name
        self.outputs_kind = outputs_kind
        self.image_shape = image_shape or form.shapes[0]
        self.num_queries = 0
        self._form = form
        self._answer = answer
        self._scale = np.float32({"unit": 1, "byte": 255}[pixels])
        self._batch_size = batch_size

    def probabilities(self, images: FloatArray) -> FloatArray:
        """Sends images and returns what the black box makes of them.

        Args:
            images: float32 in [0, 1], `(n, height, width, channels)`. Not modified.

        Returns:
            float32 `(n, classes)`, rows of probabilities; one-hot if it answers labels.

        Raises:
            UserError: If it fails, or its answers are not what they should be.
        """
        answers = [
            self._ask(images[start : start + self._batch_size])
            for start in range(0, len(images), self._batch_size)
        ]
        whole = np.concatenate(answers)
        try:
            return to_probabilities(
                whole, self.outputs_kind, self._form.num_classes or whole.shape[-1]
            )
        except UserError as error:
            raise UserError(f"{self.name}: {error}") from error

    def _ask(self, images: FloatArray) -> npt.NDArray[Any]:
        try:
            answer = np.asarray(self._answer(images * self._scale))
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{self.name} failed when it was sent {len(images)} images, float32 "
                f"{images.shape}: {_one_line(error)}"
            ) from error
        self.num_queries += len(images)
        if answer.dtype.name == "bfloat16":
            answer = answer.astype(np.float32)
        self._check_shape(answer.shape, len(images))
        return answer

    def _check_shape(self, received: tuple[int, ...], num_images: int) -> None:
        num_classes = self._form.num_classes or max([2, *received[1:2]])
        labels, numbers = (num_images,), (num_images, num_classes)
        expected = labels if self.outputs_kind == LABELS else numbers
        if received == expected:
            return
        wanted, hint = f"{num_classes} numbers", ""
        if self.outputs_kind == LABELS:
            wanted = "one label"
        elif received == labels:
            hint = f" If these are labels, say --outputs={LABELS}."
        raise UserError(
            f"{self.name} must answer {wanted} for each image: shape {expected} for "
            f"{num_images} images. Received: shape {received}.{hint}"
        )


def to_probabilities(
    answers: npt.NDArray[Any], outputs_kind: str, num_classes: int
) -> FloatArray:
    """Turns answers of one of the `OUTPUTS` into probabilities.

    Args:
        answers: `(n, num_classes)`; labels `(n,)`.
        outputs_kind: What they are.
        num_classes: Number of classes.

    Returns:
        float32 `(n, num_classes)`.

    Raises:
        UserError: If they are something else than they are said to be.
    """
    if outputs_kind == LABELS:
        return _one_hot(answers, num_classes)
    if not np.issubdtype(answers.dtype, np.floating):
        return outputs.validate_probabilities(answers, len(answers), num_classes)
    looks_like = _guess_kind(answers)
    if looks_like not in ("", outputs_kind):
        raise UserError(
            f"--outputs={outputs_kind} was said or taken as given, but all answers are "
            f"{looks_like}: say --outputs={looks_like}."
        )
    if outputs_kind == "logits":
        answers = answers.astype(np.float64)
        with np.errstate(invalid="ignore"):  # What is not finite is refused below.
            answers = np.exp(answers - answers.max(axis=1, keepdims=True))
            answers = answers / answers.sum(axis=1, keepdims=True)
    elif outputs_kind == "log-probabilities":
        with np.errstate(over="ignore"):
            answers = np.exp(answers.astype(np.float64))
    return outputs.validate_probabilities(answers, len(answers), num_classes)


def _one_hot(labels: npt.NDArray[Any], num_classes: int) -> FloatArray:
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"Labels must be whole numbers. Received: {labels.dtype}.")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise UserError(
            f"Labels must be at least 0 and at most {num_classes - 1}. Received: "
            f"{labels.min()} to {labels.max()}."
        )
    return np.eye(num_classes, dtype=np.float32)[labels]


def _guess_kind(answers: npt.NDArray[Any]) -> str:
    """Returns what the answers can only be, or "" where it is not that clear."""
    if (answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=1e-3):
        return "probabilities"
    if (answers <= 0).all() and np.allclose(np.exp(answers).sum(axis=1), 1, atol=1e-3):
        return "log-probabilities"
    return ""


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
        batch_size=size or _BATCH_SIZE,
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
            f"{path} cannot be opened as a Keras model: {_one_line(error)}. If it "
            "needs layers of your own, give it as module:function."
        ) from error
    shapes = model.input_shape
    declared = shapes[1:] if isinstance(shapes, tuple) else None
    shape = _input_shape(str(path), declared, form)
    return _Opened(lambda images: model(_reshape(images, shape), training=False), shape)


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
            f"{path} cannot be opened as a SavedModel: {_one_line(error)}"
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
        return loaded(tf.cast(_reshape(images, shape), dtype))

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
        images_tensor = tf.cast(_reshape(images, shape), dtype)
        # The signature dies with the object it was loaded with.
        return loaded.signatures[name](**{input_name: images_tensor})[output_name]

    return _Opened(answer, shape, batch_size)


def _reshape(images: FloatArray, shape: Shape) -> FloatArray:
    """Returns the images, `(n, height, width, channels)`, as a black box takes them."""
    if None in shape or shape == images.shape[1:]:
        return images
    if shape == (images.shape[-1], *images.shape[1:-1]):
        return np.moveaxis(images, -1, 1)
    return images.reshape(-1, *shape)


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
    return _input_shape(where, tuple(shape[1:]), form), spec.dtype, shape[0]


def _input_shape(where: str, declared: Shape | None, form: Form) -> Shape:
    """Returns the accepted shape that agrees with the declared one of an image."""
    for shape in form.shapes:
        if declared is not None and len(declared) == len(shape):
            pairs = list(zip(declared, shape, strict=True))
            if all(None in (d, s) or d == s for d, s in pairs):
                return tuple(s if d is None else d for d, s in pairs)
    raise UserError(
        f"A black box must take images of one of the shapes {form.shapes}. Received: "
        f"{where}, which takes {declared}. If it takes {form.noun} in another form, "
        "give a function that prepares them, as module:function."
    )


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
            f"{_one_line(error)}"
        ) from error
    for part in function_name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        raise UserError(
            f"Module {module_name!r} must have a function {function_name!r}. Received: "
            f"{where}, where it is {type(function).__name__}."
        )
    return function


def _one_line(error: Exception) -> str:
    """Returns the kind of an error and the first line of its text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
