"""The images to send, as files, for whoever has to send them in another way."""

import pathlib

import numpy as np
from PIL import Image

from kennen_tf.black_boxes.kept_answers import name_images
from kennen_tf.vocabulary import artifacts

FILE_NAME = "queries.npz"


def write_queries(images: np.ndarray, folder: artifacts.Path) -> pathlib.Path:
    """Writes images as PNG files, 0000.png and on, and together.

    Args:
        images: float32 `(n, height, width, channels)` in [0, 1], with one channel or
            three, of 8 bits each.
        folder: Made if need be.

    Returns:
        The path of queries.npz: `images` as they are, and `queries`, their names in the
        same order. A file NAME.answers.npz with these `queries`, and with `answers`, is
        a black box that was asked.
    """
    folder = artifacts.make_folder(folder)
    levels = np.rint(images * 255).astype(np.uint8)
    for place, image in enumerate(levels):
        picture = image[..., 0] if image.shape[-1] == 1 else image
        with artifacts.atomic_path(folder / f"{place:04d}.png") as temporary:
            Image.fromarray(picture).save(temporary, format="PNG")
    path = folder / FILE_NAME
    with artifacts.atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            np.savez(file, images=images, queries=np.array(name_images(images)))
    return path
