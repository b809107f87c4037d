"""The record of one zoo entry's query outputs: its schema, declared once.

An entry is a single classifier or an ensemble. From `fields` come the encoder, the
parser and, in `tfds_metadata.py`, the features of TensorFlow Datasets.

Answers are written in full, or in half precision, in half as many bytes: then they are
logarithms of probabilities, because float16 has nothing between 0 and 6e-8, where most
probabilities lie. Their logarithms keep a precision of 5e-4 of themselves.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from kennen_tf.attributes import MISSING, Attribute, AttributeTable, Value
from kennen_tf.queries import query_inputs
from kennen_tf.zoo.entries import QueriedEntry

DATASET_NAME = "query_outputs"
# Not "train", as who is trained on and who is tested on is drawn for each metamodel.
SPLIT_NAME = "entries"
# As tfds.builder_from_directory wants names; {SHARD_X_OF_Y} is 00000-of-00004.
FILENAME_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
# The fields of what an entry answered.
PROBABILITIES, LOG_PROBABILITIES = "probabilities", "log_probabilities"
# Smaller ones are no normal numbers of float32, and all the same to a metamodel.
_LEAST = float(np.finfo(np.float32).tiny)


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of the record.

    Attributes:
        dtype: tf.string, tf.int64, tf.float32, or tf.float16, whose bytes are stored.
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
    table: AttributeTable, num_queries: int, num_classes: int, is_half: bool = False
) -> dict[str, Field]:
    """Returns the schema of a record.

    Args:
        table: The zoo's attributes.
        num_queries: Queries of each record.
        num_classes: Classes of each output.
        is_half: Whether answers are written in half precision.
    """
    answers = (
        {
            LOG_PROBABILITIES: Field(
                tf.float16,
                (num_queries, num_classes),
                doc="What the entry answers to each query image, in the order of "
                f"{query_inputs.FILE_NAME}: the logarithm of a probability for each "
                "class, in half precision. A softmax makes probabilities of them.",
                range="-88 to 0, the exponentials of each row with sum 1",
            )
        }
        if is_half
        else {
            PROBABILITIES: Field(
                tf.float32,
                (num_queries, num_classes),
                doc="What the entry answers to each query image, in the order of "
                f"{query_inputs.FILE_NAME}: a probability for each class.",
                range="0 to 1, each row with sum 1",
            )
        }
    )
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
        **answers,
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
    table: AttributeTable,
    entry: QueriedEntry,
    probabilities: np.ndarray,
    is_half: bool = False,
) -> bytes:
    """Returns a serialized tf.train.Example.

    Args:
        table: Its attributes.
        entry: What was asked.
        probabilities: float32 `(num_queries, num_classes)`, what it answered.
        is_half: Whether to write that in half precision.

    Raises:
        ValueError: If a field is not as the schema says, naming it.
    """
    contents: dict[str, Any] = {
        "id": entry.id.encode(),
        "combination_id": entry.combination_id.encode(),
        "members": [member.encode() for member in entry.members],
        "accuracy": np.float32(entry.accuracy),
        **table.labels(entry.values),
        PROBABILITIES: probabilities,
    }
    if is_half:
        contents[LOG_PROBABILITIES] = _halve(probabilities)
    features = {
        name: _encode_field(name, field, contents[name])
        for name, field in fields(table, *probabilities.shape, is_half).items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def _halve(probabilities: np.ndarray) -> np.ndarray:
    """Returns logarithms of probabilities in half precision, of the same shape."""
    if probabilities.dtype != np.float32:
        return probabilities  # Refused as in full precision.
    # In double precision, where processors do not differ in what matters.
    return np.log(np.maximum(probabilities, _LEAST, dtype=float)).astype(np.float16)


def _encode_field(name: str, field: Field, content: Any) -> tf.train.Feature:
    if field.dtype == tf.string:
        values = content if field.shape else [content]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    array = np.asarray(content)
    # Labels come as Python integers; floats must be of their precision already.
    if array.shape != field.shape or (
        field.dtype.is_floating and array.dtype != field.dtype.as_numpy_dtype
    ):
        raise ValueError(
            f"Field `{name}` of a record must be {field.dtype.name} of shape "
            f"{field.shape}. Received: {array.dtype} of shape {array.shape}."
        )
    if field.dtype == tf.float16:
        stored = array.astype("<f2").tobytes()
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[stored]))
    if field.dtype == tf.float32:
        # From a list, eight times as fast as from an array.
        values = array.ravel().tolist()
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    values = array.ravel().tolist()
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def parse(
    serialized: tf.Tensor,
    table: AttributeTable,
    num_queries: int,
    num_classes: int,
    is_half: bool = False,
) -> dict[str, Any]:
    """Parses a batch of records, in a graph or not.

    Args:
        serialized: Strings `(batch,)`.
        table: Attributes of the records.
        num_queries: Queries of each record.
        num_classes: Classes of each output.
        is_half: Whether answers are written in half precision.

    Returns:
        A tensor `(batch, *shape)` for each field, ragged where any number of values
        is allowed. Answers are `probabilities`, float32 and each row with sum 1,
        however they are written.
    """
    declared = fields(table, num_queries, num_classes, is_half)
    parsed = tf.io.parse_example(serialized, {n: _spec(f) for n, f in declared.items()})
    if is_half:
        halved = tf.io.decode_raw(parsed.pop(LOG_PROBABILITIES), tf.float16)
        shape = (-1, *declared[LOG_PROBABILITIES].shape)
        answers = tf.cast(tf.reshape(halved, shape), tf.float32)
        # Rounding has left them a sum that is not quite 1.
        parsed[PROBABILITIES] = tf.nn.softmax(answers)
    return parsed


def _spec(field: Field) -> Any:
    if field.dtype == tf.float16:  # Its bytes.
        return tf.io.FixedLenFeature((), tf.string)
    if None in field.shape:
        return tf.io.RaggedFeature(field.dtype)
    return tf.io.FixedLenFeature(field.shape, field.dtype)


def shard_name(shard_index: int, num_shards: int) -> str:
    """Returns e.g. "query_outputs-entries.tfrecord-00000-of-00004"."""
    return FILENAME_TEMPLATE.format(
        DATASET=DATASET_NAME,
        SPLIT=SPLIT_NAME,
        FILEFORMAT="tfrecord",
        SHARD_X_OF_Y=f"{shard_index:05d}-of-{num_shards:05d}",
    )
