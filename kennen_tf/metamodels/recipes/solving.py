"""Metamodels that are solved for at once, by recipe."""

import math
from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
from absl import logging

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.recipes import KernelRecipe, SolvedRecipe
from kennen_tf.machine import memory
from kennen_tf.metamodels.recipes import heads, kernel, planes

# Of entries by entries, in float64: as many are there at once.
_NUM_MATRICES = 8
# `benchmarks/metamodel_training.py`, kernel, on two cores: a solution takes 166 s for
# 5,000 entries, and there is one for each of five levels of precision.
_SECONDS, _ENTRIES = 5 * 166.0, 5000
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
    pair_bytes = 8 * _NUM_MATRICES
    num_bytes = pair_bytes * num_entries**2
    what = f"--recipe={name} with {num_entries:,} entries to train on"
    most = math.isqrt(memory.available_memory() // pair_bytes)
    memory.check_memory(
        num_bytes,
        what,
        f"Take --recipe=mlp, whose memory grows with the entries and not with their "
        f"square, or --num_train={most}.",
    )
    hours = _SECONDS * (num_entries / _ENTRIES) ** 3 / 3600
    if hours > _LEAST_HOURS:
        logging.warning(
            "%s takes up to about %.1f hours on two cores, and %.1f GB of memory: time "
            "grows with the cube of the entries. --recipe=mlp grows with their number; "
            "--num_train=%d takes %.0f minutes.",
            *(what, hours, num_bytes / 1e9, _ENTRIES, _SECONDS / 60),
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
