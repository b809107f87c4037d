"""The user's own classifiers: a manifest.json that names `.keras` files.

    {"schema_version": 1, "classifiers": [
      {"name": "lite0", "family": "efficientnet_lite", "file": "lite0.keras"},
      {"name": "mine", "family": "vgg", "file": "sub/mine.keras",
       "outputs": "probabilities", "pixels": "unit", "image_size": 224}]}

`file` is relative to the manifest. What may be left out: `outputs` ("logits" or
"probabilities"; default "logits"), `pixels` ("byte", 0 to 255, or "unit", 0 to 1;
default "byte"), and `image_size`, which only models that take any size need.
"""

import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from kennen_tf.imagenet.classifiers import keras_files, names
from kennen_tf.imagenet.classifiers.family_classifier import Families, FamilyClassifier
from kennen_tf.keras_models import archives, pixel_models
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1

_REQUIRED = ("name", "family", "file")
_CHOICES = {"outputs": pixel_models.OUTPUTS, "pixels": pixel_models.PIXELS}
_OPTIONAL = (*_CHOICES, "image_size")


def write_manifest(
    path: artifacts.Path, rows: Sequence[Mapping[str, Any]]
) -> pathlib.Path:
    """Writes a manifest, atomically.

    Args:
        path: The file; its folder must exist.
        rows: What is said of each classifier, as in the module's docstring.

    Returns:
        `path`.

    Raises:
        UserError: If a row lacks a key, or has an unknown one or a value that is not
            allowed.
    """
    path = pathlib.Path(path)
    for number, row in enumerate(rows, start=1):
        _check_row(f"{path}, classifier {number}", row)
    content = {"schema_version": SCHEMA_VERSION, "classifiers": list(map(dict, rows))}
    artifacts.write_json(path, content)
    return path


def open_manifest(path: artifacts.Path) -> Families:
    """Reads a manifest and the heads of its files.

    Args:
        path: The manifest.

    Returns:
        The classifiers of each family, in the order of the manifest.

    Raises:
        UserError: If the manifest or a file is missing or not as it should be, two
            classifiers have the same name or the same file, or they tell different
            numbers of classes apart.
    """
    path = pathlib.Path(path)
    classifiers = [_make_classifier(path, row) for row in _read_rows(path)]
    families: dict[str, list[FamilyClassifier]] = {}
    for classifier in classifiers:
        families.setdefault(classifier.family, []).append(classifier)
    result = {family: tuple(own) for family, own in families.items()}
    names.check_names(result)
    _check_classes(path, classifiers)
    _check_files(path, classifiers)
    return result


def _read_rows(path: pathlib.Path) -> list[Mapping[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"A {MANIFEST_NAME} is needed. Received: {path} ({error.strerror})."
        ) from error
    except ValueError as error:
        raise UserError(f"{path} must be JSON. Received: {error}.") from error
    wanted = f'{{"schema_version": {SCHEMA_VERSION}, "classifiers": [...]}}'
    if not isinstance(content, dict) or {*content} != {"schema_version", "classifiers"}:
        came = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise UserError(f"{path} must be of the form {wanted}. Received: {came}.")
    artifacts.check_schema(content, SCHEMA_VERSION, path)
    rows = content["classifiers"]
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path} must list one classifier or more. Received: {rows}.")
    for number, row in enumerate(rows, start=1):
        _check_row(f"{path}, classifier {number}", row)
    return rows


def _check_row(where: str, row: Any) -> None:
    if not isinstance(row, Mapping):
        raise UserError(f"{where}, must be an object. Received: {row!r}.")
    where = f"{where} ({row['name']})" if "name" in row else where
    missing = [key for key in _REQUIRED if key not in row]
    unknown = sorted(set(row) - {*_REQUIRED, *_OPTIONAL})
    if missing or unknown:
        raise UserError(
            f"{where}, must have the keys {', '.join(_REQUIRED)}, and may have "
            f"{', '.join(_OPTIONAL)}. Missing: {missing}; unknown: {unknown}."
        )
    for key in _REQUIRED:
        if not isinstance(row[key], str) or not row[key].strip():
            raise UserError(f"{where}: {key} must be a text. Received: {row[key]!r}.")
    for key, choices in _CHOICES.items():
        if key in row and row[key] not in choices:
            raise UserError(
                f"{where}: {key} must be one of {choices}. Received: {row[key]!r}."
            )
    size = row.get("image_size", 1)
    if type(size) is not int or size < 1:
        raise UserError(f"{where}: image_size must be 1 or more. Received: {size!r}.")


def _make_classifier(path: pathlib.Path, row: Mapping[str, Any]) -> FamilyClassifier:
    file = path.parent / row["file"]
    if not file.is_file():
        raise UserError(
            f"{path} names {row['file']}, the file of {row['name']}, and there is no "
            f"{file}. Paths in a manifest are relative to it."
        )
    name = f"{row['name']} ({file})"
    settings = {key: row[key] for key in _OPTIONAL if key in row}
    inputs, outputs = keras_files.read_shapes(name, file)
    # The same file, used in another way, gives other logits.
    identity = " ".join(
        [artifacts.sha256_of_file(file)]
        + [f"{key}={value}" for key, value in sorted(settings.items())]
    )
    return FamilyClassifier(
        family=row["family"],
        name=row["name"],
        image_size=pixel_models.find_image_size(
            name, inputs, settings.get("image_size", 0)
        ),
        num_classes=pixel_models.find_num_classes(name, outputs),
        identity=identity,
        twin=archives.fingerprint(file),
        opener=functools.partial(
            keras_files.open_keras_file, row["name"], file, **settings
        ),
    )


def _check_classes(path: pathlib.Path, classifiers: Sequence[FamilyClassifier]) -> None:
    first = classifiers[0]
    for classifier in classifiers:
        if classifier.num_classes != first.num_classes:
            raise UserError(
                f"Classifiers in {path} must tell the same classes apart. Received: "
                f"{first.num_classes} of {first.name}, {classifier.num_classes} of "
                f"{classifier.name}."
            )


def _check_files(path: pathlib.Path, classifiers: Sequence[FamilyClassifier]) -> None:
    """One of two twins, held out, would be known from the other."""
    names: dict[str, str] = {}
    for classifier in classifiers:
        other = names.setdefault(classifier.twin or classifier.content, classifier.name)
        if other != classifier.name:
            raise UserError(
                f"Classifiers in {path} must be different ones. Received: {other} and "
                f"{classifier.name}, files with the same content. Remove one of them."
            )
