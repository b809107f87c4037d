"""In which range a black box takes its pixels: given, or found by asking.

Who trains a classifier scales its pixels somehow, and its file does not say how. Asked
in another way it still answers, wrongly or too surely. The digits that are sent are
known, so the way in which it names them rightly is the way it is to be asked.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from kennen_tf.black_boxes.answers import UnreadableAnswersError
from kennen_tf.black_boxes.forms import FloatArray
from kennen_tf.configs.revealing import PIXELS
from kennen_tf.vocabulary.errors import UserError

# Mean and deviation of the training pixels of MNIST, in [0, 1].
_MNIST_MEAN, _MNIST_DEVIATION = 0.1307, 0.3081

# Images that each way is tried with; they are among those that are sent anyway.
NUM_TRIED = 30
# So many of them at once, of ways after the first: a hopeless one costs no more.
_PIECE = 10
# Who names nearly all of thirty images rightly is asked rightly: from nine in ten on,
# that held for each of 36 real files (development half), but a range that is nearly
# right may cost only a few points. Who names less than a third in every way was trained
# on something else: one in ten is chance, and ten of thirty come so once in 2,000.
_SURELY, LEAST = 0.95, 1 / 3

_SCALES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "unit": lambda images: images,
    "byte": lambda images: images * np.float32(255),
    "inverted": lambda images: 1 - images,
    "signed": lambda images: 2 * images - 1,
    "standardised": lambda images: (
        (images - np.float32(_MNIST_MEAN)) / np.float32(_MNIST_DEVIATION)
    ),
    "inverted-byte": lambda images: np.float32(255) * (1 - images),
}
if set(_SCALES) != set(PIXELS):
    raise RuntimeError("Every way that pixels may be sent needs its function.")
# What a model that takes whole numbers may be sent.
WHOLE = ("byte", "inverted-byte")
# In the order in which they are tried.
WAYS = PIXELS


def scale(images: FloatArray, pixels: str) -> FloatArray:
    """Returns images as a black box takes them.

    Args:
        images: float32 in [0, 1]. Not modified.
        pixels: One of `PIXELS`, but "auto".
    """
    return _SCALES[pixels](images).astype(np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PixelsFound:
    """How a black box is to be asked.

    Attributes:
        pixels: One of `PIXELS`.
        accuracy: Share of the images tried that it names rightly so, in [0, 1]; None if
            it is not known what they show.
        num_tried: Images that it was tried with.
        others: Accuracy of the other ways that were tried, until they were worse.
    """

    pixels: str
    accuracy: float | None
    num_tried: int
    others: dict[str, float]


def find_pixels(
    name: str,
    ask: Callable[[FloatArray, str], npt.NDArray[np.floating]],
    images: FloatArray,
    labels: npt.NDArray[np.integer],
    ways: Iterable[str],
) -> PixelsFound:
    """Finds how a black box is to be asked, by images whose classes are known.

    Args:
        name: What it is called in messages.
        ask: Sends images in one of the ways; returns probabilities `(n, classes)`.
        images: float32 in [0, 1], `(n, height, width, channels)`.
        labels: What they show, `(n,)`; -1 where it is not known.
        ways: Those of `PIXELS` to try, the likeliest first.

    Raises:
        UserError: If it names the images no better than chance in every way.
    """
    ways = list(ways)
    known = np.flatnonzero(labels >= 0)[:NUM_TRIED]
    if len(known) < NUM_TRIED // 2:
        return PixelsFound(pixels=ways[0], accuracy=None, num_tried=0, others={})
    images, labels = images[known], labels[known]
    tried: dict[str, _Tried] = {}
    for way in ways:
        try:
            if not tried:
                tried[way] = _try(ask, images, labels, way, len(known), len(known))
            else:
                least_wrong = min(own.num_wrong for own in tried.values())
                tried[way] = _try(ask, images, labels, way, _PIECE, least_wrong)
        except UnreadableAnswersError:
            # Asked in a wrong way it may answer nonsense; the first tells what is wrong
            # with the answers of all.
            if not tried:
                raise
            tried[way] = _Tried(0.0, -np.inf, len(known))
        if tried[way].accuracy >= _SURELY:
            break
    # Of equal ones the earlier, unless the truth is likelier to a later one.
    best = max(tried, key=lambda way: (tried[way].accuracy, tried[way].sureness))
    if tried[ways[0]].accuracy >= tried[best].accuracy - 1 / len(known):
        best = ways[0]
    right = {way: own.accuracy for way, own in tried.items()}
    if right[best] < LEAST:
        raise UserError(
            f"{name} names {100 * right[best]:.0f}% of {len(known)} images rightly, "
            "asked in the best of these ways: "
            + ", ".join(f"{way} {100 * own:.0f}%" for way, own in right.items())
            + ". It was trained on something else, or its classes are in another "
            "order: what would be named of it means nothing. If you know better, say "
            "how it is to be asked, with --pixels."
        )
    return PixelsFound(
        pixels=best,
        accuracy=right[best],
        num_tried=len(known),
        others={way: own for way, own in right.items() if way != best},
    )


@dataclasses.dataclass(frozen=True)
class _Tried:
    """How one way did: `sureness` is the mean logarithm of the truth's probability."""

    accuracy: float
    sureness: float
    num_wrong: int


def _try(
    ask: Callable[[FloatArray, str], npt.NDArray[np.floating]],
    images: FloatArray,
    labels: npt.NDArray[np.integer],
    way: str,
    size: int,
    most_wrong: int,
) -> _Tried:
    """Sends images, `size` at once, until more are named wrongly than `most_wrong`."""
    truth: list[float] = []
    num_wrong = 0
    for start in range(0, len(labels), size):
        own = labels[start : start + size]
        probabilities = ask(images[start : start + size], way)
        truth.extend(probabilities[np.arange(len(own)), own].tolist())
        num_wrong += int(np.sum(probabilities.argmax(axis=1) != own))
        if num_wrong > most_wrong:
            break
    sureness = float(np.mean(np.log(np.maximum(truth, 1e-10))))
    return _Tried(1 - num_wrong / len(truth), sureness, num_wrong)
