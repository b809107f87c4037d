"""kennen-o: an MLP that reads the outputs for fixed queries (paper, section 4)."""

import keras
import numpy as np
import numpy.typing as npt

from kennen_tf.configs.metamodels import Recipe
from kennen_tf.metamodels import features, heads
from kennen_tf.seeds import derive_seed


def build(
    recipe: Recipe, train_features: npt.NDArray[np.float32], seed: int
) -> tuple[keras.Model, keras.Model]:
    """Builds an untrained metamodel of layers of Keras only.

    What depends on the features or the seed is in variables, so that a step compiled
    for one training serves others of the recipe (`training.CompiledModels`).

    Args:
        recipe: What it reads and its layers.
        train_features: Represented outputs `(entries, num_queries, 10)`.
        seed: Root seed of initialisation, noise and dropout.

    Returns:
        What `heads.make_models` returns.
    """
    inputs = keras.Input(train_features.shape[1:], name="features")
    x = features.add_features(
        inputs,
        train_features,
        center=recipe.center,
        standardize=recipe.standardize,
        deviation_floor=recipe.deviation_floor,
    )
    if recipe.input_noise:
        x = keras.layers.GaussianNoise(
            recipe.input_noise, seed=derive_seed(seed, "noise"), name="noise"
        )(x)
    for index, units in enumerate(recipe.hidden_units):
        x = keras.layers.Dense(
            units,
            activation=recipe.activation,
            kernel_initializer=keras.initializers.GlorotUniform(
                derive_seed(seed, "initialisation", index)
            ),
            name=f"hidden{index}",
        )(x)
        if recipe.dropout:
            x = keras.layers.Dropout(
                recipe.dropout,
                seed=derive_seed(seed, "dropout", index),
                name=f"dropout{index}",
            )(x)
    return heads.make_models(inputs, heads.add_heads(x, seed), "kennen_o")


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
