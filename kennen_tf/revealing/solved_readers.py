"""Metamodels solved for from a package of a zoo: what they read, and what they know.

They are kennen-o's kernel regressions, of a package's natural queries or of its crafted
ones, trained on those entries on whose classifiers the queries were chosen and crafted.
So the entries held out tell how often each attribute is named rightly.
"""

import dataclasses
import functools
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import Value
from kennen_tf.configs.recipes import KERNEL
from kennen_tf.evaluation import absence, scores, splits
from kennen_tf.evaluation import limits as limits_lib
from kennen_tf.evaluation.limits import Limits
from kennen_tf.evaluation.splits import Split
from kennen_tf.metamodels import limiting, metrics
from kennen_tf.metamodels.metrics import Side
from kennen_tf.metamodels.recipes import heads, solving
from kennen_tf.queries import packages
from kennen_tf.queries.packages import Package
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary import artifacts
from pipelines import query_outputs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reader:
    """What a metamodel reads of a package.

    Attributes:
        part: Which of its query outputs.
        num_queries: How many of their queries, the first ones, if there are that many;
            0: all.
        representation: How much of each answer.
    """

    part: str
    num_queries: int = 0
    representation: str = "probabilities"

    @property
    def num_levels(self) -> int:
        """Levels of precision at which answers are read; see `evaluation/limits.py`."""
        reads_all = self.representation == "probabilities"
        return 1 + (len(limits_lib.COARSE) if reads_all else 0)


READERS = {
    "kennen-s": Reader(part=packages.NATURAL, num_queries=100),
    "kennen-io": Reader(part=packages.CRAFTED),
    # The likeliest label tells less than all probabilities: of more images.
    "labels": Reader(part=packages.NATURAL, representation="top-1"),
    "ranking": Reader(part=packages.NATURAL, num_queries=100, representation="ranking"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Level:
    """A metamodel at one level of precision.

    Attributes:
        model: From represented answers to probabilities of the values.
        limits: What it knows of its limits.
    """

    model: keras.Model
    limits: Limits


class Solving:
    """One metamodel of a package, on its way.

    Attributes:
        info: The query outputs that it reads.
        num_queries: How many of their queries.
    """

    def __init__(self, package: Package, kind: str):
        """Opens the package; answers are read when they are needed.

        Args:
            package: Which.
            kind: Name of one of `READERS`.

        Raises:
            UserError: If the package is damaged.
        """
        self._package, self._kind = package, kind
        self._reader = READERS[kind]
        self.info = QueryOutputsInfo.open(package.folder / self._reader.part)
        wanted = self._reader.num_queries or self.info.num_queries
        self.num_queries = min(wanted, self.info.num_queries)
        self._seed = package.description["config"]["seed"]
        self._recipe = dataclasses.replace(KERNEL, prior=package.prior)
        self._side: Side | None = None

    @property
    def queries(self) -> QueryInputs:
        """What is sent, in order."""
        return self.info.query_inputs.take(range(self.num_queries))

    @functools.cached_property
    def split(self) -> Split:
        """Who was trained on, and who is held out."""
        table = self.info.attributes
        return splits.make_split(self.info.entries, splits.RANDOM, table, self._seed)

    def describe(self) -> dict[str, Any]:
        """Returns what an export says of it, but for what has to be measured."""
        settings = {
            "method": self._kind,
            "recipe": "kernel",
            "representation": self._reader.representation,
            "num_queries": self.num_queries,
            "split": splits.RANDOM,
            "seed": self._seed,
        }
        made_from = {
            "query_outputs": self.info.fingerprint,
            "query_inputs": self.info.query_inputs.fingerprint,
            "zoo": self.info.zoo_fingerprint,
        }
        recipe = self._recipe.to_json()
        named: list[Any] = [settings, made_from, recipe, self._descended()]
        # Packages of before there were strangers keep their fingerprints.
        if strangers := self._package.description.get("strangers"):
            named.append(strangers)
        return {
            "config": settings,
            "fingerprints": {**made_from, "metamodel": artifacts.fingerprint(named)},
            "labels": self.queries.labels.tolist(),
            "levels": self._reader.num_levels,
        }

    def solve(self, level: int = 0) -> Level:
        """Solves for the metamodel at a level of precision, 0 being the finest."""
        resolution, floor = (limits_lib.FULL, *limits_lib.COARSE)[level]
        side, ids = self._load_training_side()
        strangers = self._load_strangers()
        if floor:
            features = limits_lib.coarsen(side.features, floor).astype(np.float32)
            side = dataclasses.replace(side, features=features)
            if strangers is not None:
                strangers = limits_lib.coarsen(strangers, floor)
        left_out: heads.LeftOut = {}
        table = self.info.attributes
        model, _ = solving.fit(
            self._recipe, table, side.features, side.labels, ids, left_out
        )
        limited = limiting.limit_solved(
            self._recipe,
            table,
            model,
            side,
            ids,
            left_out,
            reads_all=False,  # The other levels are solved for when they are needed.
            is_honest=self._find_honest(ids),
            strangers=strangers,
        )
        [known] = limited.limits
        model = limited.model
        return Level(
            model=limiting.read_coarsely(model, floor) if floor else model,
            limits=dataclasses.replace(known, resolution=resolution, floor=floor),
        )

    def find_absent(self) -> dict[str, list[tuple[str, Value]]]:
        """Returns what goes without what; see `evaluation/absence.py`."""
        side, _ = self._load_training_side()
        return absence.find_absent(self.info.attributes, side.labels)

    def score(self, model: keras.Model) -> dict[str, float]:
        """Returns how often each attribute is named rightly, of entries held out.

        Class-balanced accuracies, in [0, 1]; of attributes that have none, nothing.
        """
        features, labels = self._load(self.split.test_ids)
        # All attributes at once: what they have in common is most of it.
        answers = model.predict_on_batch(features)
        results = scores.evaluate(self.info.attributes, labels, answers)
        return {
            result.name: result.accuracy
            for result in results.attributes
            if result.accuracy is not None
        }

    def score_queries(self) -> list[float]:
        """Returns which share of the training entries names each query rightly."""
        side, _ = self._load_training_side()
        representation = self._reader.representation
        return list(metrics.score_queries(side, self.queries.labels, representation))

    def _load_training_side(self) -> tuple[Side, list[str]]:
        """Returns training entries and their combinations."""
        train_ids = self.split.train_ids
        if self._side is None:
            self._side = Side(*self._load(train_ids))
        of = {entry.id: entry.combination_id for entry in self.info.entries}
        return self._side, [of[entry_id] for entry_id in train_ids]

    def _load_strangers(self) -> npt.NDArray[np.floating] | None:
        """Returns features of classifiers that are no networks, if there are any."""
        if self._reader.representation != "probabilities":
            return None
        found = self._package.load_strangers(self._reader.part)
        return None if found is None else found[:, : self.num_queries]

    def _load(self, entry_ids: tuple[str, ...]) -> tuple[np.ndarray, heads.Labels]:
        queries = range(self.num_queries)
        representation = self._reader.representation
        return query_outputs.load_arrays(self.info, entry_ids, queries, representation)

    def _descended(self) -> list[str]:
        """Returns the combinations that crafted queries descended through."""
        if self._reader.part != packages.CRAFTED:
            return []
        return list(self._package.description["descended_through"])

    def _find_honest(self, ids: list[str]) -> npt.NDArray[np.bool_] | None:
        """Says which training entries had no part in making the queries, if any had."""
        descended = self._descended()
        is_honest = ~np.isin(ids, descended)
        return is_honest if descended and is_honest.any() else None
