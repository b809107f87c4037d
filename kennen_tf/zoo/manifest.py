"""The manifest of a zoo: a line for each classifier, and where its file is.

A classifier is whole once its line is in the manifest: its file is written under a
temporary name, renamed, and only then recorded.
"""

import dataclasses
import pathlib
import sys
from typing import Any

from kennen_tf.attributes import SharedValues, Values
from kennen_tf.vocabulary import artifacts
from kennen_tf.zoo.specs import ClassifierSpec

MANIFEST_NAME = "manifest.jsonl"
# Of a zoo in a package, which nothing is added to.
PACKED_MANIFEST_NAME = "manifest.jsonl.gz"
CLASSIFIERS_FOLDER = "classifiers"
ACCEPTED, REJECTED, FAILED = "accepted", "rejected", "failed"

# Of a record, what only those of imported classifiers say.
_IMPORTED_FIELDS = ("name", "group", "file", "pixels", "outputs", "image_size")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
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
    def from_json(
        cls, values: dict[str, Any], shared: SharedValues | None = None
    ) -> "ClassifierRecord":
        """Makes a record of what `to_json` returned.

        Args:
            values: What was read.
            shared: Of records that were read before, for those that have the same.
        """
        shared = shared or SharedValues()
        spec = values["spec"]
        if spec is not None:
            spec = ClassifierSpec.from_record(values["id"], spec, shared)
        fields = {k: v for k, v in values.items() if k not in ("id", "spec")}
        if fields.get("values"):
            fields["values"] = shared.find(fields["values"])
        for name in ("status", "reason"):
            fields[name] = sys.intern(fields[name])
        return cls(spec=spec, **fields)


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


def manifest_path(zoo_dir: artifacts.Path) -> pathlib.Path:
    """Returns where the manifest of a zoo is."""
    path = pathlib.Path(zoo_dir) / MANIFEST_NAME
    packed = pathlib.Path(zoo_dir) / PACKED_MANIFEST_NAME
    return packed if packed.exists() and not path.exists() else path


def read_manifest(zoo_dir: artifacts.Path) -> list[ClassifierRecord]:
    """Reads the manifest, sorted by id; of two lines for one id the later counts."""
    rows = artifacts.iterate_json_lines(manifest_path(zoo_dir))
    shared = SharedValues()
    records = {row["id"]: ClassifierRecord.from_json(row, shared) for row in rows}
    return [records[key] for key in sorted(records)]


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
