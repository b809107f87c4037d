"""The folder of a metamodel: what is in it, and who may write there.

metamodel_dir/
  config.json      settings, recipe, fingerprints; written first
  split.json       who was trained on, who is held out, which queries are read
  attributes.json  queries.npz   so that the folder stands alone; crafted queries are
                   validation images until the training ends
  checkpoints/     state of a training that goes on
  metrics.jsonl    losses and accuracies of evaluated epochs
  epochs.jsonl     what training says of every epoch: loss, learning rate
  events.out.tfevents.*    the same for TensorBoard, whose run is named as this folder
  metamodel.keras  from features to probabilities
  coarse-1.keras   ...  the same for coarser answers, if there are any
  limits.json      novelty.npz   what is known of its limits; see evaluation/limits.py
  finished.json    written last; its presence means the training ended
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.evaluation import limits as limits_lib
from kennen_tf.evaluation.limits import Limits
from kennen_tf.evaluation.splits import Split
from kennen_tf.keras_models import saving
from kennen_tf.queries import query_inputs as query_inputs_lib
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.seeds import derive_seed

if TYPE_CHECKING:
    import keras

SCHEMA_VERSION = 1
KIND = "metamodel"
CONFIG_NAME = "config.json"
SPLIT_NAME = "split.json"
ATTRIBUTES_NAME = "attributes.json"
CHECKPOINTS_NAME = "checkpoints"
METRICS_NAME = "metrics.jsonl"
EPOCHS_NAME = "epochs.jsonl"
MODEL_NAME = "metamodel.keras"
COARSE_NAME = "coarse-{}.keras"
FINISHED_NAME = "finished.json"
MAKE_WITH = "python -m kennen_tf.train_metamodel --query_dir=... --metamodel_dir=..."

NEW, UNFINISHED, FINISHED = "new", "unfinished", "finished"

# Two runs that differ in these only are the same training.
_FREE_FIELDS = (
    "query_dir",
    "zoo_dir",
    "metamodel_dir",
    "resume",
    "checkpoint_every",
    "evaluate_every",
    "max_memory_mb",
    "logical_cpus",
)
# What recipes do that do not say so: those of before had no choice, and are the same.
_RECIPE_DEFAULTS = {"divide": False, "beside": None}
# Of a description, all but what it is.
_PARTS = ("config", "recipe", "crafting", "fingerprints")


def draw_queries(info: QueryOutputsInfo, num_queries: int, seed: int) -> list[int]:
    """Draws which of the stored queries are read; with more, the first stay the same.

    Raises:
        UserError: If there are not that many.
    """
    if num_queries > info.num_queries:
        raise UserError(
            f"--num_queries must be at most the number of queries in {info.query_dir}, "
            f"{info.num_queries}. Received: num_queries={num_queries}."
        )
    random = np.random.default_rng(derive_seed(seed, "query choice"))
    return [int(i) for i in random.permutation(info.num_queries)[:num_queries]]


def describe(config: MetamodelConfig, info: QueryOutputsInfo) -> dict[str, Any]:
    """Returns what config.json holds, but for its provenance.

    Args:
        config: Settings for the zoo that was queried; see `MetamodelConfig.for_zoo`.
        info: The query outputs.
    """
    recipe = {
        name: value
        for name, value in config.make_recipe(info.attributes).to_json().items()
        if name not in _RECIPE_DEFAULTS or value != _RECIPE_DEFAULTS[name]
    }
    crafting = config.make_crafting_recipe().to_json() if config.is_crafted else {}
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "config": config.to_json(),
        # As JSON gives them back.
        "recipe": json.loads(json.dumps(recipe)),
        "crafting": json.loads(json.dumps(crafting)),
        "fingerprints": {
            "query_outputs": info.fingerprint,
            "query_inputs": info.query_inputs.fingerprint,
            "zoo": info.zoo_fingerprint,
        },
    }


def deciding(description: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what of a description decides what is trained."""
    parts = {part: description[part] for part in _PARTS}
    config = {k: v for k, v in parts["config"].items() if k not in _FREE_FIELDS}
    return {**parts, "config": config}


def state(folder: pathlib.Path, description: Mapping[str, Any], resume: bool) -> str:
    """Says whether a folder is `NEW`, or holds this very training.

    Raises:
        UserError: If it holds anything else, or this training `UNFINISHED` and
            `resume` is false.
    """
    if not (folder / CONFIG_NAME).exists():
        foreign = [p.name for p in _listing(folder) if not p.name.startswith(".")]
        foreign = [n for n in foreign if artifacts.TEMPORARY_MARK not in n]
        if foreign:
            raise UserError(
                "--metamodel_dir must be a new or empty folder, or hold a metamodel. "
                f"Received: {folder}, which holds {sorted(foreign)[:3]}."
            )
        return NEW
    stored = read_config(folder)
    differing = _differences(stored, description)
    if differing:
        raise UserError(
            f"{folder} holds a metamodel of other settings: {'; '.join(differing)}. "
            "Choose another --metamodel_dir, or remove that folder."
        )
    if (folder / FINISHED_NAME).exists():
        return FINISHED
    if not resume:
        raise UserError(
            f"{folder} holds a training of the same settings that was stopped. Go on "
            "with --resume, or choose another --metamodel_dir."
        )
    return UNFINISHED


def read_config(folder: pathlib.Path) -> dict[str, Any]:
    """Reads config.json. Raises `UserError` if it is not of a metamodel."""
    path = folder / CONFIG_NAME
    stored = artifacts.read_json(path, wanted=KIND, make_with=MAKE_WITH)
    if not isinstance(stored, dict) or stored.get("kind") != KIND:
        raise UserError(
            f"{folder} must hold a metamodel. Received: {CONFIG_NAME} of something "
            f"else. Make one with `{MAKE_WITH}`."
        )
    artifacts.check_schema(stored, SCHEMA_VERSION, path)
    return stored


def read_query_indices(folder: pathlib.Path) -> list[int]:
    """Reads which queries a metamodel reads; of a new folder, none."""
    path = folder / SPLIT_NAME
    if not path.exists():
        return []
    split = artifacts.read_json(path, wanted="split", make_with=MAKE_WITH)
    return [int(place) for place in split["query_indices"]]


def write_description(
    folder: pathlib.Path,
    description: Mapping[str, Any],
    table: AttributeTable,
    split: Split,
    query_indices: list[int],
    query_inputs: QueryInputs,
) -> None:
    """Writes all that is known before training.

    Args:
        folder: It exists.
        description: What `describe` returns.
        table: The attributes of the zoo.
        split: Of the zoo.
        query_indices: Places among the stored queries, in the order they are read.
        query_inputs: The stored queries, all of them.
    """
    header = {**description, "provenance": artifacts.provenance()}
    artifacts.write_json(folder / CONFIG_NAME, header)
    artifacts.write_json(folder / ATTRIBUTES_NAME, table.to_json())
    chosen = query_inputs.take(query_indices)
    chosen.save(folder / query_inputs_lib.FILE_NAME)
    artifacts.write_json(
        folder / SPLIT_NAME,
        {
            "train": list(split.train_ids),
            "test": list(split.test_ids),
            "split_attributes": list(split.split_attributes),
            "query_indices": query_indices,
        },
    )


def finish(
    folder: pathlib.Path,
    model: "keras.Model",
    summary: Mapping[str, Any],
    crafted: QueryInputs | None = None,
    coarse: "Sequence[keras.Model]" = (),
    limits: Sequence[Limits] = (),
) -> None:
    """Writes the metamodel and all that comes with it, and that it is finished."""
    if crafted is not None:
        crafted.save(folder / query_inputs_lib.FILE_NAME)
    path = folder / MODEL_NAME
    saving.save_model(model, path)
    finished = {**summary, "sha256": artifacts.sha256_of_file(path)}
    for number, own in enumerate(coarse, start=1):
        saving.save_model(own, folder / COARSE_NAME.format(number))
    if limits:
        limits_lib.save(folder, limits)
    artifacts.write_json(folder / FINISHED_NAME, finished)


def _listing(folder: pathlib.Path) -> list[pathlib.Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Says what of two descriptions differs and matters."""
    found = []
    for part in _PARTS:
        before, now = stored.get(part, {}), wanted[part]
        for name in sorted({*before, *now}):
            if part == "config" and name in _FREE_FIELDS:
                continue
            if before.get(name) != now.get(name):
                label = f"{name} of the {part}" if part != "config" else f"--{name}"
                found.append(f"{label} {before.get(name)!r}, not {now.get(name)!r}")
    return found
