"""Who names a family from defended answers, not knowing of the defence, or knowing it.

Both ask the same queries. The unaware attacker is that of `attack_black_box`: his
metamodel learned from the classifiers at hand as they are. The aware one has these
answer as the black box does, defence included. He also chooses below what
probabilities tell nothing, which is much where they are noisy: as names the classifiers
at hand best, each left out in turn.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.auditing.attackers import AWARE, UNAWARE
from kennen_tf.auditing.defences import Defence
from kennen_tf.imagenet.auditing.attack_folder import AttackAnswers
from kennen_tf.imagenet.families import family_metamodels, prediction, scoring
from kennen_tf.imagenet.families.prediction import Guess
from kennen_tf.imagenet.families.scoring import FamilyScore
from kennen_tf.vocabulary.seeds import derive_seed

NONE = "none"
BLACK_BOX = "the black box"

# What probabilities are cut at, in parts of an even one, for the aware to choose from.
_FLOORS = (1.0, 1e-1, 1e-2, 1e-4)
# Of a few dozen classifiers with 1,000 classes, 50 MB.
_IMAGES_AT_ONCE = 64

FloatArray = npt.NDArray[np.float64]
Answers = npt.NDArray[np.floating]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Naming:
    """What an attacker names.

    Attributes:
        target: The family of the black box, one for each draw of queries.
        held_out: How well he names classifiers at hand, each left out in turn; None if
            no family has two.
        floor: What he cuts probabilities at.
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
        self._left_out = [
            place
            for place, classifier in enumerate(self._classifiers)
            if len(answers.families.families[classifier.family]) > 1
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
        plain, alike = np.arange(count), np.arange(count, 2 * count)
        least = _least_probability(defended)
        products = self._products([*self._plain, *defended], least)
        unaware = self._score(products, plain)
        found = {UNAWARE: self._read(unaware, [least] * (count + 1))}
        if defence.name == NONE:
            return found | {AWARE: found[UNAWARE]}  # There is nothing to know.
        # What he makes of all classifiers, for each floor.
        tried = {least: self._score(products, alike)}
        for part in _FLOORS:
            floor = part / defended[0].shape[1]
            if floor > least:
                among = self._products(defended, floor)
                tried[floor] = self._score(among, alike - count)
        floors = self._choose(tried)
        chosen = np.stack(
            [tried[floor][:, place] for place, floor in enumerate(floors)], axis=1
        )
        return found | {AWARE: self._read(chosen, floors)}

    def _defend(self, defence: Defence, rows: FloatArray, name: str) -> Answers:
        return defend(defence, rows, self._seed, name, num_asked=self._num_asked)

    def _products(self, answers: Sequence[Answers], floor: float) -> FloatArray:
        """Returns inner products of log-probabilities, summed over each draw's queries.

        See `family_metamodels.products_of`.

        Returns:
            `(draws, len(answers), len(answers))`.
        """
        num_images = len(self._clean)
        is_asked = np.zeros((len(self._draws), num_images))
        for row, queries in zip(is_asked, self._draws, strict=True):
            row[queries] = 1.0
        total = np.zeros((len(self._draws), len(answers), len(answers)))
        for start in range(0, num_images, _IMAGES_AT_ONCE):
            some = slice(start, start + _IMAGES_AT_ONCE)
            by_image = np.stack([rows[some] for rows in answers], axis=1)
            read = np.log(np.maximum(by_image.astype(np.float64), floor))
            products = read @ read.transpose(0, 2, 1)
            total += np.tensordot(is_asked[:, some], products, 1)
        return total

    def _score(
        self, products: FloatArray, learned_from: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.int64]:
        """Names all classifiers at hand that may be left out, and the black box.

        Args:
            products: The last are those of the black box; before it, of the
                classifiers, defended.
            learned_from: Places of the answers that metamodels learn from.

        Returns:
            `(draws, classifiers + 1)`, places of families; -1 of those not left out.
        """
        count = len(self._classifiers)
        first = products.shape[1] - count - 1
        labels = self._labels[-products.shape[1] :]
        named = np.full((len(products), count + 1), -1)
        for row, own, queries in zip(named, products, self._draws, strict=True):
            seed = derive_seed(self._seed, "family metamodel", *map(int, queries[:8]))
            for place in (*self._left_out, count):
                scores = family_metamodels.score_families(
                    self._metamodel,
                    own,
                    np.delete(learned_from, place) if place < count else learned_from,
                    np.array([first + place]),
                    labels,
                    len(self._families),
                    seed,
                )
                row[place] = scores[0].argmax()
        return named

    def _choose(self, tried: Mapping[float, npt.NDArray[np.int64]]) -> list[float]:
        """Returns the floor to name each classifier by, then that for the black box.

        A classifier has no say in its own.
        """
        floors = list(tried)
        count = len(self._classifiers)
        is_right = np.array(
            [(tried[f][:, :count] == self._labels[:count]).mean(0) for f in floors]
        )
        chosen = []
        for place in range(count + 1):
            others = [own for own in self._left_out if own != place]
            chosen.append(floors[int(is_right[:, others].sum(axis=1).argmax())])
        return chosen

    def _read(self, named: npt.NDArray[np.int64], floors: Sequence[float]) -> Naming:
        guesses = [
            Guess(
                metamodel=self._metamodel,
                num_queries=self.num_queries,
                fold=place,
                draw=draw,
                classifier=self._classifiers[place],
                family=self._families[named[draw, place]],
            )
            for place in self._left_out
            for draw in range(len(named))
        ]
        scores = scoring.score_guesses(guesses, self._families, self._seed)
        return Naming(
            target=tuple(self._families[place] for place in named[:, -1]),
            held_out=scores[0] if scores else None,
            floor=float(floors[-1]),
        )


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
