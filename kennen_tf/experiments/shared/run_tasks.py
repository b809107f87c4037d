"""What makes a run, and what a worker does with a group of them.

Configs come in, scores go out: a worker trains in a temporary folder, is sent the query
outputs, and needs no folder that it shares with others. It reads no classifiers, so
runs that craft their queries are not for workers.
"""

import dataclasses
import functools
import hashlib
import math
import pathlib
import tempfile
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.recipes import Recipe
from kennen_tf.machine import distribution
from kennen_tf.machine.engines import engine
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels import jobs, making, scoring
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.metamodels.recipes import fitting
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from pipelines.outputs_in_memory import OutputsInMemory

# Of runs that share a compiled step. Between tasks memory is freed, after which the
# step takes seconds to begin; at the end, others wait for the last task.
_MOST_PER_TASK = 8

Group = list[MetamodelConfig]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Made:
    """What a worker made of a run.

    Attributes:
        config: The run's settings, as they were sent.
        query_indices: Which of the stored queries it reads, in order.
        document: What `results.json` is to hold, but for who asked.
    """

    config: MetamodelConfig
    query_indices: tuple[int, ...]
    document: dict[str, Any]


def make(job: jobs.Job) -> dict[str, Any]:
    """Trains and scores a metamodel in its folder, or goes on training it.

    Returns:
        What `results.json` holds, and the "seconds" that it took.

    Raises:
        UserError: See `making.make` and `scoring.score`.
    """
    started = time.monotonic()
    trained = making.make(job)
    if job.config.is_crafted:
        metamodel = Metamodel.load(job.folder)
    else:
        if trained is None:
            raise ValueError(f"{job.folder} holds a metamodel without results.")
        metamodel = Metamodel(
            config=job.config,
            attributes=job.table,
            split=job.split,
            query_indices=tuple(job.choose_queries()),
            query_inputs=job.info.query_inputs.take(job.choose_queries()),
            fingerprints={
                **job.description["fingerprints"],
                "metamodel": fingerprint(trained.model),
            },
            keras_model=trained.model,
        )
    document = scoring.score(metamodel, job.info, outputs=job.outputs)
    document["seconds"] = time.monotonic() - started
    return document


def group(runs: Sequence[jobs.Job], num_workers: int) -> list[Group]:
    """Groups runs that share a compiled step, in order of first appearance.

    Args:
        runs: To make; none that crafts its queries.
        num_workers: How many are to have something to do.
    """
    most = min(_MOST_PER_TASK, math.ceil(len(runs) / num_workers))
    groups: list[Group] = []
    open_groups: dict[Hashable, Group] = {}
    for job in runs:
        key = _step_key(job)
        if len(open_groups.get(key, ())) in (0, most):
            open_groups[key] = []
            groups.append(open_groups[key])
        open_groups[key].append(job.config)
    return groups


def _step_key(job: jobs.Job) -> Hashable:
    """Returns what runs with the same compiled step have in common."""
    config = job.config
    recipe = config.make_recipe(job.table)
    if config.is_solved or not isinstance(recipe, Recipe):
        return job.folder  # There is none.
    count = len(job.split.train_ids)
    batch_size = min(recipe.batch_size, count)
    return recipe, config.num_queries, batch_size, math.ceil(count / batch_size)


def make_work(info: QueryOutputsInfo, outputs: OutputsInMemory) -> engine.Work:
    """Runs in a worker: returns what makes a group of runs.

    Args:
        info: The query outputs, verified; their folder is not there.
        outputs: All outputs.
    """
    return functools.partial(
        _make_group,
        info,
        outputs,
        distribution.make_strategy("auto"),
        fitting.CompiledModels(),
    )


def _make_group(
    info: QueryOutputsInfo,
    outputs: OutputsInMemory,
    strategy: tf.distribute.Strategy,
    compiled: fitting.CompiledModels,
    configs: Group,
) -> Iterator[engine.Progress | Made]:
    """Yields what came of each run, and before it which one is begun."""
    for config in configs:
        yield engine.Progress(say(config))
        with tempfile.TemporaryDirectory() as folder:
            job = jobs.Job(
                config=dataclasses.replace(config, metamodel_dir=folder),
                info=info,
                outputs=outputs,
                strategy=strategy,
                keeps_curves=False,
                compiled=compiled,
            )
            wanted, received = pathlib.Path(config.metamodel_dir).name, name(job)
            if received != wanted:
                raise UserError(
                    "Workers must have the recipes that are here, so that they make "
                    f"what is asked for: {wanted}. Received: a worker that would make "
                    f"{received}. Install the same code on all nodes."
                )
            document = make(job)
        yield Made(
            config=config,
            query_indices=tuple(job.choose_queries()),
            document={**document, "config": config.to_json()},
        )


def name(job: jobs.Job) -> str:
    """Returns the name of a run: its settings, and a hash of all that decides it."""
    deciding = folder_lib.deciding(job.description)
    return f"{say(job.config)}-{artifacts.fingerprint(deciding)[:8]}"


def say(config: MetamodelConfig) -> str:
    """Returns what distinguishes a run, in a few words that suit a folder's name."""
    representation = config.representation
    if representation == "top-k":
        representation = f"top-{config.top_k}"
    parts = [
        config.method,
        config.recipe if config.recipe != MetamodelConfig.recipe else "",
        representation,
        f"{config.num_queries}q",
        config.split,
        f"{config.num_train}t" if config.num_train else "",
        f"seed{config.seed}",
        f"draw{config.query_seed}" if config.query_seed >= 0 else "",
    ]
    return "-".join(filter(None, parts))


def say_crew(crew: Mapping[Hashable, engine.Worker]) -> str:
    """Says how many workers there are, and one of the runs they make; "" of none."""
    if not crew:
        return ""
    nodes = {worker.node for worker in crew.values() if worker.node}
    where = f" on {len(nodes)} nodes" if len(nodes) > 1 else ""
    making_now = [worker.progress for worker in crew.values() if worker.progress]
    words = f"{len(crew)} worker{'s' if len(crew) > 1 else ''}{where}"
    return ", ".join([words, *making_now[:1]])


def fingerprint(model: keras.Model) -> str:
    """Returns 16 hexadecimal digits that name a model's weights."""
    digest = hashlib.sha256()
    for weights in model.get_weights():
        digest.update(weights.tobytes())
    return digest.hexdigest()[:16]
