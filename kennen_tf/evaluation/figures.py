"""Figures for PNG files and TensorBoard; readable in black and white.

What all figures are made with. Each is a Matplotlib `Figure` that is bound to no
display and no global state, so that they can be drawn anywhere and are freed like any
object.
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
from PIL import Image

from kennen_tf.attributes import Attribute
from kennen_tf.vocabulary import artifacts

# A figure with little in it is still as wide as its title, and has room for bars.
LEAST_WIDTH = 6.0
LEAST_BARS = 5
# Of more values than these, not all have room for their names, or for counts.
MOST_NAMES = 16
_DOTS_PER_INCH = 150
# What a bar and its label need, in inches, before figures grow with their number.
_BAR_WIDTH = 0.5
# Names of more characters than these do not stand beside each other in a row.
_SHORT, _LONGEST = 3, 24
# As many characters as fit below a bar, and below one confusion matrix of a sheet.
_BAR_CHARACTERS, _ROW_CHARACTERS = 8, 24


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
    return min(7.0, 110 / num_values)


def make_bars(names: Sequence[str]) -> tuple[Figure, Axes]:
    """Makes a figure for a bar at 0, 1, ... for each name, as large as they need."""
    shown = [shorten(name) for name in names]
    is_long = max(map(len, shown)) > _BAR_CHARACTERS
    width = 8.0 if len(shown) > LEAST_BARS + 1 else LEAST_WIDTH
    figure = make_figure(max(width, _BAR_WIDTH * len(shown)), 5.0 if is_long else 3.8)
    axes = figure.add_subplot()
    axes.set_xticks(range(len(shown)), shown, rotation=90 if is_long else 0)
    return figure, axes
