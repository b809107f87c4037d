"""Generators that are open, with their compiled gradients."""

import gc
from collections.abc import Sequence

import tensorflow as tf

from kennen_tf.imagenet.attacks import objectives
from kennen_tf.imagenet.attacks.attacks import Attack
from kennen_tf.imagenet.attacks.objectives import JointLoss, Objective
from kennen_tf.imagenet.classifiers import batches
from kennen_tf.imagenet.classifiers.members import Member
from kennen_tf.keras_models.pixel_models import PixelModel

# Classifiers that no set at hand needs are closed when the open ones have more
# parameters than this: 2 GB, of which Keras Applications' VGG16 has a quarter.
_MAX_PARAMETERS = 500_000_000

# Backward passes need the outputs of all layers, and as much again for gradients.
_MEMORY_SHARE = 0.25
_GRADIENT_FACTOR = 2
_MAX_BATCH_SIZES = {"CPU": 20, "GPU": 128}


class GeneratorPool:
    """Opens generators, compiles their gradients once, and closes what is too much."""

    def __init__(self, attack: Attack, combination: str):
        """Prepares an empty pool; `combination` is one of `COMBINATIONS`."""
        self._attack = attack
        self._combination = combination
        # In order of their last use.
        self._open: dict[Member, tuple[PixelModel, Objective]] = {}

    def open(self, members: Sequence[Member]) -> list[PixelModel]:
        """Returns the classifiers, opened.

        Raises:
            UserError: If the weights of one cannot be had.
        """
        for member in members:
            # Taken out and put back: now it is the last one used.
            opened = self._open.pop(member, None)
            self._open[member] = opened or self._start(member)
        self._close_oldest(keep=len(members))
        return [self._open[member][0] for member in members]

    def objective(self, members: Sequence[Member]) -> Objective:
        """Returns what some generators climb together."""
        classifiers = self.open(members)
        singles = [self._open[member][1] for member in members]
        return objectives.combine(self._attack, classifiers, self._combination, singles)

    def batch_size(self, members: Sequence[Member]) -> int:
        """Returns how many images memory allows to be differentiated at once."""
        if tf.config.list_physical_devices("GPU"):
            return _MAX_BATCH_SIZES["GPU"]
        per_image = sum(batches.image_bytes(c.model) for c in self.open(members))
        allowed = batches.available_memory() * _MEMORY_SHARE
        size = int(allowed / (_GRADIENT_FACTOR * per_image))
        return max(1, min(_MAX_BATCH_SIZES["CPU"], size))

    def _start(self, member: Member) -> tuple[PixelModel, Objective]:
        classifier = member.open()
        return classifier, JointLoss(self._attack, [classifier], self._combination)

    def _close_oldest(self, keep: int) -> None:
        def num_parameters() -> int:
            return sum(c.model.count_params() for c, _ in self._open.values())

        while len(self._open) > keep and num_parameters() > _MAX_PARAMETERS:
            del self._open[next(iter(self._open))]
            gc.collect()  # Keras models are cycles.
