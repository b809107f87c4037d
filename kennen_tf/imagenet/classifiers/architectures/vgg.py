"""VGG, plain and with batch normalisation (Simonyan, Zisserman, ICLR 2015)."""

import keras

from kennen_tf.imagenet.classifiers.architectures.torchvision_layers import (
    Layers,
    Variant,
)

# Convolutions before each of the five poolings.
_DEPTHS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
_CHANNELS = (64, 128, 256, 512, 512)
_UNITS = 4096
_NORM_SUFFIX = "_bn"


def build_vgg(name: str, variant: Variant, seed: int | None) -> keras.Model:
    """Builds a VGG, "vgg11" to "vgg19" or "vgg11_bn" to "vgg19_bn".

    Args:
        name: Which.
        variant: Its size.
        seed: Of the initial weights; None for kernels of zeros.

    Returns:
        From pixels in [0, 255] to logits.

    Raises:
        ValueError: If the last feature maps cannot be pooled to `variant.pooled_size`.
    """
    layers = Layers(variant, seed)
    has_norms = name.endswith(_NORM_SUFFIX)
    inputs, x = layers.pixels()
    index = 0
    depths = _DEPTHS[name.removesuffix(_NORM_SUFFIX)]
    for depth, channels in zip(depths, _CHANNELS, strict=True):
        for _ in range(depth):
            x = layers.conv(
                x, f"features.{index}", layers.channels(channels), 3, padding=1
            )
            if has_norms:
                index += 1
                x = layers.norm(x, f"features.{index}")
            x = layers.relu(x, f"features.{index + 1}")
            index += 2
        x = keras.layers.MaxPooling2D(2, name=f"features.{index}")(x)
        index += 1
    x = _pool_to(x, variant.pooled_size)
    # The order in which PyTorch flattens: by channel, then by row.
    x = keras.layers.Permute((3, 1, 2), name="channels_first")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for index in (0, 3):
        x = layers.dense(x, f"classifier.{index}", layers.channels(_UNITS))
        x = layers.relu(x, f"classifier.{index + 1}")
        x = layers.dropout(x, f"classifier.{index + 2}")
    x = layers.dense(x, "classifier.6", variant.num_classes)
    return keras.Model(inputs, x, name=name)


def _pool_to(x: keras.KerasTensor, size: int) -> keras.KerasTensor:
    """Pools adaptively; one side has to be a multiple of the other."""
    side = x.shape[1]
    if side == size:
        return x
    if side % size == 0:
        return keras.layers.AveragePooling2D(side // size, name="avgpool")(x)
    if side and size % side == 0:  # Then each place is the mean of a single one.
        return keras.layers.UpSampling2D(size // side, name="avgpool")(x)
    raise ValueError(
        f"`image_size` must give last feature maps whose side is a multiple or a "
        f"divisor of pooled_size={size}. Received: maps with a side of {side}."
    )
