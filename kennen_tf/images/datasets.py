"""Images that classifiers are trained on and asked about, as arrays.

`load_images` takes the name of a dataset: "mnist" (inside the package), "digits" (of
scikit-learn), "tfds:<name>", "idx:<folder>" or a `.npz` file. Each has a training and a
test part.
"""

import gzip
import importlib.resources
import pathlib
import struct
import zipfile
import zlib

import numpy as np

from kennen_tf.configs.importing import ImportConfig
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs.design import load_design
from kennen_tf.images import tfds_builders
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.labeled_images import LabeledImages
from kennen_tf.vocabulary.seeds import derive_seed

# Of the four files of an IDX dataset, as MNIST's authors named them.
_IDX_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
_IDX_UINT8 = 0x08


def load_images(dataset: str, like: LabeledImages | None = None) -> LabeledImages:
    """Loads a dataset by name.

    Args:
        dataset: "mnist"; "digits" for the 8x8 digits of scikit-learn; "tfds:<name>" for
            a set of TensorFlow Datasets; "idx:<folder>" for a folder with the four IDX
            files, gzipped or not; or the path of a `.npz` file with the four arrays of
            `LabeledImages`.
        like: What a design is made for; the dataset has its shape and classes.

    Raises:
        UserError: If there is no such dataset, a file is missing or damaged, there is
            a class without an image, or images or classes do not fit.
    """
    source, _, name = dataset.partition(":")
    if dataset == "mnist":
        package = pathlib.Path(str(importlib.resources.files("kennen_tf")))
        images = _load_idx(package / "data" / "mnist")
    elif dataset == "digits":
        images = _load_digits()
    elif dataset.endswith(".npz"):
        images = _load_npz(pathlib.Path(dataset))
    elif source == "idx" and name:
        images = _load_idx(pathlib.Path(name))
    elif source == "tfds" and name:
        images = _load_tfds(name, like)
    else:
        raise UserError(
            "--dataset must be mnist, digits, tfds:<name>, idx:<folder> or a .npz "
            f"file. Received: {dataset!r}."
        )
    _check(images, dataset)
    _check_like(dataset, like, images.image_shape, images.num_classes)
    return images


def load_zoo_images(design: str, dataset: str) -> LabeledImages:
    """Loads what a design's classifiers see.

    Args:
        design: Name of the design.
        dataset: Name of a dataset; "" for the images that the design makes itself.

    Raises:
        UserError: If they cannot be had, or are not as they should be.
    """
    make = load_design(design).images
    if isinstance(make, str):
        own = load_images(make)
        return own if dataset in ("", make) else load_images(dataset, own)
    if dataset:
        return load_images(dataset)
    try:
        images = make()
    except UserError:
        raise
    except Exception as error:  # Code of the user's may raise anything.
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UserError(
            f"`images` of design {design} must return `LabeledImages`. It raised "
            f"{reason}."
        ) from error
    if not isinstance(images, LabeledImages):
        raise UserError(
            f"`images` of design {design} must return `LabeledImages`. Received: "
            f"{type(images).__name__}."
        )
    _check(images, f"design {design}")
    return images


def load_validation(
    config: ZooConfig | ImportConfig, images_path: pathlib.Path
) -> tuple[np.ndarray, np.ndarray]:
    """Loads the validation images of a zoo, built or imported, and their labels.

    Args:
        config: Of the zoo.
        images_path: Where an imported zoo has them.

    Returns:
        uint8 `(n, height, width, channels)` and int32 `(n,)`.
    """
    if isinstance(config, ZooConfig):
        images = load_zoo_images(config.design, config.dataset)
        return images.test_images, images.test_labels
    with np.load(images_path, allow_pickle=False) as stored:
        return stored["images"], stored["labels"]


def _check(images: LabeledImages, dataset: str) -> None:
    """Raises `UserError` unless the images are such that classifiers can learn them."""
    shape = images.test_images.shape[1:]
    num_classes = 1 + int(max(images.test_labels, default=-1))
    for part in ("train", "test"):
        part_images = getattr(images, f"{part}_images")
        part_labels = getattr(images, f"{part}_labels")
        received = part_images.shape[1:]
        if (received, len(received), part_images.dtype) != (shape, 3, np.uint8):
            raise UserError(
                f"Images of {dataset} must be uint8, height x width x channels, in "
                f"both parts alike. Received: {part_images.dtype} of shape "
                f"{received} in the {part} part, {shape} in the test part."
            )
        if len(part_images) != len(part_labels):
            raise UserError(
                f"{dataset} must have one label for each image. Received: "
                f"{len(part_images)} images and {len(part_labels)} labels in the "
                f"{part} part."
            )
        classes = np.unique(part_labels)
        if num_classes < 2 or not np.array_equal(classes, np.arange(num_classes)):
            raise UserError(
                f"{dataset} must have the same classes in both parts, from 0 on, each "
                f"with an image. Received: {classes.size} classes"
                + (f", {classes.min()} to {classes.max()}" if classes.size else "")
                + f", in the {part} part."
            )


def _check_like(
    dataset: str,
    like: LabeledImages | None,
    image_shape: tuple[int, ...],
    num_classes: int,
) -> None:
    """Raises `UserError` unless a dataset has the shape and classes of another one."""
    received = tuple(image_shape), num_classes
    if like is not None and received != (like.image_shape, like.num_classes):
        raise UserError(
            f"--dataset={dataset} must have what the design is made for: images of "
            f"shape {like.image_shape} and {like.num_classes} classes. Received: "
            f"images of shape {received[0]} and {num_classes} classes."
        )


def _load_digits() -> LabeledImages:
    """Loads scikit-learn's digits: 8x8, a third of them for validation."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    # Their 17 levels, as levels of a byte.
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    labels = digits.target.astype(np.int32)
    order = np.random.default_rng(derive_seed(0, "digits")).permutation(len(labels))
    train, test = order[len(order) // 3 :], order[: len(order) // 3]
    return LabeledImages(images[train], labels[train], images[test], labels[test])


def _load_npz(path: pathlib.Path) -> LabeledImages:
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in LabeledImages._fields}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} must be a .npz file with the arrays "
            f"{', '.join(LabeledImages._fields)}. Received: {error}."
        ) from error
    for part in ("train_labels", "test_labels"):
        arrays[part] = arrays[part].astype(np.int32)
    return LabeledImages(**arrays)


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


def _load_tfds(name: str, like: LabeledImages | None) -> LabeledImages:
    import tensorflow_datasets as tfds  # Takes seconds: only where it is used.

    builder = tfds_builders.open_builder(name, "dataset")
    # Asked before anything is downloaded.
    keys = builder.info.supervised_keys or ()
    features = [builder.info.features[key] for key in keys]
    if (
        len(features) != 2
        or len(features[0].shape) != 3
        or None in features[0].shape
        or not getattr(features[1], "num_classes", None)
    ):
        received = dict(zip(keys, (f.shape for f in features), strict=True))
        num_classes = [getattr(feature, "num_classes", None) for feature in features]
        raise UserError(
            f"tfds:{name} must have images of one shape and labels of classes. "
            f"Received: {received}, classes {num_classes[1:]}."
        )
    _check_like(f"tfds:{name}", like, features[0].shape, features[1].num_classes)
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
