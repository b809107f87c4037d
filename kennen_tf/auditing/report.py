"""The report of an audit: a page that stands alone, numbers, pictures.

report_dir/
  index.html     for people; pictures inside, nothing is fetched
  audit.json     all numbers, and how they came about
  defences.csv   a line for each defence and attacker
  *.png          the figures
"""

import base64
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from matplotlib.figure import Figure

from kennen_tf.auditing import audit_figures, audit_tables, recommending
from kennen_tf.auditing.audit_tables import Cells
from kennen_tf.auditing.audits import Audit
from kennen_tf.evaluation import figures
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

KIND = "leak audit"
SCHEMA_VERSION = 1
PAGE_NAME, JSON_NAME, CSV_NAME = "index.html", "audit.json", "defences.csv"
_CAPTIONS = {
    "attributes": "What answers give away of each attribute, in bits.",
    "queries": "What more queries tell.",
    "defences": "What defences leave, against what they cost.",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A further part of the page, of another audit.

    Attributes:
        name: Of its figure's file and of its key in the JSON.
        title: What stands above.
        tables: Its tables.
        notes: Sentences.
        figure: Its figure.
        caption: What that shows.
        numbers: All of it, for the JSON.
    """

    name: str
    title: str
    tables: tuple[Cells, ...]
    notes: tuple[str, ...]
    figure: Figure
    caption: str
    numbers: Mapping[str, Any]


def open_folder(report_dir: artifacts.Path) -> pathlib.Path:
    """Makes the folder of a report, or finds it.

    Raises:
        UserError: If it holds something else.
    """
    folder = pathlib.Path(report_dir)
    if folder.is_dir():
        is_ours = (folder / JSON_NAME).exists() or not any(
            not path.name.endswith(".answers.npz") for path in folder.iterdir()
        )
        if not is_ours:
            raise UserError(
                "--report_dir must be a new or empty folder, or hold a report of "
                f"before. Received: {folder}, which holds something else."
            )
    return artifacts.make_folder(folder)


def write(
    folder: pathlib.Path,
    audit: Audit | None,
    parts: Sequence[Part],
    config: Mapping[str, Any],
) -> pathlib.Path:
    """Writes a report; `audit.json` comes last.

    Args:
        folder: Whose.
        audit: Of a classifier; None if there are only parts.
        parts: What else was audited.
        config: Settings, as plain values.

    Returns:
        The page.
    """
    artifacts.remove_incomplete(folder)
    drawn = {} if audit is None else audit_figures.draw(audit)
    captions = {**_CAPTIONS, **{part.name: part.caption for part in parts}}
    drawn |= {part.name: part.figure for part in parts}
    for path in folder.glob("*.png"):
        if path.stem not in drawn:
            path.unlink()
    pictures = {}
    for name, figure in drawn.items():
        path = folder / f"{name}.png"
        figures.save_png(figure, path)
        data = base64.b64encode(path.read_bytes()).decode()
        pictures[name] = {
            "uri": f"data:image/png;base64,{data}",
            "caption": captions[name],
        }
    provenance = artifacts.provenance()
    _write_page(folder / PAGE_NAME, audit, parts, pictures, provenance)
    (folder / CSV_NAME).unlink(missing_ok=True)
    if audit is not None:
        artifacts.write_bytes(
            folder / CSV_NAME, audit_tables.to_csv(audit).encode("utf-8")
        )
    document: dict[str, Any] = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "config": dict(config),
        "provenance": provenance,
    }
    if audit is not None:
        document |= audit.to_json()
        document["recommendation"] = list(recommending.recommend(audit))
        document["front"] = [own.name for own in recommending.find_front(audit.tried)]
    document |= {part.name: dict(part.numbers) for part in parts}
    artifacts.write_json(folder / JSON_NAME, document, sort_keys=False)
    return folder / PAGE_NAME


def _write_page(
    path: pathlib.Path,
    audit: Audit | None,
    parts: Sequence[Part],
    pictures: Mapping[str, Mapping[str, str]],
    provenance: Mapping[str, Any],
) -> None:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kennen_tf.auditing"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    said: dict[str, Any] = {}
    if audit is not None:
        said = {
            "recommendation": recommending.recommend(audit),
            "findings": audit_tables.findings(audit),
            "counts": audit_tables.counts(audit),
            "defences": audit_tables.defences(audit),
            "alarms": audit_tables.alarms(audit),
        }
    text = environment.get_template(f"{PAGE_NAME}.jinja").render(
        audit=audit, parts=parts, pictures=pictures, provenance=provenance, **said
    )
    artifacts.write_bytes(path, text.encode("utf-8"))
