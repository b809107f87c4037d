"""Metamodels that are solved for at once, by recipe."""

import math
from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
from absl import logging

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.recipes import RECIPES, KernelRecipe, SolvedRecipe
from kennen_tf.machine import memory
from kennen_tf.metamodels.recipes import heads, kernel, planes

# Planes, of entries by entries, in float64: as many are there at once.
_NUM_MATRICES = 8
# Planes, on two cores: a rough measure, that of the kernel when it had an inverse for
# each attribute as well, for each of five levels of precision.
_PLANES_SECONDS, _PLANES_ENTRIES = 5 * 166.0, 5000
# The kernel: likeness of entries to landmarks is there once, in float32, and that of
# landmarks to each other four times in float64. Measured of 5,000 entries, all of them
# landmarks: 0.4 GB; of 20,000: 1.1 GB.
_PAIR_BYTES, _LANDMARK_PAIR_BYTES = 4, 4 * 8
# The kernel, for entries times the square of landmarks: measured of 5,000 and 20,000
# entries 0.8e-10 and 1.2e-10 seconds of one core, without AVX-512; of two cores, at
# most as here. There are five levels of precision.
_KERNEL_SECONDS = 5 * 0.8e-10
# Below that, nothing is said.
_LEAST_HOURS = 0.5


def check_size(name: str, num_entries: int) -> None:
    """Says what many entries will take; refuses those that memory has no room for.

    Args:
        name: Of the recipe.
        num_entries: To train on.

    Raises:
        UserError: If less memory is free than it takes.
    """
    what = f"--recipe={name} with {num_entries:,} entries to train on"
    recipe = RECIPES[name]
    free = memory.available_memory()
    if isinstance(recipe, KernelRecipe):
        num_landmarks = min(num_entries, recipe.landmarks)
        own_bytes = _LANDMARK_PAIR_BYTES * num_landmarks**2
        num_bytes = own_bytes + _PAIR_BYTES * num_landmarks * num_entries
        seconds = _KERNEL_SECONDS * num_entries * num_landmarks**2
        most = math.isqrt(free // (_LANDMARK_PAIR_BYTES + _PAIR_BYTES))
        if most > recipe.landmarks:
            most = (free - own_bytes) // (_PAIR_BYTES * num_landmarks)
    else:
        num_bytes = 8 * _NUM_MATRICES * num_entries**2
        seconds = _PLANES_SECONDS * (num_entries / _PLANES_ENTRIES) ** 3
        most = math.isqrt(free // (8 * _NUM_MATRICES))
    memory.check_memory(
        num_bytes,
        what,
        f"Take --recipe=mlp, which needs no likeness of entries to each other, or "
        f"--num_train={most}.",
    )
    if seconds > 3600 * _LEAST_HOURS:
        logging.warning(
            "%s takes up to about %.1f hours on two cores, and %.1f GB of memory; "
            "--recipe=mlp takes less of both.",
            *(what, seconds / 3600, num_bytes / 1e9),
        )


def fit(
    recipe: SolvedRecipe,
    table: AttributeTable,
    train_features: npt.NDArray[np.float32],
    labels: heads.Labels,
    combination_ids: Sequence[str],
    left_out: heads.LeftOut | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Solves for the metamodel of a recipe; see `kernel.fit` and `planes.fit`."""
    given = (table, train_features, labels, combination_ids, left_out)
    if isinstance(recipe, KernelRecipe):
        return kernel.fit(recipe, *given)
    return planes.fit(recipe, *given)
