"""A metamodel in closed form: kernel ridge regressions for each attribute.

It is a network of one hidden layer whose units say how alike outputs are to those of a
training entry, once for each of two views of them: the proportions of
log-probabilities, and probabilities to a small power. Its weights are not descended to
but solved for; what it would answer if a combination of attribute values had been left
out has a closed form, too, and tells how far its answers are to be trusted.
"""

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
import tqdm
from scipy import special

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.recipes import KernelRecipe
from kennen_tf.metamodels.recipes import features, heads, joint_loss
from kennen_tf.metamodels.recipes.temperature import find_temperature

Array = npt.NDArray[np.float64]


def fit(
    recipe: KernelRecipe,
    table: AttributeTable,
    train_features: npt.NDArray[np.float32],
    labels: heads.Labels,
    combination_ids: Sequence[str],
    left_out: heads.LeftOut | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Solves for two regressions for each attribute; answers are their mean.

    Args:
        recipe: What it reads, and how smooth it is.
        table: The attributes.
        train_features: Represented outputs `(entries, num_queries, classes)`.
        labels: For each attribute, `(entries,)`. The regressions of an attribute are
            fitted to the entries that have a value of it.
        combination_ids: Of the entries; those of one combination are left out together
            when it is found how far to trust the answers.
        left_out: Filled with probabilities of the values of each attribute, as they
            would be if an entry's combination had been left out.

    Returns:
        What `heads.make_models` returns: a metamodel of layers of Keras only, and the
        same with logits.
    """
    inputs = keras.Input(train_features.shape[1:], name="features")
    kernels, likenesses = [], []
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
        kernels.append(_make_kernel(read.astype(np.float64), scale))
        likenesses.append(_add_likeness(x, read, scale, f"likeness{number}"))
    models, layers = heads.make_dense_models(
        table, inputs, keras.layers.Concatenate(name="alike")(likenesses), "kernel"
    )
    _, combinations = np.unique(combination_ids, return_inverse=True)
    targets = joint_loss.make_targets(
        table,
        labels,
        balance=recipe.balance,
        max_weight=recipe.max_weight,
        label_smoothing=0.0,
    )
    for index, attribute in enumerate(
        tqdm.tqdm(table, "kernel", unit="attribute", leave=None)
    ):
        own, num_values = labels[attribute.name], len(attribute.values)
        known = np.flatnonzero(own >= 0)
        weights = np.zeros((len(kernels), len(own), num_values), np.float32)
        weights[:, known], logits = _fit_head(
            [_among(kernel, known) for kernel in kernels],
            recipe.ridge,
            joint_loss.weigh(targets, own, index)[known],
            own[known],
            num_values,
            combinations[known],
        )
        bias = heads.bias_against_unseen(own, num_values)
        if left_out is not None:
            left_out[attribute.name] = np.full((len(own), num_values), np.nan)
            left_out[attribute.name][known] = special.softmax(logits + bias, axis=1)
        layers[attribute.name].set_weights([weights.reshape(-1, num_values), bias])
    return models


def _add_likeness(
    x: keras.KerasTensor, read: npt.NDArray[np.float32], scale: float, name: str
) -> keras.KerasTensor:
    """Adds layers that say how alike features are to those of each training entry.

    Args:
        x: Features, `(batch, features)`.
        read: Those of training entries, `(entries, features)`.
        scale: What squared distances are multiplied with.
        name: Of the layer that has the training entries' features.

    Returns:
        `(batch, entries)`, 1 being the same.
    """
    likeness = keras.layers.Dense(len(read), name=name)
    squares = keras.ops.sum(keras.ops.square(x), axis=-1, keepdims=True)
    # Rounding may not make features more than alike to themselves.
    distances = keras.ops.maximum(scale * squares - likeness(x), 0.0)
    alike = keras.ops.rsqrt(1.0 + distances)
    likeness.set_weights([2 * scale * read.T, -scale * np.sum(read**2, axis=1)])
    return alike


def _among(kernel: Array, places: npt.NDArray[np.integer]) -> Array:
    """Returns the part of a kernel between entries at some places."""
    # Without a copy, where it is all of it.
    return kernel if len(places) == len(kernel) else kernel[np.ix_(places, places)]


def _fit_head(
    kernels: Sequence[Array],
    ridge: float,
    balance: npt.NDArray[np.float32],
    labels: npt.NDArray[np.integer],
    num_values: int,
    combinations: npt.NDArray[np.integer],
) -> tuple[Array, Array]:
    """Solves for a head.

    Args:
        kernels: Of each regression, `(entries, entries)`.
        ridge: Strength of the regularisation.
        balance: How much each entry counts, `(entries,)`.
        labels: `(entries,)`.
        num_values: Of the attribute.
        combinations: `(entries,)`; entries of one are left out together.

    Returns:
        How much each entry weighs, `(regressions, entries, values)`, and the logits of
        entries of combinations left out, `(entries, values)`, but for the bias.
    """
    seen = np.unique(labels)
    if len(seen) < 2:  # There is nothing to be told apart.
        nothing = np.zeros((len(kernels), len(labels), num_values))
        return nothing, nothing[0]
    # To all values that occur, nothing known means the same.
    targets = np.eye(num_values)[labels]
    targets[:, seen] -= 1 / len(seen)
    groups = [np.flatnonzero(combinations == own) for own in np.unique(combinations)]
    weights, left_out = [], []
    for kernel in kernels:
        inverse = np.linalg.inv(kernel + np.diag(ridge / balance))
        weights.append(inverse @ targets / len(kernels))
        left_out.append(targets / len(kernels))
        for own in groups:
            left_out[-1][own] -= np.linalg.solve(
                inverse[np.ix_(own, own)], weights[-1][own]
            )
    bias = heads.bias_against_unseen(labels, num_values)
    answers = np.sum(left_out, axis=0)
    temperature = find_temperature(answers, labels, balance, bias)
    return temperature * np.stack(weights), temperature * answers


def _make_kernel(x: Array, scale: float) -> Array:
    """Returns how alike entries are, `(entries, entries)`, 1 being the same."""
    squares = np.sum(x**2, axis=1)
    distances = squares[:, np.newaxis] + squares - 2 * x @ x.T
    return 1 / np.sqrt(1 + scale * np.maximum(distances, 0.0))
