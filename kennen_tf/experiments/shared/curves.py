"""Curves: accuracy against something, for one method or several (paper, Figure 4)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.evaluation import figures
from kennen_tf.experiments.shared import summaries
from kennen_tf.experiments.shared.runs import Runs
from kennen_tf.experiments.shared.sections import Picture, Section, Table

# What is at each place of a curve: the number on the axis and the runs.
Plan = Mapping[str, Sequence[tuple[int, Sequence[MetamodelConfig]]]]

_COLUMNS = 4
# By place of the method; tells them apart without colours.
_STYLES: tuple[dict[str, Any], ...] = (
    {"linestyle": "-", "marker": "o", "color": "0.0"},
    {"linestyle": "--", "marker": "s", "color": "0.35", "markerfacecolor": "white"},
    {"linestyle": "-.", "marker": "^", "color": "0.2", "markerfacecolor": "0.7"},
)


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


def _points(curves: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [point for own in curves.values() for point in own]


def _places(curves: Mapping[str, Any]) -> list[int]:
    return sorted({point["x"] for point in _points(curves)})


def table(curves: Mapping[str, Any], x_label: str) -> Table:
    """Returns the averages over attributes, one row for each place."""
    by_place = {m: {point["x"]: point for point in curves[m]} for m in curves}
    columns = [x_label]
    for method in curves:
        columns += [f"{method}: runs", "accuracy", "scaled"]
    rows = []
    for x in _places(curves):
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
    points = _points(curves)
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class PaperPoint:
    """What the paper has for a method at one place.

    Attributes:
        method: Name of its curve.
        x: The number on the axis.
        scaled: Accuracy by attribute and on average, chance 0 and perfect 1.
    """

    method: str
    x: int
    scaled: Mapping[str, float]


def draw(
    curves: Mapping[str, Any],
    x_label: str,
    title: str,
    attributes: AttributeTable,
    *,
    log: bool = True,
    beside: Sequence[PaperPoint] = (),
) -> Figure:
    """Draws a panel for the average and each attribute, chance 0 and perfect 100.

    Args:
        curves: What `measure` returned.
        x_label: Of the axis.
        title: Above all.
        attributes: The zoo's.
        log: Whether the axis is logarithmic.
        beside: What the paper has.
    """
    names = [summaries.AVERAGE, *attributes.names]
    columns = min(_COLUMNS, len(names))
    num_rows = -(-len(names) // columns)
    figure = figures.make_figure(2.6 * columns, 2.1 * num_rows + 1.1)
    places = sorted({*_places(curves), *(point.x for point in beside)})
    lowest = min(
        (
            100 * point["scores"][name]["scaled"]["lowest"]
            for point in _points(curves)
            for name in summaries.scored(point)
        ),
        default=0.0,
    )
    shared: Axes | None = None
    lines: dict[str, Any] = {}
    for place, name in enumerate(names, start=1):
        axes = figure.add_subplot(num_rows, columns, place, sharex=shared)
        shared = shared or axes
        lines["chance"] = axes.axhline(0, color="black", linestyle=":", linewidth=1)
        is_empty = True
        for method, style in zip(curves, _STYLES, strict=False):
            points = [
                (point["x"], point["scores"][name]["scaled"])
                for point in curves[method]
                if point["scores"][name]
            ]
            if points:
                is_empty = False
                lines[method] = _draw_line(axes, points, style)
            for own in beside:
                if own.method == method and name in own.scaled:
                    [lines[f"† {method}"]] = axes.plot(
                        own.x,
                        100 * own.scaled[name],
                        marker="D",
                        markersize=6,
                        linestyle="",
                        color=style["color"],
                        markerfacecolor=style.get("markerfacecolor", style["color"]),
                    )
        if is_empty:
            axes.text(
                *(0.5, 0.5, "not scored"),
                ha="center",
                va="center",
                transform=axes.transAxes,
            )
        if log:
            axes.set_xscale("log")
        axes.set_xticks(places, [f"{x:,}" for x in places])
        axes.xaxis.set_minor_locator(NullLocator())
        is_average = name == summaries.AVERAGE
        axes.set_title(
            "average" if is_average else figures.shorten(attributes[name].code),
            fontsize=9,
            fontweight="bold" if is_average else "normal",
        )
        axes.set_ylim(min(-25.0, lowest - 5), 105)
        axes.tick_params(labelsize=7)
        if place > len(names) - columns:  # Of the whole figure, the legend hides it.
            axes.set_xlabel(x_label, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel("accuracy (%), chance 0, perfect 100", fontsize=9)
    figure.suptitle(title, fontsize=10)
    figure.legend(
        list(lines.values()),
        list(lines),
        loc="outside lower center",
        ncols=min(len(lines), 2 * columns),
        frameon=False,
    )
    return figure


def _draw_line(
    axes: Axes,
    points: Sequence[tuple[int, Mapping[str, Any]]],
    style: Mapping[str, Any],
) -> Any:
    """Draws means with bars from the lowest to the highest run."""
    x = [place for place, _ in points]
    mean = [100 * s["mean"] for _, s in points]
    reach = [
        [100 * (s["mean"] - s["lowest"]) for _, s in points],
        [100 * (s["highest"] - s["mean"]) for _, s in points],
    ]
    return axes.errorbar(
        x, mean, yerr=reach, markersize=3.5, linewidth=1, capsize=2, **style
    )
