"""A black box: a classifier that can only be asked, wherever it comes from."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.black_boxes.answers import to_probabilities
from kennen_tf.black_boxes.formats.opened import one_line
from kennen_tf.black_boxes.forms import FloatArray, Form, Shape
from kennen_tf.configs.revealing import LABELS
from kennen_tf.vocabulary.errors import UserError

BATCH_SIZE = 256

Answer = Callable[[FloatArray], Any]


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
        batch_size: int = BATCH_SIZE,
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
                f"{images.shape}: {one_line(error)}"
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
