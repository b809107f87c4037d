"""Builds a zoo of classifiers whose insides are known (MNIST-NET in the paper).

    python -m kennen_tf.build_zoo --num_models=10000 --zoo_dir=zoo

Draws combinations of attributes and seeds, trains a classifier for each, keeps those
that are accurate enough, and records all of them in zoo/manifest.jsonl. Killed at any
moment, the same command goes on; with a larger --num_models it makes the zoo grow.
What is varied and what classifiers see, the design says: --design=digits_net for small
ones of seconds, --design=module:NAME for your own. --engine=ray trains on all machines
of a Ray cluster, which need no folder in common: files are written here.
Presets: --flagfile=flags/presets/laptop.flags
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flags import common
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.vocabulary.errors import UserError

if TYPE_CHECKING:
    from kennen_tf.designs.design import Design
    from kennen_tf.machine.engines import engine
    from kennen_tf.vocabulary.labeled_images import LabeledImages
    from kennen_tf.zoo.specs import ClassifierSpec
    from kennen_tf.zoo.store import ClassifierRecord


def build_zoo(config: ZooConfig) -> None:
    """Builds a zoo, or goes on building one.

    Raises:
        UserError: If another process builds there, the zoo there has other settings,
            the dataset or the specs cannot be used, or there is no such cluster.
    """
    from kennen_tf.designs import design as designs
    from kennen_tf.images import datasets
    from kennen_tf.machine.engines import making
    from kennen_tf.zoo import specs, store, training_tasks

    design = designs.load_design(config.design)
    config = _settle(config, design)
    wanted = (
        specs.read_specs(config.specs, design.attributes)
        if config.specs
        else specs.sample_specs(design, config.num_models, config.replicas, config.seed)
    )
    images = datasets.load_zoo_images(config.design, config.dataset)
    specs.check_batches(design, wanted, len(images.train_labels))

    with making.make_engine(
        **config.engine_settings(),
        num_workers=config.workers,
        threads=config.threads,
        tasks_per_worker=training_tasks.TRACES_PER_WORKER,
    ) as workers:
        if not (pathlib.Path(config.zoo_dir) / store.CONFIG_NAME).exists():
            workers.check()  # Before anything is made.
        config = _settle_dtype(config, design, workers)
        if config.estimate:
            _print_estimate(config, wanted, images, workers)
        else:
            _build(config, design, wanted, images, workers)


def _build(
    config: ZooConfig,
    design: "Design",
    wanted: "Sequence[ClassifierSpec]",
    images: "LabeledImages",
    workers: "engine.Engine",
) -> None:
    """Builds what is missing, and says what there is."""
    from kennen_tf.vocabulary import artifacts
    from kennen_tf.zoo import store

    folder = artifacts.make_folder(config.zoo_dir)
    with artifacts.folder_lock(folder, "building a zoo"):
        store.prepare(
            store.ZooHeader(
                config=config,
                attributes=design.attributes,
                image_shape=images.image_shape,
                num_classes=images.num_classes,
            )
        )
        _train_missing(config, wanted, images, workers)
        records = store.read_manifest(folder)
    num_accepted = sum(record.status == store.ACCEPTED for record in records)
    num_failed = sum(record.status == store.FAILED for record in records)
    failed = (
        f" The training of {num_failed} failed; --retry_failed tries again."
        if num_failed
        else ""
    )
    print(f"{folder}: {len(records)} classifiers, {num_accepted} accepted.{failed}")


def _settle(config: ZooConfig, design: "Design") -> ZooConfig:
    """Settles what is left to the design.

    Raises:
        UserError: If what is given is the design's to say.
    """
    settled: dict[str, Any] = {}
    if not config.dataset and isinstance(design.images, str):
        settled["dataset"] = design.images
    if callable(design.epochs):
        if config.epochs:
            raise UserError(
                f"--epochs must be left out: in design {config.design}, epochs are "
                f"varied. Received: epochs={config.epochs}."
            )
    elif not config.epochs:
        settled["epochs"] = design.epochs
    if config.min_accuracy < 0:
        settled["min_accuracy"] = design.min_accuracy
    if config.compute_dtype == "bfloat16" and not design.takes_bfloat16:
        raise UserError(
            f"--compute_dtype must be float32 or auto: design {config.design} does not "
            "compute in bfloat16. Received: compute_dtype=bfloat16."
        )
    return dataclasses.replace(config, **settled)


def _settle_dtype(
    config: ZooConfig, design: "Design", workers: "engine.Engine"
) -> ZooConfig:
    """Settles the number format: once for the zoo, for all who will ever work at it."""
    from absl import logging

    from kennen_tf.zoo import store

    dtype = config.compute_dtype
    if dtype == "auto":
        dtype = "float32"
        if (pathlib.Path(config.zoo_dir) / store.CONFIG_NAME).exists():
            stored = store.read_header(config.zoo_dir).config
            dtype = getattr(stored, "compute_dtype", "float32")
        elif design.takes_bfloat16:
            fast = {p.fast_dtype for p in workers.processors.values()}
            dtype = "bfloat16" if fast == {"bfloat16"} else "float32"
            if len(fast) > 1:
                logging.info(
                    "Computing in float32: not all processors are fast in bfloat16."
                )
    return dataclasses.replace(config, compute_dtype=dtype)


def _train_missing(
    config: ZooConfig,
    wanted: "Sequence[ClassifierSpec]",
    images: "LabeledImages",
    workers: "engine.Engine",
) -> None:
    """Trains and records what is missing, under a bar."""
    from absl import logging

    from kennen_tf.zoo import growing, store
    from kennen_tf.zoo.build_bar import BuildBar

    there, missing = _divide(wanted, config)
    logging.info(
        "Building a zoo in %s: %d classifiers, %d of them already there; %s.",
        *(config.zoo_dir, len(wanted), len(there), config.compute_dtype),
    )
    if not missing:
        return
    num_failed = 0
    noted: set[str] = set()
    with BuildBar(len(wanted), [record.status for record in there]) as bar:
        for record in growing.train_all(missing, config, images, workers, bar.show):
            _note_processors(config, workers, noted)
            store.add_record(config.zoo_dir, record)
            bar.count(record.status)
            if record.status == store.FAILED:
                logging.warning("%s failed: %s", record.id, record.reason)
                num_failed += 1
            if num_failed > config.max_failures:
                raise UserError(
                    f"At most --max_failures={config.max_failures} classifiers may "
                    f"fail. Received: {num_failed}, the last one with "
                    f"{record.reason}. What is recorded is kept; mend the design, or "
                    "allow more failures."
                )


def _divide(
    wanted: "Sequence[ClassifierSpec]", config: ZooConfig
) -> "tuple[list[ClassifierRecord], list[ClassifierSpec]]":
    """Returns the records of what is there, and the specs of what is missing."""
    from kennen_tf.zoo import store

    done = {
        record.spec: record
        for record in store.read_manifest(config.zoo_dir)
        if store.is_whole(config.zoo_dir, record)
        and not (config.retry_failed and record.status == store.FAILED)
    }
    there = [done[spec] for spec in wanted if spec in done]
    return there, [spec for spec in wanted if spec not in done]


def _print_estimate(
    config: ZooConfig,
    wanted: "Sequence[ClassifierSpec]",
    images: "LabeledImages",
    workers: "engine.Engine",
) -> None:
    """Trains a few of what is missing, and prints how long all of it takes."""
    import tqdm

    from kennen_tf.evaluation import printing
    from kennen_tf.machine import startup

    startup.import_tensorflow()
    from kennen_tf.zoo import estimating

    _, missing = _divide(wanted, config)
    if not missing:
        print(f"{config.zoo_dir}: all {len(wanted)} classifiers are there.")
        return
    workers.check()
    found = None
    with tqdm.tqdm(desc="estimate", unit="classifier") as bar:
        for found in estimating.estimate(missing, config, images, workers):
            if isinstance(found, estimating.Sample):
                bar.update()
    if isinstance(found, estimating.Estimate):
        printing.print_table(*estimating.make_table(found, config))


def _note_processors(
    config: ZooConfig, workers: "engine.Engine", noted: set[str]
) -> None:
    """Records the kinds of processors at work, and says who is slow.

    Args:
        config: Settings of the zoo.
        workers: Who works.
        noted: Names of the machines that this was done for; new ones are added.
    """
    from absl import logging

    from kennen_tf.zoo import store

    new = {n: p for n, p in workers.processors.items() if n not in noted}
    if not new:
        return
    noted.update(new)
    store.add_processors(config.zoo_dir, [p.kind for p in new.values()])
    slow = [n for n, p in new.items() if p.fast_dtype != config.compute_dtype]
    if slow and config.compute_dtype == "bfloat16":
        logging.warning(
            "The zoo is computed in bfloat16, and this is slow on %s: no instructions "
            "for it there.",
            ", ".join(slow),
        )


def main() -> None:
    """Runs `build_zoo` with the flags of the command line."""
    common.run(build_zoo, ZooConfig)


if __name__ == "__main__":
    main()
