"""Grows a zoo: an engine trains what is missing, and this process alone writes."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs.design import load_design
from kennen_tf.machine.engines import engine
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.labeled_images import LabeledImages
from kennen_tf.zoo import store, training_tasks
from kennen_tf.zoo.specs import ClassifierSpec
from kennen_tf.zoo.store import ClassifierRecord

Watch = Callable[[Mapping[Hashable, engine.Worker]], None]


def train_all(
    specs: Sequence[ClassifierSpec],
    config: ZooConfig,
    images: LabeledImages,
    workers: engine.Engine,
    watch: Watch = lambda crew: None,
) -> Iterator[ClassifierRecord]:
    """Has specs trained, and saves who is accepted; yields each record as it comes.

    Args:
        specs: What to train.
        config: Settings of the zoo; `compute_dtype` is not "auto".
        images: To train and validate on.
        workers: Who does it.
        watch: Called twice a second and more, with who is at work and how far.

    Yields:
        The record of each classifier, of those whose training raised, too.

    Raises:
        UserError: If workers die of a spec again and again, a disk is full, or the
            design makes something else than it should.
    """
    groups = training_tasks.group_specs(
        load_design(config.design), specs, workers.num_workers
    )
    for trained in workers.run(
        groups,
        functools.partial(training_tasks.make_work, config, images),
        lambda spec: spec.id,
    ):
        if trained is not None:
            yield _save(config, trained)
        watch(workers.crew)


def _save(config: ZooConfig, trained: training_tasks.Trained) -> ClassifierRecord:
    """Writes a classifier's file, if it has one; returns its record."""
    record, content = trained.record, trained.content
    if not content:
        return record
    artifacts.write_bytes(store.classifier_path(config.zoo_dir, record), content)
    return dataclasses.replace(
        record,
        num_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
