"""Image sets by name: decoded in parallel, resized once.

`load_image_set` takes a folder, "tfds:<name>" or "mnist". Which images are drawn is
decided before any is decoded.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tqdm
from absl import logging

from kennen_tf.images.image_set import ImageSet
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.seeds import derive_seed
from pipelines import image_sources

# In fingerprints: what is done to the pixels. Another number for another way.
_RECIPE = "decoded, bicubic with antialiasing, rounded: 1"


def load_image_set(
    images: str,
    *,
    image_size: int,
    num_images: int = 0,
    seed: int = 0,
) -> ImageSet:
    """Loads labelled images, resized to a square.

    Whole images are resized: bicubic, with antialiasing, and rounded to whole levels.
    Gray images and those with transparency become RGB, of animations the first frame
    counts.

    Args:
        images: A folder (see `image_folders.list_files`), "tfds:<name>" for the split
            validation, else test, else the only one of a set of TensorFlow Datasets,
            or "mnist" for the embedded digits' validation images.
        image_size: Side of the square, in pixels.
        num_images: Images to draw at random; all if there are no more, or for 0.
        seed: Decides which are drawn. They stay sorted by name, so neither the file
            system nor the order of the draw matters.

    Raises:
        UserError: If there is no such source, it is not as above, or an image is
            damaged.
    """
    source = image_sources.open_source(images)
    chosen = _draw(len(source.names), num_images, seed, images)
    names = tuple(source.names[i] for i in chosen)
    labels = source.labels[chosen]
    contents, dataset = source.choose(chosen)
    fingerprint = artifacts.fingerprint(
        {
            "recipe": _RECIPE,
            "image_size": image_size,
            "names": names,
            "labels": labels.tolist(),
            "num_classes": source.num_classes,
            "contents": contents,
        }
    )
    pixels = np.empty((len(names), image_size, image_size, 3), np.uint8)
    _decode(dataset, names, pixels, images)
    return ImageSet(
        names=names,
        labels=labels,
        pixels=pixels,
        fingerprint=fingerprint,
        num_classes=source.num_classes,
    )


def _draw(available: int, wanted: int, seed: int, images: str) -> npt.NDArray[np.int64]:
    if wanted > available:
        logging.info(
            "%s has %d images, fewer than num_images=%d: all are used.",
            *(images, available, wanted),
        )
    if not wanted or wanted >= available:
        return np.arange(available)
    rng = np.random.default_rng(derive_seed(seed, "images"))
    return np.sort(rng.choice(available, wanted, replace=False))


def _decode(
    dataset: tf.data.Dataset,
    names: Sequence[str],
    pixels: npt.NDArray[np.uint8],
    images: str,
) -> None:
    """Fills `pixels`, `(n, size, size, 3)`, with the images of `dataset`."""
    size = pixels.shape[1]
    options = tf.data.Options()
    options.deterministic = True
    resized = (
        dataset.map(lambda image: _resize(image, size), tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
        .with_options(options)
    )
    # In order, so that the number of images so far names the one that fails.
    iterator = resized.as_numpy_iterator()
    for index in tqdm.tqdm(
        range(len(names)), "images", unit="image", delay=image_sources.BAR_DELAY_SECONDS
    ):
        try:
            pixels[index] = next(iterator)
        except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as error:
            reason = str(error.message).partition("\n")[0]
            raise UserError(
                f"A whole JPEG, PNG, BMP or GIF image is wanted. Received: "
                f"{names[index]!r} of {images} ({reason}). Replace it, or leave it out."
            ) from error


def _resize(image: tf.Tensor, size: int) -> tf.Tensor:
    resized = tf.image.resize(
        image, (size, size), tf.image.ResizeMethod.BICUBIC, antialias=True
    )
    return tf.saturate_cast(tf.round(resized), tf.uint8)
