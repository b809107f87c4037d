"""A trained metamodel learns its limits from classifiers that it has not seen.

What is solved for says itself what it would answer without a combination. Of what is
trained, a second one is, on some of the combinations, and asked about the others: that
tells how far to trust the first, which learned from all of them.
"""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.recipes import Recipe, SolvedRecipe
from kennen_tf.evaluation import conformal
from kennen_tf.evaluation import limits as limits_lib
from kennen_tf.evaluation.limits import Limits
from kennen_tf.evaluation.novelty import Novelty
from kennen_tf.metamodels import left_out as left_out_lib
from kennen_tf.metamodels.left_out import Refit
from kennen_tf.metamodels.metrics import Side
from kennen_tf.metamodels.recipes import fitting, heads, joining, solving

# How strange answers are is measured in float64, in several copies and ten times over;
# more entries would take gigabytes and hours, and move no quantile.
_MOST_FOR_NOVELTY = 30_000

# To a metamodel, and what it says of each training entry without its combination.
Solve = Callable[[Side], tuple[keras.Model, heads.LeftOut]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limited:
    """A metamodel that knows its limits.

    Attributes:
        model: From features to probabilities, at full precision.
        coarse: The same for coarser answers: of the same features.
        limits: At full precision, and of each of `coarse`.
    """

    model: keras.Model
    coarse: tuple[keras.Model, ...] = ()
    limits: tuple[Limits, ...] = ()


def limit_solved(
    recipe: SolvedRecipe,
    table: AttributeTable,
    model: keras.Model,
    side: Side,
    combination_ids: Sequence[str],
    left_out: heads.LeftOut,
    *,
    reads_all: bool,
    is_honest: npt.NDArray[np.bool_] | None = None,
    strangers: npt.NDArray[np.floating] | None = None,
) -> Limited:
    """Finds the limits of what was solved for.

    Args:
        recipe: How.
        table: The attributes.
        model: The metamodel.
        side: Its training entries.
        combination_ids: Theirs.
        left_out: What it says of each without its combination.
        reads_all: Whether features are log-probabilities: only then coarser answers are
            read otherwise.
        is_honest: Which entries had no part in the making of the queries,
            `(entries,)`; None: all.
        strangers: Features of classifiers that are none of the zoo's kind.
    """

    model, left_out = _settle(model, side.labels, left_out, is_honest)
    limited = limit(model, side, combination_ids, left_out, strangers)
    if not reads_all:
        return limited
    solve = _make_solve(recipe, table, combination_ids, is_honest)
    return add_coarse(limited, side, combination_ids, solve)


def _settle(
    model: keras.Model,
    labels: heads.Labels,
    left_out: heads.LeftOut,
    is_honest: npt.NDArray[np.bool_] | None,
) -> tuple[keras.Model, heads.LeftOut]:
    """Trusts what was solved for as far as honest entries say."""
    if is_honest is None:  # The temperature is right already.
        return model, left_out
    honest = left_out_lib.select(left_out, is_honest)
    return left_out_lib.calibrate(model, labels, honest)


def _make_solve(
    recipe: SolvedRecipe,
    table: AttributeTable,
    combination_ids: Sequence[str],
    is_honest: npt.NDArray[np.bool_] | None,
) -> Solve:
    """Returns what solves for a metamodel of coarser answers."""

    def solve(coarse: Side) -> tuple[keras.Model, heads.LeftOut]:
        said: heads.LeftOut = {}
        answering, _ = solving.fit(
            recipe, table, coarse.features, coarse.labels, combination_ids, said
        )
        return _settle(answering, coarse.labels, said, is_honest)

    return solve


def limit_refitted(
    refit: Refit,
    model: keras.Model,
    side: Side,
    combination_ids: Sequence[str],
    parts: Sequence[npt.NDArray[np.bool_]],
    *,
    is_balanced: bool = True,
) -> Limited:
    """Finds the limits of what is trained, by training again.

    Args:
        refit: Trains another one.
        model: The metamodel.
        side: Its training entries.
        combination_ids: Theirs.
        parts: Who is left out; see `leave_out`.
        is_balanced: Whether values count alike in training, and not entries.
    """
    left_out = left_out_lib.leave_out(refit, side, combination_ids, parts)
    model, left_out = left_out_lib.calibrate(
        model, side.labels, left_out, is_balanced=is_balanced
    )
    return limit(model, side, combination_ids, left_out)


def limit_trained(
    recipe: Recipe,
    table: AttributeTable,
    model: keras.Model,
    side: Side,
    combination_ids: Sequence[str],
    seed: int,
    strategy: tf.distribute.Strategy,
    is_honest: npt.NDArray[np.bool_] | None = None,
    beside: joining.Beside | None = None,
    reads_all: bool = False,
) -> Limited:
    """Finds the limits of MLPs, by training others; see `leave_out`.

    Of what is joined with a regression that is solved for, what both say of those left
    out counts; and of coarser answers, the regression alone is solved for again.

    All processes of a strategy call this.

    Args:
        recipe: How it was trained; its groups are those of the table.
        table: The attributes.
        model: The metamodel.
        side: Its training entries.
        combination_ids: Theirs.
        seed: Root seed of the training.
        strategy: Under which to train.
        is_honest: Which entries had no part in the making of the queries,
            `(entries,)`; None: all.
        beside: What the MLPs are joined with, if they are.
        reads_all: Whether features are log-probabilities: only then coarser answers are
            read otherwise.
    """

    def refit(others: Side, _: Sequence[str]) -> keras.Model:
        # As many steps as all entries were: with fewer, it would be less sure.
        epochs = round(recipe.epochs * len(side) / len(others))
        return fitting.fit_anew(
            dataclasses.replace(recipe, epochs=epochs),
            table,
            others.features,
            others.labels,
            seed=seed,
            strategy=strategy,
        )

    parts = left_out_lib.deal(combination_ids)[:1] if is_honest is None else [is_honest]
    left_out = left_out_lib.leave_out(refit, side, combination_ids, parts)
    if beside is not None:
        left_out = beside.join_left_out(left_out)
    model, left_out = left_out_lib.calibrate(
        model, side.labels, left_out, is_balanced=recipe.balance > 0
    )
    limited = limit(model, side, combination_ids, left_out)
    if beside is None or not reads_all:
        return limited
    solve = _make_solve(beside.recipe, table, combination_ids, is_honest)
    return add_coarse(limited, side, combination_ids, solve)


def limit(
    model: keras.Model,
    side: Side,
    combination_ids: Sequence[str],
    left_out: heads.LeftOut,
    strangers: npt.NDArray[np.floating] | None = None,
) -> Limited:
    """Adds what is known at full precision.

    Args:
        model: The metamodel.
        side: Its training entries.
        combination_ids: Theirs.
        left_out: What it says of entries that it has not seen.
        strangers: Features of classifiers that are none of the zoo's kind.
    """
    own = _learn(*limits_lib.FULL, side, combination_ids, left_out, strangers)
    return Limited(model=model, limits=(own,))


def add_coarse(
    limited: Limited, side: Side, combination_ids: Sequence[str], solve: Solve
) -> Limited:
    """Adds metamodels for coarser answers, solved for anew.

    Args:
        limited: What is known at full precision.
        side: Training entries; features are log-probabilities.
        combination_ids: Theirs.
        solve: Makes a metamodel of a recipe.
    """
    models, known = [], list(limited.limits)
    for resolution, floor in limits_lib.COARSE:
        coarse = dataclasses.replace(
            side,
            features=limits_lib.coarsen(side.features, floor).astype(np.float32),
        )
        model, left_out = solve(coarse)
        models.append(read_coarsely(model, floor))
        known.append(_learn(resolution, floor, coarse, combination_ids, left_out))
    return dataclasses.replace(limited, coarse=tuple(models), limits=tuple(known))


def read_coarsely(model: keras.Model, floor: float) -> keras.Model:
    """Returns a metamodel of log-probabilities that has a floor added first."""
    inputs = keras.Input(model.input_shape[1:], name="features")
    read = keras.ops.log(keras.ops.exp(inputs) + floor)
    return keras.Model(inputs, model(read), name=f"{model.name}_coarse")


def _learn(
    resolution: float,
    floor: float,
    side: Side,
    combination_ids: Sequence[str],
    left_out: heads.LeftOut,
    strangers: npt.NDArray[np.floating] | None = None,
) -> Limits:
    thresholds = {
        name: conformal.find_thresholds(own, side.labels[name], combination_ids)
        for name, own in left_out.items()
    }
    chosen = _choose_some(combination_ids)
    return Limits(
        resolution=resolution,
        floor=floor,
        thresholds={n: tuple(map(float, own)) for n, own in thresholds.items()},
        novelty=Novelty.fit(
            side.features[chosen].astype(np.float64),
            [combination_ids[place] for place in chosen],
            None if strangers is None else strangers.astype(np.float64),
        ),
    )


def _choose_some(combination_ids: Sequence[str]) -> npt.NDArray[np.integer]:
    """Returns the places of all entries, or of whole combinations drawn at random."""
    if len(combination_ids) <= _MOST_FOR_NOVELTY:
        return np.arange(len(combination_ids))
    ids, own, counts = np.unique(
        np.asarray(combination_ids), return_inverse=True, return_counts=True
    )
    order = np.random.default_rng(0).permutation(len(ids))
    is_chosen = np.zeros(len(ids), bool)
    num_before = np.cumsum(counts[order]) - counts[order]
    is_chosen[order[num_before < _MOST_FOR_NOVELTY]] = True
    return np.flatnonzero(is_chosen[own])
