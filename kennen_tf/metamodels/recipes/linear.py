"""The yardstick: logistic regression for each attribute, as a Keras model."""

import keras
import numpy as np
import numpy.typing as npt
import tqdm
from sklearn.linear_model import LogisticRegression

from kennen_tf.attributes import AttributeTable
from kennen_tf.metamodels.recipes import features, heads

# Inverse strength of regularisation; few classifiers and many features want it strong.
# Chosen by `benchmarks/recipes.py` on the development data of `configs/recipes.py`:
# 3e-4, 3e-3, 1e-2, 3e-2 and 0.1 have 77.1, 81.7, 82.8, 83.3 and 83.4 on the first zoo
# (700 to train on, three seeds), 54.0, 55.0, 54.7, 54.7 and 54.3 on the second (111,
# twelve seeds); there, -log p is 0.97 at 3e-3, 1.01 at 1e-2, 1.22 at 0.1.
INVERSE_REGULARIZATION = 1e-2
MAX_ITERATIONS = 5_000
# As in the recipes of kennen-o: features that hardly vary must not explode.
_DEVIATION_FLOOR = 0.1


def fit(
    table: AttributeTable,
    train_features: npt.NDArray[np.float32],
    labels: heads.Labels,
    *,
    is_balanced: bool,
    divides: bool = False,
) -> tuple[keras.Model, keras.Model]:
    """Fits one regression for each attribute.

    Args:
        table: The attributes.
        train_features: Represented outputs `(entries, num_queries, classes)`.
        labels: For each attribute, `(entries,)`. The regression of an attribute is
            fitted to the entries that have a value of it.
        is_balanced: Whether values count alike, and not entries.
        divides: Whether classifiers' outputs are divided first; see `features.divide`.

    Returns:
        What `heads.make_models` returns: a metamodel without hidden layers, and the
        same with logits.
    """
    standardizer = features.make_standardizer(
        train_features, deviation_floor=_DEVIATION_FLOOR, divides=divides
    )
    models, layers = heads.make_dense_models(
        table, standardizer.input, standardizer.output, "linear"
    )
    standardized = features.call(standardizer, train_features)
    for attribute in tqdm.tqdm(table, "linear", unit="attribute", leave=None):
        own = labels[attribute.name]
        known = own >= 0
        layers[attribute.name].set_weights(
            _fit_head(
                standardized if known.all() else standardized[known],
                own[known],
                len(attribute.values),
                "balanced" if is_balanced else None,
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
