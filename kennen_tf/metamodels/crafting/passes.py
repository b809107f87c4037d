"""A classifier's forward pass and the way back to its images, without Keras.

Written by hand, for what `GradientTape` through Keras' layers cannot leave out. The
first convolution leaves the gradient unfolded, so that it is folded once for all
classifiers; folding it for each was up to a third of both passes. The gradient of max
pooling is three times faster in one graph with max pooling. PReLU takes seven
operations instead of nine. All in all twice as fast with max pooling, and 1.2 times
without, where the other convolutions are nearly all that is left; in half the memory,
and traced in a third of the time (panel of `benchmarks/crafting.py`, two cores).

Not faster, or not by enough: first convolutions of many classifiers as one; XLA; parts
of a batch; adjacent pixels as channels; bfloat16 on the way back (1.1 times, and
gradients half a per cent off).
"""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from kennen_tf.designs import mnist_net
from kennen_tf.zoo.specs import ClassifierSpec

# Variables of each layer, by the layer's name.
Weights = Mapping[str, Sequence[tf.Tensor]]


class Passes:
    """Both passes of the classifiers of one shape.

    The architecture is that of `mnist_net.build` at inference.

    Attributes:
        kernel_size: Of the convolutions.
    """

    def __init__(self, spec: ClassifierSpec):
        """Takes the shape of a spec."""
        self.kernel_size = int(spec["ks"] or 0)
        self._act = str(spec["act"])
        self._num_pooled = 2 if spec["pool"] == "yes" else 0
        self._num_conv = int(spec["conv"] or 0)
        self._num_fc = int(spec["fc"] or 0)

    def forward(
        self, weights: Weights, pixels: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Answers images.

        Args:
            weights: Of a classifier.
            pixels: What `standardize` returns, `(n, 28, 28, 1)`.

        Returns:
            Log-probabilities `(n, 10)`, and what the way back needs.
        """
        x, kept = pixels, []
        for i in range(self._num_conv):
            kernel, bias = weights[f"conv{i}"]
            x = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, _padding(i)), bias)
            if i < self._num_pooled:
                kept.append(x)
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            x = self._activate(x, weights, kept)
        x = tf.reshape(x, (-1, x.shape[1] * x.shape[2] * x.shape[3]))
        for i in range(self._num_fc - 1):
            kernel, bias = weights[f"fc{i}"]
            x = tf.nn.bias_add(tf.matmul(x, kernel), bias)
            x = self._activate(x, weights, kept)
        kernel, bias = weights["logits"]
        # From logits: probabilities that round to 0 and 1 have no gradient.
        answer = tf.nn.log_softmax(tf.nn.bias_add(tf.matmul(x, kernel), bias))
        return answer, [*kept, answer]

    def backward(
        self, weights: Weights, kept: Sequence[tf.Tensor], gradient: tf.Tensor
    ) -> tf.Tensor:
        """Takes the gradient of a loss back to the patches that `fold` folds.

        Args:
            weights: Of the classifier.
            kept: What `forward` returned for the way back.
            gradient: With respect to the log-probabilities, `(n, 10)`.

        Returns:
            The gradient with respect to each patch, one for each place that the first
            convolution looks at, `(n * height * width, kernel_size ** 2)`.
        """
        *left, answer = kept
        total = tf.reduce_sum(gradient, axis=1, keepdims=True)
        dx = gradient - tf.exp(answer) * total
        dx = tf.matmul(dx, weights["logits"][0], transpose_b=True)
        for i in reversed(range(self._num_fc - 1)):
            dx = self._activate_back(dx, weights, left)
            dx = tf.matmul(dx, weights[f"fc{i}"][0], transpose_b=True)
        dx = tf.reshape(dx, tf.shape(left[-1]))
        for i in reversed(range(self._num_conv)):
            dx = self._activate_back(dx, weights, left)
            if i < self._num_pooled:
                dx = _pool_back(dx, left.pop())
            if i > 0:
                kernel, shape = weights[f"conv{i}"][0], tf.shape(left[-1])
                dx = tf.nn.conv2d_transpose(dx, kernel, shape, 1, _padding(i))
        width = mnist_net.CONV_WIDTHS[0]
        kernel = tf.reshape(weights["conv0"][0], (-1, width))
        return tf.matmul(tf.reshape(dx, (-1, width)), kernel, transpose_b=True)

    def _activate(
        self, x: tf.Tensor, weights: Weights, kept: list[tf.Tensor]
    ) -> tf.Tensor:
        """Applies the activation, and keeps what its way back needs."""
        if self._act == "prelu":
            kept.append(tf.nn.relu(-x))
            return tf.nn.relu(x) - _slope(weights) * kept[-1]
        kept.append(getattr(tf.nn, self._act)(x))
        return kept[-1]

    def _activate_back(
        self, dy: tf.Tensor, weights: Weights, kept: list[tf.Tensor]
    ) -> tf.Tensor:
        y = kept.pop()
        if self._act == "prelu":
            below = tf.raw_ops.ReluGrad(gradients=dy, features=y)
            return dy - (1 - _slope(weights)) * below
        if self._act == "relu":
            return tf.raw_ops.ReluGrad(gradients=dy, features=y)
        if self._act == "elu":
            return tf.raw_ops.EluGrad(gradients=dy, outputs=y)
        return tf.raw_ops.TanhGrad(dy=dy, y=y)


def standardize(images: tf.Tensor) -> tf.Tensor:
    """Returns images in [0, 1] as the first convolution gets them."""
    # Rounded as in Keras, so that at each ReLU's kink both are on the same side.
    scale = 1 / mnist_net.PIXEL_STD
    return images * scale - mnist_net.PIXEL_MEAN / mnist_net.PIXEL_STD


def fold(patches: tf.Tensor, kernel_size: int) -> tf.Tensor:
    """Takes a gradient with respect to patches back to the images.

    Args:
        patches: What `Passes.backward` returns, or a sum of such.
        kernel_size: Of the first convolution.

    Returns:
        The gradient with respect to the images, `(n, 28, 28, 1)`.
    """
    margin = kernel_size - 1
    height, width = mnist_net.IMAGE_SHAPE[0] - margin, mnist_net.IMAGE_SHAPE[1] - margin
    places = tf.reshape(
        tf.transpose(patches), (kernel_size, kernel_size, -1, height, width)
    )
    total = tf.add_n(
        [
            tf.pad(places[i, j], ((0, 0), (i, margin - i), (j, margin - j)))
            for i in range(kernel_size)
            for j in range(kernel_size)
        ]
    )
    return total[..., tf.newaxis] / mnist_net.PIXEL_STD


def _padding(layer: int) -> str:
    return "VALID" if layer < 2 else "SAME"


def _slope(weights: Weights) -> tf.Tensor:
    return tf.reshape(weights["prelu"][0], ())


def _pool_back(dy: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    y = tf.nn.max_pool2d(x, 2, 2, "VALID")
    return tf.gradients(y, x, dy)[0]
