"""The zoo on disk: its config, its manifest and its saved classifiers.

    zoo_dir/
      config.json          settings, schema version, versions, command; written first
      attributes.json      the attribute table
      manifest.jsonl       one line per classifier, accepted or rejected, as they end
      classifiers/<id>.keras

A classifier is whole once its line is in the manifest: its file is written under a
temporary name, renamed, and only then recorded.
"""

import dataclasses
import functools
import json
import os
import pathlib
import zipfile
from typing import TYPE_CHECKING, Any

from kennen_tf import artifacts, attributes
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.errors import UserError
from kennen_tf.zoo.specs import ClassifierSpec

if TYPE_CHECKING:
    import keras

SCHEMA_VERSION = 1
CONFIG_NAME = "config.json"
MANIFEST_NAME = "manifest.jsonl"
ATTRIBUTES_NAME = "attributes.json"
CLASSIFIERS_FOLDER = "classifiers"
ACCEPTED, REJECTED = "accepted", "rejected"

_MAKE_WITH = "python -m kennen_tf.build_zoo --zoo_dir=..."
# What may differ when a zoo is continued: it does not change a classifier.
_FREE_FIELDS = ("num_models", "zoo_dir", "workers", "threads", "specs")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierRecord:
    """One line of the manifest.

    Attributes:
        spec: What was trained.
        status: "accepted" or "rejected".
        reason: Why it was rejected; empty if it was not.
        accuracy: On the validation images, in [0, 1].
        num_params: Trainable parameters.
        epochs: Passes over the training data that were made.
        seconds: Time of training and validation.
        num_bytes: Size of the file; 0 if rejected (no file is kept).
        sha256: Of the file; empty if rejected.
    """

    spec: ClassifierSpec
    status: str
    reason: str
    accuracy: float
    num_params: int
    epochs: int
    seconds: float
    num_bytes: int = 0
    sha256: str = ""

    @property
    def id(self) -> str:
        return self.spec.id

    def to_json(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        return {**values, "spec": self.spec.to_json(), "id": self.id}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "ClassifierRecord":
        fields = {k: v for k, v in values.items() if k not in ("id", "spec")}
        return cls(spec=ClassifierSpec.from_json(values["spec"]), **fields)


class Zoo:
    """A zoo that is there, for reading.

    Attributes:
        zoo_dir: Its folder.
        config: The settings it is built with.
        records: All records, sorted by id.
    """

    def __init__(
        self,
        zoo_dir: artifacts.Path,
        config: ZooConfig,
        records: list[ClassifierRecord],
    ):
        self.zoo_dir = pathlib.Path(zoo_dir)
        self.config = config
        self.records = records

    @classmethod
    def open(cls, zoo_dir: artifacts.Path) -> "Zoo":
        """Opens a zoo.

        Raises:
            UserError: If there is none, or it is of another schema version or made
                with another attribute table.
        """
        config = read_config(zoo_dir)
        return cls(zoo_dir, config, read_manifest(zoo_dir))

    @property
    def accepted(self) -> list[ClassifierRecord]:
        """The records of the accepted classifiers, sorted by id."""
        return [record for record in self.records if record.status == ACCEPTED]

    @functools.cached_property
    def fingerprint(self) -> str:
        """Names the accepted classifiers, byte for byte."""
        return artifacts.fingerprint([[r.id, r.sha256] for r in self.accepted])

    def classifier_path(self, record: ClassifierRecord) -> pathlib.Path:
        return classifier_path(self.zoo_dir, record.spec)

    def check_classifier(self, record: ClassifierRecord) -> pathlib.Path:
        """Returns the path of an accepted classifier whose file is as recorded.

        Raises:
            UserError: If the file is missing or was changed.
        """
        path = self.classifier_path(record)
        if not path.exists() or artifacts.sha256_of_file(path) != record.sha256:
            raise UserError(
                f"{path} must be the file that the manifest records. It is missing "
                "or was changed. Run build_zoo again: it trains what is missing "
                "(delete the file first if it is damaged)."
            )
        return path

    def load_classifier(self, record: ClassifierRecord) -> "keras.Model":
        """Loads an accepted classifier.

        Returns:
            A Keras model from images, float32 `(batch, 28, 28, 1)` in [0, 1], to
            probabilities, float32 `(batch, 10)`.
        """
        import keras

        return keras.models.load_model(self.check_classifier(record), compile=False)


def classifier_path(zoo_dir: artifacts.Path, spec: ClassifierSpec) -> pathlib.Path:
    """Returns where a classifier is saved."""
    return pathlib.Path(zoo_dir) / CLASSIFIERS_FOLDER / f"{spec.id}.keras"


def read_config(zoo_dir: artifacts.Path) -> ZooConfig:
    """Reads and checks a zoo's config and attribute table."""
    path = pathlib.Path(zoo_dir) / CONFIG_NAME
    stored = artifacts.read_json(path, wanted="zoo", make_with=_MAKE_WITH)
    artifacts.check_schema(stored, SCHEMA_VERSION, path)
    table_path = path.with_name(ATTRIBUTES_NAME)
    table = artifacts.read_json(table_path, wanted="zoo", make_with=_MAKE_WITH)
    attributes.check_table(table, str(table_path))
    return ZooConfig.from_json(stored["config"])


def read_manifest(zoo_dir: artifacts.Path) -> list[ClassifierRecord]:
    """Reads the manifest, sorted by id; of two lines for one id the later counts."""
    rows = artifacts.read_json_lines(pathlib.Path(zoo_dir) / MANIFEST_NAME)
    records = {row["id"]: ClassifierRecord.from_json(row) for row in rows}
    return [records[key] for key in sorted(records)]


def prepare(config: ZooConfig) -> ZooConfig:
    """Makes a zoo's folder ready to build in, or to go on building in.

    The caller holds the folder's lock.

    Args:
        config: Settings; `compute_dtype` is not "auto".

    Returns:
        The settings to build with.

    Raises:
        UserError: If a zoo with other settings is there.
    """
    folder = pathlib.Path(config.zoo_dir)
    if (folder / CONFIG_NAME).exists():
        stored = read_config(folder)
        for name, received in config.to_json().items():
            wanted = getattr(stored, name)
            if name not in _FREE_FIELDS and received != wanted:
                raise UserError(
                    f"The zoo in {folder} is built with --{name}={wanted}. Received: "
                    f"{name}={received}. Give the same value to continue it, or "
                    "another --zoo_dir."
                )
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
    artifacts.write_json(folder / ATTRIBUTES_NAME, attributes.table())
    header = {
        "kind": "zoo",
        "schema_version": SCHEMA_VERSION,
        "config": config.to_json(),
        "provenance": artifacts.provenance(),
    }
    artifacts.write_json(folder / CONFIG_NAME, header)
    return config


def add_record(zoo_dir: artifacts.Path, record: ClassifierRecord) -> None:
    """Appends a record to the manifest and flushes it to disk."""
    path = pathlib.Path(zoo_dir) / MANIFEST_NAME
    artifacts.append_json_line(path, record.to_json())


def is_whole(zoo_dir: artifacts.Path, record: ClassifierRecord) -> bool:
    """Says whether a recorded classifier needs no training: its file is there."""
    path = classifier_path(zoo_dir, record.spec)
    return record.status == REJECTED or (
        path.exists() and path.stat().st_size == record.num_bytes
    )


def save_classifier(model: "keras.Model", path: artifacts.Path) -> None:
    """Saves a Keras model so that equal models give equal bytes.

    Keras writes the time of saving into the archive; here it is a constant.
    """
    with artifacts.atomic_path(path) as temporary:
        dated = temporary.with_name(f"{temporary.stem}-dated.keras")
        try:
            model.save(dated)
            _copy_without_dates(dated, temporary)
        finally:
            dated.unlink(missing_ok=True)


def _copy_without_dates(source: artifacts.Path, target: os.PathLike[str]) -> None:
    with zipfile.ZipFile(source) as dated, zipfile.ZipFile(target, "w") as undated:
        for name in sorted(dated.namelist()):
            content = dated.read(name)
            if name == "metadata.json":
                metadata = {**json.loads(content), "date_saved": "1980-01-01@00:00:00"}
                content = json.dumps(metadata, sort_keys=True).encode()
            undated.writestr(zipfile.ZipInfo(name), content)
