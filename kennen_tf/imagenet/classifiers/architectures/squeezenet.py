"""SqueezeNet 1.0 and 1.1 (Iandola et al., 2016, https://arxiv.org/abs/1602.07360)."""

import keras

from kennen_tf.imagenet.classifiers.architectures.torchvision_layers import (
    Layers,
    Variant,
)

# Kernel size and channels of the first convolution, then the others: "M" is pooling, a
# pair is a fire module (channels after squeezing, and after each of its expansions).
_POOL = "M"
_VERSIONS: dict[str, tuple[int, int, tuple[str | tuple[int, int], ...]]] = {
    "squeezenet1_0": (
        *(7, 96),
        (
            *(_POOL, (16, 64), (16, 64), (32, 128)),
            *(_POOL, (32, 128), (48, 192), (48, 192), (64, 256)),
            *(_POOL, (64, 256)),
        ),
    ),
    "squeezenet1_1": (
        *(3, 64),
        (
            *(_POOL, (16, 64), (16, 64)),
            *(_POOL, (32, 128), (32, 128)),
            *(_POOL, (48, 192), (48, 192), (64, 256), (64, 256)),
        ),
    ),
}


def build_squeezenet(name: str, variant: Variant, seed: int | None) -> keras.Model:
    """Builds a SqueezeNet, "squeezenet1_0" or "squeezenet1_1".

    Args:
        name: Which.
        variant: Its size.
        seed: Of the initial weights; None for kernels of zeros.

    Returns:
        From pixels in [0, 255] to logits, none of them negative: a ReLU comes before
        the last pooling.
    """
    layers = Layers(variant, seed)
    kernel_size, channels, modules = _VERSIONS[name]
    inputs, x = layers.pixels()
    x = layers.conv(
        x,
        "features.0",
        layers.channels(channels),
        kernel_size,
        stride=variant.stem_stride,
    )
    x = layers.relu(x, "features.1")
    for index, module in enumerate(modules, start=2):
        if isinstance(module, str):
            x = layers.max_pool_ceil(x, f"features.{index}")
        else:
            x = _fire(layers, x, f"features.{index}", *module)
    x = layers.dropout(x, "classifier.0")
    x = layers.conv(x, "classifier.1", variant.num_classes, 1)
    x = layers.relu(x, "classifier.2")
    x = layers.global_pool(x, "classifier.3")
    return keras.Model(inputs, x, name=name)


def _fire(
    layers: Layers, x: keras.KerasTensor, name: str, squeezed: int, expanded: int
) -> keras.KerasTensor:
    x = layers.conv(x, f"{name}.squeeze", layers.channels(squeezed), 1)
    x = layers.relu(x, f"{name}.squeeze_activation")
    channels = layers.channels(expanded)
    expansions = [
        layers.conv(x, f"{name}.expand1x1", channels, 1),
        layers.conv(x, f"{name}.expand3x3", channels, 3, padding=1),
    ]
    # One ReLU after both are joined is the same as one for each.
    x = keras.layers.Concatenate(name=f"{name}.expand")(expansions)
    return layers.relu(x, f"{name}.expand_activation")
