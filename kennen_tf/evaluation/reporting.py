"""From `results.json` to tables for the terminal, the paper's numbers beside ours.

Rounding happens here and nowhere before. Results of several seeds are summarised as
their mean and the range from the lowest to the highest.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.metamodels import ALL_ATTRIBUTES
from kennen_tf.evaluation import paper
from kennen_tf.evaluation.scores import Interval, Results
from kennen_tf.vocabulary import artifacts

SCHEMA_VERSION = 1
RESULTS_NAME = "results.json"
KIND = "results"

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
)
_NOT_OF_LINEAR = ("recipe", "epochs", "image_epochs", "batch_size")
_DESCRIBED = ("method", "recipe", "representation", "top_k", "num_queries", "split")
_NONE = "-"


def results_document(
    results: Results,
    *,
    config: Mapping[str, Any],
    fingerprints: Mapping[str, str],
    num_train: int,
) -> dict[str, Any]:
    """Returns what `results.json` holds.

    Args:
        results: Scores on the test entries.
        config: JSON of the metamodel's config.
        fingerprints: Of the metamodel and of what it was made from.
        num_train: Number of entries it was trained on.
    """
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "config": dict(config),
        **{key: config[key] for key in (*_DESCRIBED, "seed")},
        "num_train": num_train,
        "num_test": results.num_entries,
        **results.to_json(),
        "fingerprints": dict(fingerprints),
        "provenance": artifacts.provenance(),
    }


def read_results(metamodel_dir: artifacts.Path) -> dict[str, Any] | None:
    """Reads a metamodel's `results.json`; None if it was not evaluated.

    Raises:
        UserError: If the file is damaged or of another schema version.
    """
    path = pathlib.Path(metamodel_dir) / RESULTS_NAME
    if not path.exists():
        return None
    document = artifacts.read_json(
        path,
        wanted=KIND,
        make_with="python -m kennen_tf.evaluate_metamodel --metamodel_dir=...",
    )
    artifacts.check_schema(document, SCHEMA_VERSION, path)
    return document


def describe(document: Mapping[str, Any]) -> str:
    """Returns a metamodel's settings in a few words."""
    method = document["method"]
    if method != "linear":
        method += f" ({document['recipe']} recipe)"
    representation = document["representation"]
    if representation == "top-k":
        representation = f"top-{document['top_k']}"
    # Metamodels of before there were crafted ones name all.
    attribute = document["config"].get("attribute", ALL_ATTRIBUTES)
    named = f"{_name_attribute(attribute, _table(document))}, "
    if attribute == ALL_ATTRIBUTES:
        named = ""
    queries = count_queries(document["num_queries"])
    return f"{method}, {named}{representation}, {queries}, split {document['split']}"


def count_queries(number: int) -> str:
    """Returns e.g. "1 query"."""
    return f"{number} {'query' if number == 1 else 'queries'}"


def print_table(table: Table, notes: Sequence[str]) -> None:
    """Prints a table and notes to stdout; outside a terminal, as wide as it needs."""
    console = Console()
    if not console.is_terminal:
        widest = console.measure(table, options=console.options.update(width=1000))
        console = Console(width=max(80, widest.maximum))
    console.print(table)
    for note in notes:
        console.print(note, highlight=False, markup=False)


def results_table(document: Mapping[str, Any]) -> Table:
    """Returns the table of one metamodel's results, in per cent."""
    results = Results.from_json(document)
    row = _paper_row(document)
    has_paper = paper.is_papers(results.table)
    table = make_table(
        f"{describe(document)}, seed {document['seed']}\n"
        f"{document['num_train']} classifiers to train, {results.num_entries} to test",
        "attribute",
    )
    for column in ("accuracy", "95% interval", "chance", "normalized", "count"):
        table.add_column(column, justify="right")
    if has_paper:
        table.add_column(_paper_heading(document, row), justify="right")
    marks = _marks(results)
    for result in results.named:
        table.add_row(
            result.code + marks.get(result.name, ""),
            percent(result.accuracy),
            percents(result.interval),
            percent(result.chance),
            percent(result.normalized_accuracy),
            str(result.count),
            *_paper_cells(has_paper, row.accuracy(result.name) if row else None),
        )
    if len(results.named) == 1:  # Of one, the average says nothing new.
        return table
    table.add_section()
    average = results.average
    table.add_row(
        "average",
        percent(average.get("accuracy")),
        percents(average.get("interval")),
        percent(average.get("chance")),
        percent(average.get("normalized_accuracy")),
        str(results.num_entries),
        *_paper_cells(
            has_paper,
            row.average_over([a.name for a in results.scored]) if row else None,
        ),
        style="bold",
    )
    return table


def results_notes(document: Mapping[str, Any]) -> list[str]:
    """Returns what a reader of `results_table` should know, one sentence a line."""
    results = Results.from_json(document)
    notes = [
        "Accuracy is class-balanced; chance is 1 / number of values among the test "
        f"classifiers; the interval draws the {results.num_combinations} combinations "
        "of attribute values anew."
    ]
    marks = _marks(results)
    notes += [
        f"{marks[a.name].strip()} {a.code} is not scored and "
        f"not in the average: {a.not_scored}."
        for a in results.named
        if a.name in marks
    ]
    if len(results.named) < len(results.attributes):
        notes.append("This metamodel does not name the attributes without a row.")
    if any(a.count < results.num_entries for a in results.scored):
        notes.append(
            "Where the count is lower, the value of the other test classifiers is not "
            "known, and they count neither as right nor as wrong."
        )
    averaged = [a.name for a in results.scored] if len(results.named) > 1 else []
    return notes + _paper_notes(document, averaged)


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
                **{key: members[0][key] for key in _DESCRIBED},
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
    table = make_table("accuracy in %: mean over seeds (lowest-highest)", "attribute")
    table.add_column("chance", justify="right")
    for summary, heading in zip(summaries, _headings(summaries), strict=True):
        count = len(summary["seeds"])
        heading += f"\n{count} seed{'s' if count > 1 else ''}"
        table.add_column(heading, justify="right", no_wrap=True)
    rows = list(dict.fromkeys(filter(None, map(_paper_row, summaries))))
    for row in rows:
        table.add_column(
            f"paper\n{row.method}\n{row.output}", justify="right", no_wrap=True
        )
    named = _named(summaries)
    for name, code in named.items():
        scores = [summary["attributes"].get(name) for summary in summaries]
        table.add_row(
            code,
            percent(next((s["chance"] for s in scores if s), None)),
            *map(_mean_and_range, scores),
            *(_paper_cell(row.accuracy(name)) for row in rows),
        )
    if len(named) == 1:  # Of one, the average says nothing new.
        return table
    table.add_section()
    averages = [summary["average"] for summary in summaries]
    chances = [s["chance"] for s in averages if s] if _is_alike(summaries) else []
    table.add_row(
        "average",
        percent(next(iter(chances), None)),
        *map(_mean_and_range, averages),
        *(_paper_cell(r.average_over(_scored_beside(summaries, r))) for r in rows),
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
        scored = _scored_beside(summaries, _paper_row(summary))
        notes += _paper_notes(summary, scored if has_average else ())
    return list(dict.fromkeys(notes))


def _headings(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns what tells the kinds apart, one setting a line."""
    if len(summaries) == 1:
        return [describe(summaries[0]).replace(", ", "\n")]
    configs = [summary["config"] for summary in summaries]
    # The method first, and other numbers after what all metamodels have.
    keys = dict.fromkeys([*_DESCRIBED, *(key for c in configs for key in c)])
    values = {k: {str(c[k]) for c in configs if c.get(k) is not None} for k in keys}
    differing = [key for key in keys if len(values[key]) > 1]

    def text(key: str, value: Any, table: AttributeTable) -> str:
        if key == "attribute":
            return _name_attribute(value, table)
        return value if isinstance(value, str) else f"{key}={value}"

    tables = [_table(summary) for summary in summaries]
    return [
        "\n".join(text(k, c[k], table) for k in differing if c.get(k) is not None)
        for c, table in zip(configs, tables, strict=True)
    ]


def _table(document: Mapping[str, Any]) -> AttributeTable:
    """Returns the attribute table of results, or of a summary."""
    if "table" in document:
        return AttributeTable.from_json(document["table"], "A summary")
    return Results.from_json(document).table


def _name_attribute(attribute: str, table: AttributeTable) -> str:
    """Returns what a setting `attribute` means, in two words."""
    if attribute == ALL_ATTRIBUTES:
        return "all attributes"
    return f"{table[attribute].code} only"


def _named(summaries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Returns name and code of the attributes that any of the metamodels names."""
    codes = {a.name: a.code for s in summaries for a in _table(s)}
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
    beside = [summary for summary in summaries if _paper_row(summary) == row]
    return _scored(beside[0]) if _is_alike(beside) else ()


def make_table(title: str, first: str) -> Table:
    """Returns an empty table whose first column is called `first`."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(first, no_wrap=True)
    return table


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


def _marks(results: Results) -> dict[str, str]:
    """Returns a footnote mark for each attribute that is not scored."""
    without = [a.name for a in results.named if a.accuracy is None]
    return {name: f" [{i}]" for i, name in enumerate(without, start=1)}


def _paper_row(document: Mapping[str, Any]) -> paper.Row | None:
    return paper.table_2_row(
        document["method"],
        document["representation"],
        document["split"],
        _table(document),
    )


def _paper_heading(document: Mapping[str, Any], row: paper.Row | None) -> str:
    if row is None or row.method == document["method"]:
        return "paper"
    return f"paper's {row.method}"


def _paper_notes(document: Mapping[str, Any], averaged: Sequence[str]) -> list[str]:
    """Returns what should be known of the paper's numbers, if there are any.

    Args:
        document: Results, or a summary.
        averaged: The attributes that the average beside is over; none if no average is
            shown.
    """
    table = _table(document)
    if not paper.is_papers(table):
        return []
    row = _paper_row(document)
    score = paper.table_3_score(document["method"], document["split"], table)
    if score is not None:
        return [
            f"The paper's {document['method']} scores {score} on {document['split']} "
            f"(Table 3, {paper.SUBMISSION}), chance being 0 and the R split 100."
        ]
    if row is None:
        return [f"The paper has no row in Table 2 for {describe(document)}."]
    is_kennen_i = row.method == "kennen-i"
    queries = "one query for each attribute" if is_kennen_i else "100 queries"
    average = ""
    shared = [name for name in averaged if name in paper.NAMES]
    if len(shared) < len(averaged):
        others = [table[name].code for name in averaged if name not in shared]
        average = (
            f" Its average here is over {len(shared)} attributes, without "
            f"{', '.join(others)}, which it does not have."
        )
    elif shared and len(shared) < len(paper.NAMES):
        same = f"{len(shared)} attributes" if len(shared) > 1 else "attribute"
        average = (
            f" Its average here is over the same {same}; over all twelve it is "
            f"{row.average}."
        )
    return [
        f"The paper's {row.method} with output '{row.output}' (Table 2, {row.source}) "
        f"had {paper.NUM_TRAIN:,} training classifiers and {queries}.{average}"
    ]


def percent(value: float | None) -> str:
    """Returns e.g. "86.2" for 0.862, "-" if there is none."""
    return _NONE if value is None else f"{100 * value:.1f}"


def percents(interval: Interval | None) -> str:
    """Returns e.g. "80.1 - 91.0", "-" if there is none."""
    if interval is None:
        return _NONE
    return f"{100 * interval[0]:.1f} - {100 * interval[1]:.1f}"


def _paper_cells(has_paper: bool, number: float | None) -> list[str]:
    """Returns the cell of the paper's column, if there is one."""
    return [_paper_cell(number)] if has_paper else []


def _paper_cell(number: float | None) -> str:
    return _NONE if number is None else f"{number:.1f}"


def _mean_and_range(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return _NONE
    mean = percent(score["mean"])
    if score["num_seeds"] < 2:
        return mean
    return f"{mean} ({percent(score['lowest'])}-{percent(score['highest'])})"
