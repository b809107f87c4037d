"""Who names a family from defended answers, not knowing of the defence, or knowing it.

Both ask the same queries. The unaware attacker is that of `attack_black_box`: his
metamodel learned from the classifiers at hand as they are. The aware one has these
answer as the black box does, defence included. He also chooses below what
probabilities tell nothing, which is much where they are noisy: as names classifiers at
hand best that are held out.

One of each family is held out at once, as in the paper. Were it one alone, its family
would be a smaller one for it: metamodels that learned nothing named it always or never.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.auditing.attackers import AWARE, UNAWARE
from kennen_tf.auditing.defences import Defence
from kennen_tf.imagenet.auditing.attack_folder import AttackAnswers
from kennen_tf.imagenet.classifiers.registry import Registry
from kennen_tf.imagenet.families import family_metamodels, prediction, scoring
from kennen_tf.imagenet.families.prediction import Guess
from kennen_tf.imagenet.families.scoring import FamilyScore
from kennen_tf.vocabulary.seeds import derive_seed

NONE = "none"
BLACK_BOX = "the black box"

# What probabilities are cut at, in parts of an even one, for the aware to choose from.
_FLOORS = (1e-4, 1e-2, 1e-1, 1.0, 1e1, 1e2)
# Above it, there is nothing left of who is not sure; of few classes, even ones are.
_HIGHEST_FLOOR = 0.1
# Of logarithms of single precision.
_ROUNDING = 1e-6
# Of a few dozen classifiers with 1,000 classes, 50 MB.
_IMAGES_AT_ONCE = 64

FloatArray = npt.NDArray[np.float64]
Answers = npt.NDArray[np.floating]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Naming:
    """What an attacker names.

    Attributes:
        target: The family of the black box, one for each draw of queries.
        held_out: How well he names classifiers at hand, one of each family being held
            out in turn; None if no family has two.
        floor: What he cuts probabilities of the black box at.
    """

    target: tuple[str, ...]
    held_out: FamilyScore | None
    floor: float

    def share(self, family: str) -> float:
        """Returns the share of draws in which that family is named."""
        return self.target.count(family) / len(self.target)

    @property
    def most_named(self) -> str:
        """The family named most often; of equals, the one named first."""
        return Counter(self.target).most_common(1)[0][0]

    def to_json(self) -> dict[str, Any]:
        return {
            "named": {name: self.share(name) for name in dict.fromkeys(self.target)},
            "held_out": self.held_out and self.held_out.to_json(),
            "floor": self.floor,
        }


class FamilyNamers:
    """Both attackers, and the classifiers at hand for them to learn from.

    Attributes:
        num_queries: How many images are asked in each draw.
        num_draws: How many draws there are; they differ.
    """

    def __init__(
        self,
        answers: AttackAnswers,
        metamodel: str,
        num_queries: int,
        num_draws: int,
        seed: int,
        num_asked: int = 1,
    ):
        """Draws queries.

        Args:
            answers: Of an attack.
            metamodel: One of `configs.family_prediction.METAMODELS`.
            num_queries: Images in each draw; all if there are fewer.
            num_draws: Draws; of those of the same images, one is taken.
            seed: Root seed.
            num_asked: How often each query is asked where noise is drawn anew each
                time; answers are averaged.
        """
        self._metamodel, self._seed, self._num_asked = metamodel, seed, num_asked
        self._clean = normalise(answers.clean)
        self._classifiers = answers.families.classifiers
        self._plain = [answers.outputs.probabilities[c.name] for c in self._classifiers]
        self._families = list(answers.families.families)
        own = [self._families.index(c.family) for c in self._classifiers]
        # As they are, as they are defended, and the black box.
        self._labels = np.array([*own, *own, -1])
        # Who is named by whoever has not seen any of them.
        self._unseen = [
            *_make_folds(answers.families, seed),
            np.array([len(self._classifiers)]),
        ]
        num_images = len(answers.clean)
        self.num_queries = min(num_queries, num_images)
        different: dict[tuple[int, ...], npt.NDArray[np.int64]] = {}
        for draw in range(num_draws):
            queries = prediction.draw_queries(num_images, self.num_queries, seed, draw)
            different.setdefault(tuple(sorted(queries)), queries)
        self._draws = list(different.values())
        self.num_draws = len(self._draws)

    def name(self, defence: Defence) -> dict[str, Naming]:
        """Returns what each attacker names, by `attackers.ATTACKERS`."""
        defended = [
            self._defend(defence, normalise(rows), classifier.name)
            for classifier, rows in zip(self._classifiers, self._plain, strict=True)
        ]
        defended.append(self._defend(defence, self._clean, BLACK_BOX))
        count = len(self._classifiers)
        least = _least_probability(defended)
        products = self._products([*self._plain, *defended], least)
        found = {UNAWARE: self._read(self._score(products), least)}
        if defence.name == NONE:
            return found | {AWARE: found[UNAWARE]}  # There is nothing to know.
        even = 1 / defended[0].shape[1]
        highest = max(even, _HIGHEST_FLOOR)
        tried = [part * even for part in _FLOORS if least < part * even <= highest]
        # Of equally good ones, who knows of noise takes the highest.
        floors = sorted((least, *tried), reverse=defence.is_random)
        named = np.stack(
            [self._score(self._products(defended, floor)) for floor in floors]
        )
        chosen = self._choose(named)
        places = np.arange(count + 1)
        aware = np.moveaxis(named[chosen, :, :, places], 0, -1)
        return found | {AWARE: self._read(aware, floors[chosen[-1]])}

    def _defend(self, defence: Defence, rows: FloatArray, name: str) -> Answers:
        return defend(defence, rows, self._seed, name, num_asked=self._num_asked)

    def _products(self, answers: Sequence[Answers], floor: float) -> FloatArray:
        """Returns inner products of log-probabilities, summed over each draw's queries.

        As `family_metamodels.products_of`, but around the mean of who is learned from,
        where metamodels have no use for the origin: answers that are defended may be so
        alike that far from it, their differences drown in rounding errors, and support
        vector machines find no end.

        Args:
            answers: The first are the classifiers' that are learned from.
            floor: What probabilities are cut at.

        Returns:
            `(draws, len(answers), len(answers))`.
        """
        count = len(self._classifiers)
        num_images = len(self._clean)
        is_asked = np.zeros((len(self._draws), num_images))
        for row, queries in zip(is_asked, self._draws, strict=True):
            row[queries] = 1.0
        total = np.zeros((len(self._draws), len(answers), len(answers)))
        for start in range(0, num_images, _IMAGES_AT_ONCE):
            some = slice(start, start + _IMAGES_AT_ONCE)
            by_image = np.stack([rows[some] for rows in answers], axis=1)
            read = np.log(np.maximum(by_image.astype(np.float64), floor))
            read -= read[:, :count].mean(axis=1, keepdims=True)
            read[np.abs(read) < _ROUNDING] = 0.0
            products = read @ read.transpose(0, 2, 1)
            total += np.tensordot(is_asked[:, some], products, 1)
        return total

    def _score(self, products: FloatArray) -> npt.NDArray[np.int64]:
        """Names classifiers that are held out, and the black box.

        Args:
            products: For each draw. The first are those of the classifiers that are
                learned from; the last of the black box, and before it, of the
                classifiers, defended. Both may be the same.

        Returns:
            `(draws, folds + 1, classifiers + 1)`, places of families; -1 of whom is not
            held out, and of the black box in all folds but the last, which is its own.
        """
        count = len(self._classifiers)
        first = products.shape[1] - count - 1
        labels = self._labels[-products.shape[1] :]
        named = np.full((len(products), len(self._unseen), count + 1), -1)
        for draw, queries in enumerate(self._draws):
            seed = derive_seed(self._seed, "family metamodel", *map(int, queries[:8]))
            for fold, places in enumerate(self._unseen):
                scores = family_metamodels.score_families(
                    self._metamodel,
                    products[draw],
                    np.setdiff1d(np.arange(count), places),
                    first + places,
                    labels,
                    len(self._families),
                    seed,
                )
                named[draw, fold, places] = scores.argmax(axis=1)
        return named

    def _choose(self, named: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Returns which floor to name each classifier by, then which the black box.

        A classifier has no say in its own. Of equally good ones, the first is taken.

        Args:
            named: For each floor, what `_score` returns.
        """
        is_right = (named == self._labels[-named.shape[-1] :]) & (named >= 0)
        asked = np.maximum((named >= 0).sum(axis=(1, 2)), 1)
        shares = is_right.sum(axis=(1, 2)) / asked
        # Of the black box, no share is known, so that it is 0.
        return (shares.sum(axis=1, keepdims=True) - shares).round(9).argmax(axis=0)

    def _read(self, named: npt.NDArray[np.int64], floor: float) -> Naming:
        guesses = [
            Guess(
                metamodel=self._metamodel,
                num_queries=self.num_queries,
                fold=fold,
                draw=draw,
                classifier=self._classifiers[place],
                family=self._families[named[draw, fold, place]],
            )
            for fold, places in enumerate(self._unseen[:-1])
            for draw in range(len(named))
            for place in places
        ]
        scores = scoring.score_guesses(guesses, self._families, self._seed)
        return Naming(
            target=tuple(self._families[place] for place in named[:, -1, -1]),
            held_out=scores[0] if scores else None,
            floor=float(floor),
        )


def _make_folds(families: Registry, seed: int) -> list[npt.NDArray[np.int64]]:
    """Returns places of whom each fold holds out; each classifier is once or more."""
    most = max(len(own) for own in families.families.values())
    if most < 2:
        return []
    places = {c.name: place for place, c in enumerate(families.classifiers)}
    return [
        np.array([places[classifier.name] for classifier in held_out])
        for held_out in prediction.make_folds(families, most, seed)
    ]


def normalise(answers: Answers) -> FloatArray:
    """Returns answers in double precision, as defences take them."""
    exact = answers.astype(np.float64)
    return exact / exact.sum(axis=1, keepdims=True)


def defend(
    defence: Defence,
    rows: FloatArray,
    seed: int,
    *whose: str,
    num_asked: int = 1,
) -> npt.NDArray[np.float32]:
    """Returns what is answered instead, averaged over the times it is asked.

    Args:
        defence: How one answers.
        rows: What one would answer, `(images, classes)`.
        seed: Root seed.
        *whose: Whose answers they are, and to what: others draw other noise.
        num_asked: How often each is asked, where noise is drawn anew.
    """
    rounds = num_asked if defence.is_fresh else 1
    total = np.zeros_like(rows)
    for asked in range(rounds):
        own = derive_seed(seed, "noise of answers", *whose, asked)
        seeds = np.random.default_rng(own).integers(0, 2**63, len(rows), np.uint64)
        total += defence.apply(rows, seeds)
    return (total / rounds).astype(np.float32)


def _least_probability(answers: Sequence[Answers]) -> float:
    """Returns below what rounded probabilities tell nothing; see `products_of`."""
    if all(rows.all() for rows in answers):
        return float(np.finfo(np.float32).tiny)
    least = min(float(rows[rows > 0].min()) for rows in answers)
    return min(least, 1 / answers[0].shape[1])
