"""wild_net: digit classifiers as people publish them.

Perceptrons and convolutional networks with the layers, widths, pixels and trainings
that tutorials teach and repositories hold, to name the insides of files found there.
Out there, nine in ten have ReLU and Adam; here, other values are drawn often enough to
be learned (`wild_table.SHARES`).

Layers are in the order that is usual: convolution, normalisation before or after the
activation, pooling, dropout; hidden dense layers, dropout after each; a linear one.
Left out, as rare: kernels of several sizes in one network, convolutions without an
activation, Adadelta, learning rates other than the usual, more than four convolutions.

A training is bounded: what would take more than `wild_layers.MOST_SECONDS` of one core
is drawn anew. So there is no wide network of many passes over all 60,000 images, and a
wide one is drawn more often, to be there for few. About half of the classifiers see a
third of the images: so there are wide ones of many passes too, sure of themselves as
those out there are. With as many attributes nearly each classifier has a compiled step
of its own: a second of tracing in a quarter of a minute.
"""

import functools
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import Value, Values
from kennen_tf.designs import wild_layers
from kennen_tf.designs.design import Design, SeedOf
from kennen_tf.designs.wild_table import TABLE, draw
from kennen_tf.vocabulary.seeds import derive_seed

if TYPE_CHECKING:  # Tables and specs do not wait for TensorFlow.
    import keras

PIXEL_MEAN, PIXEL_STD = 0.1307, 0.3081
# Scale and offset that the first layer applies to pixels in [0, 1].
PIXELS = {
    "unit": (1.0, 0.0),
    "pm1": (2.0, -1.0),
    "standardised": (1 / PIXEL_STD, -PIXEL_MEAN / PIXEL_STD),
}
# Between convolutions, between dense layers, and in perceptrons, as tutorials have it.
CONV_DROPOUT, FC_DROPOUT, PERCEPTRON_DROPOUT = 0.25, 0.5, 0.2
SGD_RATE, SGD_MOMENTUM = 0.01, 0.9


def build(values: Values, seed: SeedOf) -> "keras.Model":
    """Builds a classifier: pixels, convolutions, dense layers.

    Dropout between convolutions follows pooling, or each convolution if there is none.
    Normalisation is at the convolutions; in a perceptron, at the hidden layers. With no
    hidden dense layer, dropout stands before the linear one.
    """
    import keras

    def kernel(name: str) -> "keras.Initializer":
        return keras.initializers.GlorotUniform(seed("kernel", name))

    def activate(
        x: "keras.KerasTensor", name: str, norm: Value | None
    ) -> "keras.KerasTensor":
        if norm == "before":
            x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
        x = keras.layers.Activation(values["act"], name=f"{name}_act")(x)
        if norm == "after":
            x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
        return x

    def drop(x: "keras.KerasTensor", rate: float, name: str) -> "keras.KerasTensor":
        return keras.layers.Dropout(rate, seed=seed("dropout", name), name=name)(x)

    images = keras.Input((wild_layers.SIDE, wild_layers.SIDE, 1), name="images")
    scale, offset = PIXELS[str(values["pixels"])]
    x = keras.layers.Rescaling(scale, offset, name="pixels")(images)
    convolutions = wild_layers.plan_convolutions(values)
    for i, layer in enumerate(convolutions):
        x = keras.layers.Conv2D(
            layer.filters,
            values["ks"],
            padding=layer.padding,
            kernel_initializer=kernel(f"conv{i}"),
            name=f"conv{i}",
        )(x)
        x = activate(x, f"conv{i}", values["norm"])
        if layer.is_pooled:
            pooling = {
                "max": keras.layers.MaxPooling2D,
                "average": keras.layers.AveragePooling2D,
            }[str(values["pool"])]
            x = pooling(2, name=f"pool{i}")(x)
        if values["drop_conv"] == "yes" and (layer.is_pooled or values["pool"] == "no"):
            x = drop(x, CONV_DROPOUT, f"conv{i}_drop")
    if values["head"] == "average":
        x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    else:
        x = keras.layers.Flatten(name="flatten")(x)
    rate = FC_DROPOUT if convolutions else PERCEPTRON_DROPOUT
    hidden = wild_layers.plan_hidden(values)
    for i, units in enumerate(hidden):
        x = keras.layers.Dense(
            units, kernel_initializer=kernel(f"fc{i}"), name=f"fc{i}"
        )(x)
        x = activate(x, f"fc{i}", None if convolutions else values["norm"])
        if values["drop_fc"] == "yes":
            x = drop(x, rate, f"fc{i}_drop")
    if values["drop_fc"] == "yes" and not hidden:
        x = drop(x, rate, "drop")
    logits = keras.layers.Dense(
        wild_layers.NUM_CLASSES, kernel_initializer=kernel("logits"), name="logits"
    )
    return keras.Model(images, logits(x))


def make_optimizer(values: Values) -> "keras.optimizers.Optimizer":
    """Makes an optimizer with Keras' settings; SGD has the usual momentum."""
    import keras

    if values["alg"] == "sgd":
        return keras.optimizers.SGD(SGD_RATE, momentum=SGD_MOMENTUM)
    if values["alg"] == "adam":
        return keras.optimizers.Adam()
    return keras.optimizers.RMSprop()


def training_indices(values: Values, num_images: int) -> npt.NDArray[np.int32]:
    """Returns the positions of the training images of a classifier: all, or a third.

    The third is the same for all, whatever a zoo's root seed.
    """
    num_kept = round(num_images * wild_layers.SHARES_OF_IMAGES[str(values["size"])])
    return _shuffle(num_images)[:num_kept]


@functools.lru_cache(maxsize=4)
def _shuffle(num_images: int) -> npt.NDArray[np.int32]:
    random = np.random.default_rng(derive_seed(0, "wild_net", "images", num_images))
    order = random.permutation(num_images).astype(np.int32)
    order.setflags(write=False)
    return order


DESIGN = Design(
    attributes=TABLE,
    images="mnist",
    build=build,
    step_attributes=tuple(
        attribute.name
        for attribute in TABLE.chosen
        if attribute.name not in ("bs", "epochs", "size")
    ),
    optimizer=make_optimizer,
    batch_size=lambda values: int(values["bs"] or 0),
    epochs=lambda values: int(values["epochs"] or 0),
    subset=training_indices,
    min_accuracy=0.8,
    draw=draw,
    name="wild_net",
)
