"""The experiments by name, and how they are run one after the other."""

import contextlib
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from absl import logging

from kennen_tf.configs import crafting
from kennen_tf.configs.engines import LOCAL
from kennen_tf.configs.recipes import RECIPES
from kennen_tf.configs.reproduction import (
    EPOCHS,
    EXPERIMENTS,
    WILD,
    ReproductionConfig,
)
from kennen_tf.experiments import (
    attribute_counts,
    confusion,
    crafted,
    embedding,
    num_queries,
    num_train,
    query_choice,
    readers,
    table2,
    table3,
    top_k,
    training_epochs,
)
from kennen_tf.experiments.shared import report
from kennen_tf.experiments.shared.experiment import Experiment
from kennen_tf.experiments.shared.runs import Runs
from kennen_tf.experiments.shared.sections import Section
from kennen_tf.experiments.wild import files as wild_files
from kennen_tf.experiments.wild.experiment import Wild
from kennen_tf.machine.engines import making
from kennen_tf.machine.engines.engine import Engine
from kennen_tf.queries import packages
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import store
from kennen_tf.zoo.store import Zoo

_ALL: tuple[Experiment, ...] = (
    attribute_counts.AttributeCounts(),
    table2.Table2(),
    readers.Readers(),
    table3.Table3(),
    num_train.NumTrain(),
    training_epochs.TrainingEpochs(),
    num_queries.NumQueries(),
    top_k.TopK(),
    query_choice.QueryChoice(),
    embedding.Embedding(),
    confusion.Confusion(),
    crafted.Crafted(),
    Wild(),
)
BY_NAME = {experiment.name: experiment for experiment in _ALL}


def run(config: ReproductionConfig) -> list[pathlib.Path]:
    """Runs experiments and writes the report of all that were run so far.

    What an experiment found stays, unless settings, zoo or query outputs are others.

    Args:
        config: Settings.

    Returns:
        The files of the report.

    Raises:
        UserError: If the zoo or its query outputs are missing or do not belong
            together, or there are no workers where they are asked for.
    """
    info = QueryOutputsInfo.open(config.query_dir)
    zoo = _open_zoo(config, info)
    folder = artifacts.make_folder(config.report_dir)
    with (
        artifacts.folder_lock(folder, "running experiments"),
        _open_workers(config) as workers,
    ):
        runs = Runs(config, info, zoo, workers)
        for name in config.experiments:
            experiment = BY_NAME[name]
            made_from = _made_from(config, info, zoo, name)
            document = report.read(folder, name)
            if document is None or document["made_from"] != made_from:
                started = time.monotonic()
                trained_before = runs.num_trained
                result = experiment.measure(runs)
                document = report.make_document(
                    name,
                    result,
                    table=info.attributes,
                    command=config.command(name),
                    made_from=made_from,
                    seconds=time.monotonic() - started,
                    num_trained=runs.num_trained - trained_before,
                )
                report.write(folder, document)
            drawn = experiment.draw(document["result"], report.read_table(document))
            report.write_figures(folder, name, drawn)
            # After each, for those who look while others run, or after a kill.
            paths = _write_pages(folder)
            logging.info("%s: %s", name, folder / name)
    return paths


@contextlib.contextmanager
def _open_workers(config: ReproductionConfig) -> Iterator[Engine | None]:
    """Opens who trains runs, once for all experiments; None: this process does."""
    if config.engine == LOCAL:
        yield None
        return
    # Workers may be on this machine: this process is not to take all of its GPUs.
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    with making.make_engine(**config.engine_settings()) as workers:
        yield workers


def _write_pages(folder: pathlib.Path) -> list[pathlib.Path]:
    documents = [report.read(folder, name) for name in EXPERIMENTS]
    return report.write_pages(
        folder,
        [(document, _show(document)) for document in documents if document is not None],
    )


def _show(document: dict[str, Any]) -> Section:
    experiment = BY_NAME[document["experiment"]]
    return experiment.show(document["result"], report.read_table(document))


def _open_zoo(config: ReproductionConfig, info: QueryOutputsInfo) -> Zoo:
    """Opens the zoo; of a package whose zoo is not there, what the package has of it.

    Raises:
        UserError: If there is neither, or it is not the zoo that was queried.
    """
    package = packages.find_package(config.query_dir)
    try:
        zoo = Zoo.open(config.zoo_dir)
        info.check_zoo(zoo)
    except UserError:
        if package is None or not package.zoo_dir.exists():
            raise
        zoo = Zoo.open(package.zoo_dir)
        info.check_zoo(zoo)
    return zoo


def _made_from(
    config: ReproductionConfig, info: QueryOutputsInfo, zoo: Zoo, name: str
) -> dict[str, Any]:
    """Returns all that decides what an experiment finds."""
    others = config.others if name == EPOCHS else ()
    recipes = {
        "metamodels": {n: r.to_json() for n, r in RECIPES.items()},
        "crafting": {
            method: {name: recipe.to_json() for name, recipe in own.items()}
            for method, own in crafting.RECIPES.items()
        },
    }
    return {
        "settings": config.deciding(),
        "recipes": artifacts.fingerprint(recipes),
        "query_outputs": info.fingerprint,
        "query_inputs": info.query_inputs.fingerprint,
        "zoo": info.zoo_fingerprint,
        **(
            {
                "others": [
                    QueryOutputsInfo.open(folder).fingerprint for _, folder in others
                ]
            }
            if others
            else {}
        ),
        **(_made_from_files(config) if name == WILD else {}),
        # The rejected are in no fingerprint of the zoo.
        "manifest": artifacts.sha256_of_file(store.manifest_path(zoo.zoo_dir))[:16],
    }


def _made_from_files(config: ReproductionConfig) -> dict[str, Any]:
    """Returns what decides, beside all that, what the experiment wild finds."""
    package = packages.find_package(config.query_dir)
    found = {}
    if config.files_dir:
        found["files"] = wild_files.fingerprint(config.files_dir)
    if package is not None:
        # How its ready metamodels read, and whose queries they send.
        names = ("config", "fingerprints", "strangers")
        said = {name: package.description.get(name) for name in names}
        found["package"] = artifacts.fingerprint(said)
    return found
