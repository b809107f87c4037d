"""The record of a classifier's output for one image: its schema, declared once."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf import artifacts

SCHEMA_VERSION = 1
_PARSE_BATCH = 1024

NAME, LABEL, LOGITS = "name", "label", "logits"


def fields(num_classes: int) -> dict[str, tuple[tf.DType, tuple[int, ...]]]:
    """Returns type and shape of each field: image's name, true class, logits."""
    return {
        NAME: (tf.string, ()),
        LABEL: (tf.int64, ()),
        LOGITS: (tf.float32, (num_classes,)),
    }


def write(
    path: artifacts.Path,
    names: Iterable[str],
    labels: npt.NDArray[np.int32],
    logits: npt.NDArray[np.float32],
) -> None:
    """Writes one record for each image, in order, atomically.

    Args:
        path: The file.
        names: Of the images.
        labels: int32 `(num_images,)`.
        logits: float32 `(num_images, num_classes)`.
    """
    with artifacts.atomic_path(path) as temporary:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for name, label, row in zip(names, labels, logits, strict=True):
                writer.write(_encode(name, int(label), row))


def _encode(name: str, label: int, logits: npt.NDArray[np.float32]) -> bytes:
    contents = {NAME: [name.encode()], LABEL: [label], LOGITS: logits}
    lists: dict[tf.DType, Any] = {
        tf.string: lambda values: {"bytes_list": tf.train.BytesList(value=values)},
        tf.int64: lambda values: {"int64_list": tf.train.Int64List(value=values)},
        tf.float32: lambda values: {"float_list": tf.train.FloatList(value=values)},
    }
    features = {
        name: tf.train.Feature(**lists[dtype](contents[name]))
        for name, (dtype, _) in fields(len(logits)).items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def read_logits(
    path: artifacts.Path, is_wanted: npt.NDArray[np.bool_], num_classes: int
) -> npt.NDArray[np.float32]:
    """Reads the logits of some images; only these are parsed.

    Args:
        path: The file.
        is_wanted: bool `(num_images,)`.
        num_classes: Number of logits of each image.

    Returns:
        float32 `(number wanted, num_classes)`, in the order of the file.
    """
    [(_, shape)] = [
        field for name, field in fields(num_classes).items() if name == LOGITS
    ]
    spec = {LOGITS: tf.io.FixedLenFeature(shape, tf.float32)}

    def parse(serialized: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        return tf.io.parse_example(tf.boolean_mask(serialized, wanted), spec)[LOGITS]

    dataset = tf.data.Dataset.zip(
        tf.data.TFRecordDataset(str(path)),
        tf.data.Dataset.from_tensor_slices(is_wanted),
    ).batch(_PARSE_BATCH)
    dataset = dataset.map(parse, tf.data.AUTOTUNE, deterministic=True)
    logits = np.empty((int(is_wanted.sum()), num_classes), np.float32)
    first = 0
    for rows in dataset.as_numpy_iterator():
        logits[first : first + len(rows)] = rows
        first += len(rows)
    return logits
