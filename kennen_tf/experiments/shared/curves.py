"""Curves: accuracy against something, for one method or several (paper, Figure 4)."""

from collections.abc import Mapping, Sequence
from typing import Any

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.experiments.shared import summaries
from kennen_tf.experiments.shared.runs import Runs
from kennen_tf.experiments.shared.sections import Picture, Section, Table

# What is at each place of a curve: the number on the axis and the runs.
Plan = Mapping[str, Sequence[tuple[int, Sequence[MetamodelConfig]]]]


def measure(runs: Runs, experiment: str, plan: Plan) -> dict[str, Any]:
    """Trains the runs of all points.

    Returns:
        For each method a list of points, each what `summaries.summarize_runs` returns
        and "x".
    """
    configs = [c for points in plan.values() for _, own in points for c in own]
    results = iter(runs.train(experiment, configs))
    return {
        method: [
            {
                "x": x,
                **summaries.summarize_runs(
                    [next(results) for _ in own], runs.info.attributes
                ),
            }
            for x, own in points
        ]
        for method, points in plan.items()
    }


def section(
    curves: Mapping[str, Any],
    x_label: str,
    attributes: AttributeTable,
    *,
    title: str,
    about: str,
    runs: str,
) -> Section:
    """Returns what there is to say of curves.

    Args:
        curves: What `measure` returned.
        x_label: Of the axis and the table's first column.
        attributes: The zoo's.
        title: Heading of the section.
        about: What was done.
        runs: What the runs of a point differ in, e.g. "seed".
    """
    return Section(
        title=title,
        about=about,
        tables=[table(curves, x_label)],
        pictures=[
            Picture(
                stem="curves",
                caption="Accuracy, scaled so that chance is 0 and perfect is 100; bars "
                f"reach from the lowest {runs} to the highest.",
            )
        ],
        notes=notes(curves, attributes),
    )


def list_points(curves: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the points of all methods."""
    return [point for own in curves.values() for point in own]


def list_places(curves: Mapping[str, Any]) -> list[int]:
    """Returns the numbers on the axis at which any method has a point, ascending."""
    return sorted({point["x"] for point in list_points(curves)})


def table(curves: Mapping[str, Any], x_label: str) -> Table:
    """Returns the averages over attributes, one row for each place."""
    by_place = {m: {point["x"]: point for point in curves[m]} for m in curves}
    columns = [x_label]
    for method in curves:
        columns += [f"{method}: runs", "accuracy", "scaled"]
    rows = []
    for x in list_places(curves):
        row = [f"{x:,}"]
        for method in curves:
            point = by_place[method].get(x)
            score = point["scores"][summaries.AVERAGE] if point else None
            row += [
                str(len(point["runs"])) if point else "-",
                summaries.say(score and score["accuracy"]),
                summaries.say(score and score["scaled"]),
            ]
        rows.append(row)
    return Table(
        caption="Average over attributes in %: mean (lowest-highest) over runs. "
        "Scaled: chance is 0, perfect is 100.",
        columns=columns,
        rows=rows,
    )


def notes(curves: Mapping[str, Any], attributes: AttributeTable) -> list[str]:
    """Returns why points are missing, and which attributes have no curve."""
    points = list_points(curves)
    reasons = dict.fromkeys(r for point in points for r in point["refused"])
    scored = {name for point in points for name in summaries.scored(point)}
    missing = [a.code for a in attributes if a.name not in scored]
    found = list(reasons)
    if missing:
        found.append(
            "Not scored, as the test classifiers have no two known values: "
            f"{', '.join(missing)}."
        )
    counts = {len(point["runs"]) for point in points if point["runs"]}
    if len(counts) > 1:
        found.append(
            "Where there are fewer runs, they are the first seeds or draws only: look "
            "at how far those of the other method differ before comparing means."
        )
    return found
