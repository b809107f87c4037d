"""The yardstick: logistic regression for each attribute, as a Keras model."""

import keras
import numpy as np
import numpy.typing as npt
import tqdm
from sklearn.linear_model import LogisticRegression

from kennen_tf import attributes
from kennen_tf.configs.metamodels import KernelRecipe, Recipe
from kennen_tf.metamodels import features, heads

# Inverse strength of regularisation; few classifiers and many features want it strong.
INVERSE_REGULARIZATION = 3e-4
MAX_ITERATIONS = 5_000


def fit(
    recipe: Recipe | KernelRecipe,
    train_features: npt.NDArray[np.float32],
    labels: heads.Labels,
) -> tuple[keras.Model, keras.Model]:
    """Fits one regression for each attribute.

    Args:
        recipe: Of it, only `deviation_floor` and whether values count alike (`balance`
            above 0) are used.
        train_features: Represented outputs `(entries, num_queries, 10)`.
        labels: For each attribute, `(entries,)`.

    Returns:
        What `heads.make_models` returns: a metamodel without hidden layers, and the
        same with logits.
    """
    reader = features.make_reader(
        train_features, center=False, deviation_floor=recipe.deviation_floor
    )
    models, layers = heads.make_dense_models(reader.input, reader.output, "linear")
    standardized = features.call(reader, train_features)
    for attribute in tqdm.tqdm(
        attributes.ATTRIBUTES, "linear", unit="attribute", leave=None
    ):
        layers[attribute.name].set_weights(
            _fit_head(
                standardized,
                labels[attribute.name],
                len(attribute.values),
                "balanced" if recipe.balance else None,
            )
        )
    return models


def _fit_head(
    x: npt.NDArray[np.float32],
    labels: npt.NDArray[np.integer],
    num_values: int,
    class_weight: str | None,
) -> list[npt.NDArray[np.float32]]:
    """Returns the kernel `(features, values)` and the bias `(values,)` of a head."""
    seen = np.unique(labels)
    kernel = np.zeros((x.shape[1], num_values), np.float32)
    bias = heads.bias_against_unseen(labels, num_values)
    if len(seen) > 1:
        regression = LogisticRegression(
            C=INVERSE_REGULARIZATION,
            class_weight=class_weight,
            max_iter=MAX_ITERATIONS,
        ).fit(x, labels)
        # Of two values, only the second's logit is kept, the first's being 0.
        columns = seen[-len(regression.coef_) :]
        kernel[:, columns] = regression.coef_.T
        bias[columns] = regression.intercept_
    return [kernel, bias]
