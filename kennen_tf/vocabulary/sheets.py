"""Small CSVs that people write: a line for each thing, columns by name."""

import csv
import pathlib

from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError


def read_rows(path: artifacts.Path, wanted: str) -> list[dict[str, str]]:
    """Reads the lines of a CSV, without blanks around names and cells.

    Args:
        path: Of the file.
        wanted: Sentence on what is wanted, for messages.

    Returns:
        Text of each column, "" where a line has none.

    Raises:
        UserError: If it cannot be read, or a line has more cells than there are
            columns.
    """
    path = pathlib.Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{wanted} Received: {path} ({error}).") from error
    for number, row in enumerate(rows, 2):
        if None in row:
            raise UserError(
                f"{path}, line {number}: must have a cell for each column, at most. "
                f"Received: {len(row[None])} more. Put cells with commas in quotes."
            )
    return [{k.strip(): (v or "").strip() for k, v in row.items() if k} for row in rows]
