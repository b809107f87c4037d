"""Making a metamodel in its folder, whatever the method; stopped, and gone on with."""

import contextlib
import dataclasses
import functools
import pathlib
import time
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.recipes import Recipe, SolvedRecipe
from kennen_tf.evaluation import splits
from kennen_tf.evaluation.splits import Split
from kennen_tf.machine import distribution
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels import kennen_i, kennen_io, kennen_s
from kennen_tf.metamodels.crafted_run import CraftedRun
from kennen_tf.metamodels.metrics import MetricsLog, Side
from kennen_tf.metamodels.recipes import callbacks, fitting, linear, solving
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.seeds import derive_seed
from pipelines import query_outputs
from pipelines.outputs_in_memory import OutputsInMemory

# Between checkpoints of a training that keeps no curves; most end before the first.
_SECONDS_BETWEEN_CHECKPOINTS = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training ends with.

    Attributes:
        model: From features to a dict from attribute to probabilities.
        crafted: The queries, if they were crafted.
        last: The last row of the metrics; empty if none were kept.
    """

    model: keras.Model
    crafted: QueryInputs | None = None
    last: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A metamodel to make.

    Attributes:
        config: Settings; once the job is made, those for the zoo that was queried.
        info: The query outputs.
        strategy: Under which to train.
        keeps_curves: Whether metrics.jsonl, logs for TensorBoard, regular checkpoints
            and a bar are wanted. They take longer than a short training itself, so
            experiments of hundreds of runs go without; kennen-i and kennen-io keep
            them always.
        compiled: Models of earlier trainings, to be trained again.
        memory: The query outputs, where many trainings read the same.
    """

    config: MetamodelConfig
    info: QueryOutputsInfo
    strategy: tf.distribute.Strategy
    keeps_curves: bool = True
    compiled: fitting.CompiledModels | None = None
    memory: OutputsInMemory | None = None

    def __post_init__(self) -> None:
        info = self.info
        config = self.config.for_zoo(info.attributes, info.num_classes)
        object.__setattr__(self, "config", config)

    @property
    def table(self) -> AttributeTable:
        """The attributes of the zoo."""
        return self.info.attributes

    @property
    def outputs(self) -> Any:
        """What reads the query outputs: from memory, or `pipelines.query_outputs`."""
        return self.memory or query_outputs

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

    @functools.cached_property
    def query_indices(self) -> list[int]:
        """Which of the stored queries are read, or begun with if queries are crafted.

        Raises `UserError` if there are not that many, or if kennen-i cannot name values
        by classes.
        """
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
        chosen = self._choose_queries(sum(is_chosen))
        others = iter([place for place in drawn if place not in chosen])
        told = iter(chosen)
        return [next(told) if own else next(others) for own in is_chosen]

    def _choose_queries(self, num_queries: int) -> list[int]:
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


def make(job: Job) -> Trained | None:
    """Trains a metamodel in its folder, or goes on training it.

    Returns:
        What was trained; None if the folder holds it finished, or if another process
        of the strategy is the one that writes.

    Raises:
        UserError: If there are too few queries or entries, or the folder holds
            something else.
    """
    config, folder = job.config, job.folder
    is_chief = distribution.is_chief(job.strategy)
    split, query_indices = job.split, job.query_indices
    if folder_lib.state(folder, job.description, True) == folder_lib.FINISHED:
        return None
    with contextlib.ExitStack() as stack:
        if is_chief:
            folder_lib.state(folder, job.description, config.resume)
            artifacts.make_folder(folder)
            stack.enter_context(artifacts.folder_lock(folder, "training a metamodel"))
            artifacts.remove_incomplete(folder)
            folder_lib.write_description(
                folder,
                job.description,
                job.table,
                split,
                query_indices,
                job.info.query_inputs,
            )
        # Where there are no curves there is a bar over many runs, and it names them.
        log = logging.info if job.keeps_curves else logging.debug
        log(
            "Training %s in %s: %d entries to train on, %d to test on, %d queries, %d "
            "device(s), seed %d.",
            *(config.method, folder, len(split.train_ids), len(split.test_ids)),
            *(config.num_queries, job.strategy.num_replicas_in_sync, config.seed),
        )
        started = time.monotonic()
        trained = {
            "kennen-o": _train_kennen_o,
            "kennen-s": _train_kennen_o,
            "kennen-i": _train_crafted,
            "kennen-io": _train_crafted,
            "linear": _train_linear,
        }[config.method](job)
        if not is_chief:
            return None
        # Without curves, the caller scores the model in memory and keeps the scores.
        if job.keeps_curves or config.is_crafted:
            summary = {"last": trained.last, "seconds": time.monotonic() - started}
            folder_lib.finish(folder, trained.model, summary, trained.crafted)
        return trained


def load_sides(job: Job) -> tuple[Side, Side]:
    """Reads what a metamodel of stored queries trains on, and what it is tested on.

    Raises:
        UserError: If a side has too few entries, or there are too few queries.
    """
    config = job.config
    reading = (job.query_indices, config.representation, config.top_k)
    load = job.outputs.load_arrays
    return (
        Side(*load(job.info, job.split.train_ids, *reading)),
        Side(*load(job.info, job.split.test_ids, *reading)),
    )


def say(row: dict[str, Any]) -> str:
    """Returns the average accuracies of a row of metrics, for people."""

    def percent(side: str) -> str:
        average = row[side]["average"]
        return "not scored" if average is None else f"{100 * average:.1f}%"

    return f"class-balanced accuracy {percent('train')} train, {percent('test')} test"


def _train_kennen_o(job: Job) -> Trained:
    config = job.config
    recipe = config.make_recipe(job.table)
    if not isinstance(recipe, Recipe):
        return _solve(job, recipe)
    train, test = load_sides(job)
    checkpoint_path = (
        job.folder / folder_lib.CHECKPOINTS_NAME / callbacks.CHECKPOINT_NAME
    )
    trainer = fitting.Trainer.start(
        recipe,
        job.table,
        train.features,
        train.labels,
        seed=config.seed,
        strategy=job.strategy,
        checkpoint_path=checkpoint_path,
        compiled=job.compiled,
    )

    def make_stream(batch_size: int, first_epoch: int) -> tf.data.Dataset:
        return job.outputs.make_dataset(
            job.info,
            job.split.train_ids,
            job.query_indices,
            config.representation,
            config.top_k,
            batch_size=batch_size,
            shuffle_seed=derive_seed(config.seed, "order of training"),
            first_epoch=first_epoch,
        )

    def save(epoch: int) -> None:
        callbacks.save_checkpoint(checkpoint_path, trainer.model, epoch)

    if not distribution.is_chief(job.strategy):
        trainer.fit(make_stream, [])
        return Trained(model=trainer.answering)
    if not job.keeps_curves:
        by_clock = callbacks.EveryFewSeconds(save, _SECONDS_BETWEEN_CHECKPOINTS)
        trainer.fit(make_stream, [by_clock])
        return Trained(model=trainer.answering)
    log = _open_log(job, trainer.first_epoch)
    bar = callbacks.ProgressBar(trainer.first_epoch, trainer.num_epochs, config.method)

    def evaluate(epoch: int) -> None:
        log.evaluate(epoch, trainer.predict_logits, train, test)
        bar.set_note(say(log.rows[-1]))

    # A checkpoint comes after its epoch's row, so that no row is missing after it.
    every = callbacks.EveryFewEpochs
    trainer.fit(
        make_stream,
        [
            every(evaluate, config.evaluate_every, trainer.num_epochs),
            every(save, config.checkpoint_every, trainer.num_epochs),
            bar,
        ],
    )
    log.end(trainer.num_epochs, trainer.predict_logits, test)
    return Trained(model=trainer.answering, last=log.rows[-1])


def _solve(job: Job, recipe: SolvedRecipe) -> Trained:
    train, test = load_sides(job)
    models = solving.fit(
        recipe, job.table, train.features, train.labels, job.train_combination_ids
    )
    return _end_fit(job, fitting.Reader(job.table, *models), train, test)


def _train_linear(job: Job) -> Trained:
    train, test = load_sides(job)
    recipe = job.config.make_recipe(job.table)
    models = linear.fit(
        job.table, train.features, train.labels, is_balanced=recipe.balance > 0
    )
    return _end_fit(job, fitting.Reader(job.table, *models), train, test)


def _end_fit(job: Job, reader: fitting.Reader, train: Side, test: Side) -> Trained:
    """Writes the metrics of what was fitted at once, under whatever strategy."""
    if not (job.keeps_curves and distribution.is_chief(job.strategy)):
        return Trained(model=reader.answering)
    log = _open_log(job, 0)
    log.evaluate(1, reader.predict_logits, train, test)
    log.end(1, reader.predict_logits, test)
    return Trained(model=reader.answering, last=log.rows[-1])


def _train_crafted(job: Job) -> Trained:
    run = CraftedRun.open(
        job.config,
        job.info,
        job.split,
        job.query_indices,
        job.strategy,
        job.compiled,
    )
    if job.config.method == "kennen-i":
        model, crafted, last = kennen_i.train(run)
    else:
        model, crafted, last = kennen_io.train(run)
    return Trained(model=model, crafted=crafted, last=last)


def _open_log(job: Job, last_epoch: int) -> MetricsLog:
    # The recipe last: it has the numbers that hold, where the config says 0.
    settings = {**job.config.to_json(), **job.config.make_recipe(job.table).to_json()}
    return MetricsLog(
        job.folder, job.table, settings, job.split.split_attributes, last_epoch
    )
