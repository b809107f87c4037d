"""Figures of results, for PNG files and TensorBoard; readable in black and white.

Each function returns a Matplotlib `Figure` that is bound to no display and no global
state, so that they can be drawn anywhere and are freed like any object.
"""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from kennen_tf import artifacts, attributes
from kennen_tf.attributes import Attribute
from kennen_tf.configs import crafting
from kennen_tf.evaluation import Results

_DOTS_PER_INCH = 150
_SHEET_COLUMNS = 4
# A figure with little in it is still as wide as its title.
_LEAST_WIDTH = 6.0
_LEAST_BARS = 5

# Contact sheets: of more pairs than these, many are in a row, and smaller.
_FEW_PAIRS = 12
_PAIR_GAP, _COLUMN_GAP = 2, 8  # In pixels of the images.


def accuracy_figure(results: Results, title: str = "") -> Figure:
    """Draws class-balanced accuracy per attribute named, 95% intervals and chance."""
    names = [attributes.by_name(a.name).code for a in results.named]
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
    figure = make_figure(8.0 if num_named > _LEAST_BARS else _LEAST_WIDTH, 3.8)
    axes = figure.add_subplot()
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
    axes.legend(
        list(legend.values()),
        list(legend),
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=2,
        frameon=False,
    )
    axes.set_xticks(range(len(names)), names)
    # Few bars are as wide as many.
    margin = max(_LEAST_BARS - len(names), 0) / 2 + 0.6
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
    figure = make_figure(
        1.6 + 0.45 * len(attribute.values), 1.4 + 0.45 * len(attribute.values)
    )
    draw_confusion(figure.add_subplot(), matrix, attribute)
    return figure


def confusion_sheet(results: Results, title: str = "") -> Figure:
    """Draws the confusion matrices of all attributes named on one sheet."""
    columns = min(len(results.named), _SHEET_COLUMNS)
    rows = math.ceil(len(results.named) / columns)
    figure = make_figure(max(3.0 * columns, _LEAST_WIDTH), 3.0 * rows + 0.5)
    for position, result in enumerate(results.named, start=1):
        attribute = attributes.by_name(result.name)
        axes = figure.add_subplot(rows, columns, position)
        draw_confusion(axes, result.confusion, attribute)
        if result.accuracy is None:
            axes.set_title(f"{attribute.code} (not scored)", fontsize=9)
        else:
            axes.set_title(
                f"{attribute.code}  {100 * result.accuracy:.0f}%", fontsize=9
            )
    key = "numbers: test entries; shade: share of the row"
    figure.suptitle(f"{title}\n{key}" if title else key, fontsize=10)
    return figure


def contact_sheet(
    images: npt.NDArray[np.float32],
    starts: npt.NDArray[np.float32],
    captions: Sequence[str],
    title: str = "",
) -> Figure:
    """Draws crafted images, each beside the image that it started from.

    Args:
        images, starts: `(n, 28, 28, 1)` in [0, 1].
        captions: What is written under each pair, on one line or more; n of them.
        title: Above all.
    """
    is_few = len(images) <= _FEW_PAIRS
    columns = min(len(images), 4 if is_few else 10)
    rows = math.ceil(len(images) / columns)
    # In inches: whole pixels of the PNG for each of an image, at 100 and 150 dpi.
    pixel, font_size = (0.04, 10.0) if is_few else (0.02, 8.0)
    size = images.shape[1]
    num_lines = max(caption.count("\n") + 1 for caption in captions)
    step_x = 2 * size + _PAIR_GAP + _COLUMN_GAP
    step_y = size + round((1.3 * num_lines + 0.9) * font_size / 72 / pixel)

    mosaic = np.full((rows * step_y, columns * step_x - _COLUMN_GAP), np.nan)
    height, width = (pixel * side for side in mosaic.shape)
    whole_width, whole_height = max(width + 0.2, 4.6), height + 0.5
    figure = Figure(figsize=(whole_width, whole_height))
    FigureCanvasAgg(figure)
    share = width / whole_width
    axes = figure.add_axes(((1 - share) / 2, 0, share, height / whole_height))
    axes.set_axis_off()
    for place, (image, start, caption) in enumerate(
        zip(images, starts, captions, strict=True)
    ):
        y, x = step_y * (place // columns), step_x * (place % columns)
        for part, left in ((start, x), (image, x + size + _PAIR_GAP)):
            mosaic[y : y + size, left : left + size] = part[..., 0]
            # Framed, as black and white images would otherwise have no edges.
            frame = Rectangle((left - 0.5, y - 0.5), size, size, fill=False, ec="0.6")
            axes.add_patch(frame).set(linewidth=0.7, clip_on=False)
        middle = x + size + (_PAIR_GAP - 1) / 2
        axes.text(
            middle, y + size + 1, caption, ha="center", va="top", fontsize=font_size
        )
    axes.imshow(mosaic, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    key = "left: the start; right: the crafted image"
    text = f"{title}\n{key}" if title else key
    figure.suptitle(text, fontsize=10, y=1 - 0.05 / whole_height)
    return figure


def curves_figure(
    rows: Sequence[Mapping[str, Any]],
    phases: Sequence[tuple[str, int, int]],
    chance: float | None,
    title: str = "",
) -> Figure:
    """Draws loss and average accuracy over the epochs; image phases are shaded.

    Args:
        rows: Of metrics.jsonl: "epoch", and "loss" and "average" of "train" and "test".
        phases: Name (`crafting.IMAGES` or another), first and last epoch of each.
        chance: Average accuracy of guessing, in [0, 1], if there is any.
        title: Above all.
    """
    figure = make_figure(8.0, 3.4)
    epochs = [row["epoch"] for row in rows]
    panels = (("loss", "loss", 1.0), ("average", "class-balanced accuracy (%)", 100.0))
    legend: dict[str, Any] = {}
    for place, (key, label, scale) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place)
        for side, style, symbol in (("train", "--", "o"), ("test", "-", "x")):
            values = [row[side][key] for row in rows]
            scaled = [np.nan if v is None else scale * v for v in values]
            # A single row has no line.
            marker = symbol if len(rows) == 1 else None
            [legend[side]] = axes.plot(epochs, scaled, style, color="k", marker=marker)
        if key == "average":
            axes.set_ylim(0, 102)
            if chance is not None:
                legend["chance"] = axes.axhline(100 * chance, color="k", ls=":")
        for name, first, last in phases:
            if name == crafting.IMAGES:
                span = axes.axvspan(first, last, color="0.9", linewidth=0)
                legend["images are crafted"] = span
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        list(legend.values()),
        list(legend),
        loc="outside lower center",
        ncols=len(legend),
        frameon=False,
    )
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def save_png(figure: Figure, path: artifacts.Path) -> None:
    """Writes a figure as PNG of 256 colors, a third as large, atomically."""
    image = Image.open(io.BytesIO(png_bytes(figure, _DOTS_PER_INCH)))
    with artifacts.atomic_path(path) as temporary:
        image.convert("RGB").quantize().save(temporary, format="png", optimize=True)


def png_bytes(figure: Figure, dots_per_inch: int = 100) -> bytes:
    """Returns a figure as PNG, e.g. for a TensorBoard image."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots_per_inch)
    return buffer.getvalue()


def make_figure(width_inches: float, height_inches: float) -> Figure:
    """Makes an empty figure, bound to no display."""
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw_confusion(axes: Axes, matrix: npt.ArrayLike, attribute: Attribute) -> None:
    """Draws a confusion matrix of counts: shade is the share of its row."""
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
