"""What attackers ask: natural queries at random, chosen ones, crafted ones.

Chosen are those of kennen-s, crafted those of kennen-io, which a package has. All are
of the training side, so that classifiers held out had no part in them.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from absl import logging

from kennen_tf.configs.auditing import AuditConfig
from kennen_tf.evaluation import splits
from kennen_tf.metamodels import kennen_s
from kennen_tf.queries import packages
from kennen_tf.queries.packages import Package
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.seeds import derive_seed
from kennen_tf.zoo.entries import QueriedEntry
from kennen_tf.zoo.store import Zoo
from pipelines import query_outputs

NATURAL, CHOSEN, CRAFTED = SOURCES = ("natural", "chosen", "crafted")
# Draws of natural queries; with more of them, draws differ less.
NUM_DRAWS = 3
# What answers in half precision may be off by, in logarithms of probabilities that
# matter: neighbours are 2 ** -7 apart at 8 to 16.
_SAME, _LOG_FLOOR = 0.02, -10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Queries of one kind, and what a zoo answered to them.

    Attributes:
        name: One of `SOURCES`.
        info: The zoo's answers.
        orders: Places of queries in the order in which they are asked, a draw in each.
        descended: Combinations that the queries were crafted on.
        strangers: What classifiers that are no networks answer, log-probabilities
            `(strangers, queries, classes)`; None if that is not known.
    """

    name: str
    info: QueryOutputsInfo
    orders: tuple[tuple[int, ...], ...]
    descended: tuple[str, ...] = ()
    strangers: npt.NDArray[np.float32] | None = None

    def cap(self, counts: Sequence[int]) -> list[int]:
        """Returns numbers of queries as far as there are that many, ascending."""
        most = len(self.orders[0])
        return sorted({min(count, most) for count in counts})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Knowledge:
    """What attackers have, before they ask the black box.

    Attributes:
        info: The zoo's answers to natural queries.
        sources: Of each kind of queries that there are.
        seed: Of the random split R: who is held out.
        zoo: What is there of the zoo; None if that is not known.
        name: Of the package or folder.
    """

    info: QueryOutputsInfo
    sources: tuple[Source, ...]
    seed: int
    zoo: Zoo | None
    name: str

    def find(self, name: str) -> Source | None:
        """Returns the queries of a kind; None if there are none."""
        return next((own for own in self.sources if own.name == name), None)


def open_knowledge(config: AuditConfig) -> Knowledge:
    """Opens query outputs, or a package of a zoo, and orders queries.

    Raises:
        UserError: If there are none, they are damaged, without images, or of another
            zoo than the one named.
    """
    package = packages.find_package(config.query_dir)
    info = QueryOutputsInfo.open(config.query_dir)
    if not info.query_inputs.has_images:
        raise UserError(
            f"The query outputs in {config.query_dir} must have images to send. "
            "Received: answers that were recorded without them. Import the answers "
            "with their `images`."
        )
    zoo = _open_zoo(config, info, package)
    seed = config.seed
    if package is not None:
        seed = int(package.description["config"]["seed"])
        chosen: Sequence[int] = range(info.num_queries)
    else:
        chosen = _choose(info, config, seed)
    strange = package.load_strangers(packages.NATURAL) if package else None
    drawn = _draw(info.num_queries, config.seed)
    sources = [
        Source(name=NATURAL, info=info, orders=drawn, strangers=strange),
        Source(name=CHOSEN, info=info, orders=(tuple(chosen),), strangers=strange),
    ]
    if package is not None and package.has_crafted:
        crafted = QueryOutputsInfo.open(package.folder / packages.CRAFTED)
        sources.append(
            Source(
                name=CRAFTED,
                info=crafted,
                orders=(tuple(range(crafted.num_queries)),),
                descended=tuple(package.description["descended_through"]),
                strangers=package.load_strangers(packages.CRAFTED),
            )
        )
    return Knowledge(
        info=info, sources=tuple(sources), seed=seed, zoo=zoo, name=config.query_dir
    )


def find_twin(
    knowledge: Knowledge,
    answers: npt.NDArray[np.floating],
    places: npt.NDArray[np.integer],
) -> QueriedEntry | None:
    """Finds the zoo's entry that answers as the black box does: it is the same.

    Args:
        knowledge: The zoo's answers.
        answers: Probabilities, in full, to natural queries `(queries, classes)`.
        places: Of these among all, `(queries,)`.
    """
    info = knowledge.info
    ids = sorted(entry.id for entry in info.entries)
    rows, _ = query_outputs.load_arrays(info, ids, places.tolist(), None)

    def read(
        probabilities: npt.NDArray[np.floating],
    ) -> npt.NDArray[np.floating]:
        return np.log(np.maximum(probabilities, np.exp(_LOG_FLOOR)))

    apart = np.abs(read(rows) - read(answers)).max(axis=(1, 2))
    nearest = int(apart.argmin())
    if apart[nearest] > _SAME:
        return None
    return next(entry for entry in info.entries if entry.id == ids[nearest])


def query_accuracies(info: QueryOutputsInfo) -> npt.NDArray[np.float64]:
    """Returns which share of the zoo names each query rightly, `(queries,)`."""
    ids = [entry.id for entry in info.entries]
    rows, _ = query_outputs.load_arrays(info, ids, range(info.num_queries), None)
    right = rows.argmax(axis=2) == info.query_inputs.labels
    return np.asarray(right.mean(axis=0), np.float64)


def _open_zoo(
    config: AuditConfig, info: QueryOutputsInfo, package: Package | None
) -> Zoo | None:
    if config.zoo_dir:
        zoo = Zoo.open(config.zoo_dir)
        info.check_zoo(zoo)
        return zoo
    if package is not None and package.zoo_dir.is_dir():
        return Zoo.open(package.zoo_dir)
    return None


def _choose(info: QueryOutputsInfo, config: AuditConfig, seed: int) -> list[int]:
    """Chooses queries as kennen-s does, on the training side."""
    split = splits.make_split(info.entries, splits.RANDOM, info.attributes, seed)
    of = {entry.id: entry.combination_id for entry in info.entries}
    ids = sorted(split.train_ids)
    count = min(max(config.num_queries, 100), info.num_queries)
    logging.info("Choosing %d of %d queries.", count, info.num_queries)
    outputs, labels = query_outputs.load_arrays(
        info, ids, range(info.num_queries), "probabilities"
    )
    combinations = [of[own] for own in ids]
    return kennen_s.choose(info.attributes, outputs, labels, combinations, count, seed)


def _draw(num_queries: int, seed: int) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(
            np.random.default_rng(derive_seed(seed, "natural queries", draw))
            .permutation(num_queries)
            .tolist()
        )
        for draw in range(NUM_DRAWS)
    )
