"""Metamodels that learn from a zoo's answers and read those of other people's files."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.recipes import KERNEL, RECIPES, Recipe, SolvedRecipe
from kennen_tf.evaluation import limits as limits_lib
from kennen_tf.evaluation.novelty import Novelty
from kennen_tf.machine import distribution
from kennen_tf.metamodels import left_out as left_out_lib
from kennen_tf.metamodels.metrics import Side
from kennen_tf.metamodels.recipes import fitting, linear, solving
from kennen_tf.queries import representations

FloatArray = npt.NDArray[np.floating]
# From a training side and its combinations to a metamodel.
Learn = Callable[[AttributeTable, Side, Sequence[str]], keras.Model]


def _solve(
    recipe: SolvedRecipe, table: AttributeTable, side: Side, ids: Sequence[str]
) -> keras.Model:
    model, _ = solving.fit(recipe, table, side.features, side.labels, ids)
    return model


def _train(
    name: str, seed: int, table: AttributeTable, side: Side, ids: Sequence[str]
) -> keras.Model:
    recipe = RECIPES[name]
    if not isinstance(recipe, Recipe):
        raise ValueError(f"`name` must be of a recipe of MLPs. Received: {name}.")
    strategy = distribution.make_strategy("one_device")
    return fitting.fit_anew(
        recipe.for_table(table),
        table,
        side.features,
        side.labels,
        seed=seed,
        strategy=strategy,
    )


def _fit_linear(table: AttributeTable, side: Side, ids: Sequence[str]) -> keras.Model:
    model, _ = linear.fit(
        table, side.features, side.labels, is_balanced=True, divides=True
    )
    return model


def make(seed: int, prior: float) -> dict[str, Learn]:
    """Makes the ways to learn, by name.

    Args:
        seed: Root seed of trainings.
        prior: See `KernelRecipe`.
    """
    kernel = dataclasses.replace(KERNEL, prior=prior)
    undivided = dataclasses.replace(kernel, divide=False)
    alike = dataclasses.replace(kernel, prior=0.0)
    return {
        # That of ready metamodels.
        "kernel": functools.partial(_solve, kernel),
        "kernel, undivided": functools.partial(_solve, undivided),
        "kernel, values alike": functools.partial(_solve, alike),
        "mlp": functools.partial(_train, "mlp", seed),
        "paper": functools.partial(_train, "paper", seed),
        "linear": _fit_linear,
    }


class Reader:
    """A metamodel that reads answers at the level of precision that they have."""

    def __init__(
        self,
        learn: Learn,
        table: AttributeTable,
        side: Side,
        ids: Sequence[str],
        strangers: FloatArray | None = None,
    ):
        """Learns nothing yet.

        Args:
            learn: How.
            table: The attributes.
            side: Training entries; features are log-probabilities.
            ids: Their combinations.
            strangers: Log-probabilities of classifiers that are no networks.
        """
        self._learn, self._table, self._side, self._ids = learn, table, side, ids
        self._strangers = strangers
        self._models: dict[float, keras.Model] = {}
        self._novelties: dict[float, Novelty] = {}

    def read(
        self, answers: FloatArray, resolutions: Sequence[float]
    ) -> dict[str, FloatArray]:
        """Returns probabilities of the values, `(classifiers, values)`, by attribute.

        Args:
            answers: Probabilities, `(classifiers, queries, classes)`.
            resolutions: Step between neighbouring answers of each; 0: as fine as can
                be.
        """
        said: dict[str, FloatArray] = {
            attribute.name: np.zeros((len(answers), len(attribute.values)))
            for attribute in self._table
        }
        for floor, chosen, features in _at_levels(answers, resolutions):
            if floor not in self._models:
                self._models[floor] = self._learn(
                    self._table, self._coarsen(floor), self._ids
                )
            for name, own in left_out_lib.answer(self._models[floor], features).items():
                said[name][chosen] = own
        return said

    def find_p_values(
        self, answers: FloatArray, resolutions: Sequence[float]
    ) -> FloatArray:
        """Returns how strange answers are, `(classifiers,)`; see `Novelty.p_values`."""
        found = np.zeros(len(answers))
        for floor, chosen, features in _at_levels(answers, resolutions):
            if floor not in self._novelties:
                own = self._coarsen(floor).features.astype(np.float64)
                others = self._strangers
                if others is not None:
                    others = limits_lib.coarsen(others.astype(np.float64), floor)
                self._novelties[floor] = Novelty.fit(own, self._ids, others)
            found[chosen] = self._novelties[floor].p_values(features.astype(np.float64))
        return found

    def _coarsen(self, floor: float) -> Side:
        features = limits_lib.coarsen(self._side.features, floor)
        return dataclasses.replace(self._side, features=features.astype(np.float32))


def _at_levels(
    answers: FloatArray, resolutions: Sequence[float]
) -> list[tuple[float, npt.NDArray[np.integer], npt.NDArray[np.float32]]]:
    """Returns floor, places and features of the answers at each level."""
    if not len(answers):
        return []
    known = limits_lib.LEVELS
    levels = np.array([limits_lib.choose(known, own) for own in resolutions])
    features = representations.represent(
        answers.astype(np.float32), "probabilities", answers.shape[-1]
    ).numpy()
    found: list[tuple[float, npt.NDArray[np.integer], npt.NDArray[np.float32]]] = []
    for level in np.unique(levels):
        chosen, floor = np.flatnonzero(levels == level), known[level].floor
        read = limits_lib.coarsen(features[chosen], floor).astype(np.float32)
        found.append((floor, chosen, read))
    return found
