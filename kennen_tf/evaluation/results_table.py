"""The table of one metamodel's results, the paper's numbers beside ours."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from kennen_tf.evaluation import describing, paper, printing
from kennen_tf.evaluation.results import Results


def results_table(document: Mapping[str, Any]) -> Table:
    """Returns the table of one metamodel's results, in per cent."""
    results = Results.from_json(document)
    row = describing.paper_row(document)
    has_paper = paper.is_papers(results.table)
    table = printing.make_table(
        f"{describing.describe(document)}, seed {document['seed']}\n"
        f"{document['num_train']} classifiers to train, {results.num_entries} to test",
        "attribute",
    )
    for column in ("accuracy", "95% interval", "chance", "normalized", "count"):
        table.add_column(column, justify="right")
    if has_paper:
        table.add_column(describing.paper_heading(document, row), justify="right")
    marks = _marks(results)
    for result in results.named:
        table.add_row(
            result.code + marks.get(result.name, ""),
            printing.percent(result.accuracy),
            printing.percents(result.interval),
            printing.percent(result.chance),
            printing.percent(result.normalized_accuracy),
            str(result.count),
            *_paper_cells(has_paper, row.accuracy(result.name) if row else None),
        )
    if len(results.named) == 1:  # Of one, the average says nothing new.
        return table
    table.add_section()
    average = results.average
    table.add_row(
        "average",
        printing.percent(average.get("accuracy")),
        printing.percents(average.get("interval")),
        printing.percent(average.get("chance")),
        printing.percent(average.get("normalized_accuracy")),
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
    notes += _limit_notes(document)
    averaged = [a.name for a in results.scored] if len(results.named) > 1 else []
    return notes + describing.paper_notes(document, averaged)


def _limit_notes(document: Mapping[str, Any]) -> list[str]:
    """Returns what is known of its limits; nothing of results of before."""
    found = []
    whole = document.get("calibration", {}).get("all")
    if whole:
        found.append(
            f"Calibration error {100 * whole['error']:.1f} points: how far the "
            "probability of what is named and the share named rightly are apart, less "
            "what chance makes of it."
        )
    sets = document.get("sets")
    if sets:
        found.append(
            f"Values not ruled out at {100 * sets['level']:.0f}% hold the true one in "
            f"{100 * sets['coverage']:.1f}% of cases; they are "
            f"{100 * sets['plausible']:.0f}% of all values, and all of them, which "
            f"means that it cannot be told, in {100 * sets['cannot_tell']:.0f}%."
        )
    alarms = document.get("false_alarms")
    if alarms:
        found.append(
            f"{100 * alarms['share']:.1f}% of the test classifiers are called unlike "
            f"the zoo, where {100 * alarms['level']:.0f}% are to be expected."
        )
    return found


def _marks(results: Results) -> dict[str, str]:
    """Returns a footnote mark for each attribute that is not scored."""
    without = [a.name for a in results.named if a.accuracy is None]
    return {name: f" [{i}]" for i, name in enumerate(without, start=1)}


def _paper_cells(has_paper: bool, number: float | None) -> list[str]:
    """Returns the cell of the paper's column, if there is one."""
    return [describing.paper_cell(number)] if has_paper else []
