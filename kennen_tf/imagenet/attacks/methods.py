"""Attacks: what an AIP climbs and how it steps; `ascent` is the loop they share.

Each says four things: where to start, the loss to climb, the direction of a step, and
what it remembers between steps.
"""

import tensorflow as tf

from kennen_tf.configs import aips
from kennen_tf.configs.aips import Budget, PerturbationConfig
from kennen_tf.imagenet.attacks import norms


class Gaman:
    """GAMAN: climbs f(y*) - f(y), y the true class, y* the strongest other one.

    Steps have a fixed length. Oh, Fritz, Schiele, "Adversarial Image Perturbation for
    Privacy Protection", ICCV 2017; paper, section 4.

    Attributes:
        budget: Bound and step.
        norm: The norm of the budget.
    """

    def __init__(self, budget: Budget):
        self.budget = budget
        self.norm = norms.make_norm(budget.norm)

    def start(self, clean: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Returns the first perturbations, like `clean`; `seeds` is int32 `(n, 2)`."""
        del seeds  # Nothing here is random.
        return tf.zeros_like(clean)

    def loss(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each image, `(n,)`, from logits `(n, classes)`."""
        is_true = tf.one_hot(
            labels, tf.shape(logits)[1], on_value=True, off_value=False
        )
        true = tf.reduce_max(tf.where(is_true, logits, tf.float32.min), axis=1)
        other = tf.reduce_max(tf.where(is_true, tf.float32.min, logits), axis=1)
        return other - true

    def direction(
        self, gradients: tf.Tensor, memory: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the step of length 1 and what to remember, both like `gradients`."""
        return self.norm.direction(gradients), memory


class IteratedFgsm(Gaman):
    """I-FGSM: climbs the cross-entropy. Kurakin, Goodfellow, Bengio, ICLR 2017."""

    def loss(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


class Pgd(IteratedFgsm):
    """PGD: I-FGSM from a random point of the ball. Madry et al., ICLR 2018."""

    def start(self, clean: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        return self.norm.draw(tf.shape(clean), seeds, self.budget.epsilon)


class MomentumIteratedFgsm(IteratedFgsm):
    """MI-FGSM: I-FGSM along a sum of directions. Dong et al., CVPR 2018."""

    def __init__(self, budget: Budget, momentum: float):
        super().__init__(budget)
        self._momentum = momentum

    def direction(
        self, gradients: tf.Tensor, memory: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        num_values = tf.cast(tf.reduce_prod(tf.shape(gradients)[1:]), tf.float32)
        mean = norms.sum_each(tf.abs(gradients)) / num_values
        mean = mean[:, tf.newaxis, tf.newaxis, tf.newaxis]
        memory = self._momentum * memory + gradients / tf.maximum(mean, 1e-30)
        return self.norm.direction(memory), memory


Attack = Gaman | IteratedFgsm | Pgd | MomentumIteratedFgsm


def make_attack(config: PerturbationConfig, image_size: int) -> Attack:
    """Returns the attack that a config describes, for images of that side."""
    budget = config.make_budget(image_size)
    if config.method == aips.MI_FGSM:
        return MomentumIteratedFgsm(budget, config.momentum)
    methods = {aips.GAMAN: Gaman, aips.I_FGSM: IteratedFgsm, aips.PGD: Pgd}
    return methods[config.method](budget)
