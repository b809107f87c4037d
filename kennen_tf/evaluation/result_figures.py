"""Figures of a metamodel's results: accuracies as bars, confusion matrices."""

import math
import textwrap
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kennen_tf.attributes import Attribute
from kennen_tf.evaluation import figures
from kennen_tf.evaluation.results import Results

_SHEET_COLUMNS = 4
_TITLE_CHARACTERS = 22


def accuracy_figure(results: Results, title: str = "") -> Figure:
    """Draws class-balanced accuracy per attribute named, 95% intervals and chance."""
    names = [a.code for a in results.named]
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
            axes.text(position, 2, "not\nscored", ha="center", va="bottom", fontsize=7)
            continue
        accuracy, (lower, upper), chance = (100 * np.asarray(part) for part in row)
        is_average = position == num_named
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
    if len(rows) > num_named:
        axes.axvline(num_named - 0.5, color="0.5", linewidth=0.6)
    figure.legend(
        list(legend.values()),
        list(legend),
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
    # Few bars are as wide as many.
    margin = max(figures.LEAST_BARS - len(names), 0) / 2 + 0.6
    axes.set_xlim(-margin, len(names) - 1 + margin)
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
    side = 0.45 * len(attribute.values)
    longest = max(len(figures.shorten(value)) for value in attribute.values)
    room = 0.06 * max(longest - 8, 0)
    figure = figures.make_figure(1.6 + side + room, 1.7 + side + room)
    draw_confusion(figure.add_subplot(), matrix, attribute)
    return figure


def confusion_sheet(results: Results, title: str = "") -> Figure:
    """Draws the confusion matrices of all attributes named on one sheet."""
    columns = min(len(results.named), _SHEET_COLUMNS)
    rows = math.ceil(len(results.named) / columns)
    figure = figures.make_figure(
        max(3.0 * columns, figures.LEAST_WIDTH), 3.0 * rows + 0.5
    )
    for position, result in enumerate(results.named, start=1):
        axes = figure.add_subplot(rows, columns, position)
        draw_confusion(axes, result.confusion, result.attribute)
        score = "(not scored)"
        if result.accuracy is not None:
            score = f" {100 * result.accuracy:.0f}%"
        code = figures.shorten(result.code)
        between = "\n" if len(code) > _TITLE_CHARACTERS / 2 else " "
        axes.set_title(f"{code}{between}{score}", fontsize=9)
    key = "numbers: test entries; shade: share of the row"
    figure.suptitle(f"{title}\n{key}" if title else key, fontsize=10)
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
    title = ": ".join(filter(None, [attribute.code, attribute.description]))
    width = max(_TITLE_CHARACTERS, 7 * len(attribute.values))
    axes.set_title(textwrap.fill(title, width), fontsize=8)
