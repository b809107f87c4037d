"""Figures of curves: a panel for the average and each attribute (paper, Figure 4)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from kennen_tf.attributes import AttributeTable
from kennen_tf.evaluation import figures
from kennen_tf.experiments.shared import curves as curves_lib
from kennen_tf.experiments.shared import summaries

_COLUMNS = 4
# By place of the method; tells them apart without colours.
_STYLES: tuple[dict[str, Any], ...] = (
    {"linestyle": "-", "marker": "o", "color": "0.0"},
    {"linestyle": "--", "marker": "s", "color": "0.35", "markerfacecolor": "white"},
    {"linestyle": "-.", "marker": "^", "color": "0.2", "markerfacecolor": "0.7"},
)


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
        curves: What `curves.measure` returned.
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
    places = sorted({*curves_lib.list_places(curves), *(point.x for point in beside)})
    lowest = min(
        (
            100 * point["scores"][name]["scaled"]["lowest"]
            for point in curves_lib.list_points(curves)
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
