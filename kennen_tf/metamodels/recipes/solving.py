"""Metamodels that are solved for at once, by recipe."""

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.recipes import KernelRecipe, SolvedRecipe
from kennen_tf.metamodels.recipes import heads, kernel, planes


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
