"""Query outputs on disk: verified when opened.

    query_dir/
      config.json      settings, fingerprints, size and SHA-256 of the other files;
                       written last, so its presence means the folder is whole
      attributes.json  the attribute table
      queries.npz      the images that were sent
      entries.jsonl    one line per record, in the records' order: all but the outputs
      features.json, dataset_info.json    for tfds.builder_from_directory(query_dir)
      query_outputs-entries.tfrecord-00000-of-00004 ...    the records

`writing.py` writes them as a whole; `pipelines/query_outputs.py` makes datasets of
them. In folders made before, the records are called query_outputs-classifiers...:
config.json says which files they are. Schema version 2 is of answers in half precision
(`records.py`), which packages of zoos hold.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable, SharedValues
from kennen_tf.configs.importing import ImportOutputsConfig
from kennen_tf.configs.packaging import PackageConfig
from kennen_tf.configs.queries import FamilyQueryConfig, QueryConfig
from kennen_tf.queries import packages, query_inputs
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

if TYPE_CHECKING:
    from kennen_tf.zoo.entries import QueriedEntry
    from kennen_tf.zoo.store import Zoo

SCHEMA_VERSION = 1
SCHEMA_VERSION_OF_HALF = 2
KIND = "query outputs"
CONFIG_NAME = "config.json"
ATTRIBUTES_NAME = "attributes.json"
ENTRIES_NAME = "entries.jsonl"

_MAKE_WITH = "python -m kennen_tf.query_zoo --query_dir=..."
# What two runs must agree in to give the same outputs of the same zoo.
_DECIDING_FIELDS = (
    *("num_queries", "query_seed", "query_pool"),
    *("min_accuracy", "num_shards"),
)

AnyQueryConfig = QueryConfig | ImportOutputsConfig | FamilyQueryConfig | PackageConfig
# Of the binaries that make query outputs.
CONFIGS: dict[str, type[AnyQueryConfig]] = {
    "query_zoo": QueryConfig,
    "import_outputs": ImportOutputsConfig,
    "predict_family": FamilyQueryConfig,
    "package_zoo": PackageConfig,
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
        is_half: Whether answers are written in half precision.
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
    is_half: bool = False

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
        return {
            attribute.name: np.fromiter(
                (
                    attribute.label(entry.values.get(attribute.name))
                    for entry in entries
                ),
                np.int32,
                len(entries),
            )
            for attribute in self.attributes
        }

    @functools.cached_property
    def entries(self) -> "tuple[QueriedEntry, ...]":
        """The entries, sorted by id."""
        return tuple(sorted(self.records, key=lambda entry: entry.id))

    @classmethod
    def open(cls, query_dir: artifacts.Path) -> "QueryOutputsInfo":
        """Opens query outputs and verifies every file.

        Args:
            query_dir: Their folder, or what names those of a package; see
                `packages.find_outputs`.

        Raises:
            UserError: If there are none, they are of another schema version, or a file
                is missing, cut off or altered.
        """
        from kennen_tf.zoo.entries import QueriedEntry

        folder = pathlib.Path(query_dir)
        if not _has_query_outputs(folder):
            folder = packages.find_outputs(query_dir) or folder
        stored = _read_config(folder)
        for name, wanted in stored["files"].items():
            _verify(folder / name, wanted)
        table = artifacts.read_json(
            folder / ATTRIBUTES_NAME, wanted=KIND, make_with=_MAKE_WITH
        )
        rows = artifacts.iterate_json_lines(folder / ENTRIES_NAME)
        shared = SharedValues()
        # Of before there were families, only those imported say how they were made.
        before = "import_outputs" if stored.get("imported") else "query_zoo"
        kind = CONFIGS[stored.get("made_by", before)]
        return cls(
            query_dir=folder,
            config=kind.from_json(stored["config"]),
            attributes=AttributeTable.from_json(table, folder / ATTRIBUTES_NAME),
            # Of before there were other zoos, all were of digits.
            num_classes=stored.get("num_classes", 10),
            records=tuple(QueriedEntry.from_json(row, shared) for row in rows),
            query_inputs=QueryInputs.load(folder / query_inputs.FILE_NAME),
            shard_paths=tuple(folder / name for name in stored["shards"]),
            zoo_fingerprint=stored["zoo_fingerprint"],
            fingerprint=stored["fingerprint"],
            is_half=stored["schema_version"] == SCHEMA_VERSION_OF_HALF,
        )

    def check_zoo(self, zoo: "Zoo") -> None:
        """Raises `UserError` if these outputs are not of the zoo as it is now."""
        if not isinstance(self.config, PackageConfig):
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
            made = "predict_family or its like made, of classifiers in no zoo"
            if isinstance(self.config, ImportOutputsConfig):
                made = f"import_outputs made of {self.config.outputs}"
            if isinstance(self.config, PackageConfig):
                made = "package_zoo made, some of a zoo's"
            raise UserError(
                f"The query outputs in {self.query_dir} must {wanted}. Received: "
                f"outputs that {made}. Choose another --query_dir, or replace them "
                "with --overwrite."
            )


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


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Returns what a file of query outputs holds; {} if it is no table of values."""
    stored = artifacts.read_json(path, wanted=KIND, make_with=_MAKE_WITH)
    return stored if isinstance(stored, dict) else {}


def _has_query_outputs(folder: pathlib.Path) -> bool:
    """Says whether a folder holds query outputs, whole or damaged."""
    try:
        stored = json.loads((folder / CONFIG_NAME).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(stored, dict) and stored.get("kind") == KIND


def _read_config(folder: pathlib.Path) -> dict[str, Any]:
    path = folder / CONFIG_NAME
    stored = read_json(path)
    if stored.get("kind") != KIND:
        raise UserError(
            f"{folder} must hold query outputs. Received: a folder of kind "
            f"{stored.get('kind')!r}. Make them with `{_MAKE_WITH}`."
        )
    is_half = stored.get("schema_version") == SCHEMA_VERSION_OF_HALF
    version = SCHEMA_VERSION_OF_HALF if is_half else SCHEMA_VERSION
    artifacts.check_schema(stored, version, path)
    return stored
