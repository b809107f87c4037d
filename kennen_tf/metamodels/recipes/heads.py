"""One softmax head for each attribute, and the loss that they share.

Metamodels answer with a dict from attribute to probabilities. Training works on the
logits of all heads side by side instead: one loss of a few large operations, where
as many losses of Keras would take longer than the network itself.

Where an entry has no value of an attribute, its label is `attributes.MISSING`: it
counts as if it were not there.

A metamodel may be an ensemble, whose members learn side by side: logits have an axis of
members, each of which has the loss of its own, and probabilities are the members' mean.
"""

import itertools
from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy import special

from kennen_tf.attributes import AttributeTable

# Stands for the logit of a value that an attribute does not have.
_NEVER = -1e9
# Logit of a value that no training entry has.
_UNSEEN = -50.0

Labels = Mapping[str, npt.NDArray[np.integer]]


def make_models(
    table: AttributeTable,
    features: keras.KerasTensor,
    logits: Mapping[str, keras.KerasTensor],
    name: str,
) -> tuple[keras.Model, keras.Model]:
    """Makes two models with the same weights.

    Args:
        table: The attributes.
        features: `(batch, num_queries, classes)`.
        logits: Of each attribute, `(batch, members, values)`.
        name: Of the metamodel.

    Returns:
        The metamodel, from features to a dict from attribute to probabilities
        `(batch, values)`, and the model to train, from the same to the logits of all
        heads, `(batch, members, sum of values)`.
    """
    probabilities = {}
    for attribute in table.names:
        own = keras.layers.Softmax(name=f"{attribute}_members")(logits[attribute])
        mean = keras.layers.GlobalAveragePooling1D(name=attribute)
        probabilities[attribute] = mean(own)
    answering = keras.Model(features, probabilities, name=name)
    # A table of one attribute has nothing to be joined with.
    joined = [logits[attribute] for attribute in table.names]
    joint = keras.layers.Concatenate(name="logits")(joined) if joined[1:] else joined[0]
    return answering, keras.Model(features, joint, name=f"{name}_logits")


def make_dense_models(
    table: AttributeTable, features: keras.KerasTensor, x: keras.KerasTensor, name: str
) -> tuple[tuple[keras.Model, keras.Model], dict[str, keras.layers.Dense]]:
    """Makes models of one member with a dense head for each attribute.

    Args:
        table: The attributes.
        features: `(batch, num_queries, classes)`.
        x: What the heads read, `(batch, d)`.
        name: Of the metamodel.

    Returns:
        What `make_models` returns, and the head of each attribute, for its weights.
    """
    layers = {
        attribute.name: keras.layers.Dense(
            len(attribute.values), name=f"{attribute.name}_logits"
        )
        for attribute in table
    }
    only = {n: keras.ops.expand_dims(layer(x), axis=1) for n, layer in layers.items()}
    return make_models(table, features, only, name), layers


def bias_against_unseen(
    labels: npt.NDArray[np.integer], num_values: int
) -> npt.NDArray[np.float32]:
    """Returns a head's bias `(values,)`: 0, but for values that no entry has.

    Where no entry has any, all are as likely as each other.
    """
    bias = np.full(num_values, _UNSEEN, np.float32)
    bias[labels[labels >= 0]] = 0.0
    return bias


def make_targets(
    table: AttributeTable,
    labels: Labels,
    *,
    balance: float,
    max_weight: float,
    label_smoothing: float,
) -> npt.NDArray[np.float32]:
    """Makes the targets of the loss, weights included, for every label.

    An entry's weight for an attribute is (number of training entries with its value)
    ** -balance, scaled to a mean of 1 over the entries that have a value, and cut at
    `max_weight`.

    Returns:
        `(attributes, m, m)`, m being the most values that an attribute has: attribute,
        label, value. A row sums to the weight.
    """
    most = max(table.num_values)
    targets = np.zeros((len(table), most, most), np.float32)
    for index, attribute in enumerate(table):
        own, values = labels[attribute.name], len(attribute.values)
        count = np.bincount(own[own >= 0], minlength=values).astype(float)
        if not count.any():
            continue
        weight = np.maximum(count, 1) ** -balance
        weight *= count.sum() / np.sum(weight * count)
        target = (1 - label_smoothing) * np.eye(values) + label_smoothing / values
        targets[index, :values, :values] = (
            np.minimum(weight, max_weight)[:, np.newaxis] * target
        )
    return targets


def weigh(
    targets: npt.NDArray[np.float32], labels: npt.NDArray[np.integer], index: int
) -> npt.NDArray[np.float32]:
    """Returns how much entries count for an attribute, `(entries,)`.

    Args:
        targets: What `make_targets` returned, without label smoothing.
        labels: Of the attribute, `(entries,)`.
        index: Of the attribute in the table.
    """
    return np.where(labels >= 0, targets[index, labels, labels], np.float32(0))


def encode_targets(
    table: AttributeTable, labels: Mapping[str, tf.Tensor], targets: tf.Tensor
) -> tf.Tensor:
    """Looks up the targets of a batch; for use in a tf.data map.

    Args:
        table: The attributes.
        labels: For each attribute, `(batch,)`.
        targets: What `make_targets` returned.

    Returns:
        `(batch, attributes, m)`, all 0 where there is no value.
    """
    stacked = tf.stack([labels[name] for name in table.names], axis=1)
    most = targets.shape[-1]
    rows = tf.maximum(stacked, 0) + most * tf.range(len(table))
    found = tf.gather(tf.reshape(targets, (-1, most)), rows)
    return tf.where((stacked >= 0)[..., tf.newaxis], found, 0.0)


class JointCrossEntropy(keras.losses.Loss):
    """`joint_cross_entropy`, summed over a batch, divided by its *nominal* size.

    So every entry counts alike, in the smaller last batch of an epoch too, and the
    gradients that replicas add up are those of one device, however a batch is divided.
    """

    def __init__(self, table: AttributeTable, batch_size: int):
        super().__init__(name="joint_cross_entropy", reduction="sum")
        self.table = table
        self.batch_size = batch_size

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return joint_cross_entropy(self.table, y_true, y_pred) / self.batch_size


def joint_cross_entropy(
    table: AttributeTable, targets: tf.Tensor, logits: tf.Tensor
) -> tf.Tensor:
    """Sums cross-entropies over attributes, weighted as the targets say.

    Args:
        table: The attributes.
        targets: `(entries, attributes, m)`, from `encode_targets`.
        logits: Of all heads side by side, `(entries, members, sum of values)`.

    Returns:
        `(entries,)`: the mean over members of the cross-entropy of each.
    """
    padded = _pad(table, logits)
    targets = targets[:, tf.newaxis]
    log_normalizer = tf.reduce_logsumexp(padded, axis=-1)
    weight = tf.reduce_sum(targets, axis=-1)
    chosen = tf.reduce_sum(targets * padded, axis=-1)
    own = tf.reduce_sum(weight * log_normalizer - chosen, axis=-1)
    return tf.reduce_mean(own, axis=-1)


def join_members(
    table: AttributeTable, logits: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Returns logits of the members' mean probabilities.

    Args:
        table: The attributes.
        logits: Of all heads side by side, `(entries, members, sum of values)`.

    Returns:
        `(entries, sum of values)`: the logarithms of probabilities.
    """
    parts = []
    for own in np.split(logits, _ends(table)[:-1], axis=-1):
        log_probabilities = own - special.logsumexp(own, axis=-1, keepdims=True)
        parts.append(special.logsumexp(log_probabilities, axis=1))
    return np.concatenate(parts, axis=-1) - np.float32(np.log(logits.shape[1]))


def _ends(table: AttributeTable) -> list[int]:
    """Returns where each head's logits end."""
    return list(itertools.accumulate(table.num_values))


def _pad(table: AttributeTable, logits: tf.Tensor) -> tf.Tensor:
    """Returns logits as `(batch, members, attributes, m)`.

    They are `_NEVER` where an attribute has no such value.
    """
    ends = _ends(table)
    places = np.full((len(table), max(table.num_values)), ends[-1])
    for index, (end, values) in enumerate(zip(ends, table.num_values, strict=True)):
        places[index, :values] = np.arange(end - values, end)
    with_never = tf.pad(logits, [[0, 0], [0, 0], [0, 1]], constant_values=_NEVER)
    return tf.gather(with_never, places, axis=-1)


def split_logits(
    table: AttributeTable, logits: npt.NDArray[np.float32]
) -> dict[str, npt.NDArray[np.float32]]:
    """Divides logits side by side, `(entries, sum of values)`, by attribute."""
    parts = np.split(logits, _ends(table)[:-1], axis=1)
    return dict(zip(table.names, parts, strict=True))
