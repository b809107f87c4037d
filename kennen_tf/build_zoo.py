"""Builds a zoo of classifiers whose insides are known (MNIST-NET in the paper).

    python -m kennen_tf.build_zoo --num_models=10000 --zoo_dir=zoo

Draws combinations of attributes and seeds, trains a classifier for each, keeps those
that are accurate enough, and records all of them in zoo/manifest.jsonl. Killed at any
moment, the same command goes on; with a larger --num_models it makes the zoo grow.
Presets: --flagfile=flags/presets/laptop.flags
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flags import common
from flags import zoo as zoo_flags
from kennen_tf.configs.zoo import ZooConfig

if TYPE_CHECKING:
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

    from kennen_tf import artifacts
    from kennen_tf.zoo import specs, store
    from pipelines import images

    wanted = (
        specs.read_specs(config.specs)
        if config.specs
        else specs.sample_specs(config.num_models, config.replicas, config.seed)
    )
    load_images = functools.partial(images.load_images, config.dataset)
    specs.check_num_images(len(load_images().train_labels))

    folder = artifacts.make_folder(config.zoo_dir)
    with artifacts.folder_lock(folder, "building a zoo"):
        config = store.prepare(_with_compute_dtype(config))
        done = {
            record.spec: record
            for record in store.read_manifest(folder)
            if store.is_whole(folder, record)
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
    print(f"{folder}: {len(records)} classifiers, {num_accepted} accepted.")


def _with_compute_dtype(config: ZooConfig) -> ZooConfig:
    """Settles "auto": what the zoo has so far, else what this processor is fast at."""
    from kennen_tf.zoo import processors, store

    if config.compute_dtype != "auto":
        return config
    if (pathlib.Path(config.zoo_dir) / store.CONFIG_NAME).exists():
        chosen = store.read_config(config.zoo_dir).compute_dtype
    else:
        chosen = processors.fast_compute_dtype()
    return dataclasses.replace(config, compute_dtype=chosen)


def _train(
    missing: "Sequence[ClassifierSpec]",
    there: "Sequence[ClassifierRecord]",
    config: ZooConfig,
    load_images: "workers.LoadImages",
) -> None:
    """Trains and records what is missing, under a bar with both counts."""
    import tqdm

    from kennen_tf.zoo import store, workers

    num_accepted = sum(record.status == store.ACCEPTED for record in there)
    with tqdm.tqdm(
        total=len(missing) + len(there),
        initial=len(there),
        desc="build_zoo",
        unit="classifier",
        smoothing=0.02,
    ) as bar:
        for record in workers.train_all(missing, config, load_images):
            store.add_record(config.zoo_dir, record)
            num_accepted += record.status == store.ACCEPTED
            bar.set_postfix(
                accepted=num_accepted, rejected=bar.n + 1 - num_accepted, refresh=False
            )
            bar.update()


if __name__ == "__main__":
    common.run(build_zoo, zoo_flags.define)
