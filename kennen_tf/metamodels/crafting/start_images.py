"""Where crafted images begin.

Apart from validation images, they are made of nothing but a seed. The paper's kennen-i
begins with a validation image, noise or gray, and finds that it matters little.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.vocabulary.seeds import derive_seed

_GREY_LEVELS = {"gray": 0.5, "black": 0.0, "white": 1.0}


def make_starts(
    kinds: Sequence[str], validation: QueryInputs, seed: int
) -> QueryInputs:
    """Makes one image for each kind.

    Args:
        kinds: Of each image, from `configs.crafting.STARTS`.
        validation: As many validation images; those of kind "validation" are kept.
        seed: Root seed.

    Returns:
        The images; label and index of those that are no validation images are -1.
    """
    images, labels = validation.images.copy(), validation.labels.copy()
    indices = validation.indices.copy()
    for place, kind in enumerate(kinds):
        if kind == "validation":
            continue
        random = np.random.default_rng(derive_seed(seed, "start", place))
        pixels = _make(kind, place, validation, random)
        images[place] = np.round(255 * np.clip(pixels, 0, 1)).astype(np.uint8)
        labels[place] = indices[place] = -1
    return QueryInputs(images=images, labels=labels, indices=indices)


def _make(
    kind: str, place: int, validation: QueryInputs, random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Returns an image, `(height, width, channels)`, in [0, 1]."""
    shape = validation.images.shape[1:]
    if kind in _GREY_LEVELS:
        return np.full(shape, _GREY_LEVELS[kind])
    if kind == "noise":
        return random.uniform(size=shape)
    # Images where no classifier was trained to see them: shifted in a circle.
    first = _shift(validation.images[place], random)
    second = _shift(validation.images[random.integers(len(validation))], random)
    if kind == "shifted":
        return first
    if kind == "faint":
        return first * random.uniform(0.2, 0.8)
    if kind == "blended":
        share = random.uniform(0.3, 0.7)
        return share * first + (1 - share) * second
    if kind == "overlaid":
        return np.maximum(first, second)
    raise ValueError(f"Unknown start: {kind!r}.")


def _shift(
    image: npt.NDArray[np.uint8], random: np.random.Generator
) -> npt.NDArray[np.float64]:
    rows, columns = random.integers(0, image.shape[:2])
    return np.roll(image, (rows, columns), axis=(0, 1)) / 255
