"""ResNet as in torchvision (He et al., CVPR 2016).

In bottlenecks the stride is in the 3x3 convolution ("v1.5"), not in the first 1x1 one.
"""

import keras

from kennen_tf.imagenet.classifiers.architectures.torchvision_layers import (
    Layers,
    Variant,
)

# Blocks in each of the four layers, and whether these are bottlenecks.
_VERSIONS = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
    "resnet152": ((3, 8, 36, 3), True),
}
_CHANNELS = (64, 128, 256, 512)
_EXPANSION = 4  # Of a bottleneck.


def build_resnet(name: str, variant: Variant, seed: int | None) -> keras.Model:
    """Builds a ResNet, "resnet18" to "resnet152".

    Args:
        name: Which.
        variant: Its size.
        seed: Of the initial weights; None for kernels of zeros.

    Returns:
        From pixels in [0, 255] to logits.
    """
    layers = Layers(variant, seed)
    depths, has_bottlenecks = _VERSIONS[name]
    inputs, x = layers.pixels()
    x = layers.conv(
        x,
        "conv1",
        layers.channels(_CHANNELS[0]),
        7,
        stride=variant.stem_stride,
        padding=3,
        use_bias=False,
    )
    x = layers.relu(layers.norm(x, "bn1"), "relu")
    x = layers.max_pool_padded(x, "maxpool")
    for number, (depth, channels) in enumerate(
        zip(depths, _CHANNELS, strict=True), start=1
    ):
        for index in range(layers.depth(depth)):
            stride = 2 if index == 0 and number > 1 else 1
            x = _block(
                *(layers, x, f"layer{number}.{index}", layers.channels(channels)),
                stride,
                has_bottlenecks,
            )
    x = layers.global_pool(x, "avgpool")
    x = layers.dense(x, "fc", variant.num_classes)
    return keras.Model(inputs, x, name=name)


def _block(
    layers: Layers,
    x: keras.KerasTensor,
    name: str,
    channels: int,
    stride: int,
    is_bottleneck: bool,
) -> keras.KerasTensor:
    # Kernel size, channels and stride of each convolution.
    convolutions = (
        [(1, channels, 1), (3, channels, stride), (1, channels * _EXPANSION, 1)]
        if is_bottleneck
        else [(3, channels, stride), (3, channels, 1)]
    )
    channels_out = convolutions[-1][1]
    shortcut = x
    if stride != 1 or x.shape[-1] != channels_out:
        shortcut = layers.conv(
            *(x, f"{name}.downsample.0", channels_out, 1),
            stride=stride,
            use_bias=False,
        )
        shortcut = layers.norm(shortcut, f"{name}.downsample.1")
    for number, (kernel_size, width, own_stride) in enumerate(convolutions, start=1):
        if number > 1:
            x = layers.relu(x, f"{name}.relu{number - 1}")
        x = layers.conv(
            *(x, f"{name}.conv{number}", width, kernel_size),
            stride=own_stride,
            padding=kernel_size // 2,
            use_bias=False,
        )
        x = layers.norm(x, f"{name}.bn{number}")
    x = keras.layers.Add(name=f"{name}.add")([x, shortcut])
    return layers.relu(x, f"{name}.relu")
