"""Figures of results, for PNG files and TensorBoard; readable in black and white.

Each function returns a Matplotlib `Figure` that is bound to no display and no global
state, so that they can be drawn anywhere and are freed like any object.
"""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kennen_tf import artifacts, attributes
from kennen_tf.attributes import Attribute
from kennen_tf.evaluation import Results

_DOTS_PER_INCH = 150
_SHEET_COLUMNS = 4


def accuracy_figure(results: Results, title: str = "") -> Figure:
    """Draws class-balanced accuracy per attribute, with 95% intervals and chance."""
    names = [attributes.by_name(a.name).code for a in results.attributes] + ["average"]
    rows = [
        (a.accuracy, a.interval, a.chance) if a.accuracy is not None else None
        for a in results.attributes
    ]
    average = results.average
    rows.append(
        (average["accuracy"], average["interval"], average["chance"])
        if average
        else None
    )
    figure = _figure(8.0, 3.8)
    axes = figure.add_subplot()
    legend: dict[str, Any] = {}
    for position, row in enumerate(rows):
        if row is None:
            axes.text(position, 2, "not\nscored", ha="center", va="bottom", fontsize=7)
            continue
        accuracy, (lower, upper), chance = (100 * np.asarray(part) for part in row)
        is_average = position == len(rows) - 1
        axes.bar(
            position,
            accuracy,
            width=0.7,
            color="0.55" if is_average else "0.8",
            edgecolor="black",
            linewidth=0.8,
        )
        bar = axes.errorbar(
            position,
            accuracy,
            # An interval need not hold the estimate; a bar has no negative length.
            yerr=[[max(accuracy - lower, 0.0)], [max(upper - accuracy, 0.0)]],
            color="black",
            capsize=3,
            linewidth=1,
        )
        legend["95% interval"] = bar
        legend["chance"] = axes.hlines(
            chance, position - 0.45, position + 0.45, colors="black", linestyles=":"
        )
        axes.text(
            position,
            max(upper, accuracy) + 1,
            f"{accuracy:.0f}",
            ha="center",
            va="bottom",
            fontsize=8,
        )
    axes.axvline(len(rows) - 1.5, color="0.5", linewidth=0.6)
    axes.legend(
        list(legend.values()),
        list(legend),
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=2,
        frameon=False,
    )
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xlabel("attribute")
    axes.set_ylabel("class-balanced accuracy (%)")
    axes.set_ylim(0, 108)
    axes.set_yticks(range(0, 101, 20))
    axes.spines[["top", "right"]].set_visible(False)
    if title:
        axes.set_title(title, fontsize=10)
    return figure


def confusion_figure(matrix: npt.ArrayLike, attribute: Attribute) -> Figure:
    """Draws one confusion matrix of counts: shade is the share of its row."""
    figure = _figure(
        1.6 + 0.45 * len(attribute.values), 1.4 + 0.45 * len(attribute.values)
    )
    _draw_confusion(figure.add_subplot(), matrix, attribute)
    return figure


def confusion_sheet(results: Results, title: str = "") -> Figure:
    """Draws the confusion matrices of all attributes on one sheet."""
    rows = math.ceil(len(results.attributes) / _SHEET_COLUMNS)
    figure = _figure(3.0 * _SHEET_COLUMNS, 3.0 * rows)
    for position, result in enumerate(results.attributes, start=1):
        attribute = attributes.by_name(result.name)
        axes = figure.add_subplot(rows, _SHEET_COLUMNS, position)
        _draw_confusion(axes, result.confusion, attribute)
        if result.accuracy is None:
            axes.set_title(f"{attribute.code} (not scored)", fontsize=9)
        else:
            axes.set_title(
                f"{attribute.code}  {100 * result.accuracy:.0f}%", fontsize=9
            )
    key = "numbers: test entries; shade: share of the row"
    figure.suptitle(f"{title}\n{key}" if title else key, fontsize=10)
    return figure


def save_png(figure: Figure, path: artifacts.Path) -> None:
    """Writes a figure as PNG, atomically."""
    with artifacts.atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DOTS_PER_INCH)


def png_bytes(figure: Figure, dots_per_inch: int = 100) -> bytes:
    """Returns a figure as PNG, e.g. for a TensorBoard image."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots_per_inch)
    return buffer.getvalue()


def _figure(width_inches: float, height_inches: float) -> Figure:
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw_confusion(axes: Axes, matrix: npt.ArrayLike, attribute: Attribute) -> None:
    counts = np.asarray(matrix)
    row_sums = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, row_sums, where=row_sums > 0, out=np.zeros(counts.shape))
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column]:
            axes.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                fontsize=8 if len(counts) < 6 else 7,
                color="white" if shares[row, column] > 0.55 else "black",
            )
    ticks: Sequence[int] = range(len(attribute.values))
    names = [str(value) for value in attribute.values]
    is_long = max(map(len, names)) > 3 and len(names) > 3
    axes.set_xticks(ticks, names, fontsize=7, rotation=90 if is_long else 0)
    axes.set_yticks(ticks, names, fontsize=7)
    axes.set_xlabel("named", fontsize=8)
    axes.set_ylabel("true", fontsize=8)
    axes.set_title(f"{attribute.code}: {attribute.description}", fontsize=8)
