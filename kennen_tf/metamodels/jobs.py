"""A metamodel to make: settings, who is trained on, which queries are read."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.recipes import Recipe
from kennen_tf.evaluation import splits
from kennen_tf.evaluation.splits import Split
from kennen_tf.machine import memory
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels import kennen_i, kennen_s
from kennen_tf.metamodels.metrics import Side
from kennen_tf.metamodels.recipes import fitting, solving
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from pipelines import query_outputs

# Of the training entries' features, while a training and that of its limits go on.
_COPIES = 5


class QueryOutputs(Protocol):
    """What reads query outputs, e.g. the module `pipelines.query_outputs`."""

    def load_arrays(
        self,
        info: QueryOutputsInfo,
        entry_ids: Sequence[str],
        query_indices: Sequence[int],
        representation: str | None,
        top_k: int = 0,
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """See `pipelines.query_outputs`."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A metamodel to make.

    Attributes:
        config: Settings; once the job is made, those for the zoo that was queried.
        info: The query outputs.
        strategy: Under which to train.
        keeps_curves: Whether metrics.jsonl, logs for TensorBoard, regular checkpoints,
            a bar and limits are wanted. They take longer than a short training itself,
            so experiments of hundreds of runs go without; kennen-i keeps
            them always, and kennen-io its folder and checkpoints.
        compiled: Models of earlier trainings, to be trained again.
        outputs: What reads the query outputs: from files, or, where many trainings read
            the same, from memory.
    """

    config: MetamodelConfig
    info: QueryOutputsInfo
    strategy: tf.distribute.Strategy
    keeps_curves: bool = True
    compiled: fitting.CompiledModels | None = None
    outputs: QueryOutputs = query_outputs

    def __post_init__(self) -> None:
        info = self.info
        config = self.config.for_zoo(info.attributes, info.num_classes)
        object.__setattr__(self, "config", config)

    @property
    def table(self) -> AttributeTable:
        """The attributes of the zoo."""
        return self.info.attributes

    @functools.cached_property
    def split(self) -> Split:
        """Who is trained on. Raises `UserError` if a side has too few entries."""
        config = self.config
        return splits.make_split(
            self.info.entries,
            config.split,
            self.table,
            config.seed,
            config.num_train,
            config.num_test,
        )

    @property
    def train_combination_ids(self) -> list[str]:
        """Of the entries to train on, in their order."""
        of = {entry.id: entry.combination_id for entry in self.info.entries}
        return [of[entry_id] for entry_id in self.split.train_ids]

    def choose_queries(self) -> list[int]:
        """Returns which stored queries are read, or begun with if they are crafted.

        Those of kennen-s, and some of kennen-io's, are chosen for the entries to train
        on, at the first call: with many queries stored, that takes minutes.

        Raises:
            UserError: If there are not that many, or if kennen-i cannot name values by
                classes.
        """
        return list(self._query_indices)

    @functools.cached_property
    def _query_indices(self) -> list[int]:
        config = self.config
        if config.method == "kennen-i":
            kennen_i.check_num_values(config.named(self.table), self.info.num_classes)
        drawn = folder_lib.draw_queries(
            self.info, config.num_queries, config.seed_of_queries
        )
        is_chosen = [config.method == "kennen-s"] * len(drawn)
        if config.method == "kennen-io":
            is_chosen = config.make_crafting_recipe().chosen_places(len(drawn))
        if not any(is_chosen):
            return drawn
        # Stopped, a training goes on with what it has chosen.
        stored = folder_lib.read_query_indices(self.folder)
        if stored:
            return stored
        chosen = self._choose_most_telling(sum(is_chosen))
        others = iter([place for place in drawn if place not in chosen])
        told = iter(chosen)
        return [next(told) if own else next(others) for own in is_chosen]

    def _choose_most_telling(self, num_queries: int) -> list[int]:
        config, info, train_ids = self.config, self.info, self.split.train_ids
        outputs, labels = self.outputs.load_arrays(
            info,
            train_ids,
            range(info.num_queries),
            config.representation,
            config.top_k,
        )
        return kennen_s.choose(
            self.table,
            outputs,
            labels,
            self.train_combination_ids,
            num_queries,
            config.seed_of_queries,
        )

    @functools.cached_property
    def description(self) -> dict[str, Any]:
        """What config.json holds, but for its provenance."""
        return folder_lib.describe(self.config, self.info)

    @property
    def folder(self) -> pathlib.Path:
        return pathlib.Path(self.config.metamodel_dir)


def _check_memory(job: Job) -> None:
    """Raises `UserError` if training would not fit, before anything is read."""
    config, train_ids, test_ids = job.config, job.split.train_ids, job.split.test_ids
    recipe = config.make_recipe(job.table)
    has_kernel = not isinstance(recipe, Recipe) or recipe.beside is not None
    if has_kernel and config.method != "linear":
        solving.check_size(config.recipe, len(train_ids))
    entry_bytes = 4 * config.num_queries * job.info.num_classes
    memory.check_memory(
        entry_bytes * (_COPIES * len(train_ids) + len(test_ids)),
        f"Training on {len(train_ids):,} entries and {config.num_queries} queries",
        "Take fewer with --num_train, or fewer queries with --num_queries.",
    )


def load_sides(job: Job) -> tuple[Side, Side]:
    """Reads what a metamodel of stored queries trains on, and what it is tested on.

    Raises:
        UserError: If a side has too few entries, there are too few queries, or memory
            has no room for them.
    """
    config = job.config
    _check_memory(job)
    reading = (job.choose_queries(), config.representation, config.top_k)
    load = job.outputs.load_arrays
    return (
        Side(*load(job.info, job.split.train_ids, *reading)),
        Side(*load(job.info, job.split.test_ids, *reading)),
    )
