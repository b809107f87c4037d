"""One softmax head for each attribute, and the loss that they share.

Metamodels answer with a dict from attribute to probabilities. Training works on the
logits of all heads side by side instead: one loss of a few large operations, where
twelve losses of Keras would take longer than the network itself.

A metamodel may be an ensemble, whose members learn side by side: logits have an axis of
members, each of which has the loss of its own, and probabilities are the members' mean.
"""

from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy import special

from kennen_tf import attributes

NUM_VALUES = tuple(len(attribute.values) for attribute in attributes.ATTRIBUTES)
MOST_VALUES = max(NUM_VALUES)
# First logit of each head, and the end of the last.
_OFFSETS = tuple(np.cumsum((0, *NUM_VALUES)).tolist())
# Stands for the logit of a value that an attribute does not have.
_NEVER = -1e9
# Logit of a value that no training entry has.
_UNSEEN = -50.0

Labels = Mapping[str, npt.NDArray[np.integer]]


def make_models(
    features: keras.KerasTensor, logits: Mapping[str, keras.KerasTensor], name: str
) -> tuple[keras.Model, keras.Model]:
    """Makes two models with the same weights.

    Args:
        features: `(batch, num_queries, 10)`.
        logits: Of each attribute, `(batch, members, values)`.
        name: Of the metamodel.

    Returns:
        The metamodel, from features to a dict from attribute to probabilities
        `(batch, values)`, and the model to train, from the same to the logits of all
        heads, `(batch, members, sum of values)`.
    """
    probabilities = {}
    for attribute in attributes.NAMES:
        own = keras.layers.Softmax(name=f"{attribute}_members")(logits[attribute])
        mean = keras.layers.GlobalAveragePooling1D(name=attribute)
        probabilities[attribute] = mean(own)
    answering = keras.Model(features, probabilities, name=name)
    joint = keras.layers.Concatenate(name="logits")(
        [logits[attribute] for attribute in attributes.NAMES]
    )
    return answering, keras.Model(features, joint, name=f"{name}_logits")


def make_dense_models(
    features: keras.KerasTensor, x: keras.KerasTensor, name: str
) -> tuple[tuple[keras.Model, keras.Model], dict[str, keras.layers.Dense]]:
    """Makes models of one member with a dense head for each attribute.

    Args:
        features: `(batch, num_queries, 10)`.
        x: What the heads read, `(batch, d)`.
        name: Of the metamodel.

    Returns:
        What `make_models` returns, and the head of each attribute, for its weights.
    """
    layers = {
        attribute.name: keras.layers.Dense(
            len(attribute.values), name=f"{attribute.name}_logits"
        )
        for attribute in attributes.ATTRIBUTES
    }
    only = {n: keras.ops.expand_dims(layer(x), axis=1) for n, layer in layers.items()}
    return make_models(features, only, name), layers


def bias_against_unseen(
    labels: npt.NDArray[np.integer], num_values: int
) -> npt.NDArray[np.float32]:
    """Returns a head's bias `(values,)`: 0, but for values that no entry has."""
    bias = np.full(num_values, _UNSEEN, np.float32)
    bias[labels] = 0.0
    return bias


def target_table(
    labels: Labels, *, balance: float, max_weight: float, label_smoothing: float
) -> npt.NDArray[np.float32]:
    """Makes the targets of the loss, weights included, for every label.

    An entry's weight for an attribute is (number of training entries with its value)
    ** -balance, scaled to a mean of 1 over the entries and cut at `max_weight`.

    Returns:
        `(12, 8, 8)`: attribute, label, value. A row sums to the weight.
    """
    table = np.zeros((len(NUM_VALUES), MOST_VALUES, MOST_VALUES), np.float32)
    for index, (name, values) in enumerate(
        zip(attributes.NAMES, NUM_VALUES, strict=True)
    ):
        count = np.bincount(labels[name], minlength=values).astype(float)
        weight = np.maximum(count, 1) ** -balance
        weight *= count.sum() / np.sum(weight * count)
        target = (1 - label_smoothing) * np.eye(values) + label_smoothing / values
        table[index, :values, :values] = (
            np.minimum(weight, max_weight)[:, np.newaxis] * target
        )
    return table


def encode_targets(labels: Mapping[str, tf.Tensor], table: tf.Tensor) -> tf.Tensor:
    """Looks up the targets of a batch, `(batch, 12, 8)`; for use in a tf.data map."""
    stacked = tf.stack([labels[name] for name in attributes.NAMES], axis=1)
    rows = stacked + MOST_VALUES * tf.range(len(NUM_VALUES))
    return tf.gather(tf.reshape(table, (-1, MOST_VALUES)), rows)


class JointCrossEntropy(keras.losses.Loss):
    """`joint_cross_entropy`, summed over a batch, divided by its *nominal* size.

    So every entry counts alike, in the smaller last batch of an epoch too, and the
    gradients that replicas add up are those of one device, however a batch is divided.
    """

    def __init__(self, batch_size: int):
        super().__init__(name="joint_cross_entropy", reduction="sum")
        self.batch_size = batch_size

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return joint_cross_entropy(y_true, y_pred) / self.batch_size


def joint_cross_entropy(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Sums cross-entropies over attributes, weighted as the targets say.

    Args:
        targets: `(entries, 12, 8)`, from `encode_targets`.
        logits: Of all heads side by side, `(entries, members, sum of values)`.

    Returns:
        `(entries,)`: the mean over members of the cross-entropy of each.
    """
    padded = _pad(logits)
    targets = targets[:, tf.newaxis]
    log_normalizer = tf.reduce_logsumexp(padded, axis=-1)
    weight = tf.reduce_sum(targets, axis=-1)
    chosen = tf.reduce_sum(targets * padded, axis=-1)
    own = tf.reduce_sum(weight * log_normalizer - chosen, axis=-1)
    return tf.reduce_mean(own, axis=-1)


def join_members(
    logits: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Returns logits of the members' mean probabilities.

    Args:
        logits: Of all heads side by side, `(entries, members, sum of values)`.

    Returns:
        `(entries, sum of values)`: the logarithms of probabilities.
    """
    parts = []
    for own in np.split(logits, _OFFSETS[1:-1], axis=-1):
        log_probabilities = own - special.logsumexp(own, axis=-1, keepdims=True)
        parts.append(special.logsumexp(log_probabilities, axis=1))
    return np.concatenate(parts, axis=-1) - np.float32(np.log(logits.shape[1]))


def _pad(logits: tf.Tensor) -> tf.Tensor:
    """Returns logits as `(batch, members, 12, 8)`, `_NEVER` where there is no value."""
    end = _OFFSETS[-1]
    places = np.full((len(NUM_VALUES), MOST_VALUES), end)
    for index, values in enumerate(NUM_VALUES):
        places[index, :values] = np.arange(_OFFSETS[index], _OFFSETS[index + 1])
    with_never = tf.pad(logits, [[0, 0], [0, 0], [0, 1]], constant_values=_NEVER)
    return tf.gather(with_never, places, axis=-1)


def split_logits(logits: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """Divides logits side by side, `(entries, sum of values)`, by attribute."""
    parts = np.split(logits, _OFFSETS[1:-1], axis=1)
    return dict(zip(attributes.NAMES, parts, strict=True))
