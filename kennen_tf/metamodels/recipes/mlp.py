"""The MLP that reads outputs (paper, section 4); what trains it is in `fitting.py`.

The paper's is one network. Ours are several side by side: one for each group of
attributes, since those of other groups disturb it, and of each group several members
that differ in their initial weights and dropout.
"""

import keras
import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.recipes import Recipe
from kennen_tf.metamodels.recipes import features, heads
from kennen_tf.vocabulary.seeds import derive_seed


def build(
    recipe: Recipe,
    table: AttributeTable,
    train_features: npt.NDArray[np.float32],
    seed: int,
) -> tuple[keras.Model, keras.Model]:
    """Builds an untrained metamodel of layers of Keras only.

    What depends on the features or the seed is in variables, so that a step compiled
    for one training serves others of the recipe (`fitting.CompiledModels`).

    Args:
        recipe: What it reads and its layers; its groups are those of the table.
        table: The attributes.
        train_features: Represented outputs `(entries, num_queries, classes)`.
        seed: Root seed of initialisation, noise and dropout.

    Returns:
        What `heads.make_models` returns.
    """
    inputs = keras.Input(train_features.shape[1:], name="features")
    x = features.add_features(
        inputs,
        train_features,
        divides=recipe.divide,
        center=recipe.center,
        separate_scale=recipe.separate_scale,
        standardize=recipe.standardize,
        deviation_floor=recipe.deviation_floor,
    )
    if recipe.input_noise:
        x = keras.layers.GaussianNoise(
            recipe.input_noise, seed=derive_seed(seed, "noise"), name="noise"
        )(x)
    # Networks side by side: the members of the first group of attributes, and so on.
    num_networks = len(recipe.groups) * recipe.members
    for index, units in enumerate(recipe.hidden_units):
        x = _add_dense(
            x,
            num_networks,
            units,
            name=f"hidden{index}",
            seed=derive_seed(seed, "initialisation", index),
            activation=recipe.activation,
        )
        if recipe.dropout:
            x = keras.layers.Dropout(
                recipe.dropout,
                seed=derive_seed(seed, "dropout", index),
                name=f"dropout{index}",
            )(x)
    logits = {}
    for place, group in enumerate(recipe.groups):
        own = x[:, place * recipe.members : (place + 1) * recipe.members]
        for name in group:
            logits[name] = _add_dense(
                own,
                recipe.members,
                len(table[name].values),
                name=f"{name}_logits",
                seed=derive_seed(seed, "initialisation", name),
            )
    return heads.make_models(table, inputs, logits, "kennen_o")


def _add_dense(
    x: keras.KerasTensor,
    num_networks: int,
    units: int,
    *,
    name: str,
    seed: int,
    activation: str | None = None,
) -> keras.KerasTensor:
    """Adds a dense layer of networks side by side.

    Args:
        x: What all of them read, `(batch, features)`, or each its own, `(batch,
            networks, features)`.
        num_networks: How many there are.
        units: Outputs of each.
        name: Of the layer.
        seed: Of the initialisation.
        activation: Any name that Keras knows.

    Returns:
        `(batch, networks, units)`.
    """
    equation = "bnf,nfu->bnu" if len(x.shape) == 3 else "bf,fnu->bnu"
    layer = keras.layers.EinsumDense(
        equation,
        (num_networks, units),
        activation=activation,
        bias_axes="nu",
        name=name,
    )
    layer.build(x.shape)
    # Keras takes the fans of the whole kernel; each network has its own.
    kernels = [
        keras.initializers.GlorotUniform(derive_seed(seed, place))((x.shape[-1], units))
        for place in range(num_networks)
    ]
    axis = equation.split(",")[1].index("n")
    layer.kernel.assign(keras.ops.stack(kernels, axis=axis))
    return layer(x)


def make_optimizer(recipe: Recipe, num_steps: int) -> keras.optimizers.Optimizer:
    """Makes the recipe's optimizer for a training of that many steps in all."""
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, num_steps)
    if recipe.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    # Keras takes the decay off the weights. For plain SGD that equals the decay in the
    # gradient of the published code.
    return keras.optimizers.SGD(
        rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
