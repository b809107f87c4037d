"""Where images come from: listed first, decoded only when chosen."""

import concurrent.futures
import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tqdm

from kennen_tf.images import tfds_builders
from kennen_tf.images.datasets import load_images
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from pipelines import image_folders

MNIST, TFDS_PREFIX = "mnist", "tfds:"
BAR_DELAY_SECONDS = 2.0  # Progress bars are only for what takes longer.
_SPLITS = ("validation", "test")  # Of TFDS, the first that there is.
_NUM_READERS = 8
_BMP = b"BM"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Images that are listed, but not decoded.

    Attributes:
        names, labels, num_classes: As for `ImageSet`.
        choose: Returns the fingerprint of the contents of the images with these
            indices, and a dataset of them as uint8 `(height, width, 3)`, in order.
    """

    names: Sequence[str]
    labels: npt.NDArray[np.int32]
    num_classes: int = 0
    choose: Callable[[npt.NDArray[np.int64]], tuple[str, tf.data.Dataset]]


def open_source(images: str) -> Source:
    """Lists the images of a folder, "tfds:<name>" or "mnist".

    Raises:
        UserError: If there are none, or they are not labelled as they should be.
    """
    if images == MNIST:
        return _open_mnist()
    if images.startswith(TFDS_PREFIX):
        return _open_tfds(images.removeprefix(TFDS_PREFIX))
    return _open_folder(pathlib.Path(images).expanduser())


def _decode_bytes(content: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG, PNG, BMP or GIF file to uint8 `(height, width, 3)`."""

    def decode_any() -> tf.Tensor:
        return tf.io.decode_image(content, channels=3, expand_animations=False)

    def decode_bmp() -> tf.Tensor:
        # Decoded to what it has: TensorFlow converts no channels of a BMP.
        image = tf.io.decode_image(content, expand_animations=False)
        is_gray = tf.shape(image)[2] == 1
        return tf.cond(
            is_gray, lambda: tf.tile(image, (1, 1, 3)), lambda: image[..., :3]
        )

    image = tf.cond(tf.strings.substr(content, 0, 2) == _BMP, decode_bmp, decode_any)
    return tf.ensure_shape(image, (None, None, 3))


def _open_folder(folder: pathlib.Path) -> Source:
    files = image_folders.list_files(folder)

    def choose(chosen: npt.NDArray[np.int64]) -> tuple[str, tf.data.Dataset]:
        paths = [files.paths[i] for i in chosen]
        # Contents, not times: a copy of the folder has the same images.
        with concurrent.futures.ThreadPoolExecutor(_NUM_READERS) as pool:
            sums = list(
                tqdm.tqdm(
                    pool.map(artifacts.sha256_of_file, paths),
                    *("checksums", False, len(paths)),
                    unit="image",
                    delay=BAR_DELAY_SECONDS,
                )
            )
        dataset = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
        dataset = dataset.map(
            lambda path: _decode_bytes(tf.io.read_file(path)), tf.data.AUTOTUNE
        )
        return artifacts.fingerprint(sums), dataset

    return Source(
        names=files.names,
        labels=np.array(files.labels, np.int32),
        num_classes=files.num_classes,
        choose=choose,
    )


def _open_mnist() -> Source:
    digits = load_images(MNIST)

    def choose(chosen: npt.NDArray[np.int64]) -> tuple[str, tf.data.Dataset]:
        dataset = tf.data.Dataset.from_tensor_slices(digits.test_images[chosen])
        return MNIST, dataset.map(tf.image.grayscale_to_rgb)

    return Source(
        names=[f"mnist-test-{i:05d}" for i in range(len(digits.test_images))],
        labels=digits.test_labels,
        choose=choose,
    )


def _open_tfds(name: str) -> Source:
    import tensorflow_datasets as tfds  # Takes seconds: only where it is used.

    builder = tfds_builders.open_builder(name, "images")
    features = builder.info.features
    declared = dict(features.items()) if hasattr(features, "items") else {}
    # Asked before anything is downloaded.
    if not (
        isinstance(declared.get("image"), tfds.features.Image)
        and isinstance(declared.get("label"), tfds.features.ClassLabel)
    ):
        raise UserError(
            f"tfds:{name} must have the features image and label (one class). "
            f"Received: {sorted(declared)}."
        )
    tfds_builders.prepare(builder, name, "name a folder of images with --images")
    split = _choose_split(name, list(builder.info.splits))
    # One file after the other, so that the order is that of the files.
    records = builder.as_dataset(
        split=split,
        decoders={"image": tfds.decode.SkipDecoding()},
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )
    labels = [
        label
        for label in tqdm.tqdm(
            records.map(lambda record: record["label"]).as_numpy_iterator(),
            *("labels", False, builder.info.splits[split].num_examples),
            unit="image",
            delay=BAR_DELAY_SECONDS,
        )
    ]

    def choose(chosen: npt.NDArray[np.int64]) -> tuple[str, tf.data.Dataset]:
        is_chosen = np.zeros(len(labels), bool)
        is_chosen[chosen] = True
        flagged = tf.data.Dataset.zip(
            tf.data.Dataset.from_tensor_slices(is_chosen), records
        )
        dataset = flagged.filter(lambda wanted, _: wanted).map(
            lambda _, record: _decode_bytes(record["image"]), tf.data.AUTOTUNE
        )
        return _describe(builder, split), dataset

    return Source(
        names=[f"{name}-{split}-{i:06d}" for i in range(len(labels))],
        labels=np.array(labels, np.int32),
        choose=choose,
    )


def _choose_split(name: str, splits: Sequence[str]) -> str:
    for split in _SPLITS:
        if split in splits:
            return split
    if len(splits) != 1:
        raise UserError(
            f"tfds:{name} must have the split validation or test, or only one. "
            f"Received: {sorted(splits)}."
        )
    return splits[0]


def _describe(builder: Any, split: str) -> str:
    """Returns what stands for the contents of a prepared dataset."""
    info = builder.info.splits[split]
    return artifacts.canonical_json(
        [builder.info.full_name, split, list(info.shard_lengths), info.num_bytes]
    )
