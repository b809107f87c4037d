"""What attacks climb: the loss of one classifier or of several at once."""

import functools
from collections.abc import Callable, Sequence
from typing import Protocol

import tensorflow as tf

from kennen_tf.configs.aips import LOGITS, LOSSES
from kennen_tf.imagenet.attacks.methods import Attack

# From pixels float32 `(n, height, width, 3)` in [0, 255] to logits `(n, classes)`.
Classifier = Callable[[tf.Tensor], tf.Tensor]


class Objective(Protocol):
    """A loss of each image, with its gradient by the pixels.

    Pixels are float32 `(n, height, width, 3)` in [0, 255], labels int32 `(n,)`.
    """

    def losses(self, pixels: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each image, `(n,)`."""

    def differentiate(
        self, pixels: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the losses `(n,)` and their gradients, like `pixels`."""


class JointLoss:
    """The loss of the mean of several classifiers' logits or probabilities, or of one.

    Forward and backward pass are one compiled function. A tape around compiled
    classifiers would need less compiling, but computes the gradients of their weights,
    too: 1.65 times the work for EfficientNet-Lite0.
    """

    def __init__(
        self, attack: Attack, classifiers: Sequence[Classifier], combination: str
    ):
        self._attack = attack
        self._classifiers = tuple(classifiers)
        self._combination = combination
        # Partial: TensorFlow counts the traces of a method for all objects together,
        # and warns of many.
        self.losses = tf.function(functools.partial(self._losses))
        self.differentiate = tf.function(functools.partial(self._differentiate))

    def _losses(self, pixels: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        logits = [classifier(pixels) for classifier in self._classifiers]
        if len(logits) == 1:
            return self._attack.loss(logits[0], labels)
        if self._combination == LOGITS:
            return self._attack.loss(tf.add_n(logits) / len(logits), labels)
        # In logarithms, where tiny probabilities of the strongest wrong class live.
        logs = tf.stack([tf.nn.log_softmax(own) for own in logits])
        return self._attack.loss(tf.reduce_logsumexp(logs, axis=0), labels)

    def _differentiate(
        self, pixels: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(pixels)
            losses = self._losses(pixels, labels)
        return losses, tape.gradient(losses, pixels)


class MeanLoss:
    """The mean of several objectives, each compiled once for all that share it."""

    def __init__(self, objectives: Sequence[Objective]):
        self._objectives = tuple(objectives)

    def losses(self, pixels: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        losses = [own.losses(pixels, labels) for own in self._objectives]
        return tf.add_n(losses) / len(losses)

    def differentiate(
        self, pixels: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        pairs = [own.differentiate(pixels, labels) for own in self._objectives]
        losses, gradients = zip(*pairs, strict=True)
        return tf.add_n(losses) / len(pairs), tf.add_n(gradients) / len(pairs)


def combine(
    attack: Attack,
    classifiers: Sequence[Classifier],
    combination: str,
    singles: Sequence[Objective],
) -> Objective:
    """Returns the objective of an ensemble of generators.

    Args:
        attack: Whose loss it is.
        classifiers: The generators.
        combination: One of `COMBINATIONS`: the mean of the losses, the loss of the mean
            of the logits, or that of the mean of the probabilities (Liu et al., ICLR
            2017, equation 5).
        singles: The objective of each generator alone.
    """
    if len(singles) == 1:
        return singles[0]
    if combination == LOSSES:
        return MeanLoss(singles)
    return JointLoss(attack, classifiers, combination)
