"""Metamodels that are solved for at once, by recipe."""

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.metamodels import KernelRecipe, SvmRecipe
from kennen_tf.metamodels import heads, kernel, svm


def fit(
    recipe: KernelRecipe | SvmRecipe,
    table: AttributeTable,
    train_features: npt.NDArray[np.float32],
    labels: heads.Labels,
    combination_ids: Sequence[str],
) -> tuple[keras.Model, keras.Model]:
    """Solves for the metamodel of a recipe; see `kernel.fit` and `svm.fit`."""
    if isinstance(recipe, SvmRecipe):
        return svm.fit(recipe, table, train_features, labels, combination_ids)
    return kernel.fit(recipe, table, train_features, labels, combination_ids)
