"""Two attackers: who does not know of a defence, and whose metamodel learned from it.

Both ask the same queries and read the same defended answers. The first learned from the
zoo's answers as they are. The second asked classifiers of his own that answer as the
black box does, defence included, which is what an owner has to reckon with: a defence
that works because nobody knows of it is none.

Against noise that is drawn anew each time, both may ask the same again and again, and
average.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable
from kennen_tf.auditing import leaks
from kennen_tf.auditing.defences import Defence, Probabilities
from kennen_tf.auditing.leaks import Leak
from kennen_tf.configs.recipes import KERNEL
from kennen_tf.evaluation import splits
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
    """

    def __init__(
        self, info: QueryOutputsInfo, query_indices: Sequence[int], seed: int = 0
    ):
        """Reads the answers.

        Args:
            info: Query outputs of the zoo.
            query_indices: Which queries are asked, in order.
            seed: Of the random split R: who is held out.
        """
        self.table: AttributeTable = info.attributes
        self._seed = seed
        split = splits.make_split(info.entries, splits.RANDOM, info.attributes, seed)
        combination_of = {entry.id: entry.combination_id for entry in info.entries}
        # As the arrays are sorted.
        self._train_ids, self._test_ids = (
            sorted(split.train_ids),
            sorted(split.test_ids),
        )
        self._train_combinations = [combination_of[own] for own in self._train_ids]
        self.combination_ids = [combination_of[own] for own in self._test_ids]

        def load(ids: Sequence[str]) -> tuple[Probabilities, heads.Labels]:
            rows, labels = query_outputs.load_arrays(info, ids, query_indices, None)
            return _normalise(rows), labels

        self._train, self._train_labels = load(self._train_ids)
        self._test, self.labels = load(self._test_ids)
        self.priors = {
            attribute.name: leaks.find_prior(
                self._train_labels[attribute.name], len(attribute.values)
            )
            for attribute in self.table
        }

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
            target: What the black box would answer, `(queries, classes)`.
            num_asked: How often each query is asked; answers are averaged.
        """
        learned_from = self._train
        if attacker == AWARE:
            learned_from = self._defend(
                defence, self._train, self._train_ids, num_asked
            )
        model, _ = solving.fit(
            KERNEL,
            self.table,
            _represent(learned_from),
            self._train_labels,
            self._train_combinations,
        )
        asked = np.concatenate(
            [
                self._defend(defence, self._test, self._test_ids, num_asked),
                self._defend(defence, target[np.newaxis], ["the target"], num_asked),
            ]
        )
        said = model.predict_on_batch(_represent(asked))
        return Attack(
            held_out={name: own[:-1] for name, own in said.items()},
            target={name: own[-1] for name, own in said.items()},
        )

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
        total = np.zeros_like(answers)
        for asked in range(rounds):
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
