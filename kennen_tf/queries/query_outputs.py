"""Query outputs on disk: written as a whole, verified when opened.

    query_dir/
      config.json      settings, fingerprints, size and SHA-256 of the other files;
                       written last, so its presence means the folder is whole
      attributes.json  the attribute table
      queries.npz      the images that were sent
      entries.jsonl    one line per record, in the records' order: all but the outputs
      features.json, dataset_info.json    for tfds.builder_from_directory(query_dir)
      query_outputs-classifiers.tfrecord-00000-of-00004 ...    the records

`pipelines/query_outputs.py` makes datasets of them.
"""

import contextlib
import dataclasses
import functools
import hashlib
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.importing import ImportOutputsConfig
from kennen_tf.configs.queries import FamilyQueryConfig, QueryConfig
from kennen_tf.queries import query_inputs
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

if TYPE_CHECKING:
    from kennen_tf.zoo.entries import QueriedEntry
    from kennen_tf.zoo.store import Zoo

SCHEMA_VERSION = 1
KIND = "query outputs"
CONFIG_NAME = "config.json"
ATTRIBUTES_NAME = "attributes.json"
ENTRIES_NAME = "entries.jsonl"

_MAKE_WITH = "python -m kennen_tf.query_zoo --query_dir=..."
_WORK_FOLDER = ".incomplete"
# The names that query_zoo gives; a folder with any other file is somebody else's.
_OWN_NAMES = (
    _WORK_FOLDER,
    ".lock",
    CONFIG_NAME,
    ATTRIBUTES_NAME,
    query_inputs.FILE_NAME,
    ENTRIES_NAME,
    "features.json",
    "dataset_info.json",
)
_SHARD_PREFIX = "query_outputs-"
_LABELS_SUFFIX = ".labels.txt"
# What two runs must agree in to give the same outputs of the same zoo.
_DECIDING_FIELDS = ("num_queries", "query_seed", "min_accuracy", "num_shards")

AnyQueryConfig = QueryConfig | ImportOutputsConfig | FamilyQueryConfig
_CONFIGS: dict[str, type[QueryConfig | ImportOutputsConfig | FamilyQueryConfig]] = {
    "query_zoo": QueryConfig,
    "import_outputs": ImportOutputsConfig,
    "predict_family": FamilyQueryConfig,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class QueryOutputsInfo:
    """Query outputs that are there, for reading: all but the outputs themselves.

    Attributes:
        query_dir: Their folder.
        config: The settings they were made with; whose they are says how.
        attributes: The table of the zoo that was asked.
        num_classes: Between how many classes its classifiers choose.
        records: The entries in the order of the records, through all shards.
        query_inputs: What was sent.
        shard_paths: Files of the records.
        zoo_fingerprint: Of the zoo that was asked, or of the files they are from.
        fingerprint: Names the records and the queries, byte for byte.
    """

    query_dir: pathlib.Path
    config: AnyQueryConfig
    attributes: AttributeTable
    num_classes: int
    records: "tuple[QueriedEntry, ...]"
    query_inputs: QueryInputs
    shard_paths: tuple[pathlib.Path, ...]
    zoo_fingerprint: str
    fingerprint: str

    @property
    def num_queries(self) -> int:
        return len(self.query_inputs)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels of the images that were sent."""
        return self.query_inputs.images.shape[1:]

    def labels(
        self, entries: "Sequence[QueriedEntry]"
    ) -> "dict[str, npt.NDArray[np.int32]]":
        """Returns labels of entries, `(entries,)` for each attribute.

        They are `attributes.MISSING` where an entry has no value.
        """
        rows = [self.attributes.labels(entry.values) for entry in entries]
        return {
            name: np.array([row[name] for row in rows], np.int32)
            for name in self.attributes.names
        }

    @functools.cached_property
    def entries(self) -> "tuple[QueriedEntry, ...]":
        """The entries, sorted by id."""
        return tuple(sorted(self.records, key=lambda entry: entry.id))

    @classmethod
    def open(cls, query_dir: artifacts.Path) -> "QueryOutputsInfo":
        """Opens query outputs and verifies every file.

        Raises:
            UserError: If there are none, they are of another schema version, or a file
                is missing, cut off or altered.
        """
        from kennen_tf.zoo.entries import QueriedEntry

        folder = pathlib.Path(query_dir)
        stored = _read_config(folder)
        for name, wanted in stored["files"].items():
            _verify(folder / name, wanted)
        table = artifacts.read_json(
            folder / ATTRIBUTES_NAME, wanted=KIND, make_with=_MAKE_WITH
        )
        rows = artifacts.read_json_lines(folder / ENTRIES_NAME)
        # Of before there were families, only those imported say how they were made.
        before = "import_outputs" if stored.get("imported") else "query_zoo"
        kind = _CONFIGS[stored.get("made_by", before)]
        return cls(
            query_dir=folder,
            config=kind.from_json(stored["config"]),
            attributes=AttributeTable.from_json(table, folder / ATTRIBUTES_NAME),
            # Of before there were other zoos, all were of digits.
            num_classes=stored.get("num_classes", 10),
            records=tuple(QueriedEntry.from_json(row) for row in rows),
            query_inputs=QueryInputs.load(folder / query_inputs.FILE_NAME),
            shard_paths=tuple(folder / name for name in stored["shards"]),
            zoo_fingerprint=stored["zoo_fingerprint"],
            fingerprint=stored["fingerprint"],
        )

    def check_zoo(self, zoo: "Zoo") -> None:
        """Raises `UserError` if these outputs are not of the zoo as it is now."""
        self._check_of_zoo(f"be of the zoo in {zoo.zoo_dir}")
        if zoo.fingerprint != self.zoo_fingerprint:
            raise UserError(
                f"The query outputs in {self.query_dir} must be of the zoo in "
                f"{zoo.zoo_dir} (fingerprint {zoo.fingerprint}). Received: outputs of "
                f"a zoo with fingerprint {self.zoo_fingerprint}: another zoo, or this "
                "one before it changed. Query it again with --overwrite, or choose "
                "another --query_dir."
            )

    def check_made_with(self, config: QueryConfig, queries: QueryInputs) -> None:
        """Raises `UserError` if other settings or images would give other outputs."""
        self._check_of_zoo("be answers of a zoo")
        for name in _DECIDING_FIELDS:
            wanted, received = getattr(self.config, name), getattr(config, name)
            if wanted != received:
                raise UserError(
                    f"{self.query_dir} holds query outputs made with "
                    f"--{name}={wanted}. Received: {name}={received}. Choose another "
                    "--query_dir, or replace them with --overwrite."
                )
        if queries.fingerprint != self.query_inputs.fingerprint:
            raise UserError(
                f"{self.query_dir} holds outputs for queries with fingerprint "
                f"{self.query_inputs.fingerprint}. Received: {queries.fingerprint}; "
                "the zoo's dataset has changed. Choose another --query_dir, or "
                "replace them with --overwrite."
            )

    def _check_of_zoo(self, wanted: str) -> None:
        if not isinstance(self.config, QueryConfig):
            made = (
                f"import_outputs made of {self.config.outputs}"
                if isinstance(self.config, ImportOutputsConfig)
                else "predict_family or its like made, of classifiers in no zoo"
            )
            raise UserError(
                f"The query outputs in {self.query_dir} must {wanted}. Received: "
                f"outputs that {made}. Choose another --query_dir, or replace them "
                "with --overwrite."
            )


def holds_query_outputs(query_dir: artifacts.Path) -> bool:
    """Says whether there are whole query outputs, of whatever zoo and settings.

    Raises:
        UserError: If the folder holds anything else.
    """
    folder = pathlib.Path(query_dir)
    if not folder.is_dir():
        return False
    foreign = [path.name for path in folder.iterdir() if not _is_own(path.name)]
    is_there = (folder / CONFIG_NAME).exists()
    # A damaged config may be replaced, if nothing but query outputs is beside it.
    with contextlib.suppress(UserError):
        kind = _read_json(folder / CONFIG_NAME).get("kind")
        foreign += [CONFIG_NAME] if kind != KIND else []
    if foreign:
        raise UserError(
            "--query_dir must be a new or empty folder, or hold query outputs and "
            f"nothing else. Received: {folder}, which holds {sorted(foreign)[:3]}."
        )
    return is_there


def _is_own(name: str) -> bool:
    return (
        name in _OWN_NAMES
        or name.startswith(_SHARD_PREFIX)
        or name.endswith(_LABELS_SUFFIX)
        or artifacts.TEMPORARY_MARK in name
    )


@contextlib.contextmanager
def work_folder(query_dir: artifacts.Path) -> Iterator[pathlib.Path]:
    """Locks `query_dir` and yields a folder in it that is removed at the end.

    Raises:
        UserError: If it cannot be written to, holds something else, or another
            process writes there.
    """
    holds_query_outputs(query_dir)
    folder = artifacts.make_folder(query_dir)
    with artifacts.folder_lock(folder, "querying a zoo"):
        work = folder / _WORK_FOLDER
        # A killed run leaves it.
        shutil.rmtree(work, ignore_errors=True)
        artifacts.remove_incomplete(folder)
        work.mkdir()
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def write(
    work: pathlib.Path,
    config: AnyQueryConfig,
    queries: QueryInputs,
    table: AttributeTable,
    num_classes: int,
    entries: "Sequence[QueriedEntry]",
    probabilities_of: "Callable[[QueriedEntry], np.ndarray]",
    zoo_fingerprint: str,
) -> None:
    """Writes query outputs; what was there is replaced once all are on disk.

    Args:
        work: What `work_folder(config.query_dir)` yields.
        config: Settings.
        queries: What was sent.
        table: Attributes of who was asked.
        num_classes: Between how many classes they choose.
        entries: Who was asked. Their order does not matter.
        probabilities_of: Returns what an entry answered, float32 `(num_queries,
            num_classes)`. Called once for each, in the order of the records.
        zoo_fingerprint: Of the zoo, or of the files that outputs are imported from.
    """
    from kennen_tf.queries import records

    new = work / "new"
    new.mkdir()
    ordered = sorted(entries, key=_hash_order)
    num_shards = min(config.num_shards, len(ordered))
    shards = [
        list(part) for part in np.array_split(np.array(ordered, object), num_shards)
    ]
    shard_names = _write_shards(new, table, shards, probabilities_of)
    _write_tfds_files(
        new,
        shard_names,
        [len(shard) for shard in shards],
        records.tfds_features(table, len(queries), num_classes),
    )
    artifacts.write_json(new / ATTRIBUTES_NAME, table.to_json())
    queries.save(new / query_inputs.FILE_NAME)
    lines = [artifacts.canonical_json(entry.to_json()) + "\n" for entry in ordered]
    (new / ENTRIES_NAME).write_text("".join(lines))

    files = {path.name: _describe(path) for path in sorted(new.iterdir())}
    header = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "config": config.to_json(),
        "made_by": next(n for n, kind in _CONFIGS.items() if type(config) is kind),
        "num_classes": num_classes,
        "files": files,
        "shards": shard_names,
        "num_records": [len(shard) for shard in shards],
        "zoo_fingerprint": zoo_fingerprint,
        "query_inputs_fingerprint": queries.fingerprint,
        "attributes_fingerprint": table.fingerprint,
        "fingerprint": artifacts.fingerprint(
            {n: files[n]["sha256"] for n in [*shard_names, query_inputs.FILE_NAME]}
        ),
        "provenance": artifacts.provenance(),
    }
    artifacts.write_json(new / CONFIG_NAME, header)
    _move_in(new, work.parent)


def _hash_order(entry: "QueriedEntry") -> str:
    """Orders records so that shards are alike, whatever order they were made in."""
    return hashlib.sha256(entry.id.encode()).hexdigest()


def _write_shards(
    folder: pathlib.Path,
    table: AttributeTable,
    shards: "Sequence[Sequence[QueriedEntry]]",
    probabilities_of: "Callable[[QueriedEntry], np.ndarray]",
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
                        writer.write(records.encode(table, entry, answers))
                        bar.update()
            except tf.errors.OpError as error:
                # TensorFlow's own way to say that e.g. the disk is full.
                raise UserError(
                    f"{name} could not be written: {error.message}. Make room, or "
                    "choose another --query_dir."
                ) from error
    return names


def _write_tfds_files(
    folder: pathlib.Path,
    shard_names: Sequence[str],
    shard_lengths: list[int],
    features: Any,
) -> None:
    """Writes what makes TensorFlow Datasets read the folder."""
    import tensorflow_datasets as tfds  # Takes seconds: only where it is used.

    from kennen_tf.queries import records

    template = tfds.core.ShardedFileTemplate(
        data_dir=folder,
        template=records.FILENAME_TEMPLATE,
        dataset_name=records.DATASET_NAME,
        split=records.SPLIT_NAME,
        filetype_suffix="tfrecord",
    )
    split = tfds.core.SplitInfo(
        name=records.SPLIT_NAME,
        shard_lengths=shard_lengths,
        num_bytes=sum((folder / name).stat().st_size for name in shard_names),
        filename_template=template,
    )
    tfds.folder_dataset.write_metadata(
        data_dir=str(folder),
        features=features,
        split_infos=[split],
        filename_template=records.FILENAME_TEMPLATE,
        check_data=False,
    )


def _describe(path: pathlib.Path) -> dict[str, Any]:
    """Flushes a file to disk and returns what `_verify` compares."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    return {
        "num_bytes": path.stat().st_size,
        "sha256": artifacts.sha256_of_file(path),
    }


def _verify(path: pathlib.Path, wanted: dict[str, Any]) -> None:
    again = f"Make the outputs again: `{_MAKE_WITH} --overwrite`."
    if not path.exists():
        raise UserError(f"{path} is missing. {again}")
    num_bytes = path.stat().st_size
    if num_bytes != wanted["num_bytes"]:
        raise UserError(
            f"{path} must have {wanted['num_bytes']} bytes. Received: {num_bytes}; it "
            f"was cut off or altered. {again}"
        )
    if artifacts.sha256_of_file(path) != wanted["sha256"]:
        raise UserError(
            f"{path} was altered: its SHA-256 is not the one in {CONFIG_NAME}. {again}"
        )


def _move_in(new: pathlib.Path, folder: pathlib.Path) -> None:
    """Replaces a folder's query outputs by new ones; config.json goes first and last.

    Killed in the middle, it leaves a folder without config.json, which is no query
    outputs, and which the next run fills.
    """
    (folder / CONFIG_NAME).unlink(missing_ok=True)
    for path in folder.glob(f"{_SHARD_PREFIX}*"):
        path.unlink()
    names = sorted(path.name for path in new.iterdir() if path.name != CONFIG_NAME)
    for name in [*names, CONFIG_NAME]:
        os.replace(new / name, folder / name)


def _read_json(path: pathlib.Path) -> dict[str, Any]:
    stored = artifacts.read_json(path, wanted=KIND, make_with=_MAKE_WITH)
    return stored if isinstance(stored, dict) else {}


def _read_config(folder: pathlib.Path) -> dict[str, Any]:
    path = folder / CONFIG_NAME
    stored = _read_json(path)
    if stored.get("kind") != KIND:
        raise UserError(
            f"{folder} must hold query outputs. Received: a folder of kind "
            f"{stored.get('kind')!r}. Make them with `{_MAKE_WITH}`."
        )
    artifacts.check_schema(stored, SCHEMA_VERSION, path)
    return stored
