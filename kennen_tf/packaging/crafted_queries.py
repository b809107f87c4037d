"""The crafted queries of a package: kennen-io's and kennen-i's, on training entries."""

import dataclasses
import pathlib

from absl import logging

from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.packaging import PackageConfig
from kennen_tf.evaluation import splits
from kennen_tf.machine import distribution
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels import making
from kennen_tf.metamodels.crafted_run import CraftedRun
from kennen_tf.metamodels.jobs import Job
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary.errors import UserError

KENNEN_IO, KENNEN_I = "kennen-io", "kennen-i"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crafted:
    """What was crafted on a zoo.

    Attributes:
        kennen_io: Whose queries are sent to all entries.
        kennen_i: None if an attribute has more values than there are classes.
        descended_through: Combinations whose classifiers the queries of kennen-io
            descended through, sorted: what it says of them is no test.
    """

    kennen_io: Metamodel
    kennen_i: Metamodel | None
    descended_through: tuple[str, ...]


def make_config(
    config: PackageConfig, method: str, num_queries: int, folder: pathlib.Path
) -> MetamodelConfig:
    """Returns the settings of a metamodel that queries are taken from."""
    return MetamodelConfig(
        method=method,
        recipe="kernel",
        split=splits.RANDOM,
        seed=config.seed,
        num_queries=num_queries,
        image_epochs=config.image_epochs,
        query_dir=config.query_dir,
        zoo_dir=config.zoo_dir,
        metamodel_dir=str(folder),
        max_memory_mb=config.max_memory_mb,
        resume=True,
    )


def craft(config: PackageConfig, info: QueryOutputsInfo, work: pathlib.Path) -> Crafted:
    """Opens the metamodels that are given, or trains them, or goes on training them.

    Args:
        config: Settings.
        info: The query outputs of the zoo.
        work: Folder for what is trained.

    Raises:
        UserError: If what is given is of something else, or classifiers cannot be
            descended through.
    """
    if config.metamodel_dirs:
        found = {}
        for folder in config.metamodel_dirs:
            metamodel = _open_given(config, info, pathlib.Path(folder))
            found[metamodel.config.method] = metamodel
        if KENNEN_IO not in found:
            raise UserError(
                f"--crafted_metamodels must name a metamodel of {KENNEN_IO}, and may "
                f"name one of {KENNEN_I}. Received: {', '.join(sorted(found))}."
            )
        return _collect(config, info, found[KENNEN_IO], found.get(KENNEN_I))
    kennen_io = _train(config, info, KENNEN_IO, work)
    most = max(len(attribute.values) for attribute in info.attributes)
    if most <= info.num_classes:
        return _collect(config, info, kennen_io, _train(config, info, KENNEN_I, work))
    logging.info(
        "Without %s, which names values by classes: an attribute has %d values, and "
        "there are %d classes.",
        *(KENNEN_I, most, info.num_classes),
    )
    return _collect(config, info, kennen_io, None)


def _train(
    config: PackageConfig, info: QueryOutputsInfo, method: str, work: pathlib.Path
) -> Metamodel:
    job = Job(
        config=make_config(config, method, config.num_crafted, work / method),
        info=info,
        strategy=distribution.make_strategy("auto"),
    )
    making.make(job)
    return Metamodel.load(job.folder)


def _open_given(
    config: PackageConfig, info: QueryOutputsInfo, folder: pathlib.Path
) -> Metamodel:
    metamodel = Metamodel.load(folder)
    own = metamodel.config
    split = splits.make_split(info.entries, splits.RANDOM, info.attributes, config.seed)
    received = {
        "query outputs": metamodel.fingerprints["query_outputs"],
        "training entries": metamodel.split.train_ids,
        "number of queries": len(metamodel.query_inputs)
        if own.method == KENNEN_IO
        else 0,
    }
    wanted = {
        "query outputs": info.fingerprint,
        "training entries": split.train_ids,
        "number of queries": config.num_crafted if own.method == KENNEN_IO else 0,
    }
    differing = [name for name in wanted if received[name] != wanted[name]]
    if own.method not in (KENNEN_IO, KENNEN_I) or differing:
        raise UserError(
            f"--crafted_metamodels must be of {KENNEN_IO} and {KENNEN_I}, trained on "
            f"the query outputs in {info.query_dir} with --split={splits.RANDOM}, "
            f"--seed={config.seed} and --num_queries={config.num_crafted}. Received: "
            f"{folder}, of {own.method}"
            + (f", with other {', '.join(differing)}." if differing else ".")
        )
    return metamodel


def _collect(
    config: PackageConfig,
    info: QueryOutputsInfo,
    kennen_io: Metamodel,
    kennen_i: Metamodel | None,
) -> Crafted:
    run = CraftedRun.open(
        dataclasses.replace(kennen_io.config, zoo_dir=config.zoo_dir),
        info,
        kennen_io.split,
        kennen_io.query_indices,
        distribution.make_strategy("one_device"),
    )
    if kennen_io.folder is None:
        raise ValueError("A metamodel in a folder is needed.")
    recipe = folder_lib.read_config(kennen_io.folder)["crafting"]
    is_held_out = run.draw_held_out(recipe["held_out_share"])
    through = {
        entry.combination_id
        for entry, is_out in zip(run.train_entries, is_held_out, strict=True)
        if not is_out
    }
    return Crafted(
        kennen_io=kennen_io,
        kennen_i=kennen_i,
        descended_through=tuple(sorted(through)),
    )
