"""kennen-o: a metamodel that reads answers to stored queries (paper, section 4).

kennen-s is trained alike, on queries that were chosen (`kennen_s.py`), and so is the
yardstick, "linear".
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from kennen_tf.configs.recipes import Recipe, SolvedRecipe
from kennen_tf.machine import distribution
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels import left_out as left_out_lib
from kennen_tf.metamodels import limiting, metrics
from kennen_tf.metamodels.jobs import Job, Trained, load_sides
from kennen_tf.metamodels.metrics import MetricsLog, Side
from kennen_tf.metamodels.recipes import (
    callbacks,
    checkpoints,
    fitting,
    heads,
    linear,
    solving,
)
from kennen_tf.vocabulary.seeds import derive_seed
from pipelines import query_outputs

# Between checkpoints of a training that keeps no curves; most end before the first.
_SECONDS_BETWEEN_CHECKPOINTS = 30.0


def train(job: Job) -> Trained:
    """Trains on answers to stored queries, or goes on training."""
    config = job.config
    if config.method == "linear":
        return _fit_linear(job)
    recipe = config.make_recipe(job.table)
    if not isinstance(recipe, Recipe):
        return _solve(job, recipe)
    train, test = load_sides(job)
    checkpoint_path = (
        job.folder / folder_lib.CHECKPOINTS_NAME / checkpoints.CHECKPOINT_NAME
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
        return query_outputs.make_array_dataset(
            train.features,
            train.labels,
            batch_size=batch_size,
            shuffle_seed=derive_seed(config.seed, "order of training"),
            first_epoch=first_epoch,
        )

    def save(epoch: int) -> None:
        checkpoints.save(checkpoint_path, trainer.model, epoch)

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
        bar.set_note(metrics.say(log.rows[-1]))

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
    if distribution.is_multi_worker(job.strategy):
        # The second training would have to be that of all processes.
        return Trained(model=trainer.answering, last=log.rows[-1])
    ids = job.train_combination_ids
    limited = limiting.limit_trained(
        recipe, job.table, trainer.answering, train, ids, config.seed
    )
    return Trained.of(limited, last=log.rows[-1])


def _solve(job: Job, recipe: SolvedRecipe) -> Trained:
    train, test = load_sides(job)
    ids = job.train_combination_ids
    left_out: heads.LeftOut = {}
    models = solving.fit(recipe, job.table, train.features, train.labels, ids, left_out)
    trained = _end_fit(job, fitting.PairedModels(job.table, *models), train, test)
    if not _keeps(job):
        return trained
    reads_all = job.config.representation == "probabilities"
    limited = limiting.limit_solved(
        recipe, job.table, trained.model, train, ids, left_out, reads_all=reads_all
    )
    return Trained.of(limited, last=trained.last)


def _fit_linear(job: Job) -> Trained:
    train, test = load_sides(job)
    recipe = job.config.make_recipe(job.table)
    models = linear.fit(
        job.table,
        train.features,
        train.labels,
        is_balanced=recipe.balance > 0,
        divides=recipe.divide,
    )
    trained = _end_fit(job, fitting.PairedModels(job.table, *models), train, test)
    if not _keeps(job):
        return trained

    def refit(side: Side, combination_ids: Sequence[str]) -> keras.Model:
        answering, _ = linear.fit(
            job.table,
            side.features,
            side.labels,
            is_balanced=recipe.balance > 0,
            divides=recipe.divide,
        )
        return answering

    ids = job.train_combination_ids
    limited = limiting.limit_refitted(
        refit,
        trained.model,
        train,
        ids,
        left_out_lib.deal(ids),
        is_balanced=recipe.balance > 0,
    )
    return Trained.of(limited, last=trained.last)


def _keeps(job: Job) -> bool:
    """Says whether this process writes curves, and finds limits."""
    return job.keeps_curves and distribution.is_chief(job.strategy)


def _end_fit(
    job: Job, fitted: fitting.PairedModels, train: Side, test: Side
) -> Trained:
    """Writes the metrics of what was fitted at once, under whatever strategy."""
    if not _keeps(job):
        return Trained(model=fitted.answering)
    log = _open_log(job, 0)
    log.evaluate(1, fitted.predict_logits, train, test)
    log.end(1, fitted.predict_logits, test)
    return Trained(model=fitted.answering, last=log.rows[-1])


def _open_log(job: Job, last_epoch: int) -> MetricsLog:
    return MetricsLog(
        job.folder, job.table, job.config, job.split.split_attributes, last_epoch
    )
