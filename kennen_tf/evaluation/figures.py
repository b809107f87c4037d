"""Figures for PNG files and TensorBoard; readable in black and white.

What all figures are made with. Each is a Matplotlib `Figure` that is bound to no
display and no global state, so that they can be drawn anywhere and are freed like any
object.
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
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from PIL import Image

from kennen_tf.attributes import Attribute
from kennen_tf.vocabulary import artifacts

# In inches. Shown 400 pixels wide, letters of 8 points are 7 pixels high.
WIDTH = 6.0
LEAST_WIDTH = WIDTH
# Panels in a row, for values with short names to have room.
COLUMNS = 3
# Of more values than these, not all have room for their names, or for counts.
MOST_NAMES = 16
_DOTS_PER_INCH = 150
# What a bar and its name of one line need, in inches, and each more line.
_BAR_HEIGHT, _LINE_HEIGHT = 0.36, 0.16
# Names of more characters than these do not stand beside each other in a row.
_SHORT, _LONGEST = 3, 24
# As many characters as fit below one panel of a row, and beside a bar.
_ROW_CHARACTERS, _NAME_CHARACTERS = 24, 26
# As many as fit below an image.
_KEY_CHARACTERS = 32


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
    places, names = ticks(attribute)
    longest, count = max(map(len, names)), len(names)
    is_long = (longest > _SHORT and count > 3) or longest * count > _ROW_CHARACTERS
    axes.set_xticks(
        places, names, fontsize=font_size(count), rotation=90 if is_long else 0
    )


def ticks(attribute: Attribute) -> tuple[list[int], list[str]]:
    """Returns places and names of values; of very many, of every second or so."""
    step = math.ceil(len(attribute.values) / MOST_NAMES)
    places = list(range(0, len(attribute.values), step))
    return places, [shorten(attribute.values[place]) for place in places]


def font_size(num_values: int) -> float:
    """Returns the size of letters, in points, at which rows and names do not meet."""
    return min(7.0, 90 / num_values)


def name_in_full(attribute: Attribute, width: int = _NAME_CHARACTERS) -> str:
    """Returns an attribute's name and code, on lines of so many characters."""
    return textwrap.fill(attribute.in_full, width)


def class_key(attribute: Attribute) -> str:
    """Returns which class stands for which value, e.g. "0 = no, 1 = yes", in lines."""
    parts = [f"{place} = {shorten(v)}" for place, v in enumerate(attribute.values)]
    # Between a number and its value, there is no end of a line.
    key = ", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)
    return textwrap.fill(key, _KEY_CHARACTERS)


def make_bars(names: Sequence[str]) -> tuple[Figure, Axes]:
    """Makes a figure for a bar at 0, 1, ... downwards for each name.

    Args:
        names: On one line or more.
    """
    lines = sum(name.count("\n") for name in names)
    height = _BAR_HEIGHT * len(names) + _LINE_HEIGHT * lines + 1.6
    figure = make_figure(WIDTH, height)
    axes = figure.add_subplot()
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def add_bar(
    axes: Axes,
    place: float,
    accuracy: float,
    interval: tuple[float, float],
    *,
    height: float,
    color: str,
) -> tuple[Any, Any]:
    """Draws a bar to an accuracy, and its interval, all in per cent.

    Returns:
        The bar and the interval, for a legend.
    """
    lower, upper = interval
    bar = axes.barh(
        place, accuracy, height=height, color=color, edgecolor="black", linewidth=0.8
    )
    whiskers = axes.errorbar(
        accuracy,
        place,
        # An interval need not hold the estimate; a bar has no negative length.
        xerr=[[max(accuracy - lower, 0.0)], [max(upper - accuracy, 0.0)]],
        color="black",
        capsize=3,
        linewidth=1,
    )
    return bar, whiskers


def box_legend(of_what: str) -> dict[str, Any]:
    """Returns what the parts of a box plot say, for `add_legend`."""
    return {
        f"box: half of the {of_what}": Patch(facecolor="white", edgecolor="black"),
        "whiskers: lowest to highest": Line2D([], [], color="black"),
        "thick line: median": Line2D([], [], color="black", linewidth=2),
    }


def add_legend(figure: Figure, handles: Mapping[str, Any], columns: int = 3) -> None:
    """Adds a legend below all panels, by what each handle is called."""
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=min(columns, len(handles)),
        frameon=False,
        fontsize=8,
    )
