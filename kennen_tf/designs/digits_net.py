"""digits_net: the idea of MNIST-NET on scikit-learn's 8x8 digits, in minutes.

Fewer values of the same attributes, and classifiers of half a second each: for
quick trials, for tests, and to see the whole chain before hours are spent. What its
metamodels say holds for its own classifiers alone.
"""

import functools
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import Attribute, AttributeTable, Values
from kennen_tf.designs.design import Design, SeedOf
from kennen_tf.seeds import derive_seed

if TYPE_CHECKING:  # Tables and specs do not wait for TensorFlow.
    import keras

CONV_WIDTH = 8
FC_WIDTH = 32
DROPOUT_RATE = 0.5

TABLE = AttributeTable(
    (
        Attribute(
            name="act",
            description="activation",
            values=("relu", "elu", "tanh"),
            group="architecture",
        ),
        Attribute(
            name="drop",
            description="dropout",
            values=("no", "yes"),
            group="architecture",
        ),
        Attribute(
            name="pool",
            description="max pooling",
            values=("no", "yes"),
            group="architecture",
        ),
        Attribute(
            name="ks",
            description="kernel size",
            values=(2, 4),
            group="architecture",
        ),
        Attribute(
            name="conv",
            code="#conv",
            description="convolution layers",
            values=(1, 2),
            group="architecture",
        ),
        Attribute(
            name="fc",
            code="#fc",
            description="fully connected layers, the last linear one included",
            values=(1, 2),
            group="architecture",
        ),
        Attribute(
            name="par",
            code="#par",
            description="parameters, floor of log2",
            values=tuple(range(10, 18)),
            group="architecture",
            derive=lambda facts: facts.num_params.bit_length() - 1,
        ),
        Attribute(
            name="ens",
            description="ensemble",
            values=("no", "yes"),
            group="architecture",
            derive=lambda facts: "yes" if facts.num_members > 1 else "no",
        ),
        Attribute(
            name="alg",
            description="optimizer",
            values=("sgd", "adam"),
            group="optimization",
        ),
        Attribute(
            name="bs",
            description="batch size",
            values=(16, 64),
            group="optimization",
        ),
        Attribute(
            name="size",
            description="amount of training data",
            values=("all", "half"),
            group="data",
            derive=lambda facts: str(facts.combination["split"]).rstrip("01"),
        ),
        Attribute(
            name="split",
            description="which training data",
            values=("all0", "half0", "half1"),
            group="data",
        ),
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


@functools.lru_cache(maxsize=8)
def _subset(split: str, num_images: int) -> npt.NDArray[np.int32]:
    random = np.random.default_rng(derive_seed(0, "data subsets", num_images))
    order = random.permutation(num_images).astype(np.int32)
    parts = 1 if split.startswith("all") else 2
    return np.array_split(order, parts)[int(split[-1])]


DESIGN = Design(
    attributes=TABLE,
    images="digits",
    build=build,
    step_attributes=("act", "drop", "pool", "ks", "conv", "fc", "alg"),
    optimizer=make_optimizer,
    batch_size=lambda values: int(values["bs"] or 0),
    epochs=15,
    subset=lambda values, num_images: _subset(str(values["split"]), num_images),
    min_accuracy=0.8,
    ensembles=True,
    name="digits_net",
)
