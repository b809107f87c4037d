"""A black box: a classifier that can only be asked, wherever it comes from."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.black_boxes import kept_answers, pixels
from kennen_tf.black_boxes.answers import UnreadableAnswersError
from kennen_tf.black_boxes.formats.opened import TooMuch, one_line
from kennen_tf.black_boxes.forms import FloatArray, Form, Shape
from kennen_tf.black_boxes.kept_answers import KeptAnswers
from kennen_tf.black_boxes.pixels import PixelsFound
from kennen_tf.black_boxes.recognising import Recognised, recognise
from kennen_tf.configs.revealing import AUTO, LABELS
from kennen_tf.vocabulary.errors import UserError

BATCH_SIZE = 256

Answer = Callable[[FloatArray], Any]


class BlackBox:
    """A classifier that answers queries, counts them, and keeps and checks its answers.

    Attributes:
        name: What the user called it; used in messages.
        outputs_kind: One of `OUTPUTS`: what it answers; "auto" until that is seen.
        pixels: One of `PIXELS`: how it is sent images; "auto" until that is found.
        image_shape: Shape of the images it takes, with None for any size.
        kept: Its answers so far.
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
        max_per_second: float = 0.0,
        takes_whole: bool = False,
        kept: KeptAnswers | None = None,
        is_recorded: bool = False,
    ):
        """Wraps what answers.

        Args:
            name: Its name.
            answer: From float32 images, `(n, height, width, channels)`, to `(n,
                classes)`, or `(n,)` if it answers labels; n <= `batch_size`.
            outputs_kind: One of `OUTPUTS`, or "auto": what it answers.
            pixels: One of `PIXELS`, or "auto": the range of the pixels that it takes.
            form: What it takes and answers.
            image_shape: Shape of the images it takes; None: the first of the form.
            batch_size: Images to send at once.
            max_per_second: Images to send in a second; 0: as fast as it answers.
            takes_whole: Whether its pixels are whole numbers.
            kept: What it answered before; None: nothing, and nothing is kept on disk.
            is_recorded: Whether there is nobody to ask, but what is kept.
        """
        self.name = name
        self.outputs_kind = outputs_kind
        self.pixels = pixels
        self.image_shape = image_shape or form.shapes[0]
        self.kept = KeptAnswers() if kept is None else kept
        self._form = form
        self._answer = answer
        self._is_recorded = is_recorded
        self._takes_whole = takes_whole
        self._batch_size = batch_size
        if max_per_second:
            self._batch_size = max(1, min(batch_size, int(max_per_second)))
        self._max_per_second = max_per_second
        self._free_at = 0.0

    @property
    def num_queries(self) -> int:
        """Number of images sent so far, in earlier runs too."""
        return self.kept.num_sent

    def probabilities(self, images: FloatArray) -> FloatArray:
        """Sends images and returns what the black box makes of them.

        Args:
            images: float32 in [0, 1], `(n, height, width, channels)`. Not modified.

        Returns:
            float32 `(n, classes)`, rows of probabilities; one-hot if it answers labels.

        Raises:
            UserError: If it fails, or its answers are not what they should be.
        """
        return self.recognised(images).probabilities

    def recognised(self, images: FloatArray) -> Recognised:
        """Sends images; as `probabilities`, with what was recognised of the answers."""
        way = "unit" if self.pixels == AUTO else self.pixels
        answers = self._collect(pixels.scale(images, way))
        found = self._recognise(answers, self.outputs_kind)
        self.outputs_kind = found.kind
        return found

    def find_pixels(
        self, images: FloatArray, labels: npt.NDArray[np.integer]
    ) -> PixelsFound:
        """Finds in which range it takes pixels; from then on, it is asked so.

        Where that was given, nothing is sent.

        Args:
            images: float32 in [0, 1], `(n, height, width, channels)`.
            labels: What they show, `(n,)`; -1 where it is not known.

        Raises:
            UserError: If it fails, or names images no better than chance in any way.
        """
        if self.pixels != AUTO:
            return PixelsFound(
                pixels=self.pixels, accuracy=None, num_tried=0, others={}
            )
        ways: Sequence[str] = pixels.WHOLE if self._takes_whole else pixels.WAYS
        if self._is_recorded:
            # However they were sent: all of them are there so, and of other ways that
            # were tried some, which another order would not find.
            whole = [way for way in ways if self._is_kept(pixels.scale(images, way))]
            first = images[:1]
            some = [way for way in ways if self._is_kept(pixels.scale(first, way))]
            ways = whole or some or [pixels.WAYS[0]]

        def ask(some: FloatArray, way: str) -> FloatArray:
            answers = self._collect(pixels.scale(some, way))
            recognised = self._recognise(answers, self.outputs_kind)
            if recognised.kind == LABELS:
                self.outputs_kind = LABELS
            return recognised.probabilities

        found = pixels.find_pixels(self.name, ask, images, labels, ways)
        self.pixels = found.pixels
        return found

    def _is_kept(self, sent: FloatArray) -> bool:
        return all(name in self.kept for name in kept_answers.name_images(sent))

    def _recognise(self, answers: npt.NDArray[Any], kind: str) -> Recognised:
        num_classes = self._form.num_classes or max([2, *answers.shape[1:2]])
        try:
            return recognise(answers, kind, num_classes)
        except UserError as error:
            raise UnreadableAnswersError(f"{self.name}: {error}") from error

    def _collect(self, sent: FloatArray) -> npt.NDArray[Any]:
        """Returns answers to images, as they are sent; sends those that are new."""
        names = kept_answers.name_images(sent)
        places = {name: i for i, name in enumerate(names) if name not in self.kept}
        new = list(places)
        start = 0
        while start < len(new):
            some = new[start : start + self._batch_size]
            self._wait(len(some))
            self.kept.note_sent(len(some))
            try:
                answers = self._ask(sent[[places[name] for name in some]])
            except TooMuch as error:
                if len(some) == 1:
                    raise UserError(f"{self.name}: {error}") from error
                # It was answered nothing; from now on, half as many.
                self._batch_size = len(some) // 2
                continue
            except UserError as error:
                raise self._interrupted(error, names) from error
            try:
                self.kept.add(some, answers)
            except UserError as error:
                raise UserError(f"{self.name}: {error}") from error
            start += len(some)
        return self.kept.get(names)

    def _interrupted(self, error: UserError, names: Sequence[str]) -> UserError:
        """Returns the error, with how far it came if that is of use."""
        done, path = sum(name in self.kept for name in names), self.kept.path
        if not len(self.kept) or path is None:
            return error
        said = f"{done} of {len(names)} images are answered and kept in {path}"
        if not done:  # They are sent in another way than those that were answered.
            said = f"{len(self.kept)} answers are kept in {path}"
        return type(error)(
            f"{said}; the same command goes on from there. Then: {error}"
        )

    def _wait(self, count: int) -> None:
        """Waits until images may be sent."""
        if self._max_per_second:
            time.sleep(max(0.0, self._free_at - time.monotonic()))
            self._free_at = time.monotonic() + count / self._max_per_second

    def _ask(self, images: FloatArray) -> npt.NDArray[Any]:
        try:
            answer = np.asarray(self._answer(images))
        except (UserError, TooMuch):
            raise
        except Exception as error:
            raise UserError(
                f"{self.name} failed when it was sent {len(images)} images, float32 "
                f"{images.shape}: {one_line(error)}"
            ) from error
        if answer.dtype.name == "bfloat16":
            answer = answer.astype(np.float32)
        self._check_shape(answer.shape, len(images))
        # What is no answer is not kept as one.
        if answer.dtype.kind not in "biuf":
            raise UserError(
                f"{self.name}: A black box must return real numbers. Received: "
                f"{answer.dtype}."
            )
        is_none = np.isnan(answer.reshape(len(images), -1)).any(axis=1)
        if is_none.any():
            raise UnreadableAnswersError(
                f"{self.name}: A black box must return finite numbers. Received: NaN "
                f"or infinity for {is_none.sum()} of {len(images)} images."
            )
        return answer

    def _check_shape(self, received: tuple[int, ...], num_images: int) -> None:
        num_classes = self._form.num_classes or max([2, *received[1:2]])
        labels, numbers = (num_images,), (num_images, num_classes)
        expected = labels if self.outputs_kind == LABELS else numbers
        if received == expected or (self.outputs_kind == AUTO and received == labels):
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
