"""The reliability figure: how often answers of a confidence are right."""

from matplotlib.figure import Figure

from kennen_tf.evaluation import figures
from kennen_tf.evaluation.calibration import Calibration


def reliability_figure(calibration: Calibration, title: str = "") -> Figure:
    """Draws accuracy against confidence, in per cent, a point for each bin.

    On the diagonal, drawn as a line of dashes, probabilities are as they should be;
    bars are two standard deviations that are owed to the choice of test entries.

    Args:
        calibration: What was measured.
        title: Above all.
    """
    figure = figures.make_figure(figures.LEAST_WIDTH, 5.0)
    axes = figure.add_subplot()
    axes.plot([0, 100], [0, 100], "k--", linewidth=0.8, label="calibrated")
    axes.errorbar(
        [100 * own for own in calibration.confidence],
        [100 * own for own in calibration.accuracy],
        yerr=[200 * own for own in calibration.deviation],
        fmt="ko",
        markersize=4,
        linewidth=0.8,
        capsize=2,
        label="answers, in bins of as many",
    )
    axes.set_xlim(0, 101)
    axes.set_ylim(0, 101)
    axes.set_aspect("equal")
    axes.set_xlabel("probability of what is named (%)")
    axes.set_ylabel("named rightly (%)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", frameon=False)
    error = f"calibration error {100 * calibration.error:.1f} points"
    axes.set_title(f"{title}\n{error}" if title else error, fontsize=10)
    return figure
