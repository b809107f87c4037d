"""Images that imported classifiers are asked about."""

import zipfile
from collections.abc import Callable

import numpy as np

from kennen_tf.images import datasets, tfds_builders
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.labeled_images import ValidationImages
from kennen_tf.vocabulary.seeds import derive_seed
from pipelines import image_sets

_TFDS_PREFIX = "tfds:"


def load_import_images(
    source: str, image_size: int, num_images: int, find_size: Callable[[], int]
) -> ValidationImages:
    """Loads labelled images of one shape.

    Args:
        source: "mnist" or "digits", whose validation images count; a .npz file with
            `images` and `labels`, or with the arrays of `LabeledImages`, whose test
            part counts; "tfds:<name>"; or a folder (`image_folders.list_files`).
        image_size: Side that images of a folder, or of TensorFlow Datasets, are resized
            to, as RGB; 0: what `find_size` says, but those of one shape stay as they
            are.
        num_images: How many are drawn at random, in the order they have; all if there
            are no more, or for 0.
        find_size: Returns the side that classifiers take.

    Raises:
        UserError: If they cannot be had, or are not as above.
    """
    if source.endswith(".npz") or source in ("mnist", "digits"):
        if image_size:
            raise UserError(
                "--image_size is for images of a folder or of TensorFlow Datasets. "
                f"Received: image_size={image_size} with --images={source}."
            )
        return _draw(_load_arrays(source), num_images)
    if source.startswith(_TFDS_PREFIX) and not image_size and _has_one_shape(source):
        loaded = datasets.load_images(source)
        return _draw(
            ValidationImages(images=loaded.test_images, labels=loaded.test_labels),
            num_images,
        )
    found = image_sets.load_image_set(
        source, image_size=image_size or find_size(), num_images=num_images
    )
    return ValidationImages(
        images=found.pixels, labels=found.labels, num_folders=found.num_classes
    )


def _load_arrays(source: str) -> ValidationImages:
    if source.endswith(".npz"):
        try:
            with np.load(source, allow_pickle=False) as stored:
                arrays = {n: stored[n] for n in ("images", "labels") if n in stored}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{source} must be a .npz file with the arrays images and labels. "
                f"Received: {error}."
            ) from error
        if len(arrays) == 2:
            return ValidationImages.from_arrays(**arrays, where=source)
    loaded = datasets.load_images(source)
    return ValidationImages(images=loaded.test_images, labels=loaded.test_labels)


def _has_one_shape(source: str) -> bool:
    builder = tfds_builders.open_builder(source.removeprefix(_TFDS_PREFIX), "images")
    features = builder.info.features
    declared = dict(features.items()) if hasattr(features, "items") else {}
    shape = getattr(declared.get("image"), "shape", None)
    return shape is not None and None not in shape


def _draw(found: ValidationImages, num_images: int) -> ValidationImages:
    if not num_images or num_images >= len(found.labels):
        return found
    random = np.random.default_rng(derive_seed(0, "images"))
    chosen = np.sort(random.choice(len(found.labels), num_images, replace=False))
    return ValidationImages(images=found.images[chosen], labels=found.labels[chosen])
