"""Figures of AIPs: the transfer matrix and sheets of perturbed images."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Matrix = Mapping[str, Mapping[str, float | None]]
Pixels = npt.NDArray[np.uint8]

_LINE_CHARACTERS = 66
_DARK = 0.55  # From this rate on, numbers are white.


def transfer_figure(matrices: Mapping[str, Matrix], title: str = "") -> Figure:
    """Draws transfer matrices as heat maps, one below the other, by their names."""
    first = next(iter(matrices.values()))
    num_columns = len(next(iter(first.values())))
    longest = max(len(name) for matrix in matrices.values() for name in matrix)
    width = 0.6 * num_columns + 0.09 * longest + 1.8
    height = sum(
        0.4 * len(matrix) + 0.07 * longest + 0.9 for matrix in matrices.values()
    )
    figure = Figure(figsize=(max(width, 6.0), height + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    image: Any = None
    for place, (name, matrix) in enumerate(matrices.items(), start=1):
        axes = figure.add_subplot(len(matrices), 1, place)
        rows, columns = list(matrix), list(next(iter(matrix.values())))
        rates = np.array(
            [
                [np.nan if (r := matrix[row][c]) is None else r for c in columns]
                for row in rows
            ]
        )
        image = axes.imshow(100 * rates, cmap="Greys", vmin=0, vmax=100)
        for row, column in np.ndindex(*rates.shape):
            rate = rates[row, column]
            within = rows[row] == columns[column]
            axes.text(
                *(column, row, "-" if np.isnan(rate) else f"{100 * rate:.0f}"),
                ha="center",
                va="center",
                fontsize=8,
                fontweight="bold" if within else "normal",
                color="white" if rate > _DARK else "black",
            )
        axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(labelsize=8)
        axes.set_xlabel("family of the target")
        axes.set_ylabel("generated on")
        axes.set_title(f"{name}; bold: within a family", fontsize=9)
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.8)
    bar.set_label("top-1 misclassification (%)")
    figure.suptitle(textwrap.fill(title, _LINE_CHARACTERS), fontsize=10)
    return figure


def sheet(
    clean: Pixels,
    perturbed: Pixels,
    captions: Sequence[tuple[str, str, str]],
    title: str = "",
) -> Figure:
    """Draws images, their perturbations and the result, a row each.

    Perturbations are drawn around gray and multiplied, all by the same number, so that
    the largest change of any pixel reaches black or white.

    Args:
        clean: uint8 `(n, height, width, 3)`.
        perturbed: Like `clean`.
        captions: What stands over the three pictures of each row; n of them.
        title: Above all.
    """
    differences = perturbed.astype(np.float32) - clean
    factor = 127.5 / max(float(np.abs(differences).max()), 1.0)
    scaled = np.clip(np.round(127.5 + factor * differences), 0, 255).astype(np.uint8)
    figure = Figure(figsize=(7.2, 2.55 * len(clean) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    for row, pictures in enumerate(zip(clean, scaled, perturbed, strict=True)):
        for column, picture in enumerate(pictures):
            axes = figure.add_subplot(len(clean), 3, 3 * row + column + 1)
            axes.imshow(picture, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(captions[row][column], fontsize=8)
    key = f"left: clean; middle: perturbation times {factor:.3g}; right: perturbed"
    figure.suptitle(f"{title}\n{key}" if title else key, fontsize=10)
    return figure
