"""The record of one zoo entry's query outputs: its schema, declared once.

An entry is a single classifier or an ensemble. From `fields` come the encoder, the
parser and, in `tfds_metadata.py`, the features of TensorFlow Datasets.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from kennen_tf.attributes import MISSING, Attribute, AttributeTable, Value
from kennen_tf.queries import query_inputs
from kennen_tf.zoo.entries import QueriedEntry

SCHEMA_VERSION = 1

DATASET_NAME = "query_outputs"
# Not "train", as who is trained on and who is tested on is drawn for each metamodel.
SPLIT_NAME = "entries"
# As tfds.builder_from_directory wants names; {SHARD_X_OF_Y} is 00000-of-00004.
FILENAME_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of the record.

    Attributes:
        dtype: tf.string, tf.int64 or tf.float32.
        shape: None stands for any number of values.
        doc: What it holds, for people.
        range: Which values it takes, for people.
        values: What the labels of an attribute stand for.
    """

    dtype: tf.DType
    shape: tuple[int | None, ...] = ()
    doc: str = ""
    range: str = ""
    values: tuple[Value, ...] | None = None


@functools.lru_cache(maxsize=8)
def fields(
    table: AttributeTable, num_queries: int, num_classes: int
) -> dict[str, Field]:
    """Returns the schema of a record: of a zoo's attributes, queries and classes."""
    return {
        "id": Field(tf.string, doc="Names the classifier, or the ensemble."),
        "combination_id": Field(
            tf.string,
            doc="Names the combination of attribute values: entries that share it are "
            "alike, and belong on one side of a split.",
        ),
        "members": Field(
            tf.string,
            (None,),
            doc="Who answers: the classifier itself, or the members of the ensemble, "
            "whose probabilities are averaged.",
        ),
        "accuracy": Field(
            tf.float32,
            doc="Accuracy on validation images, the mean over the members.",
            range="0 to 1",
        ),
        **{a.name: _attribute_field(a) for a in table},
        "probabilities": Field(
            tf.float32,
            (num_queries, num_classes),
            doc="What the entry answers to each query image, in the order of "
            f"{query_inputs.FILE_NAME}: a probability for each class.",
            range="0 to 1, each row with sum 1",
        ),
    }


def _attribute_field(attribute: Attribute) -> Field:
    words = ": ".join(filter(None, [attribute.code, attribute.description]))
    return Field(
        tf.int64,
        doc=f"{words}. A label, which is the position of the value.",
        range=f"{', '.join(str(value) for value in attribute.values)}; {MISSING} where "
        "it is not known or there is none",
        values=attribute.values,
    )


def encode(
    table: AttributeTable, entry: QueriedEntry, probabilities: np.ndarray
) -> bytes:
    """Returns a serialized tf.train.Example.

    Args:
        table: Its attributes.
        entry: What was asked.
        probabilities: float32 `(num_queries, num_classes)`, what it answered.

    Raises:
        ValueError: If a field is not as the schema says, naming it.
    """
    contents: dict[str, Any] = {
        "id": entry.id.encode(),
        "combination_id": entry.combination_id.encode(),
        "members": [member.encode() for member in entry.members],
        "accuracy": np.float32(entry.accuracy),
        **table.labels(entry.values),
        "probabilities": probabilities,
    }
    features = {
        name: _encode_field(name, field, contents[name])
        for name, field in fields(table, *probabilities.shape).items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def _encode_field(name: str, field: Field, content: Any) -> tf.train.Feature:
    if field.dtype == tf.string:
        values = content if field.shape else [content]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    array = np.asarray(content)
    # Labels come as Python integers; floats must be float32 already.
    if array.shape != field.shape or (
        field.dtype == tf.float32 and array.dtype != np.float32
    ):
        raise ValueError(
            f"Field `{name}` of a record must be {field.dtype.name} of shape "
            f"{field.shape}. Received: {array.dtype} of shape {array.shape}."
        )
    if field.dtype == tf.float32:
        # From a list, eight times as fast as from an array.
        values = array.ravel().tolist()
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    values = array.ravel().tolist()
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def parse(
    serialized: tf.Tensor, table: AttributeTable, num_queries: int, num_classes: int
) -> dict[str, Any]:
    """Parses a batch of records, in a graph or not.

    Args:
        serialized: Strings `(batch,)`.
        table: Attributes of the records.
        num_queries: Queries of each record.
        num_classes: Classes of each output.

    Returns:
        A tensor `(batch, *shape)` for each field, ragged where any number of values
        is allowed.
    """
    spec = {
        name: (
            tf.io.RaggedFeature(field.dtype)
            if None in field.shape
            else tf.io.FixedLenFeature(field.shape, field.dtype)
        )
        for name, field in fields(table, num_queries, num_classes).items()
    }
    return tf.io.parse_example(serialized, spec)


def shard_name(shard_index: int, num_shards: int) -> str:
    """Returns e.g. "query_outputs-entries.tfrecord-00000-of-00004"."""
    return FILENAME_TEMPLATE.format(
        DATASET=DATASET_NAME,
        SPLIT=SPLIT_NAME,
        FILEFORMAT="tfrecord",
        SHARD_X_OF_Y=f"{shard_index:05d}-of-{num_shards:05d}",
    )
