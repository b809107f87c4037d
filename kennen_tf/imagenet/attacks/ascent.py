"""The loop of all attacks: climb, project, keep the best, round to 8 bits."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf.imagenet.attacks.methods import Attack
from kennen_tf.imagenet.attacks.objectives import Objective
from kennen_tf.vocabulary.errors import UserError

MAX_LEVEL = 255.0


class Ascent:
    """Makes AIPs by climbing an objective within an attack's budget."""

    def __init__(self, attack: Attack, num_steps: int):
        """Prepares the loop; `num_steps` is the number of gradients for each image."""
        self._attack = attack
        self._num_steps = num_steps
        # Compiled once for all objectives.
        self._step = tf.function(self._make_step)
        self._round = tf.function(self._round_within)

    def perturb(
        self,
        objective: Objective,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int32],
        seeds: npt.NDArray[np.int32],
        on_step: Callable[[], object] | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Perturbs a batch of images.

        Of all the points on its way, each image keeps that of the highest loss.

        Args:
            objective: What to climb.
            images: uint8 `(n, height, width, 3)`. Not modified.
            labels: True classes `(n,)`.
            seeds: `(n, 2)`; decide random starts, for each image its own.
            on_step: Called after each step.

        Returns:
            uint8, like `images`, within the attack's budget.

        Raises:
            UserError: If a gradient is not finite.
        """
        clean = tf.cast(images, tf.float32)
        labels = tf.convert_to_tensor(labels, tf.int32)
        start = self._attack.start(clean, tf.convert_to_tensor(seeds, tf.int32))
        perturbations = self._keep_within(clean, start)
        memory = tf.zeros_like(clean)
        best = perturbations
        best_losses = tf.fill(tf.shape(labels), -np.inf)
        for _ in range(self._num_steps):
            losses, gradients = objective.differentiate(clean + perturbations, labels)
            perturbations, best, best_losses, memory = self._step(
                *(clean, perturbations, best, best_losses, memory), losses, gradients
            )
            if on_step is not None:
                on_step()
        losses = objective.losses(clean + perturbations, labels)
        if not np.isfinite(perturbations).all():
            raise UserError(
                "The gradients of the generators must be finite numbers. Received: NaN "
                "or infinity. Look at their weights and at their answers for these "
                "images."
            )
        best = tf.where(_spread(losses > best_losses), perturbations, best)
        return self._round(clean, best).numpy()

    def _make_step(
        self,
        clean: tf.Tensor,
        perturbations: tf.Tensor,
        best: tf.Tensor,
        best_losses: tf.Tensor,
        memory: tf.Tensor,
        losses: tf.Tensor,
        gradients: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        is_better = losses > best_losses
        best = tf.where(_spread(is_better), perturbations, best)
        best_losses = tf.where(is_better, losses, best_losses)
        direction, memory = self._attack.direction(gradients, memory)
        # The sign of infinity is finite, and would hide it.
        direction = tf.where(tf.math.is_finite(gradients), direction, np.nan)
        moved = perturbations + self._attack.budget.step_size * direction
        return self._keep_within(clean, moved), best, best_losses, memory

    def _keep_within(self, clean: tf.Tensor, perturbations: tf.Tensor) -> tf.Tensor:
        """Returns the perturbations within the budget, images within [0, 255]."""
        budget = self._attack.budget
        projected = self._attack.norm.project(perturbations, budget.epsilon)
        # Clipping moves towards the clean image, so no norm grows.
        return tf.clip_by_value(clean + projected, 0.0, MAX_LEVEL) - clean

    def _round_within(self, clean: tf.Tensor, perturbations: tf.Tensor) -> tf.Tensor:
        norm, epsilon = self._attack.norm, self._attack.budget.epsilon
        whole = norm.to_whole_levels(perturbations, epsilon)
        return tf.cast(clean + whole, tf.uint8)


def _spread(values: tf.Tensor) -> tf.Tensor:
    """Returns `(n,)` as `(n, 1, 1, 1)`."""
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]
