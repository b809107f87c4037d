"""MNIST-NET: the paper's zoo of digit classifiers (section 3)."""

import functools
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import Values
from kennen_tf.designs.design import Design, SeedOf
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.vocabulary.seeds import derive_seed

if TYPE_CHECKING:  # Tables and specs do not wait for TensorFlow.
    import keras

CONV_WIDTHS = (10, 20, 20, 20)
FC_WIDTH = 50
PRELU_INITIAL = 0.25
DROPOUT_RATE = 0.5
PIXEL_MEAN, PIXEL_STD = 0.1307, 0.3081
IMAGE_SHAPE, NUM_CLASSES = (28, 28, 1), 10
NUM_PARTS = {"all": 1, "half": 2, "quarter": 4}


def build(values: Values, seed: SeedOf) -> "keras.Model":
    """Builds a classifier: N convolution blocks, M fully connected ones, one linear.

    A convolution block is convolution, max pooling if chosen, activation; a fully
    connected block is linear, activation, dropout if chosen. The first two convolutions
    are unpadded and carry the pooling, the others keep the size and never pool. Unlike
    in the published code, every block has the chosen activation and dropout.
    """
    import keras

    policy = keras.config.dtype_policy().name
    act = values["act"]
    # But for ReLU, TensorFlow's activations take twice as long in bfloat16 as in
    # float32 with both casts.
    act_policy = policy if act == "relu" else "float32"
    if act == "prelu":
        # One coefficient for the whole network. A shared layer needs inputs of one
        # rank, hence the (1, 1, features) shape of what follows the flattening.
        shared = keras.layers.PReLU(
            alpha_initializer=keras.initializers.Constant(PRELU_INITIAL),
            shared_axes=[1, 2, 3],
            dtype=act_policy,
            name="prelu",
        )

    def activate(x: "keras.KerasTensor", name: str) -> "keras.KerasTensor":
        if act == "prelu":
            return shared(x)
        return keras.layers.Activation(act, dtype=act_policy, name=name)(x)

    def kernel(name: str) -> "keras.Initializer":
        return keras.initializers.GlorotUniform(seed("kernel", name))

    images = keras.Input(IMAGE_SHAPE, name="images")
    x = keras.layers.Rescaling(
        1 / PIXEL_STD, -PIXEL_MEAN / PIXEL_STD, dtype=policy, name="standardize"
    )(images)
    for i in range(int(values["conv"] or 0)):
        x = keras.layers.Conv2D(
            CONV_WIDTHS[i],
            values["ks"],
            padding="valid" if i < 2 else "same",
            kernel_initializer=kernel(f"conv{i}"),
            dtype=policy,
            name=f"conv{i}",
        )(x)
        if values["pool"] == "yes" and i < 2:
            x = keras.layers.MaxPooling2D(dtype=policy, name=f"pool{i}")(x)
        x = activate(x, f"conv{i}_{act}")
    x = keras.layers.Flatten(dtype=policy, name="flatten")(x)
    if act == "prelu":
        x = keras.layers.Reshape((1, 1, -1), dtype=policy, name="expand")(x)
    for i in range(int(values["fc"] or 0) - 1):
        x = keras.layers.Dense(
            FC_WIDTH, kernel_initializer=kernel(f"fc{i}"), dtype=policy, name=f"fc{i}"
        )(x)
        x = activate(x, f"fc{i}_{act}")
        if values["drop"] == "yes":
            x = keras.layers.Dropout(
                DROPOUT_RATE,
                seed=seed("dropout", f"drop{i}"),
                dtype=policy,
                name=f"drop{i}",
            )(x)
    if act == "prelu":
        x = keras.layers.Reshape((FC_WIDTH,), dtype=policy, name="squeeze")(x)
    logits = keras.layers.Dense(
        NUM_CLASSES, kernel_initializer=kernel("logits"), dtype=policy, name="logits"
    )(x)
    return keras.Model(images, logits)


def make_optimizer(values: Values) -> "keras.optimizers.Optimizer":
    """Makes an optimizer with the published code's learning rate and momentum."""
    import keras

    if values["alg"] == "sgd":
        return keras.optimizers.SGD(0.1, momentum=0.5)
    if values["alg"] == "adam":
        return keras.optimizers.Adam(0.001)
    return keras.optimizers.RMSprop(0.001, momentum=0.5)


def training_indices(values: Values, num_images: int) -> npt.NDArray[np.int32]:
    """Returns the positions of the training images that a data subset holds.

    Halves are disjoint, quarters too, and each half is two of the quarters. The
    subsets are the same in every zoo, whatever its root seed, so that "half0" means
    the same images to the metamodel of one zoo and the black boxes of another.
    """
    return _subset(str(values["split"]), num_images)


@functools.lru_cache(maxsize=16)
def _subset(split: str, num_images: int) -> npt.NDArray[np.int32]:
    kind = split.rstrip("0123")
    random = np.random.default_rng(derive_seed(0, "data subsets", num_images))
    order = random.permutation(num_images).astype(np.int32)
    return np.array_split(order, NUM_PARTS[kind])[int(split[len(kind) :])]


DESIGN = Design(
    attributes=TABLE,
    images="mnist",
    build=build,
    step_attributes=("act", "drop", "pool", "ks", "conv", "fc", "alg"),
    optimizer=make_optimizer,
    batch_size=lambda values: int(values["bs"] or 0),
    epochs=100,
    subset=training_indices,
    min_accuracy=0.98,
    gives_up=True,
    ensembles=True,
    takes_bfloat16=True,
    name="mnist_net",
)
