"""Writes query outputs as a whole: records, what reads them, and how they were made."""

import hashlib
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kennen_tf.attributes import AttributeTable
from kennen_tf.queries import query_inputs
from kennen_tf.queries.output_folder import SHARD_PREFIX
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.queries.query_outputs import (
    ATTRIBUTES_NAME,
    CONFIG_NAME,
    CONFIGS,
    ENTRIES_NAME,
    KIND,
    SCHEMA_VERSION,
    SCHEMA_VERSION_OF_HALF,
    AnyQueryConfig,
)
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

if TYPE_CHECKING:
    from kennen_tf.zoo.entries import QueriedEntry

# What the fingerprint calls shards: as files were called before, so that outputs that
# are made again keep theirs, and metamodels trained on them know them.
_FORMER_NAME = "query_outputs-classifiers.tfrecord-{:05d}-of-{:05d}"


def write(
    work: pathlib.Path,
    config: AnyQueryConfig,
    queries: QueryInputs,
    table: AttributeTable,
    num_classes: int,
    entries: "Sequence[QueriedEntry]",
    probabilities_of: "Callable[[QueriedEntry], np.ndarray]",
    zoo_fingerprint: str,
    *,
    is_half: bool = False,
    command: Sequence[str] | None = None,
) -> None:
    """Writes query outputs; what was there is replaced once all are on disk.

    Args:
        work: What `output_folder.work_folder(config.query_dir)` yields.
        config: Settings.
        queries: What was sent.
        table: Attributes of who was asked.
        num_classes: Between how many classes they choose.
        entries: Who was asked. Their order does not matter.
        probabilities_of: Returns what an entry answered, float32 `(num_queries,
            num_classes)`. Called once for each, in the order of the records.
        zoo_fingerprint: Of the zoo, or of the files that outputs are imported from.
        is_half: Whether to write answers in half precision; see `records.py`.
        command: What made them; None: the command line of this process.
    """
    from kennen_tf.queries import tfds_metadata

    new = work / "new"
    new.mkdir()
    ordered = sorted(entries, key=_hash_order)
    num_shards = min(config.num_shards, len(ordered))
    shards = [
        list(part) for part in np.array_split(np.array(ordered, object), num_shards)
    ]
    shard_names = _write_shards(new, table, shards, probabilities_of, is_half)
    tfds_metadata.write(
        new,
        shard_names,
        [len(shard) for shard in shards],
        table,
        queries,
        num_classes,
        is_half,
    )
    artifacts.write_json(new / ATTRIBUTES_NAME, table.to_json())
    queries.save(new / query_inputs.FILE_NAME)
    with open(new / ENTRIES_NAME, "w", encoding="utf-8") as file:
        for entry in ordered:
            file.write(artifacts.canonical_json(entry.to_json()) + "\n")

    files = {path.name: _describe(path) for path in sorted(new.iterdir())}
    header = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION_OF_HALF if is_half else SCHEMA_VERSION,
        "config": config.to_json(),
        "made_by": next(n for n, kind in CONFIGS.items() if type(config) is kind),
        "num_classes": num_classes,
        "files": files,
        "shards": shard_names,
        "num_records": [len(shard) for shard in shards],
        "zoo_fingerprint": zoo_fingerprint,
        "query_inputs_fingerprint": queries.fingerprint,
        "attributes_fingerprint": table.fingerprint,
        "fingerprint": _fingerprint(files, shard_names),
        "provenance": artifacts.provenance(command),
    }
    artifacts.write_json(new / CONFIG_NAME, header)
    _move_in(new, work.parent)


def _fingerprint(
    files: Mapping[str, Mapping[str, Any]], shard_names: Sequence[str]
) -> str:
    """Returns what names the records and the queries, byte for byte."""
    count = len(shard_names)
    contents = {
        _FORMER_NAME.format(place, count): files[name]["sha256"]
        for place, name in enumerate(shard_names)
    }
    contents[query_inputs.FILE_NAME] = files[query_inputs.FILE_NAME]["sha256"]
    return artifacts.fingerprint(contents)


def _hash_order(entry: "QueriedEntry") -> str:
    """Orders records so that shards are alike, whatever order they were made in."""
    return hashlib.sha256(entry.id.encode()).hexdigest()


def _write_shards(
    folder: pathlib.Path,
    table: AttributeTable,
    shards: "Sequence[Sequence[QueriedEntry]]",
    probabilities_of: "Callable[[QueriedEntry], np.ndarray]",
    is_half: bool,
) -> list[str]:
    import tensorflow as tf
    import tqdm

    from kennen_tf.queries import records

    names = [records.shard_name(index, len(shards)) for index in range(len(shards))]
    total = sum(len(shard) for shard in shards)
    with tqdm.tqdm(total=total, desc="writing", unit="record", leave=False) as bar:
        for name, shard in zip(names, shards, strict=True):
            try:
                with tf.io.TFRecordWriter(str(folder / name)) as writer:
                    for entry in shard:
                        answers = probabilities_of(entry)
                        writer.write(records.encode(table, entry, answers, is_half))
                        bar.update()
            except tf.errors.OpError as error:
                # TensorFlow's own way to say that e.g. the disk is full.
                raise UserError(
                    f"{name} could not be written: {error.message}. Make room, or "
                    "choose another --query_dir."
                ) from error
    return names


def _describe(path: pathlib.Path) -> dict[str, Any]:
    """Flushes a file to disk and returns what `_verify` compares."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    return {
        "num_bytes": path.stat().st_size,
        "sha256": artifacts.sha256_of_file(path),
    }


def _move_in(new: pathlib.Path, folder: pathlib.Path) -> None:
    """Replaces a folder's query outputs by new ones; config.json goes first and last.

    Killed in the middle, it leaves a folder without config.json, which is no query
    outputs, and which the next run fills.
    """
    (folder / CONFIG_NAME).unlink(missing_ok=True)
    for path in folder.glob(f"{SHARD_PREFIX}*"):
        path.unlink()
    names = sorted(path.name for path in new.iterdir() if path.name != CONFIG_NAME)
    for name in [*names, CONFIG_NAME]:
        os.replace(new / name, folder / name)
