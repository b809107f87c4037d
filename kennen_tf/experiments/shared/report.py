"""The report on disk: a JSON and figures for each experiment, and two pages.

report_dir/
  NAME/result.json   all numbers of an experiment, and how they came about
  NAME/*.png         its figures
  index.html         every experiment run so far; stands alone, pictures inside
  README.md          the same, pictures beside
  runs/              the metamodels, see `runs.py`
"""

import base64
import pathlib
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from matplotlib.figure import Figure

from kennen_tf.attributes import AttributeTable
from kennen_tf.designs import mnist_table
from kennen_tf.evaluation import figures, paper
from kennen_tf.experiments.shared.sections import Section
from kennen_tf.machine import processors
from kennen_tf.vocabulary import artifacts

SCHEMA_VERSION = 1
KIND = "experiment"
RESULT_NAME = "result.json"
PAGE_NAMES = ("index.html", "README.md")


def make_document(
    name: str,
    result: Mapping[str, Any],
    *,
    table: AttributeTable,
    command: str,
    made_from: Mapping[str, Any],
    seconds: float,
    num_trained: int,
) -> dict[str, Any]:
    """Returns what an experiment's `result.json` holds.

    Args:
        name: Of the experiment.
        result: What it measured.
        table: The zoo's attributes.
        command: Runs it again, whatever flags, presets or code ran it now.
        made_from: All that decides what it finds.
        seconds: How long it took, without the runs that were there before.
        num_trained: How many runs were not there before.
    """
    provenance = artifacts.provenance()
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "experiment": name,
        "result": dict(result),
        "attributes": table.to_json(),
        "made_from": dict(made_from),
        "seconds": seconds,
        "num_trained": num_trained,
        # Not the command line as it was, which holds paths of this machine.
        "provenance": {**provenance, "command": command},
        "machine": {
            "cores": processors.available_cores(),
            "processor": platform.machine(),
        },
    }


def write(folder: pathlib.Path, document: Mapping[str, Any]) -> None:
    """Writes an experiment's numbers."""
    own = artifacts.make_folder(folder / document["experiment"])
    artifacts.remove_incomplete(own)
    # In the order of the report, which is drawn from the file as from the document.
    artifacts.write_json(own / RESULT_NAME, document, sort_keys=False)


def read(folder: pathlib.Path, name: str) -> dict[str, Any] | None:
    """Reads an experiment's numbers; None if it was not run, or by another version.

    Raises:
        UserError: If the file is damaged.
    """
    path = folder / name / RESULT_NAME
    if not path.exists():
        return None
    document = artifacts.read_json(
        path, wanted=KIND, make_with="python -m kennen_tf.reproduce"
    )
    is_ours = document.get("schema_version") == SCHEMA_VERSION
    return document if is_ours else None


def read_table(document: Mapping[str, Any]) -> AttributeTable:
    """Returns the attributes of the zoo that an experiment was run on."""
    # Experiments of before they said so were all on the paper's attributes.
    if "attributes" not in document:
        return mnist_table.TABLE.select(paper.NAMES)
    return AttributeTable.from_json(document["attributes"], document["experiment"])


def write_figures(folder: pathlib.Path, name: str, drawn: Mapping[str, Figure]) -> None:
    """Writes an experiment's figures; those of before go."""
    for path in (folder / name).glob("*.png"):
        if path.stem not in drawn:
            path.unlink()
    for stem, figure in drawn.items():
        figures.save_png(figure, folder / name / f"{stem}.png")


def write_pages(
    folder: pathlib.Path,
    sections: Sequence[tuple[Mapping[str, Any], Section]],
) -> list[pathlib.Path]:
    """Writes the pages.

    Args:
        folder: Of the report.
        sections: Each experiment's document, and what it has to say.

    Returns:
        The files.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kennen_tf.experiments.shared"),
        autoescape=lambda name: name is not None and name.startswith("index.html"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["cell"] = lambda text: text.replace("|", "\\|")
    tables = {read_table(document) for document, _ in sections}
    paths = []
    for page in PAGE_NAMES:
        text = environment.get_template(f"{page}.jinja").render(
            is_papers=all(map(paper.is_papers, tables)),
            sections=[
                {
                    "document": document,
                    "section": section,
                    "effort": _say_effort(document),
                    "pictures": _pictures(folder, document["experiment"], section),
                }
                for document, section in sections
            ],
        )
        with artifacts.atomic_path(folder / page) as temporary:
            temporary.write_text(text, encoding="utf-8")
        paths.append(folder / page)
    return paths


def _say_effort(document: Mapping[str, Any]) -> str:
    """Says when an experiment was run, and how long its own runs took, if any."""
    created, count = document["provenance"]["created"], document["num_trained"]
    if not count:
        return f"{created}, from runs that other experiments trained."
    runs = f"{count} run{'s' if count > 1 else ''}"
    cores = document["machine"]["cores"]
    seconds = max(document["seconds"], 1.0)
    return f"{created}: {runs} in {seconds:,.0f} seconds on {cores} cores."


def _pictures(
    folder: pathlib.Path, name: str, section: Section
) -> list[dict[str, str]]:
    """Returns caption, path and data of the pictures that are there."""
    found = []
    for picture in section.pictures:
        path = folder / name / f"{picture.stem}.png"
        if path.exists():
            data = base64.b64encode(path.read_bytes()).decode()
            found.append(
                {
                    "caption": picture.caption,
                    "path": f"{name}/{path.name}",
                    "uri": f"data:image/png;base64,{data}",
                }
            )
    return found
