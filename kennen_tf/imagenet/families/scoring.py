"""Scores of family prediction: accuracy, interval and confusion at each point."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kennen_tf.evaluation import scores as evaluation
from kennen_tf.evaluation.accuracy import confusion_matrix
from kennen_tf.evaluation.intervals import Interval
from kennen_tf.imagenet.families.prediction import Guess


@dataclasses.dataclass(frozen=True, kw_only=True)
class FamilyScore:
    """How well one metamodel names families from one number of queries.

    Attributes:
        metamodel: One of `configs.family_prediction.METAMODELS`.
        num_queries: Number of images whose outputs it read.
        count: Number of guesses: folds x draws x families held out.
        accuracy: Share of right guesses, mean over families, in [0, 1].
        interval: 95%. As for attributes (`evaluation.evaluate`), with classifiers in
            the place of combinations: folds and draws that ask about the same
            classifier do not count as independent.
        chance: 1 / number of families that may be named.
        confusion: Number of guesses by true family (row) and named family (column).
        per_member: Share of right guesses of each classifier, by its name.
    """

    metamodel: str
    num_queries: int
    count: int
    accuracy: float
    interval: Interval
    chance: float
    confusion: tuple[tuple[int, ...], ...]
    per_member: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Returns plain values for results.json."""
        return dataclasses.asdict(self)


def score_guesses(
    guesses: Iterable[Guess], families: Sequence[str], seed: int
) -> list[FamilyScore]:
    """Scores guesses of each metamodel and number of queries, in order of appearance.

    Args:
        guesses: At least one.
        families: All that may be named.
        seed: Decides the draws of the bootstrap.
    """
    groups: dict[tuple[str, int], list[Guess]] = {}
    for guess in guesses:
        groups.setdefault((guess.metamodel, guess.num_queries), []).append(guess)
    scores = []
    for (metamodel, num_queries), own in groups.items():
        labels = np.array([families.index(g.classifier.family) for g in own])
        named = np.array([families.index(g.family) for g in own])
        classifiers = [g.classifier.name for g in own]
        accuracy, interval = evaluation.score(
            labels, named, classifiers, len(families), seed
        )
        matrix = confusion_matrix(labels, named, len(families))
        is_right = labels == named
        scores.append(
            FamilyScore(
                metamodel=metamodel,
                num_queries=num_queries,
                count=len(own),
                accuracy=accuracy,
                interval=interval,
                chance=1 / len(families),
                confusion=tuple(map(tuple, matrix.tolist())),
                per_member={
                    name: float(is_right[np.array(classifiers) == name].mean())
                    for name in dict.fromkeys(classifiers)
                },
            )
        )
    return scores
