"""Making a metamodel in its folder, whatever the method; stopped, and gone on with."""

import contextlib
import time

from absl import logging

from kennen_tf.machine import distribution
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels import kennen_i, kennen_io, kennen_o
from kennen_tf.metamodels.crafted_run import CraftedRun
from kennen_tf.metamodels.jobs import Job
from kennen_tf.metamodels.trained import Trained
from kennen_tf.vocabulary import artifacts


def make(job: Job) -> Trained | None:
    """Trains a metamodel in its folder, or goes on training it.

    Of several processes of a strategy, the chief writes, and the others wait for it.

    Returns:
        What was trained; None if the folder holds it finished.

    Raises:
        UserError: If there are too few queries or entries, or the folder holds
            something else, or not the same for all processes.
    """
    config, folder = job.config, job.folder
    is_chief = distribution.is_chief(job.strategy)
    split, query_indices = job.split, job.choose_queries()
    state = folder_lib.state(folder, job.description, config.resume)
    distribution.check_same(
        job.strategy,
        [folder_lib.deciding(job.description), split.train_ids],
        "settings and query outputs",
    )
    # Only now: the chief is not to write before the others have looked.
    is_finished = state == folder_lib.FINISHED
    distribution.check_same(
        job.strategy, is_finished, "metamodel, in a --metamodel_dir they share"
    )
    if is_finished:
        return None
    with contextlib.ExitStack() as stack:
        if is_chief:
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
            "kennen-o": kennen_o.train,
            "kennen-s": kennen_o.train,
            "linear": kennen_o.train,
            "kennen-i": _train_crafted,
            "kennen-io": _train_crafted,
        }[config.method](job)
        # Without curves, the caller scores the model in memory and keeps the scores.
        if is_chief and (job.keeps_curves or config.is_crafted):
            summary = {
                "last": trained.last,
                "seconds": time.monotonic() - started,
                "query_accuracies": trained.query_accuracies,
            }
            folder_lib.finish(
                folder,
                trained.model,
                summary,
                trained.crafted,
                trained.coarse,
                trained.limits,
            )
        distribution.check_same(job.strategy, "the end", "end")
        return trained


def _train_crafted(job: Job) -> Trained:
    run = CraftedRun.open(
        job.config,
        job.info,
        job.split,
        job.choose_queries(),
        job.strategy,
        keeps_curves=job.keeps_curves,
        compiled=job.compiled,
    )
    train = kennen_i.train if job.config.method == "kennen-i" else kennen_io.train
    return train(run)
