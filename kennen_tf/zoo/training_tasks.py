"""What a worker does with a group of specs, whichever engine it belongs to.

Specs come in, records and the bytes of files go out: a worker writes nothing that is
kept, and needs no folder that it shares with others.
"""

import dataclasses
import functools
import math
import pathlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from kennen_tf.attributes import Facts
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs.design import Design, load_design
from kennen_tf.keras_models import saving
from kennen_tf.machine.engines import engine, worker
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.labeled_images import LabeledImages
from kennen_tf.zoo import store
from kennen_tf.zoo.specs import ClassifierSpec, step_key
from kennen_tf.zoo.store import ClassifierRecord

# So that memory does not grow with the number of classifiers.
TRACES_PER_WORKER = 16
# Groups are cut so that each worker gets about so many: at the end none waits for long.
_TASKS_PER_WORKER = 8

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """A classifier whose training has ended.

    Attributes:
        record: All but what is said of the file.
        content: Of its file; empty if it is not accepted.
    """

    record: ClassifierRecord
    content: bytes = b""


def group_specs(
    design: Design, specs: Sequence[ClassifierSpec], num_workers: int = 1
) -> list[Group]:
    """Groups specs that one trainer serves, in order of first appearance.

    So a zoo that is stopped halfway is a fair sample of the whole.

    Args:
        design: Of the zoo.
        specs: What to train.
        num_workers: How many are to have something to do.
    """
    most = max(1, math.ceil(len(specs) / (_TASKS_PER_WORKER * num_workers)))
    groups: list[Group] = []
    open_groups: dict[tuple[Any, ...], Group] = {}
    for spec in specs:
        key = step_key(design, spec)
        if len(open_groups.get(key, ())) in (0, most):
            open_groups[key] = []
            groups.append(open_groups[key])
        open_groups[key].append(spec)
    return groups


def make_work(config: ZooConfig, images: LabeledImages) -> engine.Work:
    """Runs in a worker: returns what trains a group.

    Args:
        config: Settings of the zoo; `compute_dtype` is not "auto".
        images: To train and validate on.
    """
    return functools.partial(_train_group, config, images, load_design(config.design))


def _train_group(
    config: ZooConfig, images: LabeledImages, design: Design, group: Group
) -> Iterator[engine.Progress | Trained]:
    """Yields what came of each spec, and how far it is."""
    from kennen_tf.zoo import training

    trainer = None
    for spec in group:
        start = time.perf_counter()
        try:
            trainer = trainer or training.Trainer(
                design, spec, images, config.compute_dtype
            )
            yield from _train_one(design, trainer, spec, config)
        except (OSError, UserError):
            raise
        except Exception as error:  # One classifier's; others go on.
            seconds = time.perf_counter() - start
            yield Trained(record=_describe_failure(spec, error, seconds))
    del trainer
    worker.free_memory()


def _train_one(
    design: Design, trainer: Any, spec: ClassifierSpec, config: ZooConfig
) -> Iterator[engine.Progress | Trained]:
    """Trains and judges one classifier."""
    start = time.perf_counter()
    epochs = config.epochs or design.num_epochs(spec.combination)
    yield engine.Progress(Running(epoch=0, epochs=epochs))
    for result in trainer.train_by_epochs(spec, config.seed, epochs):
        yield engine.Progress(Running(epoch=result.epochs, epochs=epochs))
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
    content = b"" if reason else read_model(trainer.classifier)
    yield Trained(record=record, content=content)


def read_model(model: Any) -> bytes:
    """Returns what a model's file holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "classifier.keras"
        saving.save_model(model, path)
        return path.read_bytes()


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
