"""What metamodels say of classifiers that they have not seen, and what that teaches."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import numpy.typing as npt

from kennen_tf.evaluation import conformal
from kennen_tf.metamodels.metrics import Side
from kennen_tf.metamodels.recipes import features as features_lib
from kennen_tf.metamodels.recipes import heads
from kennen_tf.metamodels.recipes.temperature import find_temperature

# Parts of the combinations; each is left out, or one, where that takes long.
NUM_PARTS = 4
_LEAST_PROBABILITY = 1e-12

# From training entries and their combinations to a metamodel.
Refit = Callable[[Side, Sequence[str]], keras.Model]


def deal(combination_ids: Sequence[str]) -> list[npt.NDArray[np.bool_]]:
    """Deals combinations to `NUM_PARTS` parts; returns which entries are in each."""
    return conformal.deal(combination_ids, NUM_PARTS)


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
        model = refit(side.take(~is_out), list(np.asarray(combination_ids)[~is_out]))
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
