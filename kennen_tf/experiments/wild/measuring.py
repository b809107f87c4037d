"""How well metamodels name what is inside: of entries held out, and of files."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tqdm

from kennen_tf.attributes import AttributeTable
from kennen_tf.evaluation import splits
from kennen_tf.evaluation.results import Results
from kennen_tf.experiments.wild import questions, readers
from kennen_tf.experiments.wild.answers import Answered
from kennen_tf.experiments.wild.asked import PAPERS, Asked
from kennen_tf.experiments.wild.readers import Learn, Reader
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels import kennen_s
from kennen_tf.metamodels.metrics import Side
from kennen_tf.queries import packages
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.revealing import ready
from kennen_tf.revealing.naming import STRANGE
from kennen_tf.vocabulary.seeds import derive_seed
from pipelines.outputs_in_memory import OutputsInMemory

# Ways to learn from kennen-o's queries that no ready metamodel has.
_YARDSTICKS = {
    "linear": "linear",
    "paper": "kennen-o, paper's recipe",
    "mlp": "kennen-o, MLPs",
}
READY = "kernel"
# What ready metamodels do not do.
_OTHERS = ("undivided", "values alike")
# Passes over the training data of the classifiers that are learned from.
_EPOCHS = ((1, 2), (5,), (10, 20))

FloatArray = npt.NDArray[np.floating]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Queries:
    """Queries of a method.

    Attributes:
        part: `packages.NATURAL` or `packages.CRAFTED`.
        info: Query outputs that they are of.
        outputs: These, in memory: each metamodel reads them again.
        places: Which of these.
    """

    part: str
    info: QueryOutputsInfo
    outputs: OutputsInMemory
    places: Sequence[int]


class Measuring:
    """A measurement on the query outputs of a zoo.

    Attributes:
        queries: Of each method.
    """

    def __init__(
        self,
        info: QueryOutputsInfo,
        outputs: OutputsInMemory,
        query_dir: str,
        num_queries: int,
    ):
        """Draws, chooses and finds queries.

        Args:
            info: Query outputs of the zoo.
            outputs: The same, in memory.
            query_dir: Their folder, or a package.
            num_queries: How many are drawn, and chosen.

        Raises:
            UserError: If the zoo has no attribute that is asked about.
        """
        self._table = info.attributes
        questions.applying(self._table)  # Before anybody is asked.
        package = packages.find_package(query_dir)
        self._package = package
        self._seed = int(package.description["config"]["seed"]) if package else 0
        self._split = splits.make_split(
            info.entries, splits.RANDOM, self._table, self._seed
        )
        self._combinations = {own.id: own.combination_id for own in info.entries}
        count = min(num_queries, info.num_queries)
        find = functools.partial(
            Queries, part=packages.NATURAL, info=info, outputs=outputs
        )
        # In a package, they stand in the order in which they were chosen.
        chosen: Sequence[int] = range(count)
        if package is None:
            chosen = self._choose(find(places=range(info.num_queries)), count)
        self.queries = {
            "kennen-o": find(places=folder_lib.draw_queries(info, count, self._seed)),
            "kennen-s": find(places=chosen),
        }
        if package is not None and package.has_crafted:
            crafted = QueryOutputsInfo.open(package.folder / packages.CRAFTED)
            self.queries["kennen-io"] = Queries(
                part=packages.CRAFTED,
                info=crafted,
                outputs=OutputsInMemory(crafted),
                places=range(crafted.num_queries),
            )

    def measure(self, asked: Asked) -> dict[str, Any]:
        """Has metamodels read what classifiers answered; returns all numbers."""
        prior = self._package.prior if self._package is not None else 0.0
        learn = readers.make(self._seed, prior)
        plan = [(label, "kennen-o", own) for own, label in _YARDSTICKS.items()]
        for method in self.queries:
            plan += [(f"{method}, {own}", method, f"kernel, {own}") for own in _OTHERS]
            plan.append((method, method, READY))
        if not prior:  # That is what all do.
            plan = [own for own in plan if own[2] != "kernel, values alike"]
        rows, strange = [], {}
        for label, method, way in tqdm.tqdm(plan, "metamodels", unit="metamodel"):
            queries = self.queries[method]
            reader = Reader(
                learn[way],
                self._table,
                *self._load(queries),
                self._load_strangers(queries),
            )
            rows.append({"label": label, **self._score(reader, queries, asked)})
            if way == READY:
                strange[method] = self._find_strange(reader, queries, asked)
        if paper := _score_papers(asked):
            rows.append({"label": PAPERS, "held_out": None, "files": paper})
        return {
            "num_train": len(self._split.train_ids),
            "num_test": len(self._split.test_ids),
            **asked.count(),
            "rows": rows,
            "strange": strange,
            "epochs": list(self._score_by_epochs(learn[READY], asked)),
        }

    def _choose(self, stored: Queries, count: int) -> list[int]:
        side, ids = self._load(stored)
        return kennen_s.choose(
            self._table, side.features, side.labels, ids, count, self._seed
        )

    def _load(self, queries: Queries) -> tuple[Side, list[str]]:
        """Returns the training side, and the combinations in it."""
        ids = self._split.train_ids
        features, labels = queries.outputs.load_arrays(
            queries.info, ids, queries.places, "probabilities"
        )
        return Side(features, labels), [self._combinations[own] for own in sorted(ids)]

    def _load_strangers(self, queries: Queries) -> FloatArray | None:
        """Returns what ready metamodels know of strangers, if they know any."""
        found = None
        if self._package is not None:
            found = self._package.load_strangers(queries.part)
        return None if found is None else found[:, list(queries.places)]

    def _load_held_out(
        self, queries: Queries
    ) -> tuple[FloatArray, list[questions.Known], list[str]]:
        """Returns answers of entries held out, what is known, and combinations."""
        ids = self._split.test_ids
        answers, labels = queries.outputs.load_arrays(
            queries.info, ids, queries.places, None
        )
        known: list[questions.Known] = [
            {
                a.name: None if labels[a.name][i] < 0 else a.values[labels[a.name][i]]
                for a in self._table
            }
            for i in range(len(answers))
        ]
        return answers, known, [self._combinations[own] for own in sorted(ids)]

    def _score(
        self, reader: Reader, queries: Queries, asked: Asked
    ) -> dict[str, dict[str, Any] | None]:
        answers, known, combinations = self._load_held_out(queries)
        said = reader.read(answers, [0.0] * len(answers))
        scored = questions.evaluate(self._table, known, said, combinations)
        return {
            "held_out": _to_json(*scored),
            "files": _score_files(reader, self._table, queries, asked.digits),
        }

    def _find_strange(
        self, reader: Reader, queries: Queries, asked: Asked
    ) -> dict[str, Any]:
        """Returns how strange all are, and which share of each kind is flagged."""
        answers, _, _ = self._load_held_out(queries)
        held_out = reader.find_p_values(answers, [0.0] * len(answers))
        found = {"held out": held_out.tolist()}
        names = {"held out": [""] * len(held_out)}
        for kind, everybody in asked.by_kind().items():
            boxes = [own for own in everybody if queries.part in own.answers]
            if boxes:
                read, resolutions = _stack(boxes, queries)
                found[kind] = reader.find_p_values(read, resolutions).tolist()
                names[kind] = [own.file.id for own in boxes]
        return {
            kind: {
                "p_values": values,
                "names": names[kind],
                "flagged": float(np.mean(np.asarray(values) <= STRANGE)),
            }
            for kind, values in found.items()
        }

    def _score_by_epochs(self, learn: Learn, asked: Asked) -> Iterator[dict[str, Any]]:
        """Learns from classifiers of few and of many passes alone."""
        if "epochs" not in self._table:
            return
        queries = self.queries["kennen-s"]
        side, ids = self._load(queries)
        values = np.asarray(self._table["epochs"].values)
        own = values[side.labels["epochs"]]
        members = {group: np.flatnonzero(np.isin(own, group)) for group in _EPOCHS}
        # As many of each, so that nothing but the passes differs.
        count = min(map(len, members.values()))
        if not count:
            return
        for group, places in members.items():
            seed = derive_seed(self._seed, "wild", "epochs", *group)
            chosen = np.sort(np.random.default_rng(seed).permutation(places)[:count])
            own_ids = [ids[i] for i in chosen]
            reader = Reader(learn, self._table, side.take(chosen), own_ids)
            scored = self._score(reader, queries, asked)
            yield {"epochs": list(group), "num_train": int(count), **scored}


def _score_files(
    reader: Reader, table: AttributeTable, queries: Queries, boxes: Sequence[Answered]
) -> dict[str, Any] | None:
    boxes = [own for own in boxes if queries.part in own.answers]
    if not boxes:
        return None
    said = reader.read(*_stack(boxes, queries))
    return _evaluate_files(table, boxes, said)


def _evaluate_files(
    table: AttributeTable, boxes: Sequence[Answered], said: Mapping[str, FloatArray]
) -> dict[str, Any]:
    known = [questions.know_file(own.file, table) for own in boxes]
    networks = [own.file.network for own in boxes]
    return _to_json(*questions.evaluate(table, known, said, networks))


def _score_papers(asked: Asked) -> dict[str, Any] | None:
    """Has the ready metamodel of the paper's world read files, as all did before."""
    boxes = [own for own in asked.digits if PAPERS in own.answers]
    if not boxes:
        return None
    metamodel = ready.open_metamodel(PAPERS)
    assessed = metamodel.assess(
        np.stack([own.answers[PAPERS] for own in boxes]).astype(np.float32),
        [own.resolution for own in boxes],
    )
    said = {
        name: np.stack([own.probabilities[name] for own in assessed])
        for name in metamodel.table.names
    }
    return _evaluate_files(metamodel.table, boxes, said)


def _stack(
    boxes: Sequence[Answered], queries: Queries
) -> tuple[FloatArray, list[float]]:
    """Returns answers to a method's queries, and how coarse each one's are."""
    answers = [own.answers[queries.part][list(queries.places)] for own in boxes]
    return np.stack(answers), [own.resolution for own in boxes]


def _to_json(
    fine: Results, coarse: Results, guessed: Mapping[str, int]
) -> dict[str, Any]:
    return {
        "attributes": fine.to_json(),
        "questions": coarse.to_json(),
        "guessed": dict(guessed),
    }
