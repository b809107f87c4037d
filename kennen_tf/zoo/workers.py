"""Trains the classifiers of a zoo in worker processes.

The parent hands out groups of specs that one `Trainer` serves, and alone writes the
manifest.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kennen_tf.attributes import Facts
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs.design import Design, load_design
from kennen_tf.keras_models import saving
from kennen_tf.machine import processors, worker_pool
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.labeled_images import LabeledImages
from kennen_tf.zoo import store
from kennen_tf.zoo.specs import ClassifierSpec, step_key
from kennen_tf.zoo.store import ClassifierRecord

# So that memory does not grow with the number of classifiers.
TRACES_PER_WORKER = 16

# A worker says how far it is no more often than this.
_SECONDS_BETWEEN_EPOCHS = 0.5

LoadImages = Callable[[], LabeledImages]
Group = list[ClassifierSpec]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Running:
    """How far the classifier is that a worker trains.

    Attributes:
        epoch: Passes over its training data that have ended.
        epochs: Passes that there are to be.
    """

    epoch: int
    epochs: int


# By the number of a worker; None: it starts.
Watch = Callable[[Mapping[int, Running | None]], None]


def group_specs(design: Design, specs: Sequence[ClassifierSpec]) -> list[Group]:
    """Groups specs by the trainer that serves them, in order of first appearance.

    So a zoo that is stopped halfway is a fair sample of the whole.
    """
    groups: dict[tuple[Any, ...], Group] = {}
    for spec in specs:
        groups.setdefault(step_key(design, spec), []).append(spec)
    return list(groups.values())


def train_all(
    specs: Sequence[ClassifierSpec],
    config: ZooConfig,
    load_images: LoadImages,
    watch: Watch = lambda running: None,
) -> Iterator[ClassifierRecord]:
    """Trains specs in worker processes; yields each record as it comes.

    Args:
        specs: What to train.
        config: Settings of the zoo; `compute_dtype` is not "auto".
        load_images: Picklable function that each worker gets its images from.
        watch: Called twice a second and more, with how far each worker is.

    Yields:
        The record of each classifier, of those whose training raised, too.

    Raises:
        UserError: If a worker was killed, its disk is full, or the design makes
            something else than it should.
    """
    groups = group_specs(load_design(config.design), specs)
    num_workers = min(config.workers or processors.available_cores(), len(groups))
    running: dict[int, Running | None] = dict.fromkeys(range(num_workers))
    watch(running)
    for index, message in worker_pool.run_tasks(
        groups,
        functools.partial(_make_work, config, load_images),
        num_workers=num_workers,
        threads=config.threads,
        tasks_per_worker=TRACES_PER_WORKER,
    ):
        if isinstance(message, ClassifierRecord):
            running[index] = None
            yield message
        elif message is not None:
            running[index] = message
        watch(running)


def _make_work(config: ZooConfig, load_images: LoadImages) -> worker_pool.Work:
    """Runs in a worker: returns what trains a group and sends each record."""
    from kennen_tf.zoo import training

    images = load_images()
    design = load_design(config.design)

    def train_group(group: Group, send: worker_pool.Send) -> None:
        trainer = None
        for spec in group:
            start = time.perf_counter()
            try:
                trainer = trainer or training.Trainer(
                    design, spec, images, config.compute_dtype
                )
                record = _train_one(design, trainer, spec, config, send)
            except (OSError, UserError):
                raise
            except Exception as error:  # One classifier's; others go on.
                record = _describe_failure(spec, error, time.perf_counter() - start)
            send(record)

    return train_group


def _train_one(
    design: Design,
    trainer: Any,
    spec: ClassifierSpec,
    config: ZooConfig,
    send: worker_pool.Send,
) -> ClassifierRecord:
    """Trains, judges and, if it is accepted, saves one classifier."""
    start = last = time.perf_counter()
    epochs = config.epochs or design.num_epochs(spec.combination)
    send(Running(epoch=0, epochs=epochs))

    def on_epoch(epoch: int) -> None:
        nonlocal last
        if time.perf_counter() - last > _SECONDS_BETWEEN_EPOCHS:
            last = time.perf_counter()
            send(Running(epoch=epoch, epochs=epochs))

    result = trainer.train(spec, config.seed, epochs, on_epoch)
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
