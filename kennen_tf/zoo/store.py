"""The zoo on disk, for reading; with what `header.py` and `manifest.py` hold of it.

zoo_dir/
  config.json          settings, schema version, versions, command; written first
  attributes.json      the attribute table
  manifest.jsonl       one line per classifier, accepted or rejected, as they end
  classifiers/<id>.keras
  images.npz           validation images, if it was imported
"""

import functools
import pathlib
from collections.abc import Collection
from typing import TYPE_CHECKING

from kennen_tf.attributes import Facts, Values
from kennen_tf.configs.importing import ImportConfig
from kennen_tf.designs import design as design_lib
from kennen_tf.designs.design import Design
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo.header import (
    ATTRIBUTES_NAME,
    CONFIG_NAME,
    ZooHeader,
    add_processors,
    prepare,
    read_header,
)
from kennen_tf.zoo.manifest import (
    ACCEPTED,
    CLASSIFIERS_FOLDER,
    FAILED,
    MANIFEST_NAME,
    PACKED_MANIFEST_NAME,
    REJECTED,
    ClassifierRecord,
    add_record,
    classifier_path,
    fingerprint_of,
    is_whole,
    manifest_path,
    read_manifest,
)

if TYPE_CHECKING:
    import keras

__all__ = [
    "ACCEPTED",
    "ATTRIBUTES_NAME",
    "CLASSIFIERS_FOLDER",
    "CONFIG_NAME",
    "FAILED",
    "IMAGES_NAME",
    "MANIFEST_NAME",
    "PACKED_MANIFEST_NAME",
    "REJECTED",
    "ClassifierRecord",
    "Zoo",
    "ZooHeader",
    "add_processors",
    "add_record",
    "classifier_path",
    "fingerprint_of",
    "is_whole",
    "manifest_path",
    "prepare",
    "read_header",
    "read_manifest",
]

IMAGES_NAME = "images.npz"


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
        header: ZooHeader,
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

    def values_of(self, members: Collection[ClassifierRecord]) -> Values:
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

    def check_has_classifiers(self, method: str) -> None:
        """Raises `UserError` if a package has only what is said of them."""
        if not (self.zoo_dir / CLASSIFIERS_FOLDER).is_dir():
            raise UserError(
                f"{method} needs a zoo's classifiers, and a package has their answers "
                f"only. Received: {self.zoo_dir}, without them. Name the zoo itself "
                "with --zoo_dir."
            )

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
