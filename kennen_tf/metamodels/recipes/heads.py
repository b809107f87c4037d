"""One softmax head for each attribute, and their logits side by side.

Metamodels answer with a dict from attribute to probabilities. Training works on the
logits of all heads side by side instead; see `joint_loss.py`.

A metamodel may be an ensemble, whose members learn side by side: logits have an axis of
members, and probabilities are the members' mean.
"""

import itertools
from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt
from scipy import special

from kennen_tf.attributes import AttributeTable

# Logit of a value that no training entry has.
_UNSEEN = -50.0

# Of each attribute, those of the entries; `attributes.MISSING` without a value.
Labels = Mapping[str, npt.NDArray[np.integer]]
# Of each attribute, what the values of entries are given by what has not seen their
# combination, `(entries, values)`; NaN where nobody could be asked.
LeftOut = dict[str, npt.NDArray[np.floating]]


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
    for own in np.split(logits, ends_of(table)[:-1], axis=-1):
        log_probabilities = own - special.logsumexp(own, axis=-1, keepdims=True)
        parts.append(special.logsumexp(log_probabilities, axis=1))
    return np.concatenate(parts, axis=-1) - np.float32(np.log(logits.shape[1]))


def split_logits(
    table: AttributeTable, logits: npt.NDArray[np.float32]
) -> dict[str, npt.NDArray[np.float32]]:
    """Divides logits side by side, `(entries, sum of values)`, by attribute."""
    parts = np.split(logits, ends_of(table)[:-1], axis=1)
    return dict(zip(table.names, parts, strict=True))


def ends_of(table: AttributeTable) -> list[int]:
    """Returns where each head's logits end."""
    return list(itertools.accumulate(table.num_values))
