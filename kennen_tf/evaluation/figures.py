"""Figures of results, for PNG files and TensorBoard; readable in black and white.

Each function returns a Matplotlib `Figure` that is bound to no display and no global
state, so that they can be drawn anywhere and are freed like any object.
"""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from kennen_tf.attributes import Attribute
from kennen_tf.configs import crafting
from kennen_tf.evaluation.scores import Results
from kennen_tf.vocabulary import artifacts

_DOTS_PER_INCH = 150
_SHEET_COLUMNS = 4
# A figure with little in it is still as wide as its title.
_LEAST_WIDTH = 6.0
_LEAST_BARS = 5
# What a bar and its label need, in inches, before figures grow with their number.
_BAR_WIDTH = 0.5
# Names of more characters than these do not stand beside each other in a row.
_SHORT, _LONGEST = 3, 24
# As many characters as fit below a bar, and below one confusion matrix of a sheet.
_BAR_CHARACTERS, _ROW_CHARACTERS = 8, 24
# Above this many values, a confusion matrix has no room for counts and all names.
_MOST_COUNTS = 16
_TITLE_CHARACTERS = 22

# Contact sheets: of more pairs than these, many are in a row, and smaller.
_FEW_PAIRS = 12
_PAIR_GAP, _COLUMN_GAP = 2, 8  # In pixels of the images.


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
    figure, axes = make_bars(names)
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
    side = 0.45 * len(attribute.values)
    longest = max(len(shorten(value)) for value in attribute.values)
    room = 0.06 * max(longest - 8, 0)
    figure = make_figure(1.6 + side + room, 1.7 + side + room)
    draw_confusion(figure.add_subplot(), matrix, attribute)
    return figure


def confusion_sheet(results: Results, title: str = "") -> Figure:
    """Draws the confusion matrices of all attributes named on one sheet."""
    columns = min(len(results.named), _SHEET_COLUMNS)
    rows = math.ceil(len(results.named) / columns)
    figure = make_figure(max(3.0 * columns, _LEAST_WIDTH), 3.0 * rows + 0.5)
    for position, result in enumerate(results.named, start=1):
        axes = figure.add_subplot(rows, columns, position)
        draw_confusion(axes, result.confusion, result.attribute)
        score = "(not scored)"
        if result.accuracy is not None:
            score = f" {100 * result.accuracy:.0f}%"
        code = shorten(result.code)
        between = "\n" if len(code) > _TITLE_CHARACTERS / 2 else " "
        axes.set_title(f"{code}{between}{score}", fontsize=9)
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
        images, starts: `(n, height, width, channels)` in [0, 1]. Three channels are
            red, green and blue; of any other number, their mean is drawn.
        captions: What is written under each pair, on one line or more; n of them.
        title: Above all.
    """
    is_few = len(images) <= _FEW_PAIRS
    columns = min(len(images), 4 if is_few else 10)
    rows = math.ceil(len(images) / columns)
    size_y, size_x = images.shape[1:3]
    # In inches: whole pixels of the PNG for each of an image, at 100 and 150 dpi, or
    # as many for images of other sizes as there are for those of 28 x 28.
    pixel, font_size = (0.04, 10.0) if is_few else (0.02, 8.0)
    pixel *= 28 / size_x
    num_lines = max(caption.count("\n") + 1 for caption in captions)
    gap, column_gap = (round(g * size_x / 28) or 1 for g in (_PAIR_GAP, _COLUMN_GAP))
    step_x = 2 * size_x + gap + column_gap
    step_y = size_y + math.ceil((1.3 * num_lines + 0.9) * font_size / 72 / pixel)

    # The last number is opacity: between the images, there is nothing.
    mosaic = np.zeros((rows * step_y, columns * step_x - column_gap, 4), np.float32)
    height, width = (pixel * side for side in mosaic.shape[:2])
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
        for part, left in ((start, x), (image, x + size_x + gap)):
            place_of = np.s_[y : y + size_y, left : left + size_x]
            mosaic[place_of] = 1.0
            mosaic[place_of][..., :3] = colors_of(part)
            # Framed, as black and white images would otherwise have no edges.
            frame = Rectangle(
                (left - 0.5, y - 0.5), size_x, size_y, fill=False, ec="0.6"
            )
            axes.add_patch(frame).set(linewidth=0.7, clip_on=False)
        middle = x + size_x + (gap - 1) / 2
        below = y + size_y - 0.5 + 1.5 * size_x / 28
        axes.text(middle, below, caption, ha="center", va="top", fontsize=font_size)
    axes.imshow(mosaic, interpolation="nearest")
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


def colors_of(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns an image as red, green and blue, `(height, width, 3)`.

    Args:
        image: `(height, width, channels)`. Three channels are colours already; of any
            other number, the mean is taken as grey.
    """
    if image.shape[-1] == 3:
        return image
    return np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1)


def shorten(text: Any) -> str:
    """Returns a name as figures have room for it."""
    name = str(text)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def label_values(axes: Axes, attribute: Attribute) -> None:
    """Names an attribute's values along the axis; upright where they are long."""
    places, names = _ticks(attribute)
    longest, count = max(map(len, names)), len(names)
    is_long = (longest > _SHORT and count > 3) or longest * count > _ROW_CHARACTERS
    axes.set_xticks(
        places, names, fontsize=_font_size(count), rotation=90 if is_long else 0
    )


def _ticks(attribute: Attribute) -> tuple[list[int], list[str]]:
    """Returns places and names of values; of very many, of every second or so."""
    step = math.ceil(len(attribute.values) / _MOST_COUNTS)
    places = list(range(0, len(attribute.values), step))
    return places, [shorten(attribute.values[place]) for place in places]


def _font_size(num_values: int) -> float:
    """Returns the size of letters, in points, at which rows and names do not meet."""
    return min(7.0, 110 / num_values)


def make_bars(names: Sequence[str]) -> tuple[Figure, Axes]:
    """Makes a figure for a bar at 0, 1, ... for each name, as large as they need."""
    shown = [shorten(name) for name in names]
    is_long = max(map(len, shown)) > _BAR_CHARACTERS
    width = 8.0 if len(shown) > _LEAST_BARS + 1 else _LEAST_WIDTH
    figure = make_figure(max(width, _BAR_WIDTH * len(shown)), 5.0 if is_long else 3.8)
    axes = figure.add_subplot()
    axes.set_xticks(range(len(shown)), shown, rotation=90 if is_long else 0)
    return figure, axes


def draw_confusion(axes: Axes, matrix: npt.ArrayLike, attribute: Attribute) -> None:
    """Draws a confusion matrix of counts: shade is the share of its row."""
    counts = np.asarray(matrix)
    row_sums = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, row_sums, where=row_sums > 0, out=np.zeros(counts.shape))
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column] and len(counts) <= _MOST_COUNTS:
            axes.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                fontsize=8 if len(counts) < 6 else _font_size(len(counts)),
                color="white" if shares[row, column] > 0.55 else "black",
            )
    label_values(axes, attribute)
    places, names = _ticks(attribute)
    axes.set_yticks(places, names, fontsize=_font_size(len(names)))
    axes.set_xlabel("named", fontsize=8)
    axes.set_ylabel("true", fontsize=8)
    title = ": ".join(filter(None, [attribute.code, attribute.description]))
    width = max(_TITLE_CHARACTERS, 7 * len(attribute.values))
    axes.set_title(textwrap.fill(title, width), fontsize=8)
