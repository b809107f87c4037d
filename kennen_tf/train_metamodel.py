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

from absl import logging

from flags import common
from kennen_tf.configs.metamodels import MetamodelConfig


def train_metamodel(config: MetamodelConfig) -> None:
    """Trains a metamodel, or goes on training one.

    Raises:
        UserError: If there are no query outputs or too few, or the folder holds
            something else, or the strategy is not for this, or has lost a worker.
    """
    from kennen_tf.machine import startup

    config.check_strategy()
    startup.import_tensorflow(config.logical_cpus)

    from kennen_tf.machine import distribution
    from kennen_tf.metamodels import making, metrics
    from kennen_tf.metamodels.jobs import Job
    from kennen_tf.queries.query_outputs import QueryOutputsInfo

    if config.is_solved and (config.epochs or config.batch_size):
        logging.warning(
            "%s is solved for at once: --epochs and --batch_size have no effect. "
            "--recipe=joined, mlp and paper of kennen-o, kennen-s and kennen-io have "
            "epochs.",
            config.method,
        )
    # Before others are waited for.
    info = QueryOutputsInfo.open(config.query_dir)
    with distribution.naming_lost_workers(config.strategy):
        strategy = distribution.make_strategy(config.strategy)
        job = Job(config=config, info=info, strategy=strategy)
        num_devices = strategy.num_replicas_in_sync
        if config.is_solved and not config.is_crafted and num_devices > 1:
            logging.info(
                "%s is solved for at once, on one of the %d devices.",
                *(config.method, num_devices),
            )
        trained = making.make(job)
    if trained is None:
        print(f"{job.folder}: finished before, nothing to do.")
    elif distribution.is_chief(strategy):
        print(f"{job.folder}: {config.method} trained; {metrics.say(trained.last)}.")
        distribution.see_off(strategy)
    else:
        own, chief = distribution.names(strategy)
        print(
            f"{job.folder}: {config.method} trained by {own} and the others; {chief} "
            "has written it."
        )


def main() -> None:
    """Runs `train_metamodel` with the flags of the command line."""
    common.run(train_metamodel, MetamodelConfig)


if __name__ == "__main__":
    main()
