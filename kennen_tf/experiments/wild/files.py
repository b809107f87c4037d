"""A folder of other people's classifiers, and a truth.csv of what is inside of them.

    truth.csv     a line for each: `file` beside it; `id`, if that is not its name; and
                  columns named as attributes of the zoo: act, conv, pool, alg, ...
    outputs.npz   of those whose file cannot be had: by `id`, probabilities
                  `(n, classes)` of the first n validation images; need not be there

Columns that it may have besides: `same_as`, ids with the same weights, which count once
together; `trained_on`, of which those of other images than the zoo's are strangers, and
those of "nothing" are passed over. A cell may say more than a value ("yes: max 2", "32
64 64"); an empty one is not known, and counts nowhere.
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence

from kennen_tf.attributes import Attribute, AttributeTable, Value
from kennen_tf.vocabulary import artifacts, sheets
from kennen_tf.vocabulary.errors import UserError

TRUTH_NAME, OUTPUTS_NAME = "truth.csv", "outputs.npz"
_NO_WEIGHTS = "nothing"
# Of several layers, they are those of the first.
_OF_THE_FIRST = ("filters", "units")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A line of a truth.csv.

    Attributes:
        id: Its name.
        path: Of the file or folder; None if it cannot be had.
        network: Id of the first file with these weights.
        cells: What is known of it, by column; no empty ones.
    """

    id: str
    path: pathlib.Path | None
    network: str
    cells: Mapping[str, str]

    def is_stranger(self, dataset: str) -> bool:
        """Whether it was trained on other images than a zoo's."""
        return self.cells.get("trained_on", dataset) != dataset

    def number(self, name: str) -> int | None:
        """Returns a whole number that a cell holds, whatever it is."""
        text = self.cells.get(name, "")
        return int(text) if text.isdecimal() else None

    def value(self, attribute: Attribute) -> Value | None:
        """Returns its value of an attribute; None if it is not known, or another."""
        words = re.split(r"[^\w.-]+", self.cells.get(attribute.name, ""))
        if attribute.name in _OF_THE_FIRST:
            words = words[:1]
        named = {own for own in attribute.values if str(own) in words}
        return named.pop() if len(named) == 1 else None


def read_files(folder: artifacts.Path, table: AttributeTable) -> list[PublishedFile]:
    """Reads a truth.csv; files without trained weights are left out.

    Args:
        folder: That it is in.
        table: Attributes of the zoo: one of them or more must be a column.

    Raises:
        UserError: If there is none, or it is not as it should be.
    """
    path = pathlib.Path(folder) / TRUTH_NAME
    read = sheets.read_rows(
        path,
        f"--files_dir must be a folder with a {TRUTH_NAME}: a line for each "
        "classifier, `file` and columns named as attributes.",
    )
    rows = [{name: cell for name, cell in row.items() if cell} for row in read]
    columns = {key for row in rows for key in row}
    ids = [row.get("id") or row.get("file", "") for row in rows]
    if not columns & {*table.names} or not all(ids) or len({*ids}) < len(ids):
        raise UserError(
            f"{path} must have a line for each classifier, each with an `id` or `file` "
            f"of its own, and columns named as attributes: {', '.join(table.names)}. "
            f"Received: {len(rows)} lines, columns {sorted(columns)}."
        )
    networks = _find_networks(ids, rows)
    return [
        PublishedFile(
            id=own,
            path=_find_path(path.parent, row.get("file", "")),
            network=networks[own],
            cells=row,
        )
        for own, row in zip(ids, rows, strict=True)
        if row.get("trained_on") != _NO_WEIGHTS
    ]


def fingerprint(folder: artifacts.Path) -> str:
    """Names what is in a folder of files: what is known, and how large each is."""
    path = pathlib.Path(folder)
    sizes = sorted(
        (str(own.relative_to(path)), own.stat().st_size)
        for own in path.rglob("*")
        if own.is_file()
    )
    truth = path / TRUTH_NAME
    return artifacts.fingerprint(
        [sizes, artifacts.sha256_of_file(truth) if truth.exists() else ""]
    )


def merge(files: Sequence[PublishedFile]) -> PublishedFile:
    """Returns files of the same weights as one, with what any of them says."""
    cells: dict[str, str] = {}
    for file in reversed(files):
        cells |= {key: value for key, value in file.cells.items() if value}
    return dataclasses.replace(files[0], cells=cells)


def _find_networks(
    ids: Sequence[str], rows: Sequence[Mapping[str, str]]
) -> dict[str, str]:
    """Returns the first id with the weights of each."""
    networks: dict[str, str] = {}
    for own, row in zip(ids, rows, strict=True):
        same = [own, *re.split(r"[\s,;]+", row.get("same_as", ""))]
        first = next((networks[other] for other in same if other in networks), own)
        networks |= {other: first for other in same if other}
    return networks


def _find_path(folder: pathlib.Path, name: str) -> pathlib.Path | None:
    path = folder / name
    return path if name and path.exists() else None
