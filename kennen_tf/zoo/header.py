"""What a zoo's config.json and attributes.json say, and whether it can be continued."""

import dataclasses
import pathlib
from collections.abc import Iterable

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.importing import ImportConfig
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo.manifest import CLASSIFIERS_FOLDER, MANIFEST_NAME

SCHEMA_VERSION = 1
CONFIG_NAME = "config.json"
ATTRIBUTES_NAME = "attributes.json"

_MAKE_WITH = "python -m kennen_tf.build_zoo --zoo_dir=..."
# What may differ when a zoo is continued: it does not change a classifier.
_FREE_FIELDS = (
    *("num_models", "zoo_dir", "workers", "specs"),
    *("max_failures", "retry_failed"),
)
# Zoos of before there were several designs do not say.
_FIRST_SHAPES = {"image_shape": [28, 28, 1], "num_classes": 10}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZooHeader:
    """What a zoo's config.json and attributes.json say.

    Attributes:
        config, attributes, image_shape, num_classes: As those of `Zoo`.
        processors: The kinds that its classifiers were trained on, sorted; empty if it
            was imported, or built before zoos said so. Weights differ in the last bits
            from one kind to another.
    """

    config: ZooConfig | ImportConfig
    attributes: AttributeTable
    image_shape: tuple[int, ...]
    num_classes: int
    processors: tuple[str, ...] = ()

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
            "processors": list(self.processors),
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
        processors=tuple(stored.get("processors", ())),
    )


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
        before = read_header(folder)
        _check_same(folder, before, header)
        header = dataclasses.replace(header, processors=before.processors)
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


def add_processors(zoo_dir: artifacts.Path, kinds: Iterable[str]) -> None:
    """Notes the kinds of processors that classifiers of a zoo are trained on."""
    header = read_header(zoo_dir)
    both = tuple(sorted({*header.processors, *kinds}))
    if both != header.processors:
        dataclasses.replace(header, processors=both).write(zoo_dir)


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
