"""What an exported metamodel consists of: functions of a SavedModel, by their names."""

import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf.attributes import AttributeTable
from kennen_tf.black_boxes import answers as answers_lib
from kennen_tf.black_boxes import fineness
from kennen_tf.queries import representations

if TYPE_CHECKING:
    import keras

SIGNATURE = "reveal"
QUERIES_SIGNATURE = "queries"
VALUES_SIGNATURE = "values"

FloatArray = npt.NDArray[np.float32]


class SavedModule(tf.Module):
    """What is saved: a metamodel with its representation, queries and table."""

    def __init__(
        self,
        model: "keras.Model",
        representation: str,
        top_k: int,
        pixels: FloatArray,
        attributes_path: pathlib.Path,
        coarse: "Sequence[keras.Model]" = (),
    ):
        super().__init__()
        # The variables and not the model: what Keras hangs on a model would need
        # Keras, or warn, when it is loaded.
        models = (model, *coarse)
        self.weights = [v.value for own in models for v in own.variables]
        self.pixels = tf.Variable(pixels, trainable=False, name="queries")
        self.attributes_file = tf.saved_model.Asset(str(attributes_path))
        text = attributes_path.read_text()
        table = AttributeTable.from_json(json.loads(text), attributes_path)
        num_queries, num_classes = model.input_shape[1:]

        # Any number of queries, so that a wrong one gets to the sentence about it.
        spec = tf.TensorSpec((None, None, num_classes), tf.float32, "probabilities")

        def make_reveal(own: "keras.Model") -> Any:
            def reveal(probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
                checked = _check_probabilities(probabilities, num_queries)
                features = representations.represent(checked, representation, top_k)
                answers = own(features, training=False)
                return {name: tf.identity(answers[name]) for name in answers}

            return tf.function(reveal, input_signature=[spec])

        def describe_queries() -> dict[str, tf.Tensor]:
            return {
                "images": tf.identity(self.pixels),
                "pixel_range": tf.constant([0.0, 1.0]),
                "num_queries": tf.constant(num_queries),
                "num_classes": tf.constant(num_classes),
            }

        def list_values() -> dict[str, tf.Tensor]:
            return {a.name: tf.constant([str(v) for v in a.values]) for a in table}

        self.reveal = make_reveal(model)
        self.coarse = [make_reveal(own) for own in coarse]
        self.describe_queries = tf.function(describe_queries, input_signature=[])
        self.list_values = tf.function(list_values, input_signature=[])
        self.queries = tf.function(lambda: tf.identity(self.pixels), input_signature=[])
        self.table = tf.function(lambda: tf.constant(text), input_signature=[])

    @property
    def signatures(self) -> dict[str, Any]:
        """What is saved under a name that other programs ask for."""
        return {
            SIGNATURE: self.reveal,
            QUERIES_SIGNATURE: self.describe_queries,
            VALUES_SIGNATURE: self.list_values,
        }


def _check_probabilities(probabilities: tf.Tensor, num_queries: int) -> tf.Tensor:
    """Returns them, once it is sure that they are some; in a graph."""
    sums = tf.reduce_sum(probabilities, axis=-1)
    is_wrong = tf.logical_or(
        tf.abs(sums - 1.0) > fineness.SUM_TOLERANCE,
        tf.reduce_any(probabilities < answers_lib.LEAST, axis=-1),
    )
    # Of NaN, neither is true.
    is_wrong = tf.logical_or(is_wrong, tf.math.is_nan(sums))
    checks = [
        tf.debugging.assert_equal(
            tf.shape(probabilities)[1],
            num_queries,
            f"`probabilities` must hold the answers to all {num_queries} queries, in "
            "their order: shape (black boxes, queries, classes). The signature "
            f'"{QUERIES_SIGNATURE}" returns the queries.',
        ),
        tf.debugging.assert_equal(
            tf.reduce_any(is_wrong),
            False,
            "`probabilities` must be probabilities: at least 0, the classes of each "
            "answer with sum 1. If they are logits, send their softmax.",
        ),
    ]
    with tf.control_dependencies(checks):
        checked = tf.identity(probabilities)
    return tf.ensure_shape(checked, (None, num_queries, probabilities.shape[-1]))
