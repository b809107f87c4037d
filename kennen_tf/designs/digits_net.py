"""digits_net: the idea of MNIST-NET on scikit-learn's 8x8 digits, in minutes.

Fewer values of the same attributes, and classifiers of half a second each: for
quick trials, for tests, and to see the whole chain before hours are spent. What its
metamodels say holds for its own classifiers alone.
"""

import dataclasses
from typing import TYPE_CHECKING

from kennen_tf.attributes import Attribute, AttributeTable, Value, Values
from kennen_tf.designs import mnist_net, mnist_table
from kennen_tf.designs.design import Design, SeedOf

if TYPE_CHECKING:  # Tables and specs do not wait for TensorFlow.
    import keras

CONV_WIDTH = 8
FC_WIDTH = 32
DROPOUT_RATE = 0.5


def _narrow(name: str, *values: Value) -> Attribute:
    """Returns the paper's attribute with values of our own."""
    return dataclasses.replace(mnist_table.TABLE[name], values=values)


TABLE = AttributeTable(
    (
        _narrow("act", "relu", "elu", "tanh"),
        mnist_table.TABLE["drop"],
        mnist_table.TABLE["pool"],
        _narrow("ks", 2, 4),
        _narrow("conv", 1, 2),
        _narrow("fc", 1, 2),
        _narrow("par", *range(10, 18)),
        mnist_table.TABLE["ens"],
        _narrow("alg", "sgd", "adam"),
        _narrow("bs", 16, 64),
        _narrow("size", "all", "half"),
        _narrow("split", "all0", "half0", "half1"),
    )
)


def build(values: Values, seed: SeedOf) -> "keras.Model":
    """Builds convolutions with activation, the first pooled if chosen, then dense ones.

    Dropout stands before the last linear layer.
    """
    import keras

    def kernel(name: str) -> "keras.Initializer":
        return keras.initializers.GlorotUniform(seed("kernel", name))

    images = keras.Input((8, 8, 1), name="images")
    x = images
    for i in range(int(values["conv"] or 0)):
        x = keras.layers.Conv2D(
            CONV_WIDTH,
            values["ks"],
            padding="same",
            activation=values["act"],
            kernel_initializer=kernel(f"conv{i}"),
            name=f"conv{i}",
        )(x)
        if values["pool"] == "yes" and i == 0:
            x = keras.layers.MaxPooling2D(name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for i in range(int(values["fc"] or 0) - 1):
        x = keras.layers.Dense(
            FC_WIDTH,
            activation=values["act"],
            kernel_initializer=kernel(f"fc{i}"),
            name=f"fc{i}",
        )(x)
    if values["drop"] == "yes":
        x = keras.layers.Dropout(DROPOUT_RATE, seed=seed("dropout"), name="drop")(x)
    logits = keras.layers.Dense(10, kernel_initializer=kernel("logits"), name="logits")
    return keras.Model(images, logits(x))


def make_optimizer(values: Values) -> "keras.optimizers.Optimizer":
    """Makes an optimizer."""
    import keras

    if values["alg"] == "sgd":
        return keras.optimizers.SGD(0.05, momentum=0.9)
    return keras.optimizers.Adam(0.002)


DESIGN = Design(
    attributes=TABLE,
    images="digits",
    build=build,
    step_attributes=("act", "drop", "pool", "ks", "conv", "fc", "alg"),
    optimizer=make_optimizer,
    batch_size=lambda values: int(values["bs"] or 0),
    epochs=15,
    subset=mnist_net.training_indices,
    min_accuracy=0.8,
    ensembles=True,
    name="digits_net",
)
