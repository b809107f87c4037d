"""Figures of a training: its curves, and the images that it crafts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kennen_tf.configs import crafting
from kennen_tf.evaluation import figures

# Contact sheets: of more pairs than these, many are in a row, and smaller.
_FEW_PAIRS = 12
_PAIR_GAP, _COLUMN_GAP = 2, 8  # In pixels of the images.


def contact_sheet(
    images: npt.NDArray[np.float32],
    starts: npt.NDArray[np.float32],
    captions: Sequence[str],
    title: str = "",
    meaning: str = "",
) -> Figure:
    """Draws crafted images, each beside the image that it started from.

    Args:
        images, starts: `(n, height, width, channels)` in [0, 1]. Three channels are
            red, green and blue; of any other number, their mean is drawn.
        captions: What is written under each pair, on one line or more; n of them.
        title: Above all.
        meaning: What captions say, above the images.
    """
    is_few = len(images) <= _FEW_PAIRS
    columns = min(len(images), 3 if is_few else 6)
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
    whole_width = max(width + 0.2, figures.LEAST_WIDTH)
    whole_height = height + 0.5 + 0.16 * len(meaning.splitlines())
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
            mosaic[place_of][..., :3] = figures.colors_of(part)
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
    text = "\n".join(filter(None, [title, key, meaning]))
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
    figure = figures.make_figure(7.0, 3.4)
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
