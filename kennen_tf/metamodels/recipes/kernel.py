"""A metamodel in closed form: one kernel ridge regression for all attributes.

It is a network of one hidden layer whose units say how alike outputs are to those of a
training entry, in the mean of two views of them: the proportions of log-probabilities,
and probabilities to a small power. Its weights are not descended to but solved for;
what it would answer if a combination of attribute values had been left out has a closed
form, too, and tells how far its answers are to be trusted.

Entries all count alike, so that attributes share what takes long. That values count
alike lies in what is regressed on: how much likelier a value is than it is among the
training entries.
"""

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
from scipy import special

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.recipes import KernelRecipe
from kennen_tf.metamodels.recipes import (
    features,
    heads,
    joint_loss,
    missing,
    regression,
)
from kennen_tf.metamodels.recipes.temperature import find_temperature

# Rows of the kernel that are computed at once.
_ROWS = 1000

Array = npt.NDArray[np.float64]


def fit(
    recipe: KernelRecipe,
    table: AttributeTable,
    train_features: npt.NDArray[np.float32],
    labels: heads.Labels,
    combination_ids: Sequence[str],
    left_out: heads.LeftOut | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Solves for a regression of the values of all attributes.

    Args:
        recipe: What it reads, and how smooth it is.
        table: The attributes.
        train_features: Represented outputs `(entries, num_queries, classes)`.
        labels: For each attribute, `(entries,)`. Heads are fitted to the entries that
            have a value of their attribute.
        combination_ids: Of the entries; those of one combination are left out together
            when it is found how far to trust the answers.
        left_out: Filled with probabilities of the values of each attribute, as they
            would be if an entry's combination had been left out.

    Returns:
        What `heads.make_models` returns: a metamodel of layers of Keras only, and the
        same with logits.
    """
    inputs = keras.Input(train_features.shape[1:], name="features")
    landmarks = regression.choose_landmarks(len(train_features), recipe.landmarks)
    kernel = np.zeros((len(train_features), len(landmarks)), np.float32)
    likenesses = []
    for number, how in enumerate(recipe.views):
        x = features.add_features(
            inputs,
            train_features,
            standardize=True,
            deviation_floor=recipe.deviation_floor,
            suffix=str(number),
            divides=recipe.divide,
            **how,
        )
        read = features.call(keras.Model(inputs, x), train_features)
        scale = recipe.steepness / read.shape[1]
        _add_to_kernel(kernel, read, landmarks, scale, 1 / len(recipe.views))
        likenesses.append(_add_likeness(x, read[landmarks], scale, f"likeness{number}"))
    models, layers = heads.make_dense_models(
        table, inputs, keras.layers.Average(name="alike")(likenesses), "kernel"
    )
    _, combinations = np.unique(combination_ids, return_inverse=True)
    counting = joint_loss.make_targets(
        table,
        labels,
        balance=recipe.balance,
        max_weight=recipe.max_weight,
        label_smoothing=0.0,
    )
    for layer in layers.values():  # What no entry has a value of stays uniform.
        layer.set_weights([np.zeros_like(own) for own in layer.get_weights()])
    for is_known, attributes in missing.group(table, labels):
        known = np.flatnonzero(is_known)
        weights = [np.diag(counting[table.names.index(a.name)]) for a in attributes]
        targets = [
            _make_targets(labels[attribute.name][known], len(attribute.values), counts)
            for attribute, counts in zip(attributes, weights, strict=True)
        ]
        ends = np.cumsum([own.shape[1] for own in targets])[:-1]
        solved = regression.solve(
            kernel,
            landmarks,
            known,
            recipe.ridge,
            np.concatenate(targets, axis=1),
            combinations[known],
        )
        parts = (np.split(own, ends, axis=1) for own in solved)
        for attribute, counts, found, answers in zip(
            attributes, weights, *parts, strict=True
        ):
            own, num_values = labels[attribute.name][known], len(attribute.values)
            bias = heads.bias_against_unseen(own, num_values)
            bias += recipe.prior * _log_shares(own, num_values)
            # As often as values occur where they are as common as that.
            weights_of = counts[own] ** (1 - recipe.prior)
            temperature = find_temperature(answers, own, weights_of, bias)
            layers[attribute.name].set_weights([temperature * found, bias])
            if left_out is not None:
                said = np.full((len(train_features), num_values), np.nan)
                said[known] = special.softmax(temperature * answers + bias, axis=1)
                left_out[attribute.name] = said
    return models


def _add_likeness(
    x: keras.KerasTensor, read: npt.NDArray[np.float32], scale: float, name: str
) -> keras.KerasTensor:
    """Adds layers that say how alike features are to those of each landmark.

    Args:
        x: Features, `(batch, features)`.
        read: Those of landmarks, `(landmarks, features)`.
        scale: What squared distances are multiplied with.
        name: Of the layer that has the landmarks' features.

    Returns:
        `(batch, landmarks)`, 1 being the same.
    """
    likeness = keras.layers.Dense(len(read), name=name)
    squares = keras.ops.sum(keras.ops.square(x), axis=-1, keepdims=True)
    # Rounding may not make features more than alike to themselves.
    distances = keras.ops.maximum(scale * squares - likeness(x), 0.0)
    alike = keras.ops.rsqrt(1.0 + distances)
    likeness.set_weights([2 * scale * read.T, -scale * np.sum(read**2, axis=1)])
    return alike


def _add_to_kernel(
    kernel: npt.NDArray[np.float32],
    read: npt.NDArray[np.float32],
    landmarks: npt.NDArray[np.integer],
    scale: float,
    share: float,
) -> None:
    """Adds a share of how alike entries and landmarks are, 1 being the same.

    Args:
        kernel: Added to, `(entries, landmarks)`.
        read: Features, `(entries, features)`.
        landmarks: Places of the landmarks among the entries.
        scale: What squared distances are multiplied with.
        share: What is added of 1.
    """
    squares = np.sum(read**2, axis=1)
    centers = read[landmarks].T
    for start in range(0, len(read), _ROWS):
        rows = slice(start, start + _ROWS)
        distances = read[rows] @ centers
        distances *= -2
        distances += squares[rows, np.newaxis]
        distances += squares[landmarks]
        np.maximum(distances, 0, out=distances)
        distances *= scale
        distances += 1
        kernel[rows] += share / np.sqrt(distances, out=distances)


def _log_shares(
    labels: npt.NDArray[np.integer], num_values: int
) -> npt.NDArray[np.float32]:
    """Returns the logarithm of each value's share, 0 for those that nobody has."""
    shares = np.bincount(labels, minlength=num_values) / len(labels)
    return np.log(np.where(shares > 0, shares, 1.0)).astype(np.float32)


def _make_targets(
    labels: npt.NDArray[np.integer],
    num_values: int,
    weights: npt.NDArray[np.floating],
) -> Array:
    """Returns what is regressed on, `(entries, values)`.

    To all values, nothing known means 0; that is the mean, too.

    Args:
        labels: `(entries,)`.
        num_values: Of the attribute.
        weights: How much entries of each value count, at least `(values,)`.
    """
    shares = np.bincount(labels, minlength=num_values) / len(labels)
    return (np.eye(num_values)[labels] - shares) * weights[:num_values]
