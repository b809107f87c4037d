"""What crafted images are to make small: losses of outputs, and their gradients.

Each takes the outputs of a batch of entries and returns a loss and its gradient with
respect to these outputs; `descent.py` takes it on to the images.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from kennen_tf.metamodels.recipes import heads, joint_loss
from kennen_tf.metamodels.recipes.fitting import Trainer
from kennen_tf.queries import representations


class OutputLoss(Protocol):
    """A loss of outputs."""

    def __call__(
        self, log_probabilities: tf.Tensor, places: np.ndarray
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a loss and its gradient.

        Args:
            log_probabilities: float32 `(entries, n, classes)` for n images.
            places: int `(entries,)`, their places among all training entries.

        Returns:
            The loss, a scalar, and its gradient, `(entries, n, classes)`.
        """
        ...


class NamingLoss(OutputLoss, Protocol):
    """A loss of outputs that something reads, which names all attributes."""

    def predict_logits(
        self, train: np.ndarray, test: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Names the attributes of training and test entries.

        Args:
            train, test: Log-probabilities, `(entries, n, classes)`.

        Returns:
            Logits of all heads side by side, `(entries, sum of values)`, of either.
        """
        ...


class NamedClasses:
    """The loss of kennen-i: the class named for an image is the attribute's label.

    Args:
        labels: For each attribute, `(training entries,)`; entries without a value do
            not count.
        names: The attribute of each image, `(n,)`; there may be several of one.
    """

    def __init__(self, labels: heads.Labels, names: Sequence[str]):
        wanted, weights = [], []
        for name in names:
            own = labels[name]
            # One at least, so that there is a count where no entry has a value.
            count = np.bincount(own[own >= 0], minlength=1).astype(np.float32)
            wanted.append(own)
            # Values count alike, as in the evaluation.
            weight = 1 / np.maximum(count, 1) / np.maximum(np.sum(count > 0), 1)
            weights.append(np.where(own >= 0, weight[own], 0.0))
        self._labels = np.stack(wanted, axis=1)
        self._weights = np.stack(weights, axis=1).astype(np.float32)
        self._weights *= len(self._labels)

    def __call__(
        self, log_probabilities: tf.Tensor, places: np.ndarray
    ) -> tuple[tf.Tensor, tf.Tensor]:
        wanted = tf.one_hot(self._labels[places], log_probabilities.shape[-1])
        share = self._weights[places][..., np.newaxis] / len(places)
        gradient = -wanted * share
        return tf.reduce_sum(gradient * log_probabilities), gradient


class MetamodelLoss:
    """The loss of kennen-io in the paper: the metamodel's own.

    Args:
        trainer: Of the metamodel, which reads probabilities.
        labels: For each attribute, `(training entries,)`.
    """

    def __init__(self, trainer: Trainer, labels: heads.Labels):
        self._trainer = trainer
        self._targets = joint_loss.encode_targets(
            trainer.table,
            {name: tf.constant(values) for name, values in labels.items()},
            tf.constant(trainer.targets),
        ).numpy()

        @tf.function(reduce_retracing=True)
        def differentiate(
            log_probabilities: tf.Tensor, targets: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(log_probabilities)
                logits = trainer.model(floor(log_probabilities), training=False)
                losses = joint_loss.joint_cross_entropy(trainer.table, targets, logits)
                loss = tf.reduce_mean(losses)
            return loss, tape.gradient(loss, log_probabilities)

        self._differentiate = differentiate

    def __call__(
        self, log_probabilities: tf.Tensor, places: np.ndarray
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._differentiate(log_probabilities, self._targets[places])

    def predict_logits(
        self, train: np.ndarray, test: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        predict = self._trainer.predict_logits
        return predict(floor(train).numpy()), predict(floor(test).numpy())


def floor(log_probabilities: tf.Tensor) -> tf.Tensor:
    """Returns what a metamodel of representation "probabilities" reads."""
    return tf.maximum(log_probabilities, representations.LOG_FLOOR)
