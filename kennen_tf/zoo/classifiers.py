"""Architecture of the zoo's classifiers, from a spec to a Keras model.

N convolution blocks, M fully connected blocks, one linear layer (paper, section 3).
A convolution block is convolution, max pooling if chosen, activation; a fully connected
block is linear, activation, dropout if chosen. The first two convolutions are unpadded
and carry the pooling, the others keep the size and never pool. Unlike the published
code, every block has the chosen activation and dropout.
"""

import keras

from kennen_tf.labeled_images import IMAGE_SHAPE, NUM_CLASSES
from kennen_tf.zoo.specs import ClassifierSpec, shape_key

CONV_WIDTHS = (10, 20, 20, 20)
FC_WIDTH = 50
PRELU_INITIAL = 0.25
DROPOUT_RATE = 0.5
PIXEL_MEAN, PIXEL_STD = 0.1307, 0.3081


def build_classifier(
    spec: ClassifierSpec, compute_dtype: str = "float32"
) -> keras.Model:
    """Builds an untrained classifier.

    Args:
        spec: Its architecture; what else the spec says is not used here.
        compute_dtype: "float32" or "bfloat16"; weights and the softmax are float32.

    Returns:
        A Keras model of layers of Keras only, from images, float32 `(batch, 28, 28,
        1)` in [0, 1], to probabilities, float32 `(batch, 10)`. Its layer "logits" is
        what comes before the softmax.
    """
    act, drop, pool, ks, num_conv, num_fc = shape_key(spec)
    policy = "mixed_bfloat16" if compute_dtype == "bfloat16" else "float32"
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

    def activate(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        if act == "prelu":
            return shared(x)
        return keras.layers.Activation(act, dtype=act_policy, name=name)(x)

    images = keras.Input(IMAGE_SHAPE, name="images")
    x = keras.layers.Rescaling(
        1 / PIXEL_STD, -PIXEL_MEAN / PIXEL_STD, dtype=policy, name="standardize"
    )(images)
    for i in range(int(num_conv)):
        x = keras.layers.Conv2D(
            CONV_WIDTHS[i],
            ks,
            padding="valid" if i < 2 else "same",
            dtype=policy,
            name=f"conv{i}",
        )(x)
        if pool == "yes" and i < 2:
            x = keras.layers.MaxPooling2D(dtype=policy, name=f"pool{i}")(x)
        x = activate(x, f"conv{i}_{act}")
    x = keras.layers.Flatten(dtype=policy, name="flatten")(x)
    if act == "prelu":
        x = keras.layers.Reshape((1, 1, -1), dtype=policy, name="expand")(x)
    for i in range(int(num_fc) - 1):
        x = keras.layers.Dense(FC_WIDTH, dtype=policy, name=f"fc{i}")(x)
        x = activate(x, f"fc{i}_{act}")
        if drop == "yes":
            x = keras.layers.Dropout(
                DROPOUT_RATE, seed=0, dtype=policy, name=f"drop{i}"
            )(x)
    if act == "prelu":
        x = keras.layers.Reshape((FC_WIDTH,), dtype=policy, name="squeeze")(x)
    logits = keras.layers.Dense(NUM_CLASSES, dtype=policy, name="logits")(x)
    outputs = keras.layers.Softmax(dtype="float32", name="probabilities")(logits)
    return keras.Model(images, outputs, name="classifier")
