"""What the architectures share: their variants, and torchvision's layers in Keras.

Every layer with weights has the name of torchvision's module, such as
"layer1.0.conv1", so that conversion follows a rule. Only layers of Keras are used: a
saved classifier opens without this package.
"""

import dataclasses

import keras

from kennen_tf.vocabulary.seeds import derive_seed

# Of ImageNet's pixels in [0, 1], as torchvision's weights expect them.
PIXEL_MEAN, PIXEL_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MAX_LEVEL = 255.0
NUM_CHANNELS = 3

NORM_EPSILON = 1e-5
NORM_MOMENTUM = 0.9  # What PyTorch calls a momentum of 0.1.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """In what small versions differ from torchvision's, which are the defaults.

    Attributes:
        image_size: Side of the input, in pixels.
        num_classes: Number of logits.
        width: Factor of all numbers of channels but those of pixels and logits.
        depth: Factor of the numbers of blocks of ResNet, and of layers in DenseNet's.
        stem_stride: Stride of the first convolution of all but VGG; 1 keeps twice the
            resolution, for small images.
        pooled_size: Side that VGG's last feature maps are pooled to.
        dropout: Rate of dropout, where an architecture has it.
        is_gray: Whether only the mean of the three colours is looked at.
    """

    image_size: int = 224
    num_classes: int = 1000
    width: float = 1.0
    depth: float = 1.0
    stem_stride: int = 2
    pooled_size: int = 7
    dropout: float = 0.5
    is_gray: bool = False


class Layers:
    """Adds torchvision's layers to a functional model.

    Args:
        variant: Of the classifier.
        seed: Root of the seeds of kernels and dropout. None for kernels of zeros: for
            weights that are loaded, and much quicker.
    """

    def __init__(self, variant: Variant, seed: int | None):
        self.variant = variant
        self._seed = seed

    def channels(self, number: int) -> int:
        """Returns how many channels there are in place of torchvision's number."""
        return max(1, round(number * self.variant.width))

    def depth(self, number: int) -> int:
        """Returns how many blocks there are in place of torchvision's number."""
        return max(1, round(number * self.variant.depth))

    def pixels(self) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Returns the input, pixels in [0, 255], and these normalised."""
        size = self.variant.image_size
        inputs = keras.Input((size, size, NUM_CHANNELS), name="pixels")
        normalize = keras.layers.Rescaling(
            [1 / (MAX_LEVEL * std) for std in PIXEL_STD],
            [-mean / std for mean, std in zip(PIXEL_MEAN, PIXEL_STD, strict=True)],
            name="normalize",
        )
        x = normalize(inputs)
        if self.variant.is_gray:
            x = keras.ops.mean(x, axis=-1, keepdims=True)
        return inputs, x

    def conv(
        self,
        x: keras.KerasTensor,
        name: str,
        channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        use_bias: bool = True,
    ) -> keras.KerasTensor:
        """Convolves, with `padding` zeros on each side, to that many channels."""
        # "same" pads alike on each side only if the stride is 1.
        is_same = stride == 1 and padding and kernel_size == 2 * padding + 1
        if padding and not is_same:
            x = keras.layers.ZeroPadding2D(padding, name=f"{name}.pad")(x)
        return keras.layers.Conv2D(
            channels,
            kernel_size,
            strides=stride,
            padding="same" if is_same else "valid",
            use_bias=use_bias,
            kernel_initializer=self._initializer(name),
            name=name,
        )(x)

    def norm(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return keras.layers.BatchNormalization(
            momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON, name=name
        )(x)

    def relu(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return keras.layers.ReLU(name=name)(x)

    def dense(self, x: keras.KerasTensor, name: str, units: int) -> keras.KerasTensor:
        initializer = self._initializer(name)
        layer = keras.layers.Dense(units, kernel_initializer=initializer, name=name)
        return layer(x)

    def dropout(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        seed = derive_seed(self._seed or 0, "dropout", name)
        return keras.layers.Dropout(self.variant.dropout, seed=seed, name=name)(x)

    def max_pool_padded(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Pools 3x3 with stride 2 and a padding of 1, after a ReLU."""
        # Where nothing is negative, zeros never win against what is there.
        x = keras.layers.ZeroPadding2D(1, name=f"{name}.pad")(x)
        return keras.layers.MaxPooling2D(3, 2, name=name)(x)

    def max_pool_ceil(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Pools 3x3 with stride 2; what is left at the far edges is pooled, too."""
        # For an even side, "same" adds one row and column at the far edges.
        padding = "same" if x.shape[1] % 2 == 0 else "valid"
        return keras.layers.MaxPooling2D(3, 2, padding=padding, name=name)(x)

    def global_pool(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return keras.layers.GlobalAveragePooling2D(name=name)(x)

    def _initializer(self, name: str) -> keras.initializers.Initializer:
        if self._seed is None:
            return keras.initializers.Zeros()
        return keras.initializers.HeNormal(derive_seed(self._seed, "kernel", name))
