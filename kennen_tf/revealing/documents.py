"""What was revealed, as JSON, or as a CSV with a line for each black box."""

import csv
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kennen_tf.configs.revealing import RevealConfig
from kennen_tf.revealing.naming import Revelation
from kennen_tf.vocabulary import artifacts

if TYPE_CHECKING:
    from kennen_tf.revealing.exported_metamodel import ExportedMetamodel

KIND = "revelations"
SCHEMA_VERSION = 1
_ALWAYS = ("p_value", "is_strange", "accuracy", "pixels", "outputs", "num_queries")


def make_document(
    config: RevealConfig,
    metamodel: "ExportedMetamodel",
    revelations: Sequence[Revelation],
    failures: Sequence[tuple[str, str]],
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns JSON of what was revealed, with what it was made from."""
    # Of one that failed twice, with other settings, both reasons.
    reasons: dict[str, str] = {}
    for name, reason in failures:
        reasons[name] = f"{reasons[name]} {reason}" if name in reasons else reason
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "metamodel": config.metamodel,
        "fingerprints": metamodel.description["fingerprints"],
        "black_boxes": [revelation.to_json() for revelation in revelations],
        "failures": reasons,
        "provenance": dict(provenance),
    }


def write(path: artifacts.Path, document: Mapping[str, Any]) -> None:
    """Writes JSON, or a CSV if the path says so; atomically."""
    path = pathlib.Path(path)
    artifacts.make_folder(path.absolute().parent)
    if path.suffix != ".csv":
        artifacts.write_json(path, document)
        return
    rows = [_to_row(own) for own in document["black_boxes"]]
    rows += [{"black_box": n, "error": e} for n, e in document["failures"].items()]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with artifacts.atomic_path(path) as temporary:
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)


def _to_row(revelation: Mapping[str, Any]) -> dict[str, Any]:
    row = {"black_box": revelation["black_box"]}
    row |= {name: revelation[name] for name in _ALWAYS}
    for own, answer in revelation["attributes"].items():
        # An attribute may be called as what stands there already: pixels.
        name = f"{own} of training" if own in row else own
        if not answer["applies"]:
            row[name] = ""
            continue
        row[name] = answer["value"]
        row[f"{name} probability"] = next(iter(answer["probabilities"].values()))
        if answer["plausible"] is not None:
            row[f"{name} not ruled out"] = " ".join(map(str, answer["plausible"]))
    return row
