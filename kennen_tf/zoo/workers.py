"""Worker processes that train the classifiers of a zoo.

The parent hands out groups of specs that one `Trainer` serves, and alone writes the
manifest. TensorFlow never gives back the memory of a trace, so a worker ends after
`TRACES_PER_WORKER` groups and a new one takes its place: memory does not grow with
the number of classifiers.
"""

import dataclasses
import math
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection
from typing import Any

from kennen_tf.attributes import Facts
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs.design import Design, load_design
from kennen_tf.keras_models import saving
from kennen_tf.machine import processors, startup
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.labeled_images import LabeledImages
from kennen_tf.zoo import store
from kennen_tf.zoo.specs import ClassifierSpec, step_key
from kennen_tf.zoo.store import ClassifierRecord

TRACES_PER_WORKER = 16

LoadImages = Callable[[], LabeledImages]
Group = list[ClassifierSpec]


def group_specs(design: Design, specs: Sequence[ClassifierSpec]) -> list[Group]:
    """Groups specs by the trainer that serves them, in order of first appearance.

    So a zoo that is stopped halfway is a fair sample of the whole.
    """
    groups: dict[tuple[Any, ...], Group] = {}
    for spec in specs:
        groups.setdefault(step_key(design, spec), []).append(spec)
    return list(groups.values())


def train_all(
    specs: Sequence[ClassifierSpec], config: ZooConfig, load_images: LoadImages
) -> Iterator[ClassifierRecord]:
    """Trains specs in worker processes; yields each record as it comes.

    Args:
        specs: What to train.
        config: Settings of the zoo; `compute_dtype` is not "auto".
        load_images: Picklable function that each worker gets its images from.

    Yields:
        The record of each classifier, of those whose training raised, too.

    Raises:
        UserError: If a worker was killed, its disk is full, or the design makes
            something else than it should.
    """
    groups = deque(group_specs(load_design(config.design), specs))
    num_workers = min(config.workers or processors.available_cores(), len(groups))
    context = multiprocessing.get_context("spawn")
    workers: dict[connection.Connection, _Worker] = {}
    try:
        for index in range(num_workers):
            worker = _Worker(context, index, config, load_images)
            workers[worker.connection] = worker
        while workers:
            for ready in connection.wait(list(workers)):
                worker = workers[ready]  # type: ignore[index]
                message = worker.receive()
                if isinstance(message, ClassifierRecord):
                    yield message
                elif groups and worker.num_groups < TRACES_PER_WORKER:
                    worker.send(groups.popleft())
                else:
                    worker.stop()
                    del workers[worker.connection]
                    if groups:
                        worker = _Worker(context, worker.index, config, load_images)
                        workers[worker.connection] = worker
    finally:
        for worker in workers.values():
            worker.process.kill()


class _Worker:
    """The parent's side of a worker process."""

    def __init__(
        self, context: Any, index: int, config: ZooConfig, load_images: LoadImages
    ):
        self.index = index
        self.num_groups = 0
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_work, args=(theirs, index, config, load_images), daemon=True
        )
        self.process.start()
        theirs.close()

    def receive(self) -> Any:
        """Returns a record, or None if the worker wants a group."""
        try:
            message = self.connection.recv()
        except EOFError:
            self.process.join()
            raise UserError(
                f"A worker was ended from outside (exit code {self.process.exitcode}), "
                "perhaps for want of memory. What is recorded is kept: give the same "
                "command again, with fewer --workers if memory is short."
            ) from None
        if isinstance(message, Exception):
            raise message
        return message

    def send(self, group: Group) -> None:
        self.num_groups += 1
        self.connection.send(group)

    def stop(self) -> None:
        self.connection.send(None)
        self.process.join()


def _work(
    parent: connection.Connection,
    index: int,
    config: ZooConfig,
    load_images: LoadImages,
) -> None:
    """Runs in the worker: trains the groups that the parent sends, until None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle.
    threading.Thread(target=_die_with_parent, daemon=True).start()
    set_up_tensorflow(index, config.threads)
    from kennen_tf.zoo import training

    try:
        images = load_images()
        design = load_design(config.design)
        parent.send(None)
        while group := parent.recv():
            trainer = None
            for spec in group:
                start = time.perf_counter()
                try:
                    trainer = trainer or training.Trainer(
                        design, spec, images, config.compute_dtype
                    )
                    record = _train_one(design, trainer, spec, config)
                except (OSError, UserError):
                    raise
                except Exception as error:  # One classifier's; others go on.
                    seconds = time.perf_counter() - start
                    record = _describe_failure(spec, error, seconds)
                parent.send(record)
            del trainer
            free_memory()
            parent.send(None)
    except Exception as error:  # It is raised again in the parent.
        parent.send(_portable(error))


def _train_one(
    design: Design, trainer: Any, spec: ClassifierSpec, config: ZooConfig
) -> ClassifierRecord:
    """Trains, judges and, if it is accepted, saves one classifier."""
    start = time.perf_counter()
    result = trainer.train(spec, config.seed, config.epochs)
    num_params = sum(math.prod(v.shape) for v in trainer.classifier.trainable_variables)
    facts = Facts(combination=spec.combination, num_params=num_params)
    values = design.attributes.complete(facts)
    reason = ""
    if result.diverged:
        reason = f"at chance after epoch {result.epochs}"
    elif result.accuracy < config.min_accuracy:
        reason = f"accuracy below {config.min_accuracy}"
    record = ClassifierRecord(
        spec=spec,
        status=store.REJECTED if reason else store.ACCEPTED,
        reason=reason,
        accuracy=result.accuracy,
        num_params=num_params,
        values=values,
        epochs=result.epochs,
        seconds=round(time.perf_counter() - start, 3),
    )
    if reason:
        return record
    path = store.classifier_path(config.zoo_dir, spec)
    saving.save_model(trainer.classifier, path)
    return dataclasses.replace(
        record,
        num_bytes=path.stat().st_size,
        sha256=artifacts.sha256_of_file(path),
    )


def _describe_failure(
    spec: ClassifierSpec, error: Exception, seconds: float
) -> ClassifierRecord:
    first = (str(error).strip().splitlines() or [""])[0]
    return ClassifierRecord(
        spec=spec,
        status=store.FAILED,
        reason=f"{type(error).__name__}: {first}",
        accuracy=0.0,
        num_params=0,
        epochs=0,
        seconds=round(seconds, 3),
    )


def set_up_tensorflow(index: int, threads: int) -> None:
    """Gives this worker its threads and, where there are GPUs, one of them."""
    startup.import_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        gpu = gpus[index % len(gpus)]
        tf.config.set_visible_devices([gpu], "GPU")
        tf.config.experimental.set_memory_growth(gpu, True)


def free_memory() -> None:
    """Lets go of what Keras keeps of models that are no longer there."""
    import gc

    import keras

    keras.backend.clear_session()
    gc.collect()


def _die_with_parent() -> None:
    """Ends this process when its parent is gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _portable(error: Exception) -> Exception:
    """Returns an exception that survives the way to the parent, with its meaning."""
    if isinstance(error, OSError):
        return OSError(error.errno, error.strerror, error.filename)
    if isinstance(error, UserError):
        return UserError(str(error))
    return RuntimeError(f"{error!r}; cause: {error.__cause__!r}")
