"""Images that classifiers are trained on and asked about, as arrays.

`load_images` takes the name of a dataset: "mnist" (inside the package), "tfds:<name>"
or "idx:<folder>". Each is 28x28, one channel, ten classes, in a training and a test
part.
"""

import gzip
import importlib.resources
import pathlib
import struct
import zlib

import numpy as np

from kennen_tf.errors import UserError
from kennen_tf.labeled_images import IMAGE_SHAPE, NUM_CLASSES, LabeledImages
from pipelines import tfds_builders

# Of the four files of an IDX dataset, as MNIST's authors named them.
_IDX_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
_IDX_UINT8 = 0x08


def load_images(dataset: str) -> LabeledImages:
    """Loads a dataset by name.

    Args:
        dataset: "mnist", "tfds:<name>" for a set of TensorFlow Datasets, or
            "idx:<folder>" for a folder with the four IDX files, gzipped or not.

    Raises:
        UserError: If there is no such dataset, a file is missing or damaged, or the
            images are not 28x28 with one channel and ten classes.
    """
    source, _, name = dataset.partition(":")
    if dataset == "mnist":
        package = pathlib.Path(str(importlib.resources.files("kennen_tf")))
        images = _load_idx(package / "data" / "mnist")
    elif source == "idx" and name:
        images = _load_idx(pathlib.Path(name))
    elif source == "tfds" and name:
        images = _load_tfds(name)
    else:
        raise UserError(
            "--dataset must be mnist, tfds:<name> or idx:<folder>. Received: "
            f"{dataset!r}."
        )
    _check(images, dataset)
    return images


def _check(images: LabeledImages, dataset: str) -> None:
    """Raises `UserError` unless the images are what classifiers are made for."""
    for part in ("train", "test"):
        part_images = getattr(images, f"{part}_images")
        part_labels = getattr(images, f"{part}_labels")
        if part_images.shape[1:] != IMAGE_SHAPE or part_images.dtype != np.uint8:
            raise UserError(
                f"Images of {dataset} must be uint8 of shape {IMAGE_SHAPE}. Received: "
                f"{part_images.dtype} of shape {part_images.shape[1:]} in the {part} "
                "part."
            )
        if len(part_images) != len(part_labels):
            raise UserError(
                f"{dataset} must have one label for each image. Received: "
                f"{len(part_images)} images and {len(part_labels)} labels in the "
                f"{part} part."
            )
        classes = np.unique(part_labels)
        if not np.array_equal(classes, np.arange(NUM_CLASSES)):
            raise UserError(
                f"{dataset} must have {NUM_CLASSES} classes, 0 to {NUM_CLASSES - 1}, "
                f"each with an image. Received: {classes.size} classes"
                + (f", {classes.min()} to {classes.max()}" if classes.size else "")
                + f", in the {part} part."
            )


def _load_idx(folder: pathlib.Path) -> LabeledImages:
    arrays = {
        field: _read_idx(_find(folder, name), num_axes=3 if "images" in field else 1)
        for field, name in _IDX_FILES.items()
    }
    return LabeledImages(
        train_images=arrays["train_images"][..., np.newaxis],
        train_labels=arrays["train_labels"].astype(np.int32),
        test_images=arrays["test_images"][..., np.newaxis],
        test_labels=arrays["test_labels"].astype(np.int32),
    )


def _find(folder: pathlib.Path, name: str) -> pathlib.Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise UserError(
        f"An IDX dataset needs the files {', '.join(_IDX_FILES.values())}, each with "
        f"or without .gz. Received: {folder} without {name}."
    )


def _read_idx(path: pathlib.Path, num_axes: int) -> np.ndarray:
    """Reads one IDX file of bytes: magic number, sizes (big-endian), content."""
    content = path.read_bytes()
    if path.name.endswith(".gz"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(
                f"{path} must be a gzipped file. Received: {error}."
            ) from error
    header_size = 4 * (1 + num_axes)
    magic = _IDX_UINT8 << 8 | num_axes
    received = int.from_bytes(content[:4], "big")
    if len(content) < header_size or received != magic:
        raise UserError(
            f"{path} must be an IDX file of bytes with {num_axes} axes (magic number "
            f"{magic}). Received: {len(content)} bytes with magic number {received}."
        )
    shape = struct.unpack(f">{num_axes}I", content[4:header_size])
    array = np.frombuffer(content, np.uint8, offset=header_size)
    wanted = int(np.prod(shape, dtype=np.int64))
    if array.size != wanted:
        raise UserError(
            f"{path} must hold {wanted} bytes for its shape {shape}. Received: "
            f"{array.size}. It is cut off or damaged."
        )
    return array.reshape(shape)


def _load_tfds(name: str) -> LabeledImages:
    import tensorflow_datasets as tfds  # Takes seconds: only where it is used.

    builder = tfds_builders.open_builder(name, "dataset")
    # Asked before anything is downloaded.
    keys = builder.info.supervised_keys or ()
    features = [builder.info.features[key] for key in keys]
    if (
        len(features) != 2
        or features[0].shape != IMAGE_SHAPE
        or getattr(features[1], "num_classes", None) != NUM_CLASSES
    ):
        received = dict(zip(keys, (f.shape for f in features), strict=True))
        num_classes = [getattr(feature, "num_classes", None) for feature in features]
        raise UserError(
            f"tfds:{name} must have images of shape {IMAGE_SHAPE} and labels of "
            f"{NUM_CLASSES} classes. Received: {received}, classes {num_classes[1:]}."
        )
    tfds_builders.prepare(builder, name, "use --dataset=mnist")
    missing = {"train", "test"} - set(builder.info.splits)
    if missing:
        raise UserError(
            f"tfds:{name} must have the splits train and test. Received: "
            f"{sorted(builder.info.splits)}."
        )
    arrays = [
        array
        for split in ("train", "test")
        for array in tfds.as_numpy(
            builder.as_dataset(split=split, batch_size=-1, as_supervised=True)
        )
    ]
    return LabeledImages(
        arrays[0], arrays[1].astype(np.int32), arrays[2], arrays[3].astype(np.int32)
    )
