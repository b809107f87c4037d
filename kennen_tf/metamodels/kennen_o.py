"""kennen-o: a metamodel that reads answers to stored queries (paper, section 4).

kennen-s is trained alike, on queries that were chosen (`kennen_s.py`), and so is the
yardstick, "linear".
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from kennen_tf.configs.recipes import Recipe, SolvedRecipe
from kennen_tf.machine import distribution
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels import left_out as left_out_lib
from kennen_tf.metamodels import limiting, metrics
from kennen_tf.metamodels.jobs import Job, load_sides
from kennen_tf.metamodels.metrics import MetricsLog, Side
from kennen_tf.metamodels.recipes import (
    callbacks,
    checkpoints,
    fitting,
    heads,
    joining,
    linear,
    solving,
)
from kennen_tf.metamodels.trained import Trained
from kennen_tf.vocabulary.seeds import derive_seed

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
    beside = None
    if recipe.beside is not None:
        beside = joining.Beside(
            recipe.beside,
            job.table,
            train.features,
            train.labels,
            job.train_combination_ids,
        )
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
    distribution.check_same(
        job.strategy, trainer.first_epoch, "checkpoint, in a --metamodel_dir they share"
    )

    make_stream = fitting.stream_of(
        train.features, train.labels, derive_seed(config.seed, "order of training")
    )

    def save(epoch: int) -> None:
        checkpoints.save(checkpoint_path, trainer.model, epoch)

    if not job.keeps_curves:
        by_clock = callbacks.EveryFewSeconds(save, _SECONDS_BETWEEN_CHECKPOINTS)
        trainer.fit(make_stream, [by_clock])
        if beside is None:
            return Trained(model=trainer.answering)
        return Trained(model=beside.join(recipe, trainer, train.features).answering)
    last = {}
    predict = trainer.predict_logits
    if beside is not None:
        predict = functools.partial(beside.predict_logits, trainer)
    if distribution.is_chief(job.strategy):
        last = _fit_with_curves(job, trainer, make_stream, save, predict, train, test)
    else:
        trainer.fit(make_stream, [])
    fitted: fitting.PairedModels = trainer
    if beside is not None:
        fitted = beside.join(recipe, trainer, train.features)
    limited = limiting.limit_trained(
        recipe,
        job.table,
        fitted.answering,
        train,
        job.train_combination_ids,
        config.seed,
        job.strategy,
        beside=beside,
        reads_all=config.representation == "probabilities",
    )
    return _end(job, train, limited, last)


def _fit_with_curves(
    job: Job,
    trainer: fitting.Trainer,
    make_stream: fitting.MakeStream,
    save: Callable[[int], None],
    predict: metrics.Predict,
    train: Side,
    test: Side,
) -> dict[str, Any]:
    """Trains, with metrics and checkpoints; returns the metrics' last row."""
    config = job.config
    log = _open_log(job, trainer.first_epoch)
    bar = callbacks.ProgressBar(trainer.first_epoch, trainer.num_epochs, config.method)

    def evaluate(epoch: int) -> None:
        log.evaluate(epoch, predict, train, test)
        bar.set_note(metrics.say(log.rows[-1]))

    # A checkpoint comes after its epoch's row, so that no row is missing after it.
    every = callbacks.EveryFewEpochs
    trainer.fit(
        make_stream,
        [
            callbacks.EachEpoch(log.add_epoch),
            every(
                evaluate,
                config.epochs_between(trainer.num_epochs),
                trainer.num_epochs,
            ),
            every(save, config.checkpoint_every, trainer.num_epochs),
            bar,
        ],
    )
    log.end(trainer.num_epochs, predict, test)
    return log.rows[-1]


def _solve(job: Job, recipe: SolvedRecipe) -> Trained:
    train, test = load_sides(job)
    ids = job.train_combination_ids
    left_out: heads.LeftOut = {}
    models = solving.fit(recipe, job.table, train.features, train.labels, ids, left_out)
    trained = _end_fit(job, fitting.PairedModels(job.table, *models), train, test)
    if not job.keeps_curves:
        return trained
    reads_all = job.config.representation == "probabilities"
    limited = limiting.limit_solved(
        recipe, job.table, trained.model, train, ids, left_out, reads_all=reads_all
    )
    return _end(job, train, limited, trained.last)


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
    if not job.keeps_curves:
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
    return _end(job, train, limited, trained.last)


def _end_fit(
    job: Job, fitted: fitting.PairedModels, train: Side, test: Side
) -> Trained:
    """Writes the metrics of what was fitted at once."""
    if not job.keeps_curves:
        return Trained(model=fitted.answering)
    log = _open_log(job, 0)
    log.evaluate(1, fitted.predict_logits, train, test)
    log.end(1, fitted.predict_logits, test)
    return Trained(model=fitted.answering, last=log.rows[-1])


def _end(
    job: Job, train: Side, limited: limiting.Limited, last: dict[str, Any]
) -> Trained:
    """Returns what a training ends with that found its limits."""
    labels = job.info.query_inputs.labels[job.choose_queries()]
    scores = metrics.score_queries(train, labels, job.config.representation)
    return Trained.of(limited, last=last, query_accuracies=scores)


def _open_log(job: Job, last_epoch: int) -> MetricsLog:
    return MetricsLog(
        job.folder,
        job.table,
        job.config,
        job.split.split_attributes,
        last_epoch,
        len(job.split.train_ids),
    )
