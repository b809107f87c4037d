"""The loss that the heads of all attributes share.

It is one loss of a few large operations, on the logits of all heads side by side, where
as many losses of Keras would take longer than the network itself.

Where an entry has no value of an attribute, its label is `attributes.MISSING`: it
counts as if it were not there. Of an ensemble, each member has the loss of its own.
"""

from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf.attributes import AttributeTable
from kennen_tf.metamodels.recipes.heads import Labels, ends_of

# Stands for the logit of a value that an attribute does not have.
_NEVER = -1e9


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


def fill(
    features: tf.Tensor, targets: tf.Tensor, num_rows: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Fills a batch with rows that count for nothing; for use in a tf.data map.

    Args:
        features: `(batch, num_queries, classes)`; at least one row.
        targets: `(batch, attributes, m)`, from `encode_targets`.
        num_rows: How many there are to be; at least as many as there are.

    Returns:
        Both with `num_rows` rows: features of the batch's own again, targets all 0.
    """
    rows = tf.shape(features)[0]
    again = tf.gather(features, tf.range(num_rows) % rows)
    nothing = tf.pad(targets, [[0, num_rows - rows], [0, 0], [0, 0]])
    return again, tf.ensure_shape(nothing, (num_rows, *targets.shape[1:]))


class JointCrossEntropy(keras.losses.Loss):
    """`joint_cross_entropy`, summed over a batch, divided by its *nominal* size.

    So every entry counts alike, in the smaller last batch of an epoch too, and the
    gradients that replicas add up are those of one device, however a batch is divided
    and whatever `fill` adds to it.
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


def _pad(table: AttributeTable, logits: tf.Tensor) -> tf.Tensor:
    """Returns logits as `(batch, members, attributes, m)`.

    They are `_NEVER` where an attribute has no such value.
    """
    ends = ends_of(table)
    places = np.full((len(table), max(table.num_values)), ends[-1])
    for index, (end, values) in enumerate(zip(ends, table.num_values, strict=True)):
        places[index, :values] = np.arange(end - values, end)
    with_never = tf.pad(logits, [[0, 0], [0, 0], [0, 1]], constant_values=_NEVER)
    return tf.gather(with_never, places, axis=-1)
