"""Generators that are open, with their compiled gradients."""

import gc
from collections.abc import Sequence

import tensorflow as tf

from kennen_tf.imagenet.attacks import objectives
from kennen_tf.imagenet.attacks.methods import Attack
from kennen_tf.imagenet.attacks.objectives import JointLoss, Objective
from kennen_tf.imagenet.classifiers import batches
from kennen_tf.imagenet.classifiers.family_classifier import FamilyClassifier
from kennen_tf.keras_models.pixel_models import PixelModel
from kennen_tf.machine import memory

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
        self._open: dict[FamilyClassifier, tuple[PixelModel, Objective]] = {}

    def open(self, generators: Sequence[FamilyClassifier]) -> list[PixelModel]:
        """Returns the classifiers, opened.

        Raises:
            UserError: If the weights of one cannot be had.
        """
        for generator in generators:
            # Taken out and put back: now it is the last one used.
            opened = self._open.pop(generator, None)
            self._open[generator] = opened or self._start(generator)
        self._close_oldest(keep=len(generators))
        return [self._open[generator][0] for generator in generators]

    def objective(self, generators: Sequence[FamilyClassifier]) -> Objective:
        """Returns what some generators climb together."""
        models = self.open(generators)
        singles = [self._open[generator][1] for generator in generators]
        return objectives.combine(self._attack, models, self._combination, singles)

    def batch_size(self, generators: Sequence[FamilyClassifier]) -> int:
        """Returns how many images memory allows to be differentiated at once."""
        if tf.config.list_physical_devices("GPU"):
            return _MAX_BATCH_SIZES["GPU"]
        per_image = sum(batches.image_bytes(c.model) for c in self.open(generators))
        allowed = memory.available_memory() * _MEMORY_SHARE
        size = int(allowed / (_GRADIENT_FACTOR * per_image))
        return max(1, min(_MAX_BATCH_SIZES["CPU"], size))

    def _start(self, generator: FamilyClassifier) -> tuple[PixelModel, Objective]:
        model = generator.open()
        return model, JointLoss(self._attack, [model], self._combination)

    def _close_oldest(self, keep: int) -> None:
        def num_parameters() -> int:
            return sum(c.model.count_params() for c, _ in self._open.values())

        while len(self._open) > keep and num_parameters() > _MAX_PARAMETERS:
            del self._open[next(iter(self._open))]
            gc.collect()  # Keras models are cycles.
