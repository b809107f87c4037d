"""The folder of an imported zoo: written as a whole, and added to.

What is written is put together in a folder within the zoo's, and moved out of it, the
config last: a killed import leaves nothing that looks like a zoo.
"""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Sequence

import numpy as np

from kennen_tf.configs.importing import ImportConfig
from kennen_tf.imports.import_rows import ImportRow
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.labeled_images import ValidationImages
from kennen_tf.zoo import store
from kennen_tf.zoo.store import ClassifierRecord, Zoo, ZooHeader

_WORK_FOLDER = ".incomplete"
_LOCK_NAME = ".lock"
# What decides the images of a zoo, and so what classifiers answered.
_DECIDING_FIELDS = ("images", "image_size", "num_images", "resize")


def open_zoo(config: ImportConfig) -> Zoo | None:
    """Opens the imported zoo that may grow, if there is one.

    Raises:
        UserError: If the folder holds anything else, or a zoo with other images.
    """
    folder = pathlib.Path(config.zoo_dir)
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if store.CONFIG_NAME not in names:
        # A killed import leaves its work folder, maybe with some files moved out.
        if names - {_LOCK_NAME} and _WORK_FOLDER not in names:
            raise UserError(
                "--zoo_dir must be a new or empty folder, or hold an imported zoo. "
                f"Received: {folder}, which holds {sorted(names)[:3]}."
            )
        return None
    zoo = Zoo.open(folder)
    if not isinstance(zoo.config, ImportConfig):
        raise UserError(
            f"--zoo_dir must be a new folder, or hold an imported zoo. Received: "
            f"{folder}, a zoo that build_zoo made."
        )
    for name in _DECIDING_FIELDS:
        wanted, received = getattr(zoo.config, name), getattr(config, name)
        if wanted != received:
            raise UserError(
                f"The zoo in {folder} was imported with --{name}={wanted}. Received: "
                f"{name}={received}. Give the same value to add to it, or another "
                "--zoo_dir."
            )
    return zoo


def find_new(zoo: Zoo, rows: Sequence[ImportRow]) -> list[ImportRow]:
    """Returns the rows that a zoo lacks.

    Raises:
        UserError: If it has others, or a row says something else than the zoo.
    """
    records = {record.id: record for record in zoo.records}
    gone = sorted(set(records) - {row.name for row in rows})
    if gone:
        raise UserError(
            f"A CSV for the zoo in {zoo.zoo_dir} must name all {len(records)} "
            f"classifiers in it. Received: one without {len(gone)}, e.g. {gone[0]}. "
            "Choose another --zoo_dir."
        )
    for row in rows:
        for name in ("sha256", "group", "pixels", "outputs", "values"):
            record = records.get(row.name)
            if record and getattr(row, name) != getattr(record, name):
                raise UserError(
                    f"{row.where} must say of {row.name} what the zoo in {zoo.zoo_dir} "
                    f"says: {name} {getattr(record, name)}. Received: "
                    f"{getattr(row, name)}. Choose another --zoo_dir."
                )
    known = {record.sha256: record.id for record in zoo.records if record.sha256}
    new = [row for row in rows if row.name not in records]
    for row in new:
        if row.sha256 in known:
            raise UserError(
                f"{row.where}: each classifier may be there once. Received: "
                f"{row.file}, which the zoo in {zoo.zoo_dir} has as "
                f"{known[row.sha256]}."
            )
    return new


def check_unchanged(config: ImportConfig, zoo: Zoo | None) -> None:
    """Raises `UserError` if another process has imported since a zoo was opened."""
    now = open_zoo(config)
    if (now and now.fingerprint) != (zoo and zoo.fingerprint):
        raise UserError(
            f"Another process must not import to {config.zoo_dir} at the same time. "
            "Received: a zoo that has changed meanwhile. Run this again."
        )


def write(
    config: ImportConfig,
    header: ZooHeader,
    images: ValidationImages,
    records: Sequence[ClassifierRecord],
) -> None:
    """Writes a zoo; the caller holds the lock of its folder, which holds none.

    Raises:
        UserError: If a file to be copied changes meanwhile.
    """
    folder = pathlib.Path(config.zoo_dir)
    work = folder / _WORK_FOLDER
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    with open(work / store.IMAGES_NAME, "wb") as file:
        np.savez(file, images=images.images, labels=images.labels)
    _write_manifest(work, _put(work, config, records))
    header.write(work)
    names = sorted(path.name for path in work.iterdir())
    for name in sorted(names, key=lambda name: name == store.CONFIG_NAME):
        if (folder / name).is_dir():  # Of a killed import.
            shutil.rmtree(folder / name)
        os.replace(work / name, folder / name)
    work.rmdir()


def add(zoo: Zoo, config: ImportConfig, records: Sequence[ClassifierRecord]) -> None:
    """Adds classifiers to a zoo; the caller holds the lock of its folder."""
    added = _put(zoo.zoo_dir, config, records)
    _write_manifest(zoo.zoo_dir, [*zoo.records, *added])


def load_images(zoo: Zoo) -> ValidationImages:
    """Returns the images that the classifiers of an imported zoo are asked about."""
    with np.load(zoo.zoo_dir / store.IMAGES_NAME, allow_pickle=False) as stored:
        return ValidationImages(images=stored["images"], labels=stored["labels"])


def _write_manifest(folder: pathlib.Path, records: Sequence[ClassifierRecord]) -> None:
    lines = [artifacts.canonical_json(record.to_json()) + "\n" for record in records]
    with artifacts.atomic_path(folder / store.MANIFEST_NAME) as temporary:
        temporary.write_text("".join(lines))


def _put(
    folder: pathlib.Path, config: ImportConfig, records: Sequence[ClassifierRecord]
) -> list[ClassifierRecord]:
    """Copies files of classifiers if that is wanted; returns records that say so."""
    if not config.copy:
        return list(records)
    (folder / store.CLASSIFIERS_FOLDER).mkdir(exist_ok=True)
    return [_copy(folder, record) if record.sha256 else record for record in records]


def _copy(folder: pathlib.Path, record: ClassifierRecord) -> ClassifierRecord:
    source = pathlib.Path(record.file)
    file = f"{store.CLASSIFIERS_FOLDER}/{record.id}{source.suffix}"
    target = folder / file
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)  # Of a killed import.
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
    if store.fingerprint_of(target) != record.sha256:
        raise UserError(
            f"{source} must not change while it is imported. Received: another "
            "content than a moment ago. Import it once its training has ended."
        )
    return dataclasses.replace(record, file=file)
