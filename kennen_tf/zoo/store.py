"""The zoo on disk: its config, its manifest and its saved classifiers.

    zoo_dir/
      config.json          settings, schema version, versions, command; written first
      attributes.json      the attribute table
      manifest.jsonl       one line per classifier, accepted or rejected, as they end
      classifiers/<id>.keras
      images.npz           validation images, if it was imported

A classifier is whole once its line is in the manifest: its file is written under a
temporary name, renamed, and only then recorded.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from kennen_tf.attributes import AttributeTable, Facts, Values
from kennen_tf.configs.importing import ImportConfig
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs import design as design_lib
from kennen_tf.designs.design import Design
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo.specs import ClassifierSpec

if TYPE_CHECKING:
    import keras

SCHEMA_VERSION = 1
CONFIG_NAME = "config.json"
MANIFEST_NAME = "manifest.jsonl"
ATTRIBUTES_NAME = "attributes.json"
CLASSIFIERS_FOLDER = "classifiers"
IMAGES_NAME = "images.npz"
ACCEPTED, REJECTED, FAILED = "accepted", "rejected", "failed"

_MAKE_WITH = "python -m kennen_tf.build_zoo --zoo_dir=..."
# What may differ when a zoo is continued: it does not change a classifier.
_FREE_FIELDS = (
    *("num_models", "zoo_dir", "workers", "specs"),
    *("max_failures", "retry_failed"),
)
# Of a record, what only those of imported classifiers say.
_IMPORTED_FIELDS = ("name", "group", "file", "pixels", "outputs", "image_size")
# Zoos of before there were several designs do not say.
_FIRST_SHAPES = {"image_shape": [28, 28, 1], "num_classes": 10}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierRecord:
    """One line of the manifest.

    Attributes:
        spec: What was trained; None of a classifier that was imported.
        status: "accepted", "rejected" or "failed".
        reason: Why it is not accepted; empty if it is.
        accuracy: On the validation images, in [0, 1]; 0 if it failed.
        num_params: Trainable parameters; 0 if they are not known.
        epochs: Passes over the training data that were made.
        seconds: Time of training and validation.
        num_bytes: Size of the file; 0 if none is kept.
        sha256: Of the file; empty if none is kept.
        values: Value of every attribute, None where there is none; not in manifests of
            before there were several designs.
        name: Id of an imported classifier.
        group: Imported classifiers of one group are never on both sides of a split.
        file: Where an imported classifier is: a path, within the zoo's folder or not,
            or "module:function".
        pixels, outputs: What an imported classifier takes and answers, as in
            `configs/revealing.py`.
        image_size: Side of the square that images are resized to before an imported
            classifier sees them; 0: it sees them as they are.
    """

    spec: ClassifierSpec | None
    status: str
    reason: str
    accuracy: float
    num_params: int
    epochs: int
    seconds: float
    num_bytes: int = 0
    sha256: str = ""
    values: Values | None = None
    name: str = ""
    group: str = ""
    file: str = ""
    pixels: str = "unit"
    outputs: str = "probabilities"
    image_size: int = 0

    @property
    def id(self) -> str:
        return self.spec.id if self.spec else self.name

    @property
    def combination_id(self) -> str:
        """Classifiers with the same are never on both sides of a split."""
        return self.spec.combination_id if self.spec else self.group

    def to_json(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        if self.spec:
            for name in _IMPORTED_FIELDS:
                del values[name]
            return {**values, "spec": self.spec.to_json(), "id": self.id}
        return {**values, "id": self.id}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "ClassifierRecord":
        spec = values["spec"]
        if spec is not None:
            spec = ClassifierSpec.from_record(values["id"], spec)
        fields = {k: v for k, v in values.items() if k not in ("id", "spec")}
        return cls(spec=spec, **fields)


class Zoo:
    """A zoo that is there, for reading.

    Attributes:
        zoo_dir: Its folder.
        config: The settings it is built with; those of `ImportConfig` if it was
            imported.
        attributes: Its attribute table.
        image_shape: Height, width and channels of what its classifiers see.
        num_classes: Between how many classes they choose.
        records: All records, sorted by id.
    """

    def __init__(
        self,
        zoo_dir: artifacts.Path,
        header: "ZooHeader",
        records: list[ClassifierRecord],
    ):
        self.zoo_dir = pathlib.Path(zoo_dir)
        self.config = header.config
        self.attributes = header.attributes
        self.image_shape = header.image_shape
        self.num_classes = header.num_classes
        self.records = records

    @classmethod
    def open(cls, zoo_dir: artifacts.Path) -> "Zoo":
        """Opens a zoo.

        Raises:
            UserError: If there is none, or it is of another schema version.
        """
        return cls(zoo_dir, read_header(zoo_dir), read_manifest(zoo_dir))

    @functools.cached_property
    def design(self) -> Design | None:
        """The design it is built with; None if it was imported.

        Raises:
            UserError: If it is one of the user's, and is not found.
        """
        if isinstance(self.config, ImportConfig):
            return None
        return design_lib.load_design(self.config.design)

    @property
    def accepted(self) -> list[ClassifierRecord]:
        """The records of the accepted classifiers, sorted by id."""
        return [record for record in self.records if record.status == ACCEPTED]

    @functools.cached_property
    def fingerprint(self) -> str:
        """Names the accepted classifiers, byte for byte.

        What a CSV said of imported ones is named, too: no file tells it.
        """
        said = ("file", "group", "values", "pixels", "outputs", "image_size")
        return artifacts.fingerprint(
            [
                [r.id, r.sha256]
                if r.spec
                else [r.id, r.sha256, {name: getattr(r, name) for name in said}]
                for r in self.accepted
            ]
        )

    def values_of(self, members: "Collection[ClassifierRecord]") -> Values:
        """Returns the value of every attribute of a classifier or an ensemble.

        Args:
            members: One classifier, or those of an ensemble.

        Raises:
            UserError: If the design is needed and not found.
        """
        [first, *others] = members
        if first.spec is None or (first.values and not others and not self._has_grown):
            return first.values or {}
        if self.design is None:
            raise ValueError(f"Received: {members}.")
        table = self.design.attributes
        # Attributes that came later have their first value.
        later = {a.name: a.values[0] for a in table.chosen}
        return table.complete(
            Facts(
                combination={**later, **first.spec.combination},
                num_params=sum(record.num_params for record in members),
                num_members=len(members),
            )
        )

    @functools.cached_property
    def _has_grown(self) -> bool:
        """Whether some records lack attributes that came later."""
        names = set(self.attributes.names)
        return any(not names <= set(record.values or ()) for record in self.records)

    @property
    def images_path(self) -> pathlib.Path:
        """Where the validation images of an imported zoo are."""
        return self.zoo_dir / IMAGES_NAME

    def classifier_path(self, record: ClassifierRecord) -> pathlib.Path:
        """Returns where a classifier's file is."""
        return classifier_path(self.zoo_dir, record)

    def check_classifier(self, record: ClassifierRecord) -> pathlib.Path:
        """Returns the path of an accepted classifier whose file is as recorded.

        Raises:
            UserError: If the file is missing or was changed.
        """
        path = self.classifier_path(record)
        if not path.exists() or fingerprint_of(path) != record.sha256:
            mend = (
                "Run build_zoo again: it trains what is missing (delete the file first "
                "if it is damaged)."
                if record.spec
                else "Put it back, or import it again."
            )
            raise UserError(
                f"{path} must be the file that the manifest records. It is missing "
                f"or was changed. {mend}"
            )
        return path

    def load_classifier(self, record: ClassifierRecord) -> "keras.Model":
        """Loads an accepted classifier that this project made.

        Returns:
            A Keras model from images, float32 `(batch, *image_shape)` in [0, 1], to
            probabilities, float32 `(batch, num_classes)`.
        """
        import keras

        return keras.models.load_model(self.check_classifier(record), compile=False)


def classifier_path(
    zoo_dir: artifacts.Path, record: "ClassifierRecord | ClassifierSpec"
) -> pathlib.Path:
    """Returns where a classifier is saved."""
    file = getattr(record, "file", "") or f"{CLASSIFIERS_FOLDER}/{record.id}.keras"
    return pathlib.Path(zoo_dir) / file


def fingerprint_of(path: pathlib.Path) -> str:
    """Returns the SHA-256 of a file, or of the names and contents of a folder's."""
    if not path.is_dir():
        return artifacts.sha256_of_file(path)
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return artifacts.fingerprint(
        {p.relative_to(path).as_posix(): artifacts.sha256_of_file(p) for p in files}
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZooHeader:
    """What a zoo's config.json and attributes.json say.

    Attributes:
        config, attributes, image_shape, num_classes: As those of `Zoo`.
    """

    config: ZooConfig | ImportConfig
    attributes: AttributeTable
    image_shape: tuple[int, ...]
    num_classes: int

    def write(self, folder: artifacts.Path) -> None:
        """Writes both files."""
        path = pathlib.Path(folder)
        artifacts.write_json(path / ATTRIBUTES_NAME, self.attributes.to_json())
        document = {
            "kind": "zoo",
            "schema_version": SCHEMA_VERSION,
            "config": self.config.to_json(),
            "imported": isinstance(self.config, ImportConfig),
            "image_shape": list(self.image_shape),
            "num_classes": self.num_classes,
            "provenance": artifacts.provenance(),
        }
        artifacts.write_json(path / CONFIG_NAME, document)


def read_header(zoo_dir: artifacts.Path) -> ZooHeader:
    """Reads and checks a zoo's config and attribute table."""
    path = pathlib.Path(zoo_dir) / CONFIG_NAME
    stored = artifacts.read_json(path, wanted="zoo", make_with=_MAKE_WITH)
    artifacts.check_schema(stored, SCHEMA_VERSION, path)
    table_path = path.with_name(ATTRIBUTES_NAME)
    table = artifacts.read_json(table_path, wanted="zoo", make_with=_MAKE_WITH)
    shapes = {key: stored.get(key, first) for key, first in _FIRST_SHAPES.items()}
    kind = ImportConfig if stored.get("imported") else ZooConfig
    return ZooHeader(
        config=kind.from_json(stored["config"]),
        attributes=AttributeTable.from_json(table, table_path),
        image_shape=tuple(shapes["image_shape"]),
        num_classes=shapes["num_classes"],
    )


def read_manifest(zoo_dir: artifacts.Path) -> list[ClassifierRecord]:
    """Reads the manifest, sorted by id; of two lines for one id the later counts."""
    rows = artifacts.read_json_lines(pathlib.Path(zoo_dir) / MANIFEST_NAME)
    records = {row["id"]: ClassifierRecord.from_json(row) for row in rows}
    return [records[key] for key in sorted(records)]


def prepare(header: ZooHeader) -> None:
    """Makes a zoo's folder ready to build in, or to go on building in.

    The caller holds the folder's lock.

    Args:
        header: Of the zoo; nothing in its config is left open.

    Raises:
        UserError: If a zoo with other settings is there.
    """
    config = header.config
    folder = pathlib.Path(config.zoo_dir)
    if (folder / CONFIG_NAME).exists():
        _check_same(folder, read_header(folder), header)
    elif (folder / MANIFEST_NAME).exists():
        raise UserError(
            f"{folder} holds a manifest without its {CONFIG_NAME}. Choose another "
            "folder, or delete this one."
        )
    classifiers = folder / CLASSIFIERS_FOLDER
    classifiers.mkdir(exist_ok=True)
    for place in (folder, classifiers):
        artifacts.remove_incomplete(place)
    artifacts.mend_json_lines(folder / MANIFEST_NAME)
    header.write(folder)


def _check_same(folder: pathlib.Path, stored: ZooHeader, header: ZooHeader) -> None:
    """Raises `UserError` if a zoo cannot be continued as another one."""
    if type(stored.config) is not type(header.config):
        raise UserError(
            f"{folder} holds a zoo that was {_say_kind(stored)}. Received: one to be "
            f"{_say_kind(header)}. Choose another --zoo_dir."
        )
    for name, received in header.config.to_json().items():
        wanted = getattr(stored.config, name)
        if name not in _FREE_FIELDS and received != wanted:
            raise UserError(
                f"The zoo in {folder} is built with --{name}={wanted}. Received: "
                f"{name}={received}. Give the same value to continue it, or "
                "another --zoo_dir."
            )
    before = stored.attributes.attributes
    now = header.attributes.attributes
    shapes = (stored.image_shape, stored.num_classes)
    if now[: len(before)] != before or shapes != (
        header.image_shape,
        header.num_classes,
    ):
        raise UserError(
            f"The zoo in {folder} has the attributes {stored.attributes.names}, images "
            f"of shape {shapes[0]} and {shapes[1]} classes. Received: a design with "
            f"{header.attributes.names}, {header.image_shape} and "
            f"{header.num_classes}, or with other values. Attributes can be appended "
            "and nothing else; choose another --zoo_dir."
        )


def _say_kind(header: ZooHeader) -> str:
    return "imported" if isinstance(header.config, ImportConfig) else "built"


def add_record(zoo_dir: artifacts.Path, record: ClassifierRecord) -> None:
    """Appends a record to the manifest and flushes it to disk."""
    path = pathlib.Path(zoo_dir) / MANIFEST_NAME
    artifacts.append_json_line(path, record.to_json())


def is_whole(zoo_dir: artifacts.Path, record: ClassifierRecord) -> bool:
    """Says whether a recorded classifier needs no training.

    Of an accepted one, the file must be there.
    """
    path = classifier_path(zoo_dir, record)
    return record.status != ACCEPTED or (
        path.exists() and path.stat().st_size == record.num_bytes
    )
