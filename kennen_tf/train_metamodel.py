r"""Trains a metamodel: a classifier that names the insides of classifiers.

    python -m kennen_tf.train_metamodel --method=kennen-o --query_dir=queries \
        --metamodel_dir=runs/o --num_queries=100 --representation=probabilities \
        --split=R
    python -m kennen_tf.train_metamodel --method=kennen-io --zoo_dir=zoo \
        --query_dir=queries --metamodel_dir=runs/io
    python -m kennen_tf.train_metamodel --method=kennen-i --attribute=pool \
        --zoo_dir=zoo --query_dir=queries --metamodel_dir=runs/i-pool

kennen-o reads answers that query_zoo stored. kennen-i and kennen-io craft their
queries: they descend through the zoo's training classifiers, and see those to test on
as black boxes only.

Writes runs/o/metamodel.keras, with its settings, split and queries beside it, and loss
and accuracies over the epochs in runs/o/metrics.jsonl and for TensorBoard
(`tensorboard --logdir=runs`); with crafted queries, also figures/crafted.png and
figures/curves.png. Killed at any moment, the same command with --resume goes
on, and ends where an uninterrupted run ends. Then: evaluate_metamodel.
"""

import functools
import pathlib
import time
from typing import TYPE_CHECKING, Any

from flags import common
from flags import metamodels as metamodel_flags
from kennen_tf.configs.metamodels import MetamodelConfig

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from kennen_tf.metamodels.metrics import MetricsLog, Side
    from kennen_tf.query_inputs import QueryInputs
    from kennen_tf.query_outputs import QueryOutputsInfo
    from kennen_tf.splits import Split

    # The metamodel, its queries if they were crafted, and the last row of its metrics.
    Trained = tuple[keras.Model, QueryInputs | None, dict[str, Any]]


def train_metamodel(config: MetamodelConfig) -> None:
    """Trains a metamodel, or goes on training one.

    Raises:
        UserError: If there are no query outputs or too few, or the folder holds
            something else.
    """
    import contextlib

    from kennen_tf import quiet

    quiet.import_tensorflow()

    from absl import logging

    from kennen_tf import artifacts, distribution, splits
    from kennen_tf.metamodels import folder as folder_lib
    from kennen_tf.query_outputs import QueryOutputsInfo

    strategy = distribution.make_strategy(config.strategy)
    is_chief = distribution.is_chief(strategy)
    info = QueryOutputsInfo.open(config.query_dir)
    recipe = config.make_recipe()
    description = folder_lib.describe(config, recipe, info)
    query_indices = folder_lib.choose_queries(info, config.num_queries, config.seed)
    split = splits.make_split(
        info.entries, config.split, config.seed, config.num_train, config.num_test
    )
    folder = pathlib.Path(config.metamodel_dir)
    if folder_lib.state(folder, description, True) == folder_lib.FINISHED:
        print(f"{folder}: finished before, nothing to do.")
        return
    with contextlib.ExitStack() as stack:
        if is_chief:
            folder_lib.state(folder, description, config.resume)
            artifacts.make_folder(folder)
            stack.enter_context(artifacts.folder_lock(folder, "training a metamodel"))
            artifacts.remove_incomplete(folder)
            folder_lib.write_description(
                folder, description, split, query_indices, info.query_inputs
            )
        logging.info(
            "Training %s in %s: %d entries to train on, %d to test on, %d queries, %d "
            "device(s), seed %d.",
            *(config.method, folder, len(split.train_ids), len(split.test_ids)),
            *(config.num_queries, strategy.num_replicas_in_sync, config.seed),
        )
        started = time.monotonic()
        train = {
            "kennen-o": _train_kennen_o,
            "kennen-i": _train_crafted,
            "kennen-io": _train_crafted,
            "linear": _train_linear,
        }[config.method]
        model, crafted, last = train(config, info, split, query_indices, strategy)
        if is_chief:
            summary = {"last": last, "seconds": time.monotonic() - started}
            folder_lib.finish(folder, model, summary, crafted)
            print(f"{folder}: {config.method} trained; {_say(last)}.")


def _train_kennen_o(
    config: MetamodelConfig,
    info: "QueryOutputsInfo",
    split: "Split",
    query_indices: list[int],
    strategy: "tf.distribute.Strategy",
) -> "Trained":
    from kennen_tf import distribution
    from kennen_tf.metamodels import callbacks, training
    from kennen_tf.metamodels import folder as folder_lib
    from kennen_tf.seeds import derive_seed
    from pipelines import query_outputs

    train, test = _load_sides(config, info, split, query_indices)
    folder = pathlib.Path(config.metamodel_dir)
    checkpoint_path = folder / folder_lib.CHECKPOINTS_NAME / callbacks.CHECKPOINT_NAME
    trainer = training.Trainer.start(
        config.make_recipe(),
        train.features,
        train.labels,
        seed=config.seed,
        strategy=strategy,
        checkpoint_path=checkpoint_path,
    )

    def make_stream(batch_size: int, first_epoch: int) -> "tf.data.Dataset":
        return query_outputs.make_dataset(
            info,
            split.train_ids,
            query_indices,
            config.representation,
            config.top_k,
            batch_size=batch_size,
            shuffle_seed=derive_seed(config.seed, "order of training"),
            first_epoch=first_epoch,
        )

    if not distribution.is_chief(strategy):
        trainer.fit(make_stream, [])
        return trainer.answering, None, {}
    log = _open_log(config, split, trainer.first_epoch)
    bar = callbacks.ProgressBar(trainer.first_epoch, trainer.num_epochs, config.method)

    def evaluate(epoch: int) -> None:
        log.evaluate(epoch, trainer.predict_logits, train, test)
        bar.set_note(_say(log.rows[-1]))

    def save(epoch: int) -> None:
        callbacks.save_checkpoint(checkpoint_path, trainer.model, epoch)

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
    return trainer.answering, None, log.rows[-1]


def _train_linear(
    config: MetamodelConfig,
    info: "QueryOutputsInfo",
    split: "Split",
    query_indices: list[int],
    strategy: "tf.distribute.Strategy",
) -> "Trained":
    from kennen_tf.metamodels import linear, training

    del strategy  # It takes one process seconds.
    train, test = _load_sides(config, info, split, query_indices)
    answering, model = linear.fit(config.make_recipe(), train.features, train.labels)
    log = _open_log(config, split, 0)
    predict = functools.partial(training.predict_logits, model)
    log.evaluate(1, predict, train, test)
    log.end(1, predict, test)
    return answering, None, log.rows[-1]


def _train_crafted(
    config: MetamodelConfig,
    info: "QueryOutputsInfo",
    split: "Split",
    query_indices: list[int],
    strategy: "tf.distribute.Strategy",
) -> "Trained":
    from kennen_tf.metamodels import kennen_i, kennen_io
    from kennen_tf.metamodels.crafted_run import CraftedRun
    from pipelines import query_outputs

    del query_indices  # The first of the stored queries, in the seed's order.
    run = CraftedRun.open(config, info, split, strategy)
    if config.method == "kennen-i":
        return kennen_i.train(run)
    return kennen_io.train(run, query_outputs.make_array_dataset)


def _load_sides(
    config: MetamodelConfig,
    info: "QueryOutputsInfo",
    split: "Split",
    query_indices: list[int],
) -> "tuple[Side, Side]":
    from kennen_tf.metamodels.metrics import Side
    from pipelines import query_outputs

    reading = (query_indices, config.representation, config.top_k)
    return (
        Side(*query_outputs.load_arrays(info, split.train_ids, *reading)),
        Side(*query_outputs.load_arrays(info, split.test_ids, *reading)),
    )


def _open_log(config: MetamodelConfig, split: "Split", last_epoch: int) -> "MetricsLog":
    from kennen_tf.metamodels.metrics import MetricsLog

    # The recipe last: it has the numbers that hold, where the config says 0.
    settings = {**config.to_json(), **config.make_recipe().to_json()}
    return MetricsLog(
        pathlib.Path(config.metamodel_dir),
        settings,
        split.split_attributes,
        last_epoch,
    )


def _say(row: dict[str, Any]) -> str:
    """Returns the average accuracies of a row of metrics, for people."""

    def percent(side: str) -> str:
        average = row[side]["average"]
        return "not scored" if average is None else f"{100 * average:.1f}%"

    return f"class-balanced accuracy {percent('train')} train, {percent('test')} test"


if __name__ == "__main__":
    common.run(train_metamodel, metamodel_flags.define)
