"""Summaries of results that differ in the seed, and their table.

Each is the mean and the range from the lowest to the highest.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from kennen_tf.attributes import AttributeTable
from kennen_tf.evaluation import describing, paper, printing
from kennen_tf.evaluation.results import DESCRIBED, SCHEMA_VERSION, Results
from kennen_tf.vocabulary import artifacts

# Fields of a metamodel's config that do not make it another kind of metamodel.
_PER_RUN = (
    "seed",
    "query_seed",
    "query_dir",
    "zoo_dir",
    "max_memory_mb",
    "metamodel_dir",
    "resume",
    "checkpoint_every",
    "evaluate_every",
    "strategy",
    "logical_cpus",
)
_NOT_OF_LINEAR = ("recipe", "epochs", "image_epochs", "batch_size")


def summarize(documents: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Groups results that differ only in the seed.

    Returns:
        For each kind of metamodel, in the order of first appearance, its settings, the
        seeds, the attribute "table", under "named" the attributes that it names, and
        under "attributes" and "average" the mean, standard deviation, lowest and
        highest accuracy over the seeds, their number, and the mean of chance and
        normalized accuracy (None if no seed has a score).
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for document in documents:
        kind = {k: v for k, v in document["config"].items() if k not in _PER_RUN}
        if document["method"] == "linear":
            kind.update(dict.fromkeys(_NOT_OF_LINEAR))
        kind["query_outputs"] = document["fingerprints"]["query_outputs"]
        groups.setdefault(artifacts.canonical_json(kind), []).append(document)
    summaries = []
    for kind_json, members in groups.items():
        runs = [Results.from_json(member) for member in members]
        summaries.append(
            {
                "config": json.loads(kind_json),
                **{key: members[0][key] for key in DESCRIBED},
                "seeds": [member["seed"] for member in members],
                "table": runs[0].table.to_json(),
                "named": [a.name for a in runs[0].named],
                "attributes": {
                    name: _summary([_scores(run[name]) for run in runs])
                    for name in runs[0].table.names
                },
                "average": _summary([run.average for run in runs]),
            }
        )
    return summaries


def summary_document(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the summaries as they are written to a file."""
    return {
        "kind": "summary of results",
        "schema_version": SCHEMA_VERSION,
        "summaries": list(summaries),
        "provenance": artifacts.provenance(),
    }


def summary_table(summaries: Sequence[Mapping[str, Any]]) -> Table:
    """Returns a column of mean and range for each kind of metamodel, in per cent."""
    table = printing.make_table(
        "accuracy in %: mean over seeds (lowest-highest)", "attribute"
    )
    table.add_column("chance", justify="right")
    for summary, heading in zip(summaries, _headings(summaries), strict=True):
        count = len(summary["seeds"])
        heading += f"\n{count} seed{'s' if count > 1 else ''}"
        table.add_column(heading, justify="right", no_wrap=True)
    rows = list(dict.fromkeys(filter(None, map(describing.paper_row, summaries))))
    for row in rows:
        table.add_column(
            f"paper\n{row.method}\n{row.output}", justify="right", no_wrap=True
        )
    named = _named(summaries)
    for name, code in named.items():
        scores = [summary["attributes"].get(name) for summary in summaries]
        table.add_row(
            code,
            printing.percent(next((s["chance"] for s in scores if s), None)),
            *map(_mean_and_range, scores),
            *(describing.paper_cell(row.accuracy(name)) for row in rows),
        )
    if len(named) == 1:  # Of one, the average says nothing new.
        return table
    table.add_section()
    averages = [summary["average"] for summary in summaries]
    chances = [s["chance"] for s in averages if s] if _is_alike(summaries) else []
    table.add_row(
        "average",
        printing.percent(next(iter(chances), None)),
        *map(_mean_and_range, averages),
        *(
            describing.paper_cell(r.average_over(_scored_beside(summaries, r)))
            for r in rows
        ),
        style="bold",
    )
    return table


def summary_notes(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns what a reader of `summary_table` should know, one sentence a line."""
    notes = []
    has_average = len(_named(summaries)) > 1
    if has_average and not _is_alike(summaries):
        notes.append(
            "Each metamodel's average is over the attributes that it has a score for, "
            "and these differ."
        )
    for summary in summaries:
        scored = _scored_beside(summaries, describing.paper_row(summary))
        notes += describing.paper_notes(summary, scored if has_average else ())
    return list(dict.fromkeys(notes))


def _headings(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns what tells the kinds apart, one setting a line."""
    if len(summaries) == 1:
        return [describing.describe(summaries[0]).replace(", ", "\n")]
    configs = [summary["config"] for summary in summaries]
    # The method first, and other numbers after what all metamodels have.
    keys = dict.fromkeys([*DESCRIBED, *(key for c in configs for key in c)])
    values = {k: {str(c[k]) for c in configs if c.get(k) is not None} for k in keys}
    differing = [key for key in keys if len(values[key]) > 1]

    def text(key: str, value: Any, table: AttributeTable) -> str:
        if key == "attribute":
            return describing.name_attribute(value, table)
        return value if isinstance(value, str) else f"{key}={value}"

    tables = [describing.read_table(summary) for summary in summaries]
    return [
        "\n".join(text(k, c[k], table) for k in differing if c.get(k) is not None)
        for c, table in zip(configs, tables, strict=True)
    ]


def _named(summaries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Returns name and code of the attributes that any of the metamodels names."""
    codes = {a.name: a.code for s in summaries for a in describing.read_table(s)}
    return {
        name: code
        for name, code in codes.items()
        if any(name in summary["named"] for summary in summaries)
    }


def _scored(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the attributes that a summary has a score for."""
    return tuple(name for name, score in summary["attributes"].items() if score)


def _is_alike(summaries: Sequence[Mapping[str, Any]]) -> bool:
    """Says whether the averages of all summaries are over the same attributes."""
    return len(set(map(_scored, summaries))) == 1


def _scored_beside(
    summaries: Sequence[Mapping[str, Any]], row: paper.Row | None
) -> tuple[str, ...]:
    """Returns what summaries beside a paper's row are scored on; () if they differ."""
    beside = [summary for summary in summaries if describing.paper_row(summary) == row]
    return _scored(beside[0]) if _is_alike(beside) else ()


def _scores(result: Any) -> dict[str, Any]:
    keys = ("accuracy", "chance", "normalized_accuracy")
    return {key: getattr(result, key) for key in keys}


def _summary(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    scores = [s for s in scores if s.get("accuracy") is not None]
    if not scores:
        return None
    accuracies = [s["accuracy"] for s in scores]
    return {
        "mean": float(np.mean(accuracies)),
        "std": float(np.std(accuracies, ddof=1)) if len(scores) > 1 else None,
        "lowest": min(accuracies),
        "highest": max(accuracies),
        "num_seeds": len(scores),
        "chance": float(np.mean([s["chance"] for s in scores])),
        "normalized_accuracy": float(
            np.mean([s["normalized_accuracy"] for s in scores])
        ),
    }


def _mean_and_range(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return printing.NOTHING
    mean = printing.percent(score["mean"])
    if score["num_seeds"] < 2:
        return mean
    lowest, highest = (printing.percent(score[key]) for key in ("lowest", "highest"))
    return f"{mean} ({lowest}-{highest})"
