"""Two attackers: who does not know of a defence, and whose metamodel learned from it.

Both ask the same queries and read the same defended answers. The first learned from the
zoo's answers as they are, and reads them as `reveal_black_box` does: at the level of
precision that they show. The second asked classifiers of his own that answer as the
black box does, defence included, which is what an owner has to reckon with: a defence
that works because nobody knows of it is none.

Against noise that is drawn anew each time, both may ask the same again and again, and
average.

A classifier that rounds already, or answers labels, is deployed with a defence. Then
the zoo answers likewise before anything else is done to its answers.
"""

import dataclasses
from collections.abc import Collection, Sequence

import keras
import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable
from kennen_tf.auditing import defences, leaks
from kennen_tf.auditing.defences import Defence, Probabilities
from kennen_tf.auditing.leaks import Leak
from kennen_tf.black_boxes.recognising import recognise
from kennen_tf.configs.recipes import KERNEL
from kennen_tf.evaluation import limits as limits_lib
from kennen_tf.evaluation import splits
from kennen_tf.evaluation.limits import Limits
from kennen_tf.metamodels import left_out as left_out_lib
from kennen_tf.metamodels import limiting
from kennen_tf.metamodels.metrics import Side
from kennen_tf.metamodels.recipes import heads, solving
from kennen_tf.queries import representations
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary.seeds import derive_seed
from pipelines import query_outputs

UNAWARE, AWARE = "unaware", "aware"
ATTACKERS = (UNAWARE, AWARE)

FloatArray = npt.NDArray[np.floating]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attack:
    """What an attacker says.

    Attributes:
        held_out: Of classifiers held out, for each attribute `(entries, values)`.
        target: Of the black box, for each attribute `(values,)`.
    """

    held_out: dict[str, FloatArray]
    target: dict[str, FloatArray]


class Attackers:
    """Both attackers, on a zoo's answers to some queries, and the classifiers held out.

    Attributes:
        table: The attributes they name.
        labels: The truth of the classifiers held out, `(entries,)` for each.
        combination_ids: Of the classifiers held out.
        priors: How often each value occurs, `(values,)` for each attribute.
        num_train: Classifiers that they learned from.
    """

    def __init__(
        self,
        info: QueryOutputsInfo,
        query_indices: Sequence[int],
        seed: int = 0,
        *,
        without: Collection[str] = (),
        descended: Collection[str] = (),
        deployed: Defence | None = None,
        strangers: FloatArray | None = None,
    ):
        """Reads the answers.

        Args:
            info: Query outputs of the zoo.
            query_indices: Which queries are asked, in order.
            seed: Of the random split R: who is held out.
            without: Combinations that nobody learns from and that are not held out,
                since the black box is of one.
            descended: Combinations that the queries were crafted on: what is said of
                them does not tell how far to trust the attackers.
            deployed: How the black box answers as it is; None: in full.
            strangers: What classifiers that are no networks answer to these queries in
                full, log-probabilities `(strangers, queries, classes)`.
        """
        self._strangers = strangers
        self.table: AttributeTable = info.attributes
        self._seed = seed
        self._deployed = deployed or defences.find("none")
        split = splits.make_split(info.entries, splits.RANDOM, info.attributes, seed)
        combination_of = {entry.id: entry.combination_id for entry in info.entries}

        def take(ids: Sequence[str]) -> list[str]:
            # As the arrays are sorted.
            return sorted(own for own in ids if combination_of[own] not in without)

        self._train_ids, self._test_ids = take(split.train_ids), take(split.test_ids)
        self._train_combinations = [combination_of[own] for own in self._train_ids]
        self.combination_ids = [combination_of[own] for own in self._test_ids]
        self.num_train = len(self._train_ids)
        is_honest = ~np.isin(self._train_combinations, list(descended))
        is_some = bool(descended) and bool(is_honest.any())
        self._is_honest = is_honest if is_some else None

        def load(ids: Sequence[str]) -> tuple[Probabilities, heads.Labels]:
            rows, labels = query_outputs.load_arrays(info, ids, query_indices, None)
            return self._defend(self._deployed, _normalise(rows), ids, 1), labels

        self._train, self._train_labels = load(self._train_ids)
        self._test, self.labels = load(self._test_ids)
        self.priors = {
            attribute.name: leaks.find_prior(
                self._train_labels[attribute.name], len(attribute.values)
            )
            for attribute in self.table
        }
        self._unaware: dict[int, keras.Model] = {}

    def attack(
        self,
        attacker: str,
        defence: Defence,
        target: Probabilities,
        *,
        num_asked: int = 1,
    ) -> Attack:
        """Has an attacker read defended answers.

        Args:
            attacker: One of `ATTACKERS`.
            defence: How all who are asked answer.
            target: What the black box answers as it is, `(queries, classes)`.
            num_asked: How often each query is asked; answers are averaged.
        """
        asked = np.concatenate(
            [
                self._defend(defence, self._test, self._test_ids, num_asked),
                self._defend(defence, target[np.newaxis], ["the target"], num_asked),
            ]
        )
        if attacker == UNAWARE:
            model = self._read_unaware(asked)
        else:
            learned_from = self._defend(
                defence, self._train, self._train_ids, num_asked
            )
            model, _ = self._solve(_represent(learned_from))
        # Once: it is not worth a graph.
        answers = model(_represent(asked), training=False)
        said = {name: own.numpy() for name, own in answers.items()}
        return Attack(
            held_out={name: own[:-1] for name, own in said.items()},
            target={name: own[-1] for name, own in said.items()},
        )

    def find_limits(self) -> Limits:
        """Returns what is ruled out of, and strange to, answers as they are."""
        features = _represent(self._train)
        model, left_out = self._solve(features)
        side = Side(features, self._train_labels)
        strangers = self._strangers
        if strangers is not None:
            names = [f"stranger {number}" for number in range(len(strangers))]
            rows = _normalise(np.exp(strangers))
            strangers = _represent(self._defend(self._deployed, rows, names, 1))
        limited = limiting.limit(
            model, side, self._train_combinations, left_out, strangers
        )
        return limited.limits[0]

    def measure(self, attack: Attack) -> dict[str, Leak]:
        """Returns what classifiers held out gave away, by attribute."""
        found = {}
        for name, said in attack.held_out.items():
            leak = leaks.measure(
                said,
                self.labels[name],
                self.priors[name],
                self.combination_ids,
                self._seed,
            )
            if leak is not None:
                found[name] = leak
        return found

    def measure_total(self, attack: Attack) -> Leak:
        """Returns what classifiers held out gave away of `leaks.counted` together."""
        return leaks.measure_total(
            leaks.counted(self.table),
            attack.held_out,
            self.labels,
            self.priors,
            self.combination_ids,
            self._seed,
        )

    def _read_unaware(self, asked: Probabilities) -> keras.Model:
        """Returns what reads answers at the level of precision that they show."""
        rows = asked.reshape(-1, asked.shape[-1])
        resolution = recognise(rows, "probabilities", rows.shape[1]).resolution
        place = limits_lib.choose(limits_lib.LEVELS, resolution)
        if place not in self._unaware:
            floor = limits_lib.LEVELS[place].floor
            features = limits_lib.coarsen(_represent(self._train), floor)
            model, _ = self._solve(features.astype(np.float32))
            self._unaware[place] = (
                limiting.read_coarsely(model, floor) if floor else model
            )
        return self._unaware[place]

    def _solve(
        self, features: npt.NDArray[np.float32]
    ) -> tuple[keras.Model, heads.LeftOut]:
        """Returns a metamodel, and what it says of entries left out."""
        left_out: heads.LeftOut = {}
        model, _ = solving.fit(
            KERNEL,
            self.table,
            features,
            self._train_labels,
            self._train_combinations,
            left_out,
        )
        if self._is_honest is None:
            return model, left_out
        honest = left_out_lib.select(left_out, self._is_honest)
        return left_out_lib.calibrate(model, self._train_labels, honest)

    def _defend(
        self,
        defence: Defence,
        answers: Probabilities,
        ids: Sequence[str],
        num_asked: int,
    ) -> Probabilities:
        """Returns what is answered instead, `(entries, queries, classes)`."""
        rounds = num_asked if defence.is_fresh else 1
        num_queries, num_classes = answers.shape[1:]
        seeds = np.zeros(len(ids) * num_queries, np.uint64)
        total = np.zeros_like(answers)
        for asked in range(rounds):
            if defence.is_random:
                seeds = np.concatenate(
                    [self._draw_seeds(own, asked, num_queries) for own in ids]
                )
            rows = defence.apply(answers.reshape(-1, num_classes), seeds)
            total += rows.reshape(answers.shape)
        return total / rounds

    def _draw_seeds(
        self, entry_id: str, asked: int, num_queries: int
    ) -> npt.NDArray[np.uint64]:
        # Each classifier's owner has a key of his own.
        own = derive_seed(self._seed, "noise of answers", entry_id, asked)
        return np.random.default_rng(own).integers(0, 2**63, num_queries, np.uint64)


def _normalise(rows: npt.NDArray[np.floating]) -> Probabilities:
    exact = rows.astype(np.float64)
    return exact / exact.sum(axis=-1, keepdims=True)


def _represent(answers: Probabilities) -> npt.NDArray[np.float32]:
    given = answers.astype(np.float32)
    return representations.represent(given, "probabilities").numpy()
