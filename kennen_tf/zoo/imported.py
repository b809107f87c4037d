"""Imported classifiers: opened as black boxes, and asked about a zoo's images.

Images of a zoo are stored at one size. A classifier that takes another one is sent them
resized, if its record says so.
"""

import contextlib
import math
import threading

import numpy as np

from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.black_boxes.forms import Form, Shape
from kennen_tf.black_boxes.opening import open_black_box
from kennen_tf.keras_models import pixel_models
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo.store import ClassifierRecord, Zoo

# Numbers that are sent at once: 6 images of 224 x 224. A Keras model keeps what all of
# its layers give until it answers: with 27 images, gigabytes.
_MOST_NUMBERS = 1 << 20
# A user's function need not bear to be called by several threads.
_one_function = threading.Lock()


def ask_imported(zoo: Zoo, record: ClassifierRecord, pixels: np.ndarray) -> np.ndarray:
    """Sends queries to an imported classifier of a zoo.

    Args:
        zoo: The zoo.
        record: Of the classifier.
        pixels: float32 `(n, height, width, channels)` in [0, 1].

    Returns:
        Probabilities, float32 `(n, classes)`.

    Raises:
        UserError: If its file is not the one recorded, or it does not answer as it did.
    """
    # Of a function, only the name is known.
    is_function = not record.sha256
    where = record.file if is_function else str(zoo.check_classifier(record))
    height, width, channels = zoo.image_shape
    size = record.image_size
    with _one_function if is_function else contextlib.nullcontext():
        box = open_box(
            where,
            record.outputs,
            record.pixels,
            (size or height, size or width, channels),
            zoo.num_classes,
        )
        return ask(box, pixels)


def open_box(
    where: str,
    outputs: str,
    pixels: str,
    image_shape: tuple[int, ...],
    num_classes: int = 0,
    any_size: bool = False,
) -> BlackBox:
    """Opens a classifier.

    Args:
        where: As `black_boxes.open_black_box` takes it.
        outputs, pixels: As those of `ClassifierRecord`.
        image_shape: Height, width and channels of what it takes.
        num_classes: How many numbers it answers; 0: as many as it does.
        any_size: Whether it may take another size.

    Raises:
        UserError: If it cannot be opened, or takes other images.
    """
    height, width, channels = image_shape
    # What holds the same numbers in the same order.
    shapes: list[Shape] = [image_shape, (height * width * channels,)]
    if channels == 1:
        shapes += [(height, width), (1, height, width)]
    if any_size:
        shapes.append((None, None, channels))
    form = Form(noun="images", shapes=tuple(shapes), num_classes=num_classes)
    return open_black_box(where, outputs_kind=outputs, pixels=pixels, form=form)


def resized_side(box: BlackBox, image_shape: tuple[int, ...]) -> int:
    """Returns the side of the square that a classifier takes images in.

    0: it takes images of `image_shape` as they are.

    Raises:
        UserError: If it takes another shape, but no square.
    """
    shape = [side for side in box.image_shape if side is not None]
    if len(shape) < len(box.image_shape) or math.prod(shape) == math.prod(image_shape):
        return 0
    height, width, _ = shape
    if height != width:
        raise UserError(
            f"{box.name} must take images of {image_shape}, or squares of another size "
            f"to resize them to. Received: one that takes {box.image_shape}."
        )
    return height


def ask(box: BlackBox, pixels: np.ndarray) -> np.ndarray:
    """Sends images to a classifier, some at once, resized to what it takes.

    Args:
        box: The classifier.
        pixels: float32 `(n, height, width, channels)` in [0, 1].

    Returns:
        Probabilities, float32 `(n, classes)`.
    """
    side = resized_side(box, pixels.shape[1:])
    per_image = max(pixels[0].size, side * side * pixels.shape[-1])
    step = max(1, _MOST_NUMBERS // per_image)
    parts = []
    for start in range(0, len(pixels), step):
        part = pixels[start : start + step]
        parts.append(box.probabilities(resize(part, side) if side else part))
    return np.concatenate(parts)


def resize(pixels: np.ndarray, side: int) -> np.ndarray:
    """Resizes images to a square, bicubic and antialiased.

    Args:
        pixels: float32 `(n, height, width, channels)` in [0, 1].
        side: Of the square.
    """
    levels = pixels * np.float32(pixel_models.MAX_LEVEL)
    resized = pixel_models.resize(levels, side)
    return np.asarray(resized) / np.float32(pixel_models.MAX_LEVEL)
