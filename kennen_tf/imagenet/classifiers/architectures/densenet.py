"""DenseNet-BC as in torchvision (Huang et al., CVPR 2017)."""

import keras

from kennen_tf.imagenet.classifiers.architectures.torchvision_layers import (
    Layers,
    Variant,
)

# Layers in each of the four dense blocks, channels that each layer adds, and channels
# of the first convolution.
_VERSIONS = {
    "densenet121": ((6, 12, 24, 16), 32, 64),
    "densenet161": ((6, 12, 36, 24), 48, 96),
    "densenet169": ((6, 12, 32, 32), 32, 64),
    "densenet201": ((6, 12, 48, 32), 32, 64),
}
_BOTTLENECK = 4  # Channels between the two convolutions of a layer, in growth rates.


def build_densenet(name: str, variant: Variant, seed: int | None) -> keras.Model:
    """Builds a DenseNet, "densenet121" to "densenet201".

    Args:
        name: Which.
        variant: Its size.
        seed: Of the initial weights; None for kernels of zeros.

    Returns:
        From pixels in [0, 255] to logits.
    """
    layers = Layers(variant, seed)
    depths, growth, channels = _VERSIONS[name]
    growth = layers.channels(growth)
    inputs, x = layers.pixels()
    x = layers.conv(
        x,
        "features.conv0",
        layers.channels(channels),
        7,
        stride=variant.stem_stride,
        padding=3,
        use_bias=False,
    )
    x = layers.relu(layers.norm(x, "features.norm0"), "features.relu0")
    x = layers.max_pool_padded(x, "features.pool0")
    for number, depth in enumerate(depths, start=1):
        if number > 1:
            x = _transition(layers, x, f"features.transition{number - 1}")
        for index in range(1, layers.depth(depth) + 1):
            name_of_layer = f"features.denseblock{number}.denselayer{index}"
            x = _dense_layer(layers, x, name_of_layer, growth)
    x = layers.relu(layers.norm(x, "features.norm5"), "relu")
    x = layers.global_pool(x, "avgpool")
    x = layers.dense(x, "classifier", variant.num_classes)
    return keras.Model(inputs, x, name=name)


def _dense_layer(
    layers: Layers, x: keras.KerasTensor, name: str, growth: int
) -> keras.KerasTensor:
    y = layers.relu(layers.norm(x, f"{name}.norm1"), f"{name}.relu1")
    y = layers.conv(y, f"{name}.conv1", _BOTTLENECK * growth, 1, use_bias=False)
    y = layers.relu(layers.norm(y, f"{name}.norm2"), f"{name}.relu2")
    y = layers.conv(y, f"{name}.conv2", growth, 3, padding=1, use_bias=False)
    return keras.layers.Concatenate(name=f"{name}.concat")([x, y])


def _transition(layers: Layers, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    channels = x.shape[-1] // 2
    x = layers.relu(layers.norm(x, f"{name}.norm"), f"{name}.relu")
    x = layers.conv(x, f"{name}.conv", channels, 1, use_bias=False)
    return keras.layers.AveragePooling2D(2, name=f"{name}.pool")(x)
