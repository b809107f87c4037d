"""Lists labelled image files: by a csv, or by one folder per class.

`keras.utils.image_dataset_from_directory` and `tfds.ImageFolder` know no csv, number
folders "0" to "10" by the alphabet, and keep no names: files could not be drawn before
they are decoded, nor perturbed images be called after them.
"""

import collections
import csv
import dataclasses
import pathlib
from collections.abc import Sequence

from kennen_tf.vocabulary.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
FILE, LABEL = COLUMNS = ("file", "label")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabeledFiles:
    """Image files and their labels, sorted by name.

    Attributes:
        names: Unique; as the csv has them, or the path below the folder.
        paths: Of the files.
        labels: 0-based classes.
        num_classes: As for `ImageSet`.
    """

    names: tuple[str, ...]
    paths: tuple[pathlib.Path, ...]
    labels: tuple[int, ...]
    num_classes: int = 0


def list_files(folder: pathlib.Path) -> LabeledFiles:
    """Lists the images of a folder.

    With a csv, which is the only one in the folder or has the folder's name and stands
    beside it: the column `file` is looked up relative to the csv, then to the folder,
    then anywhere below the folder by its name, if that is unique; the column `label`
    is the 0-based class; other columns are not read.

    Without a csv, each folder within is a class. Names that are all whole numbers are
    the labels themselves, each in one spelling. Otherwise the sorted order is the
    label, so the folder of every class must be there; `image_set.check_labels`
    compares their number.

    Raises:
        UserError: If there is no such folder or no image, or the csv is not as above.
    """
    if not folder.is_dir():
        raise UserError(
            "--images must be a folder with a csv of labels or one folder per class, "
            f"tfds:<name>, or mnist. Received: {str(folder)!r}, which is no folder."
        )
    tables = sorted(p for p in folder.glob("*.csv") if p.is_file())
    beside = folder.absolute().with_name(f"{folder.absolute().name}.csv")
    if not tables and beside.is_file():
        tables = [beside]
    if len(tables) > 1:
        raise UserError(
            f"One csv of labels is wanted in {folder}. Received: "
            f"{', '.join(p.name for p in tables)}. Move the others elsewhere."
        )
    rows = _read_csv(tables[0], folder) if tables else _read_classes(folder)
    if not rows.names:
        raise UserError(
            f"Labelled images are wanted: a csv with the columns file and label, or "
            f"one folder per class with {', '.join(SUFFIXES)} files. Received: "
            f"{tables[0] if tables else folder}, which has none."
        )
    order = sorted(range(len(rows.names)), key=rows.names.__getitem__)
    return LabeledFiles(
        names=tuple(rows.names[i] for i in order),
        paths=tuple(rows.paths[i] for i in order),
        labels=tuple(rows.labels[i] for i in order),
        num_classes=rows.num_classes,
    )


def _read_csv(table: pathlib.Path, folder: pathlib.Path) -> LabeledFiles:
    found: dict[str, pathlib.Path] = {}
    labels: dict[str, int] = {}
    finder = _Finder(table, folder)
    try:
        # utf-8-sig: spreadsheets begin files with a byte order mark.
        with open(table, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := set(COLUMNS) - set(reader.fieldnames or ()):
                raise UserError(
                    f"{table} must have the columns file and label. Received: "
                    f"{reader.fieldnames or 'nothing'}, without {sorted(missing)}."
                )
            for row in reader:
                where = f"{table}, line {reader.line_num}"
                name = row[FILE] or ""
                if name in found:
                    raise UserError(
                        f"{where}: each file may have one row. Received: {name!r} for "
                        "the second time."
                    )
                labels[name] = _read_label(row[LABEL], where)
                found[name] = finder.find(name, where)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"A csv in UTF-8 is wanted. Received: {table} ({error})."
        ) from error
    return LabeledFiles(
        names=tuple(found),
        paths=tuple(found.values()),
        labels=tuple(labels[name] for name in found),
    )


def _read_label(text: str | None, where: str) -> int:
    try:
        label = int(text or "")
    except ValueError:
        label = -1
    if label < 0:
        raise UserError(
            f"{where}: a label must be a 0-based class number. Received: {text!r}."
        )
    return label


class _Finder:
    """Finds the files that a csv names."""

    def __init__(self, table: pathlib.Path, folder: pathlib.Path):
        self._bases = (table.parent, folder)
        self._folder = folder
        self._below: dict[str, list[pathlib.Path]] | None = None

    def find(self, name: str, where: str) -> pathlib.Path:
        for base in self._bases:
            path = base / name
            if name and path.is_file():
                return path
        if self._below is None:  # Listed only if needed: it may take long.
            self._below = collections.defaultdict(list)
            for path in self._folder.rglob("*"):
                if path.suffix.lower() in SUFFIXES and path.is_file():
                    self._below[path.name].append(path)
        paths = self._below.get(name, [])
        if len(paths) != 1:
            received = f"{len(paths)} files of that name" if paths else "no such file"
            raise UserError(
                f"{where}: {name!r} must be a file relative to the csv or to "
                f"{self._folder}, or the name of one file below it. Received: "
                f"{received}."
            )
        return paths[0]


def _read_classes(folder: pathlib.Path) -> LabeledFiles:
    classes = sorted(
        p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")
    )
    are_numbers = all(p.name.isascii() and p.name.isdigit() for p in classes)
    if are_numbers:
        _check_numbers(folder, [p.name for p in classes])
    paths, labels = [], []
    for position, class_folder in enumerate(classes):
        for path in class_folder.rglob("*"):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                paths.append(path)
                labels.append(int(class_folder.name) if are_numbers else position)
    return LabeledFiles(
        names=tuple(path.relative_to(folder).as_posix() for path in paths),
        paths=tuple(paths),
        labels=tuple(labels),
        num_classes=0 if are_numbers else len(classes),
    )


def _check_numbers(folder: pathlib.Path, names: Sequence[str]) -> None:
    """Checks that no two folders are called by the same number."""
    by_number: dict[int, str] = {}
    for name in names:
        other = by_number.setdefault(int(name), name)
        if other != name:
            raise UserError(
                f"Folders named by numbers are classes, so each number may occur once "
                f"in {folder}. Received: {other!r} and {name!r}, both {int(name)}. "
                "Rename one, or put their images into one folder."
            )
