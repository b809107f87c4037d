"""Builds a zoo of classifiers whose insides are known (MNIST-NET in the paper).

    python -m kennen_tf.build_zoo --num_models=10000 --zoo_dir=zoo

Draws combinations of attributes and seeds, trains a classifier for each, keeps those
that are accurate enough, and records all of them in zoo/manifest.jsonl. Killed at any
moment, the same command goes on; with a larger --num_models it makes the zoo grow.
What is varied and what classifiers see, the design says: --design=digits_net for small
ones of seconds, --design=module:NAME for your own.
Presets: --flagfile=flags/presets/laptop.flags
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flags import common
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.vocabulary.errors import UserError

if TYPE_CHECKING:
    from kennen_tf.designs.design import Design
    from kennen_tf.zoo import workers
    from kennen_tf.zoo.specs import ClassifierSpec
    from kennen_tf.zoo.store import ClassifierRecord


def build_zoo(config: ZooConfig) -> None:
    """Builds a zoo, or goes on building one.

    Raises:
        UserError: If another process builds there, the zoo there has other settings,
            or the dataset or the specs cannot be used.
    """
    from absl import logging

    from kennen_tf.designs import design as designs
    from kennen_tf.images import datasets
    from kennen_tf.vocabulary import artifacts
    from kennen_tf.zoo import specs, store

    design = designs.load_design(config.design)
    config = _settle(config, design)
    wanted = (
        specs.read_specs(config.specs, design.attributes)
        if config.specs
        else specs.sample_specs(design, config.num_models, config.replicas, config.seed)
    )
    load_images = functools.partial(
        datasets.load_zoo_images, config.design, config.dataset
    )
    loaded = load_images()
    specs.check_batches(design, wanted, len(loaded.train_labels))

    folder = artifacts.make_folder(config.zoo_dir)
    with artifacts.folder_lock(folder, "building a zoo"):
        store.prepare(
            store.ZooHeader(
                config=config,
                attributes=design.attributes,
                image_shape=loaded.image_shape,
                num_classes=loaded.num_classes,
            )
        )
        del loaded
        done = {
            record.spec: record
            for record in store.read_manifest(folder)
            if store.is_whole(folder, record)
            and not (config.retry_failed and record.status == store.FAILED)
        }
        missing = [spec for spec in wanted if spec not in done]
        logging.info(
            "Building a zoo in %s: %d classifiers, %d of them already there; %s.",
            *(folder, len(wanted), len(wanted) - len(missing), config.compute_dtype),
        )
        if missing:
            there = [done[spec] for spec in wanted if spec in done]
            _train(missing, there, config, load_images)
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
    """Settles what is left to the design, to the zoo so far, or to the processor.

    Raises:
        UserError: If what is given is the design's to say.
    """
    from kennen_tf.machine import processors
    from kennen_tf.zoo import store

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
    if config.compute_dtype == "auto":
        settled["compute_dtype"] = "float32"
        if (pathlib.Path(config.zoo_dir) / store.CONFIG_NAME).exists():
            stored = store.read_header(config.zoo_dir).config
            settled["compute_dtype"] = getattr(stored, "compute_dtype", "float32")
        elif design.takes_bfloat16:
            settled["compute_dtype"] = processors.fast_compute_dtype()
    return dataclasses.replace(config, **settled)


def _train(
    missing: "Sequence[ClassifierSpec]",
    there: "Sequence[ClassifierRecord]",
    config: ZooConfig,
    load_images: "workers.LoadImages",
) -> None:
    """Trains and records what is missing, under a bar."""
    from absl import logging

    from kennen_tf.zoo import store, workers
    from kennen_tf.zoo.build_bar import BuildBar

    num_failed = 0
    with BuildBar(len(missing) + len(there), [r.status for r in there]) as bar:
        for record in workers.train_all(missing, config, load_images, bar.show):
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


def main() -> None:
    """Runs `build_zoo` with the flags of the command line."""
    common.run(build_zoo, ZooConfig)


if __name__ == "__main__":
    main()
