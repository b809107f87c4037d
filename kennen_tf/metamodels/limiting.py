"""A trained metamodel learns its limits from classifiers that it has not seen.

What is solved for says itself what it would answer without a combination. Of what is
trained, a second one is, on some of the combinations, and asked about the others: that
tells how far to trust the first, which learned from all of them.
"""

import dataclasses
import pathlib
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
from kennen_tf.metamodels.metrics import Side
from kennen_tf.metamodels.recipes import features as features_lib
from kennen_tf.metamodels.recipes import fitting, heads, solving
from kennen_tf.metamodels.recipes.temperature import find_temperature
from kennen_tf.vocabulary.seeds import derive_seed
from pipelines import query_outputs

# Parts of the combinations; each is left out, or one, where that takes long.
NUM_PARTS = 4
_LEAST_PROBABILITY = 1e-12
# Never written: what takes as long as the training itself starts anew.
_NO_CHECKPOINT = pathlib.Path("none.npz")

# From training entries and their combinations to a metamodel.
Refit = Callable[[Side, Sequence[str]], keras.Model]
# The same, and what it says of the entries left out.
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
    """

    def settle(
        model: keras.Model, left_out: heads.LeftOut
    ) -> tuple[keras.Model, heads.LeftOut]:
        if is_honest is None:  # The temperature is right already.
            return model, left_out
        honest = select(left_out, is_honest)
        return calibrate(model, side.labels, honest)

    def solve(coarse: Side) -> tuple[keras.Model, heads.LeftOut]:
        said: heads.LeftOut = {}
        answering, _ = solving.fit(
            recipe, table, coarse.features, coarse.labels, combination_ids, said
        )
        return settle(answering, said)

    model, left_out = settle(model, left_out)
    limited = limit(model, side, combination_ids, left_out)
    if not reads_all:
        return limited
    return add_coarse(limited, side, combination_ids, solve)


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
    left_out = leave_out(refit, side, combination_ids, parts)
    model, left_out = calibrate(model, side.labels, left_out, is_balanced=is_balanced)
    return limit(model, side, combination_ids, left_out)


def limit_trained(
    recipe: Recipe,
    table: AttributeTable,
    model: keras.Model,
    side: Side,
    combination_ids: Sequence[str],
    seed: int,
    is_honest: npt.NDArray[np.bool_] | None = None,
) -> Limited:
    """Finds the limits of an MLP, by training another; see `leave_out`.

    Args:
        recipe: How it was trained; its groups are those of the table.
        table: The attributes.
        model: The metamodel.
        side: Its training entries.
        combination_ids: Theirs.
        seed: Root seed of the training.
        is_honest: Which entries had no part in the making of the queries,
            `(entries,)`; None: all.
    """

    def refit(others: Side, _: Sequence[str]) -> keras.Model:
        # As many steps as all entries were: with fewer, it would be less sure.
        epochs = round(recipe.epochs * len(side) / len(others))
        trainer = fitting.Trainer.start(
            dataclasses.replace(recipe, epochs=epochs),
            table,
            others.features,
            others.labels,
            seed=seed,
            strategy=tf.distribute.get_strategy(),
            checkpoint_path=_NO_CHECKPOINT,
        )

        def make_stream(batch_size: int, first_epoch: int) -> tf.data.Dataset:
            return query_outputs.make_array_dataset(
                others.features,
                others.labels,
                batch_size=batch_size,
                shuffle_seed=derive_seed(seed, "order of training"),
                first_epoch=first_epoch,
            )

        trainer.fit(make_stream, [])
        return trainer.answering

    parts = deal(combination_ids)[:1] if is_honest is None else [is_honest]
    return limit_refitted(
        refit,
        model,
        side,
        combination_ids,
        parts,
        is_balanced=recipe.balance > 0,
    )


def limit(
    model: keras.Model,
    side: Side,
    combination_ids: Sequence[str],
    left_out: heads.LeftOut,
) -> Limited:
    """Adds what is known at full precision.

    Args:
        model: The metamodel.
        side: Its training entries.
        combination_ids: Theirs.
        left_out: What it says of entries that it has not seen.
    """
    own = _learn(*limits_lib.FULL, side, combination_ids, left_out)
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
        models.append(_read_coarsely(model, floor))
        known.append(_learn(resolution, floor, coarse, combination_ids, left_out))
    return dataclasses.replace(limited, coarse=tuple(models), limits=tuple(known))


def deal(combination_ids: Sequence[str]) -> list[npt.NDArray[np.bool_]]:
    """Deals combinations to `NUM_PARTS` parts; returns which entries are in each."""
    ids, cluster = np.unique(np.asarray(combination_ids), return_inverse=True)
    # Dealt in an order that has nothing to do with the names.
    parts = (np.random.default_rng(0).permutation(len(ids)) % NUM_PARTS)[cluster]
    return [parts == part for part in range(NUM_PARTS)]


def leave_out(
    refit: Refit,
    side: Side,
    combination_ids: Sequence[str],
    parts: Sequence[npt.NDArray[np.bool_]],
) -> heads.LeftOut:
    """Asks metamodels that are trained without a part of the combinations about it.

    Args:
        refit: Trains one.
        side: Training entries.
        combination_ids: Theirs.
        parts: Which entries are left out, one part after the other, `(entries,)`.
    """
    left_out: heads.LeftOut = {}
    for is_out in parts:
        if is_out.all() or not is_out.any():
            continue
        others = Side(
            side.features[~is_out],
            {name: own[~is_out] for name, own in side.labels.items()},
        )
        model = refit(others, list(np.asarray(combination_ids)[~is_out]))
        answers = answer(model, side.features[is_out])
        for name, own in answers.items():
            nobody = np.full((len(side), own.shape[1]), np.nan)
            left_out.setdefault(name, nobody)[is_out] = own
    return left_out


def calibrate(
    model: keras.Model,
    labels: heads.Labels,
    left_out: heads.LeftOut,
    *,
    is_balanced: bool = True,
) -> tuple[keras.Model, heads.LeftOut]:
    """Takes probabilities to the powers that make the truth likeliest.

    It changes which value is likeliest nowhere.

    Args:
        model: A metamodel.
        labels: Of its training entries.
        left_out: What it says of those that it has not seen.
        is_balanced: Whether values count alike, and not entries.

    Returns:
        The metamodel with layers added, and what it says of them then.
    """
    answers, after = {}, {}
    for name, output in model.output.items():
        power = 1.0
        if name in left_out:
            power = _find_power(labels[name], left_out[name], is_balanced)
            raised = np.maximum(left_out[name], _LEAST_PROBABILITY) ** power
            after[name] = raised / raised.sum(axis=1, keepdims=True)
        logs = keras.ops.log(keras.ops.maximum(output, _LEAST_PROBABILITY))
        scaled = keras.layers.Rescaling(power, name=f"{name}_power")(logs)
        answers[name] = keras.layers.Softmax(name=f"{name}_calibrated")(scaled)
    return keras.Model(model.input, answers, name=model.name), after


def answer(
    model: keras.Model, features: npt.NDArray[np.float32]
) -> dict[str, npt.NDArray[np.float32]]:
    """Returns what a metamodel says of features, probabilities by attribute."""
    return {
        name: features_lib.call(keras.Model(model.input, output), features)
        for name, output in model.output.items()
    }


def select(left_out: heads.LeftOut, is_honest: npt.NDArray[np.bool_]) -> heads.LeftOut:
    """Forgets what is said of entries that had a part in the making otherwise."""
    return {
        name: np.where(is_honest[:, np.newaxis], own, np.nan)
        for name, own in left_out.items()
    }


def _find_power(
    labels: npt.NDArray[np.integer],
    left_out: npt.NDArray[np.floating],
    is_balanced: bool,
) -> float:
    asked = (labels >= 0) & np.isfinite(left_out).all(axis=1)
    if not asked.any():
        return 1.0
    _, places = np.unique(labels[asked], return_inverse=True)
    weights = 1 / np.bincount(places)[places] if is_balanced else np.ones(len(places))
    logs = np.log(np.maximum(left_out[asked], _LEAST_PROBABILITY))
    return find_temperature(logs, labels[asked], weights, np.zeros(logs.shape[1]))


def _read_coarsely(model: keras.Model, floor: float) -> keras.Model:
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
) -> Limits:
    thresholds = {
        name: conformal.find_thresholds(own, side.labels[name], combination_ids)
        for name, own in left_out.items()
    }
    return Limits(
        resolution=resolution,
        floor=floor,
        thresholds={n: tuple(map(float, own)) for n, own in thresholds.items()},
        novelty=Novelty.fit(side.features.astype(np.float64), combination_ids),
    )
