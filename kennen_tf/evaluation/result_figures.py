"""Figures of a metamodel's results: accuracies as bars, confusion matrices."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kennen_tf.attributes import Attribute
from kennen_tf.evaluation import figures
from kennen_tf.evaluation.results import Results

# As many as fit above one matrix, above one of a sheet, and above a figure.
_TITLE_CHARACTERS, _PANEL_CHARACTERS, _LINE_CHARACTERS = 26, 20, 72


def accuracy_figure(results: Results, title: str = "") -> Figure:
    """Draws class-balanced accuracy per attribute named, 95% intervals and chance."""
    names = [figures.name_in_full(a.attribute) for a in results.named]
    rows = [
        (a.accuracy, a.interval, a.chance) if a.accuracy is not None else None
        for a in results.named
    ]
    num_named = len(rows)
    if num_named > 1:  # Of one, the average says nothing new.
        average = results.average
        names.append("average")
        rows.append(
            (average["accuracy"], average["interval"], average["chance"])
            if average
            else None
        )
    figure, axes = figures.make_bars(names)
    legend: dict[str, Any] = {}
    for position, row in enumerate(rows):
        if row is None:
            axes.text(2, position, "not scored", va="center", fontsize=8)
            continue
        accuracy, [lower, upper], chance = (
            (100 * np.asarray(part)).tolist() for part in row
        )
        _, legend["95% interval"] = figures.add_bar(
            axes,
            position,
            accuracy,
            (lower, upper),
            height=0.7,
            color="0.55" if position == num_named else "0.8",
        )
        legend["chance"] = axes.vlines(
            chance, position - 0.45, position + 0.45, colors="black", linestyles=":"
        )
        right = max(upper, accuracy) + 1.5
        axes.text(right, position, f"{accuracy:.0f}", va="center", fontsize=8)
    if len(rows) > num_named:
        axes.axhline(num_named - 0.5, color="0.5", linewidth=0.6)
    if legend:
        figures.add_legend(figure, legend)
    axes.set_xlabel("class-balanced accuracy (%)", fontsize=9)
    axes.set_xlim(0, 108)
    axes.set_xticks(range(0, 101, 20))
    if title:
        figure.suptitle(textwrap.fill(title, _LINE_CHARACTERS), fontsize=10)
    return figure


def confusion_figure(matrix: npt.ArrayLike, attribute: Attribute) -> Figure:
    """Draws one confusion matrix of counts: shade is the share of its row."""
    side = 0.45 * len(attribute.values)
    longest = max(len(figures.shorten(value)) for value in attribute.values)
    room = 0.06 * max(longest - 8, 0)
    figure = figures.make_figure(1.8 + side + room, 1.9 + side + room)
    axes = figure.add_subplot()
    draw_confusion(axes, matrix, attribute)
    width = max(_TITLE_CHARACTERS, 7 * len(attribute.values))
    axes.set_title(figures.name_in_full(attribute, width), fontsize=8)
    return figure


def confusion_sheet(results: Results, title: str = "") -> Figure:
    """Draws the confusion matrices of all attributes named on one sheet."""
    panels = [(r.attribute, r.confusion, r.accuracy) for r in results.named]
    return confusion_panels(panels, title)


def confusion_panels(
    panels: Sequence[tuple[Attribute, npt.ArrayLike, float | None]], title: str = ""
) -> Figure:
    """Draws a confusion matrix beside the other.

    Args:
        panels: Attribute, counts, and accuracy in [0, 1] if it is scored.
        title: Above all.
    """
    columns = min(len(panels), figures.COLUMNS)
    num_rows = math.ceil(len(panels) / columns)
    longest = max(len(figures.shorten(v)) for a, _, _ in panels for v in a.values)
    titles = []
    for attribute, _, accuracy in panels:
        score = "not scored" if accuracy is None else f"{100 * accuracy:.0f}%"
        text = f"{attribute.in_full}: {score}"
        titles.append(textwrap.fill(text, _PANEL_CHARACTERS))
    lines = max(text.count("\n") for text in titles)
    room = 0.07 * max(longest - 8, 0)
    width = max(figures.WIDTH, (2.0 + room) * columns)
    height = 2.3 + 1.3 * room + 0.14 * lines
    figure = figures.make_figure(width, height * num_rows + 0.9)
    for position, (attribute, matrix, _) in enumerate(panels, start=1):
        axes = figure.add_subplot(num_rows, columns, position)
        draw_confusion(axes, matrix, attribute)
        axes.set_title(titles[position - 1], fontsize=8)
    key = (
        "numbers: test classifiers; shade: share of the row\n"
        "percentages: class-balanced accuracy"
    )
    title = textwrap.fill(title, _LINE_CHARACTERS)
    figure.suptitle(f"{title}\n{key}" if title else key, fontsize=9)
    return figure


def draw_confusion(axes: Axes, matrix: npt.ArrayLike, attribute: Attribute) -> None:
    """Draws a confusion matrix of counts: shade is the share of its row."""
    counts = np.asarray(matrix)
    row_sums = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, row_sums, where=row_sums > 0, out=np.zeros(counts.shape))
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column] and len(counts) <= figures.MOST_NAMES:
            axes.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                fontsize=8 if len(counts) < 6 else figures.font_size(len(counts)),
                color="white" if shares[row, column] > 0.55 else "black",
            )
    figures.label_values(axes, attribute)
    places, names = figures.ticks(attribute)
    axes.set_yticks(places, names, fontsize=figures.font_size(len(names)))
    axes.set_xlabel("named", fontsize=8)
    axes.set_ylabel("true", fontsize=8)
