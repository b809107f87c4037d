"""Figures of curves: a panel for the average and each attribute (paper, Figure 4)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from kennen_tf.attributes import AttributeTable
from kennen_tf.evaluation import figures
from kennen_tf.experiments.shared import curves as curves_lib
from kennen_tf.experiments.shared import summaries

# Between names of places, as a share of the axis.
_LEAST_GAP = 0.15
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
    columns = min(figures.COLUMNS, len(names))
    num_rows = -(-len(names) // columns)
    figure = figures.make_figure(figures.WIDTH, 1.75 * num_rows + 1.4)
    places = sorted({*curves_lib.list_places(curves), *(point.x for point in beside)})
    lowest = min(
        (
            100 * point["scores"][name]["scaled"]["lowest"]
            for point in curves_lib.list_points(curves)
            for name in summaries.scored(point)
        ),
        default=0.0,
    )
    first: Axes | None = None
    lines: dict[str, Any] = {}
    for place, name in enumerate(names, start=1):
        axes = figure.add_subplot(num_rows, columns, place, sharex=first, sharey=first)
        first = first or axes
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
                    [lines[f"the paper's {method} (†)"]] = axes.plot(
                        own.x,
                        100 * own.scaled[name],
                        marker="D",
                        markersize=5,
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
        # Of many places, those that have room; each has its mark.
        shown = _spread(places, log)
        axes.set_xticks(places, [f"{x:,}" if x in shown else "" for x in places])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_title(
            name_in_full(name, attributes),
            fontsize=8,
            fontweight="bold" if name == summaries.AVERAGE else "normal",
        )
        axes.set_ylim(min(-8.0, lowest - 5), 105)
        axes.set_yticks(range(0, 101, 25))
        axes.tick_params(
            labelsize=7,
            labelleft=place % columns == 1 or columns == 1,
            # Where none stands below.
            labelbottom=place > len(names) - columns,
        )
        if place > len(names) - columns:  # Of the whole figure, the legend hides it.
            axes.set_xlabel(x_label, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel("accuracy (%), scaled: chance is 0, perfect 100", fontsize=9)
    figure.suptitle(title, fontsize=10)
    figures.add_legend(figure, lines)
    return figure


def name_in_full(name: str, table: AttributeTable) -> str:
    """Returns what figures call an attribute, or the average of all."""
    return name if name == summaries.AVERAGE else figures.name_in_full(table[name])


def _spread(places: Sequence[int], log: bool) -> list[int]:
    """Returns places so far apart, in an axis of 1, that names do not meet."""
    position = np.log(places) if log else np.asarray(places, float)
    shares = (position - position.min()) / max(np.ptp(position), 1e-9)
    # Outer ones first, as what was done stands there.
    found: list[int] = []
    for index in (len(places) - 1, *range(len(places) - 1)):
        if all(abs(shares[index] - shares[own]) > _LEAST_GAP for own in found):
            found.append(index)
    return [places[index] for index in found]


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
        x, mean, yerr=reach, markersize=3, linewidth=1, capsize=2, **style
    )
