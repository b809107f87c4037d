"""kennen-s: natural queries that tell most, instead of random ones.

The paper names the choice of natural images as future work (section 5): they are as
stealthy as kennen-o's. Ours are added one after the other, each the one with which a
ridge regression, from all outputs so far to the values of all attributes, errs least on
training entries that it was not fitted to. The metamodel is kennen-o's.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tqdm

from kennen_tf.attributes import AttributeTable
from kennen_tf.metamodels.recipes import features as features_lib
from kennen_tf.metamodels.recipes import heads, joint_loss, missing
from kennen_tf.vocabulary.seeds import derive_seed

# Strength of the regularisation, for features of variance 1. Chosen by
# `benchmarks/recipes.py` on the development data of `configs/recipes.py`: with 20
# queries chosen of 1,000, strengths of 100, 300 and 1000 have 79.9, 80.7, 80.1 on the
# first zoo (500 to train on, three seeds), and 56.8, 55.4 and 54.5 on the second (111,
# six seeds).
RIDGE = 300.0
NUM_FOLDS = 4
# As in the recipes of kennen-o: features that hardly vary must not explode.
_DEVIATION_FLOOR = 0.1

Array = npt.NDArray[np.float32]


def choose(
    table: AttributeTable,
    outputs: Array,
    labels: heads.Labels,
    combination_ids: Sequence[str],
    num_queries: int,
    seed: int,
) -> list[int]:
    """Chooses queries for the entries of a training.

    With more, the first stay the same.

    Entries without a value of an attribute have no part in the regression to it, not
    even as an average: attributes that the same entries have share a regression, which
    is fitted to those and scored on those. Memory: outputs times 2 + `NUM_FOLDS` for
    each set of entries that have an attribute; if none is missing, there is one.

    Args:
        table: The attributes.
        outputs: What training entries answered to all stored queries, represented,
            `(entries, stored queries, classes)`.
        labels: Of the entries; for each attribute, `(entries,)`.
        combination_ids: Of the entries; there are at least two different ones. Entries
            of one combination are fitted to, or left out, together.
        num_queries: How many to choose, at most those stored.
        seed: Root seed of who is left out when.

    Returns:
        Places among the stored queries, the most telling first.
    """
    candidates = _standardize(outputs)
    targets, weights = _make_targets(table, labels)
    folds = [
        _Fold(
            candidates[:, is_known],
            targets[np.ix_(is_known, columns)],
            weights[np.ix_(is_known, columns)],
            is_held_out[is_known],
        )
        for is_held_out in _draw_folds(combination_ids, seed)
        for is_known, columns in missing.patterns(table, labels)
    ]
    chosen: list[int] = []
    for _ in tqdm.trange(num_queries, desc="choosing queries", leave=None):
        errors = np.sum([fold.errors() for fold in folds], axis=0)
        errors[chosen] = np.inf
        chosen.append(int(errors.argmin()))
        for fold in folds:
            fold.add(chosen[-1])
    return chosen


class _Fold:
    """A regression that leaves some entries out, as queries are added to it.

    What a query adds depends only on what those before it do not explain: of the
    targets, and of the query's own features. So these residuals are all that is kept,
    and to add a query is to solve for its few features alone, without the others.

    Args:
        candidates: Features `(stored queries, entries, d)`.
        targets, weights: `(entries, values)`.
        is_held_out: bool `(entries,)`.
    """

    def __init__(
        self,
        candidates: Array,
        targets: Array,
        weights: Array,
        is_held_out: npt.NDArray[np.bool_],
    ):
        self._fitted = candidates[:, ~is_held_out].transpose(0, 2, 1) / RIDGE
        self._features = candidates[:, ~is_held_out]
        self._features_out = candidates[:, is_held_out]
        self._targets = targets[~is_held_out]
        self._targets_out = targets[is_held_out]
        self._weights_out = weights[is_held_out]
        # With more features than entries, what is solved for are the entries' weights:
        # the squares of a thousand features would not fit into memory.
        self._is_wide = self._features.shape[2] > self._features.shape[1]

    def errors(self) -> npt.NDArray[np.float64]:
        """Returns the error on the entries left out with each query, if it is added."""
        if self._is_wide:
            gram = np.eye(len(self._targets)) + self._features @ self._fitted
            reading = self._fitted @ np.linalg.solve(gram, self._targets)
        else:
            gram = np.eye(self._fitted.shape[1]) + self._fitted @ self._features
            reading = np.linalg.solve(gram, self._fitted @ self._targets)
        left = self._targets_out - self._features_out @ reading.astype(np.float32)
        return np.einsum("nv,qnv,qnv->q", self._weights_out, left, left)

    def add(self, query: int) -> None:
        """Adds a query to the regression."""
        own, own_out = self._features[query], self._features_out[query]
        if self._is_wide:
            gram = np.eye(len(own)) + own @ self._fitted[query]
            reader = self._fitted[query] @ np.linalg.inv(gram).astype(np.float32)
        else:
            gram = np.eye(own.shape[1]) + self._fitted[query] @ own
            reader = np.linalg.solve(gram, self._fitted[query]).astype(np.float32)
        reading = reader @ self._targets
        self._targets = self._targets - own @ reading
        self._targets_out = self._targets_out - own_out @ reading
        if self._is_wide:
            self._features_out = self._features_out - own_out @ reader @ self._features
            self._features = self._features - own @ reader @ self._features
        else:
            readings = reader @ self._features
            self._features = self._features - own @ readings
            self._features_out = self._features_out - own_out @ readings


def _standardize(outputs: Array) -> Array:
    """Returns features `(queries, entries, d)`, of mean 0 and variance 1."""
    standardizer = features_lib.make_standardizer(
        outputs,
        center=True,
        separate_scale=True,
        deviation_floor=_DEVIATION_FLOOR,
    )
    features = features_lib.call(standardizer, outputs)
    by_entry = features.reshape(*outputs.shape[:2], -1)
    return np.ascontiguousarray(by_entry.transpose(1, 0, 2))


def _make_targets(table: AttributeTable, labels: heads.Labels) -> tuple[Array, Array]:
    """Returns targets of mean 0 and weights by which values count alike.

    Both are `(entries, sum of values)`, and 0 where there is no value.
    """
    balanced = joint_loss.make_targets(
        table, labels, balance=1.0, max_weight=10, label_smoothing=0
    )
    targets, weights = [], []
    for index, attribute in enumerate(table):
        own = labels[attribute.name]
        is_known = own >= 0
        one_hot = np.zeros((len(own), len(attribute.values)), np.float32)
        one_hot[is_known] = np.eye(len(attribute.values))[own[is_known]]
        if is_known.any():
            one_hot[is_known] -= one_hot[is_known].mean(axis=0)
        weight = joint_loss.weigh(balanced, own, index)[:, np.newaxis]
        targets.append(one_hot)
        weights.append(np.broadcast_to(weight, one_hot.shape))
    return np.concatenate(targets, axis=1), np.concatenate(weights, axis=1)


def _draw_folds(
    combination_ids: Sequence[str], seed: int
) -> list[npt.NDArray[np.bool_]]:
    """Returns who is left out in each fold, bool `(entries,)`."""
    combinations, inverse = np.unique(combination_ids, return_inverse=True)
    random = np.random.default_rng(derive_seed(seed, "folds of the query choice"))
    num_folds = min(NUM_FOLDS, len(combinations))
    fold_of = random.permutation(len(combinations)) % num_folds
    return [fold_of[inverse] == fold for fold in range(num_folds)]
