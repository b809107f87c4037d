"""Classifiers to import, as a CSV lists them: each once, with its values."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterable, Sequence

from kennen_tf.attributes import AttributeTable, Values
from kennen_tf.configs.revealing import OUTPUTS, PIXELS
from kennen_tf.imports import classifier_sheets
from kennen_tf.imports.classifier_sheets import Row
from kennen_tf.vocabulary.artifacts import Path
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import store

FILE = "file"
# More columns that are no attributes; an empty cell is the first choice.
_CHOICES = {"pixels": PIXELS, "outputs": OUTPUTS}
_OWN_COLUMNS = (FILE, *classifier_sheets.WHO, *_CHOICES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportRow:
    """A classifier to import.

    Attributes:
        where: Line of the CSV, for messages.
        file: Absolute path, or "module:function".
        sha256: Of the file or folder; empty for a function, or if there is none.
        name, group, pixels, outputs, values: As those of `ClassifierRecord`.
    """

    where: str
    file: str
    sha256: str
    name: str
    group: str
    pixels: str
    outputs: str
    values: Values

    @property
    def is_missing(self) -> bool:
        """Whether there is neither such a file or folder, nor is it a function."""
        return not self.sha256 and os.path.isabs(self.file)


def read(
    path: Path, table: AttributeTable | None = None
) -> tuple[AttributeTable, list[ImportRow]]:
    """Reads a CSV of classifiers; none of them is opened.

    Args:
        path: The CSV. Its columns: `file`, relative to the CSV; attributes; and, if
            wanted, name, group, pixels and outputs.
        table: What the columns must be; None: what they are.

    Returns:
        The attribute table, and a row for each line.

    Raises:
        UserError: If the CSV is not as above, or a file, its contents or a name is
            there twice. Files that are not there are told when all are opened.
    """
    sheet = classifier_sheets.read_sheet(path, _OWN_COLUMNS, (FILE,))
    table = table or sheet.make_table()
    values = sheet.read_values(table)
    choices = [_read_choices(row) for row in sheet.rows]
    files = [_find(sheet.path.parent, row.cells[FILE]) for row in sheet.rows]
    classifier_sheets.refuse_doubled(sheet.rows, files, "file", FILE)
    hashes = [
        store.fingerprint_of(pathlib.Path(file)) if os.path.exists(file) else ""
        for file in files
    ]
    contents = [sha256 or file for sha256, file in zip(hashes, files, strict=True)]
    classifier_sheets.refuse_doubled(sheet.rows, contents, "file with a content", FILE)
    who = sheet.read_who(_default_names(files))
    rows = [
        ImportRow(
            where=row.where,
            file=file,
            sha256=sha256,
            name=name,
            group=group,
            values=own_values,
            **choice,
        )
        for row, file, sha256, (name, group), own_values, choice in zip(
            sheet.rows, files, hashes, who, values, choices, strict=True
        )
    ]
    return table, rows


def refuse_any(problems: Iterable[str]) -> None:
    """Raises `UserError` with all problems, if there are any."""
    found = list(problems)
    if found:
        raise UserError(
            "Every classifier must be one that can be imported. Received: "
            f"{len(found)} that cannot, and nothing was written. {'; '.join(found)}."
        )


def _read_choices(row: Row) -> dict[str, str]:
    chosen = {}
    for name, choices in _CHOICES.items():
        chosen[name] = row.cells.get(name) or choices[0]
        if chosen[name] not in choices:
            raise UserError(
                f"{row.where}: {name} must be one of {choices}. Received: "
                f"{chosen[name]!r}."
            )
    return chosen


def _find(folder: pathlib.Path, cell: str) -> str:
    """Returns a function's name, or the absolute path of what may be there."""
    path = folder / pathlib.Path(cell).expanduser()
    module, colon, function = cell.partition(":")
    dotted = module.split(".") + function.split(".")
    if colon and not path.exists() and all(part.isidentifier() for part in dotted):
        return cell
    # The folder itself is no classifier: an empty cell is as good as a missing file.
    return str(path.resolve() if cell else path.absolute() / "(nothing)")


def _default_names(files: Sequence[str]) -> list[str]:
    """Returns the stems of files, or of functions; if they differ not, with folders."""
    parts = [
        pathlib.PurePath(file).with_suffix("").parts[-2:]
        if os.path.isabs(file)
        else tuple(file.replace(":", ".").split(".")[-2:])
        for file in files
    ]
    stems = collections.Counter(part[-1] for part in parts)
    return ["-".join(p) if stems[p[-1]] > 1 else p[-1] for p in parts]
