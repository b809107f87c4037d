"""Figures of an audit: by attribute, by number of queries, by defence."""

from typing import Any

import matplotlib.patheffects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kennen_tf.attributes import AttributeTable
from kennen_tf.auditing import recommending
from kennen_tf.auditing.audits import Audit
from kennen_tf.auditing.sources import SOURCES
from kennen_tf.evaluation import figures

_MARKERS = dict(zip(SOURCES, ("o", "s", "^"), strict=True))
_FILLS = dict(zip(SOURCES, ("white", "0.6", "black"), strict=True))
# Below this, L1 is drawn on a straight scale: what is free is at 0.
_LEAST_L1 = 1e-4


def draw(audit: Audit) -> dict[str, Figure]:
    """Returns all figures by the names of their files, without suffix."""
    return {
        "attributes": attributes_figure(audit),
        "queries": queries_figure(audit),
        "defences": defences_figure(audit),
    }


def attributes_figure(audit: Audit) -> Figure:
    """Draws bits of each attribute: of classifiers held out, and of this one."""
    told, table = audit.as_it_is, audit.table
    named = AttributeTable(a for a in table if a.name in told.leaks)
    figure, axes = figures.make_bars([figures.name_in_full(a) for a in named])
    for place, attribute in enumerate(named):
        leak = told.leaks[attribute.name]
        axes.barh(place, leak.entropy, height=0.62, facecolor="white", edgecolor="0.6")
        axes.barh(place, max(leak.bits, 0), height=0.62, facecolor="0.6")
        axes.plot(leak.interval, [place, place], color="black", linewidth=1)
        own = told.own[attribute.name]
        is_known = attribute.name in audit.truth
        axes.plot(
            own,
            place,
            marker="D",
            color="black",
            markerfacecolor="black" if is_known else "white",
            markersize=5,
            linestyle="",
        )
    axes.axvline(0, color="black", linewidth=1, linestyle=":")
    axes.set_xlabel("bits")
    figures.add_legend(
        figure,
        {
            "all there is to know": Patch(facecolor="white", edgecolor="0.6"),
            "given away by classifiers held out": Patch(facecolor="0.6"),
            "95% interval": Line2D([], [], color="black"),
            "this classifier: learned": _marker("D", "black"),
            "this classifier: believed": _marker("D", "white"),
            "chance: nothing": Line2D([], [], color="black", linestyle=":"),
        },
        columns=2,
    )
    return figure


def queries_figure(audit: Audit) -> Figure:
    """Draws bits against the number of queries, for each kind of them."""
    figure = figures.make_figure(figures.WIDTH, 3.8)
    axes = figure.add_subplot()
    handles: dict[str, Any] = {}
    for source in SOURCES:
        points = [own for own in audit.points if own.source == source]
        if not points:
            continue
        counts = [own.num_queries for own in points]
        axes.plot(
            counts,
            [own.bits for own in points],
            color="black",
            linewidth=1,
            marker=_MARKERS[source],
            markerfacecolor=_FILLS[source],
        )
        if len(points[0].told) == 1:
            intervals = np.array([own.told[0].total.interval for own in points])
            axes.fill_between(counts, *intervals.T, color="0.5", alpha=0.15, lw=0)
        handles[f"{source} queries"] = _marker(_MARKERS[source], _FILLS[source])
    axes.set_xscale("log")
    ticks = sorted({own.num_queries for own in audit.points})
    axes.set_xticks(ticks, [str(own) for own in ticks])
    axes.minorticks_off()
    axes.axhline(0, color="black", linewidth=1, linestyle=":")
    axes.set_xlabel("queries")
    axes.set_ylabel("bits of classifiers held out")
    axes.spines[["top", "right"]].set_visible(False)
    handles["band: 95% interval"] = Patch(facecolor="0.85")
    handles["chance: nothing"] = Line2D([], [], color="black", linestyle=":")
    figures.add_legend(figure, handles)
    return figure


def defences_figure(audit: Audit) -> Figure:
    """Draws what each defence leaves against what it costs, with the front."""
    figure = figures.make_figure(figures.WIDTH, 5.2)
    axes = figure.add_subplot()
    front = recommending.find_front(audit.tried)
    for tried in audit.tried:
        is_gentle = tried.cost.flipped <= recommending.MOST_FLIPPED
        axes.plot(
            tried.cost.l1,
            tried.worst.total.bits,
            marker="o",
            color="black",
            markerfacecolor="black" if is_gentle else "white",
            markersize=5,
            linestyle="",
        )
    axes.step(
        [own.cost.l1 for own in front],
        [own.worst.total.bits for own in front],
        where="post",
        color="0.5",
        linewidth=1,
    )
    most = max(own.cost.l1 for own in audit.tried)
    axes.set_xscale("symlog", linthresh=_LEAST_L1)
    axes.set_xlim(-0.2 * _LEAST_L1, max(most * 6, 10 * _LEAST_L1))
    axes.axhline(0, color="black", linewidth=1, linestyle=":")
    axes.set_xlabel("cost: L1 distance of answers, of at most 2")
    axes.set_ylabel("leak: bits of classifiers held out, worse attacker")
    axes.spines[["top", "right"]].set_visible(False)
    _name_points(figure, axes, audit)
    figures.add_legend(
        figure,
        {
            "changes at most 0.5% of labels": _marker("o", "black"),
            "changes more": _marker("o", "white"),
            "what nothing beats": Line2D([], [], color="0.5"),
            "chance: nothing": Line2D([], [], color="black", linestyle=":"),
        },
        columns=2,
    )
    return figure


def _name_points(figure: Figure, axes: Axes, audit: Audit) -> None:
    """Writes names beside points, moved up or down where they would meet."""
    figure.draw_without_rendering()
    height = 9.0  # Of a line, in points.
    scale = 72 / figure.dpi
    placed: list[tuple[float, float, float]] = []
    for tried in sorted(audit.tried, key=lambda own: -own.worst.total.bits):
        x, y = axes.transData.transform((tried.cost.l1, tried.worst.total.bits)) * scale
        width = 4.2 * len(tried.name) + 8
        lower = y
        while any(
            x < other_x + other_width
            and other_x < x + width
            and abs(lower - other_y) < height
            for other_x, other_y, other_width in placed
        ):
            lower -= 1
        placed.append((x, lower, width))
        axes.annotate(
            tried.name,
            (tried.cost.l1, tried.worst.total.bits),
            xytext=(6, lower - y),
            textcoords="offset points",
            va="center",
            fontsize=7,
            path_effects=[
                matplotlib.patheffects.withStroke(linewidth=2, foreground="white")
            ],
        )


def _marker(marker: str, fill: str) -> Line2D:
    return Line2D(
        [],
        [],
        marker=marker,
        color="black",
        markerfacecolor=fill,
        markersize=5,
        linestyle="",
    )
