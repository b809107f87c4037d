"""Planes: linear machines, each telling a value of an attribute from the rest.

Where there are fewer entries than numbers that each answers, many planes separate the
values. A support vector machine takes the one with the widest margin, ridge regression
the one that is nearest to 1 and -1. All that they need of the entries are their inner
products, so twenty entries of a million numbers are no burden.
"""

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
import tqdm
from scipy import special
from sklearn.svm import SVC

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.recipes import PlanesRecipe, RidgeRecipe
from kennen_tf.metamodels.recipes import features, heads
from kennen_tf.metamodels.recipes.temperature import find_temperature

# Parts of the combinations that are left out in turn to find the temperature.
NUM_FOLDS = 5
# Share of the largest product that a difference of products may be off by.
ROUNDING = 1e-12

Array = npt.NDArray[np.float64]


def fit(
    recipe: PlanesRecipe,
    table: AttributeTable,
    train_features: npt.NDArray[np.float32],
    labels: heads.Labels,
    combination_ids: Sequence[str],
    left_out: heads.LeftOut | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Fits machines for each attribute; see `solve`.

    Args:
        recipe: Which machines, and what errors cost them.
        table: The attributes.
        train_features: Represented outputs `(entries, num_queries, classes)`.
        labels: For each attribute, `(entries,)`. The machines of an attribute are
            fitted to the entries that have a value of it.
        combination_ids: Of the entries; those of one combination are left out together
            when it is found how far to trust the answers.
        left_out: Filled with probabilities of the values of each attribute, of machines
            that have not seen an entry's combination.

    Returns:
        What `heads.make_models` returns: a metamodel without hidden layers, and the
        same with logits.
    """
    inputs = keras.Input(train_features.shape[1:], name="features")
    x = features.add_centering(inputs, train_features, divides=recipe.divide)
    models, layers = heads.make_dense_models(table, inputs, x, "planes")
    centered = features.call(keras.Model(inputs, x), train_features)
    products = _inner_products(centered)
    for attribute in tqdm.tqdm(table, "planes", unit="attribute", leave=None):
        own, num_values = labels[attribute.name], len(attribute.values)
        logits = np.full((len(own), num_values), np.nan)
        coefficients, bias = solve(
            products, own, num_values, combination_ids, recipe, logits
        )
        if left_out is not None:
            left_out[attribute.name] = special.softmax(logits, axis=1)
        kernel = centered.T @ coefficients.astype(np.float32)
        layers[attribute.name].set_weights([kernel, bias.astype(np.float32)])
    return models


def solve(
    products: Array,
    labels: npt.NDArray[np.integer],
    num_values: int,
    combination_ids: Sequence[str] | None,
    recipe: PlanesRecipe,
    left_out: Array | None = None,
) -> tuple[Array, Array]:
    """Fits a machine to each value of an attribute, from inner products alone.

    The origin does not matter to machines with a constant. The scale does, to what
    errors cost: the mean square length of entries, around the mean over values of
    their entries' means, is taken as 1.

    Decision values times one temperature are the logits. It is the one that makes the
    truth likeliest for entries of combinations that are left out, `NUM_FOLDS` parts of
    them in turn, dealt such that each value's are in as many parts as can be. Entries
    whose value only their own part has are not asked. With nobody to ask, as where each
    value has one combination, the temperature is 1.

    Args:
        products: Of the features of training entries, `(entries, entries)`.
        labels: `(entries,)`; without a value, an entry has no part in it.
        num_values: Of the attribute.
        combination_ids: Of the entries; None leaves nobody out, and takes a sixth of
            the time, for who only looks for the highest logit.
        recipe: Which machines, and what errors cost them.
        left_out: `(entries, values)`; filled with the logits of entries that were left
            out and asked.

    Returns:
        Coefficients `(entries, values)` and a bias `(values,)`: the inner products of
        an entry with the training entries, times the coefficients, plus the bias, are
        its logits.
    """
    bias = heads.bias_against_unseen(labels, num_values).astype(float)
    coefficients = np.zeros((len(labels), num_values))
    known = np.flatnonzero(labels >= 0)
    own = labels[known]
    seen, places = np.unique(own, return_inverse=True)
    if len(seen) < 2:  # There is nothing to be told apart.
        return coefficients, bias
    weights = 1 / (len(seen) * np.bincount(places)[places])
    among = products[np.ix_(known, known)]
    inner = among @ weights
    mean_square = np.mean(np.diag(among) - 2 * inner) + weights @ inner
    # Of entries that answer all alike, every length is 0, but for rounding.
    scale = mean_square if mean_square > ROUNDING * among.max() else 1.0
    among = among / scale
    temperature = 1.0
    if combination_ids is not None:
        folds = _deal(places, np.asarray(combination_ids)[known])
        answers = _answer_left_out(among, places, folds, recipe)
        is_asked = ~np.isnan(answers[:, 0])
        if is_asked.any():
            temperature = find_temperature(
                answers[is_asked], places[is_asked], weights[is_asked], bias[seen]
            )
        if left_out is not None:
            left_out[known] = np.where(is_asked[:, np.newaxis], bias, np.nan)
            left_out[np.ix_(known, seen)] = temperature * answers
    found, constants = _fit_machines(among, places, len(seen), recipe)
    # The same for all values changes nothing, and this leaves the highest above 0: so
    # a value that no entry has is never the likeliest.
    found -= found.mean(axis=1, keepdims=True)
    constants -= constants.mean()
    coefficients[np.ix_(known, seen)] = temperature * found / scale
    bias[seen] = temperature * constants
    return coefficients, bias


def _inner_products(x: npt.NDArray[np.float32]) -> Array:
    """Returns inner products of rows in float64, without a copy of all of them."""
    products = np.zeros((len(x), len(x)))
    for part in np.array_split(x, max(1, x.shape[1] // 10_000), axis=1):
        part = part.astype(float)
        products += part @ part.T
    return products


def _fit_machines(
    products: Array,
    labels: npt.NDArray[np.integer],
    num_values: int,
    recipe: PlanesRecipe,
) -> tuple[Array, Array]:
    """Fits a machine to each value against the rest.

    A value that all or none of the entries have is told by the constant, 1 or -1.

    Returns:
        Coefficients `(entries, values)` and constants `(values,)`.
    """
    if isinstance(recipe, RidgeRecipe):
        return _fit_ridge(products, labels, num_values, recipe.penalty)
    return _fit_svm(products, labels, num_values, recipe.cost)


def _fit_ridge(
    products: Array, labels: npt.NDArray[np.integer], num_values: int, penalty: float
) -> tuple[Array, Array]:
    """Regresses 1 for a value and -1 for the rest, all values counting alike."""
    counts = np.bincount(labels)
    shares = 1 / (np.count_nonzero(counts) * counts[labels])
    targets = 2.0 * (labels[:, np.newaxis] == np.arange(num_values)) - 1
    means, mean_targets = products @ shares, shares @ targets
    centered = products - means[:, np.newaxis] - means + shares @ means
    penalties = np.diag(penalty / (len(labels) * shares))
    found = np.linalg.solve(centered + penalties, targets - mean_targets)
    # The origin of the plane's normal is that of the products.
    found -= shares[:, np.newaxis] * found.sum(axis=0)
    return found, mean_targets - means @ found


def _fit_svm(
    products: Array, labels: npt.NDArray[np.integer], num_values: int, cost: float
) -> tuple[Array, Array]:
    """Fits support vector machines, the two sides of each counting alike."""
    coefficients = np.zeros((len(labels), num_values))
    constants = np.zeros(num_values)
    for value in range(num_values):
        is_value = labels == value
        if is_value.all() or not is_value.any():
            constants[value] = 1.0 if is_value.all() else -1.0
        elif num_values == 2 and value == 1:  # The mirror of the first.
            coefficients[:, 1], constants[1] = -coefficients[:, 0], -constants[0]
        else:
            machine = SVC(kernel="precomputed", C=cost, class_weight="balanced")
            machine.fit(products, is_value)
            coefficients[machine.support_, value] = machine.dual_coef_[0]
            constants[value] = machine.intercept_[0]
    return coefficients, constants


def _deal(
    labels: npt.NDArray[np.integer], combination_ids: npt.NDArray[np.str_]
) -> npt.NDArray[np.integer]:
    """Deals combinations to parts, those of each value in turn, `(entries,)`."""
    names, first, inverse = np.unique(
        combination_ids, return_index=True, return_inverse=True
    )
    part_of = np.empty(len(names), int)
    # Sorted by the value of their first entry.
    part_of[np.argsort(labels[first], kind="stable")] = np.arange(len(names))
    return part_of[inverse] % NUM_FOLDS


def _answer_left_out(
    products: Array,
    labels: npt.NDArray[np.integer],
    folds: npt.NDArray[np.integer],
    recipe: PlanesRecipe,
) -> Array:
    """Returns decision values `(entries, values)`; see `solve`.

    They are NaN for entries that are not asked.
    """
    num_values = int(labels.max()) + 1
    answers = np.full((len(labels), num_values), np.nan)
    for fold in np.unique(folds):
        out = folds == fold
        if out.all():
            continue
        found, constants = _fit_machines(
            products[np.ix_(~out, ~out)], labels[~out], num_values, recipe
        )
        asked = out & np.isin(labels, labels[~out])
        answers[asked] = products[np.ix_(asked, ~out)] @ found + constants
    return answers
