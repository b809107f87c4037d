"""Reads a CSV of classifiers: a line for each, and a column for each attribute."""

import csv
import dataclasses
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

from kennen_tf.attributes import AttributeTable, Values
from kennen_tf.imports import attribute_columns
from kennen_tf.vocabulary.artifacts import Path
from kennen_tf.vocabulary.errors import UserError

# TensorFlow names operations, TFDS features and Keras layers after attributes; these
# are what their records and layers have besides.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_TAKEN = ("id", "combination_id", "members", "accuracy", "probabilities", "logits")
# Columns that say who a classifier is; both may be left out.
WHO = NAME, GROUP = "name", "group"
# Files are named after classifiers, and ensembles after their members.
_NOT_IN_NAMES = "/\\+\0"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A line of a CSV.

    Attributes:
        where: Path and line, for messages.
        cells: Text of each column, without blanks around it.
    """

    where: str
    cells: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sheet:
    """A CSV of classifiers.

    Attributes:
        path: Of the file.
        names: Columns that are attributes, in its order.
        rows: Its lines but for the first.
    """

    path: pathlib.Path
    names: tuple[str, ...]
    rows: tuple[Row, ...]

    def make_table(self) -> AttributeTable:
        """Makes an attribute of each column, with the values that are there.

        Numbers ascend, texts are in alphabetical order. Empty cells are unknown values.

        Raises:
            UserError: If a column has fewer than two values.
        """
        columns = {name: self._known(name) for name in self.names}
        poor = [
            f"{name} ({column[0] if column else 'empty'})"
            for name, column in columns.items()
            if len(attribute_columns.distinct_values(column)) < 2
        ]
        if poor:
            raise UserError(
                f"Each column of attributes in {self.path} must have two values or "
                f"more: one tells nothing. Received: {'; '.join(poor)}. Leave "
                f"{'it' if len(poor) == 1 else 'them'} out."
            )
        return AttributeTable(
            attribute_columns.make_attribute(n, c) for n, c in columns.items()
        )

    def read_values(self, table: AttributeTable) -> list[Values]:
        """Returns the values of each row, None where a cell is empty.

        Raises:
            UserError: If the columns are not the table's attributes, or a cell holds
                none of the values; names the line.
        """
        if set(table.names) != set(self.names):
            raise UserError(
                f"{self.path} must have a column for each of the attributes "
                f"{list(table.names)} and no others. Received: {list(self.names)}."
            )
        return [
            {
                a.name: attribute_columns.find_value(a, row.cells[a.name], row.where)
                for a in table
            }
            for row in self.rows
        ]

    def read_who(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """Returns the name and the group of each row; a group is a name by default.

        Args:
            names: Those of rows without one.

        Raises:
            UserError: If a name is there twice or cannot be one of a file.
        """
        own = [
            row.cells.get(NAME) or name
            for row, name in zip(self.rows, names, strict=True)
        ]
        refuse_doubled(self.rows, own, NAME)
        for row, name in zip(self.rows, own, strict=True):
            if set(name) & set(_NOT_IN_NAMES) or name.startswith("."):
                raise UserError(
                    f"{row.where}: a name must do as that of a file: no / \\ +, no "
                    f"dot in front. Received: {name!r}."
                )
        pairs = zip(self.rows, own, strict=True)
        return [(name, row.cells.get(GROUP) or name) for row, name in pairs]

    def _known(self, name: str) -> list[str]:
        return [row.cells[name] for row in self.rows if row.cells[name]]


def read_sheet(path: Path, own: Sequence[str], required: Sequence[str] = ()) -> Sheet:
    """Reads a CSV in UTF-8 with a header.

    Args:
        path: The file.
        own: Columns that are no attributes, if they are there.
        required: Which of them must be there.

    Raises:
        UserError: If it is no such file, has no header, no attribute or no line, or a
            line is too short or too long.
    """
    path = pathlib.Path(path)
    try:
        # utf-8-sig: spreadsheets begin files with a byte order mark.
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = [text.strip() for text in next(reader, [])]
            names = _check_header(path, header, own, required)
            rows = tuple(_read_rows(path, reader, header))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"A CSV in UTF-8 is wanted. Received: {path} ({error})."
        ) from error
    if not rows:
        raise UserError(
            f"{path} must have a line for each classifier. Received: a header alone."
        )
    return Sheet(path=path, names=names, rows=rows)


def refuse_doubled(
    rows: Sequence[Row], keys: Sequence[str], what: str, column: str = ""
) -> None:
    """Raises `UserError` if two rows have the same key; names both lines.

    Args:
        rows: The rows.
        keys: Of each.
        what: What the keys are.
        column: Whose cells the message shows; "": it shows the keys.
    """
    first: dict[str, Row] = {}
    for row, key in zip(rows, keys, strict=True):
        if key in first:
            shown = [r.cells.get(column, key) for r in (first[key], row)]
            raise UserError(
                f"Each line must have a {what} of its own. Received: the same in "
                f"{first[key].where} ({shown[0]}), and {row.where} ({shown[1]})."
            )
        first[key] = row


def _check_header(
    path: pathlib.Path, header: list[str], own: Sequence[str], required: Sequence[str]
) -> tuple[str, ...]:
    missing = [name for name in required if name not in header]
    names = tuple(name for name in header if name not in own)
    strange = [n for n in names if n in _TAKEN or not _NAME.fullmatch(n)]
    twice = sorted({name for name in header if header.count(name) > 1})
    if missing or strange or twice or not names:
        reason = (
            (missing and f"no column {', '.join(missing)}")
            or (strange and f"the columns {strange}")
            or (twice and f"{twice} twice")
            or "no column for an attribute"
        )
        raise UserError(
            f"The first line of {path} must be a header: "
            f"{''.join(f'{name}, ' for name in required)}names of attributes (letters "
            "first, then letters, digits and _ . -, and none of "
            f"{', '.join(_TAKEN)}), each once. Received: {reason}, in the line "
            f"{','.join(header)!r}."
        )
    return names


def _read_rows(
    path: pathlib.Path, reader: Iterator[list[str]], header: list[str]
) -> Iterator[Row]:
    for cells in reader:
        if not cells:  # An empty line.
            continue
        # Of a csv.reader, which mypy knows under a private name only.
        where = f"{path}, line {getattr(reader, 'line_num', 0)}"
        if len(cells) != len(header):
            raise UserError(
                f"{where} must have {len(header)} cells, as the header has. Received: "
                f"{len(cells)}."
            )
        texts = (cell.strip() for cell in cells)
        yield Row(where=where, cells=dict(zip(header, texts, strict=True)))
