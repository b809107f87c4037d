"""Norms that bound a perturbation: its size, its projection, its rounding.

All in levels of 0 to 255. A perturbation is `(n, height, width, 3)`.
"""

from typing import Protocol

import tensorflow as tf

from kennen_tf.configs.aips import L2, LINF

# Halvings of the search for the largest factor that survives rounding: 2**-20.
_HALVINGS = 20
_TINY = 1e-12


class Norm(Protocol):
    """What an attack asks of a norm. Images of a batch do not touch each other."""

    name: str

    def size(self, perturbations: tf.Tensor) -> tf.Tensor:
        """Returns the norm of each image's perturbation, `(n,)`."""

    def direction(self, gradients: tf.Tensor) -> tf.Tensor:
        """Returns the step of norm 1 along which each loss rises most steeply."""

    def project(self, perturbations: tf.Tensor, epsilon: float) -> tf.Tensor:
        """Returns the nearest perturbation of norm `epsilon` or less."""

    def draw(self, shape: tf.Tensor, seeds: tf.Tensor, epsilon: float) -> tf.Tensor:
        """Draws perturbations of norm `epsilon` or less; `seeds` is int32 `(n, 2)`."""

    def to_whole_levels(self, perturbations: tf.Tensor, epsilon: float) -> tf.Tensor:
        """Returns perturbations of whole levels, of norm `epsilon` or less."""


class L2Norm:
    """Root of the sum of squares over pixels and channels."""

    name = L2

    def size(self, perturbations: tf.Tensor) -> tf.Tensor:
        return tf.sqrt(sum_each(tf.square(perturbations)))

    def direction(self, gradients: tf.Tensor) -> tf.Tensor:
        # By the largest entry first: squares of tiny gradients would vanish.
        largest = tf.reduce_max(tf.abs(gradients), axis=(1, 2, 3), keepdims=True)
        scaled = gradients / tf.maximum(largest, 1e-30)
        return scaled / tf.maximum(_spread(self.size(scaled)), _TINY)

    def project(self, perturbations: tf.Tensor, epsilon: float) -> tf.Tensor:
        size = _spread(self.size(perturbations))
        return perturbations * tf.minimum(1.0, epsilon / tf.maximum(size, _TINY))

    def draw(self, shape: tf.Tensor, seeds: tf.Tensor, epsilon: float) -> tf.Tensor:
        """Draws uniformly from the ball (Muller, 1959)."""
        numbers = tf.map_fn(
            lambda seed: tf.random.stateless_normal(shape[1:], seed),
            seeds,
            fn_output_signature=tf.float32,
        )
        radius = tf.map_fn(
            lambda seed: tf.random.stateless_uniform((), seed + 1),
            seeds,
            fn_output_signature=tf.float32,
        )
        num_axes = tf.cast(tf.reduce_prod(shape[1:]), tf.float32)
        length = epsilon * tf.pow(radius, 1.0 / num_axes)
        return self.direction(numbers) * _spread(length)

    def to_whole_levels(self, perturbations: tf.Tensor, epsilon: float) -> tf.Tensor:
        """Rounds the largest multiple that stays in the ball once rounded.

        Rounding alone adds 1/12 to the mean square, half a per cent of the norm at the
        paper's budget; rounding towards zero would take a fifth of it away.
        """
        lower = tf.zeros(tf.shape(perturbations)[0])
        upper = tf.ones_like(lower)
        for _ in tf.range(_HALVINGS):  # One traced body, not twenty.
            middle = (lower + upper) / 2
            fits = self.size(tf.round(perturbations * _spread(middle))) <= epsilon
            lower = tf.where(fits, middle, lower)
            upper = tf.where(fits, upper, middle)
        whole = tf.round(perturbations)
        fits = _spread(tf.cast(self.size(whole) <= epsilon, tf.float32))
        return fits * whole + (1 - fits) * tf.round(perturbations * _spread(lower))


class LInfNorm:
    """Largest change of any pixel's channel."""

    name = LINF

    def size(self, perturbations: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(tf.abs(perturbations), axis=(1, 2, 3))

    def direction(self, gradients: tf.Tensor) -> tf.Tensor:
        return tf.sign(gradients)

    def project(self, perturbations: tf.Tensor, epsilon: float) -> tf.Tensor:
        return tf.clip_by_value(perturbations, -epsilon, epsilon)

    def draw(self, shape: tf.Tensor, seeds: tf.Tensor, epsilon: float) -> tf.Tensor:
        return tf.map_fn(
            lambda seed: tf.random.stateless_uniform(
                shape[1:], seed, minval=-epsilon, maxval=epsilon
            ),
            seeds,
            fn_output_signature=tf.float32,
        )

    def to_whole_levels(self, perturbations: tf.Tensor, epsilon: float) -> tf.Tensor:
        whole = tf.floor(tf.convert_to_tensor(epsilon, tf.float32))
        return tf.clip_by_value(tf.round(perturbations), -whole, whole)


def make_norm(name: str) -> Norm:
    """Returns the norm of that name, one of `configs.aips.NORMS`."""
    return L2Norm() if name == L2 else LInfNorm()


def sum_each(values: tf.Tensor) -> tf.Tensor:
    """Returns the sum over pixels and channels of each image, `(n,)`.

    One image after the other: where a whole batch is summed, how floats are rounded
    depends on an image's place in it, and after some steps, so do pixels.
    """
    return tf.map_fn(tf.reduce_sum, values)


def _spread(values: tf.Tensor) -> tf.Tensor:
    """Returns `(n,)` as `(n, 1, 1, 1)`."""
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]
