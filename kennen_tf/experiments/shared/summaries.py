"""What several runs have in common: means, ranges, intervals over seeds or draws."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import scipy.stats

from kennen_tf.attributes import AttributeTable
from kennen_tf.experiments.shared.runs import Refused, Run

AVERAGE = "average"


def summarize(values: Sequence[float]) -> dict[str, Any]:
    """Summarises numbers, one or more.

    Returns:
        "values", "mean", "lowest", "highest", and of two or more their sample standard
        deviation "std" and the 95% "interval" of their mean by Student's t; of one,
        both are None. Runs on one zoo share classifiers, so the interval is not one
        for other zoos.
    """
    array = np.asarray(values, float)
    several = len(array) > 1
    std = float(array.std(ddof=1)) if several else None
    # Rounding puts the mean of equal numbers beside them.
    mean = float(np.clip(array.mean(), array.min(), array.max()))
    interval = None
    if std is not None:
        half = scipy.stats.t.ppf(0.975, len(array) - 1) * std / np.sqrt(len(array))
        interval = [mean - float(half), mean + float(half)]
    return {
        "values": array.tolist(),
        "mean": mean,
        "std": std,
        "lowest": float(array.min()),
        "highest": float(array.max()),
        "interval": interval,
    }


def summarize_runs(
    results: Iterable[Run | Refused], table: AttributeTable
) -> dict[str, Any]:
    """Summarises runs that differ in seeds only.

    Args:
        results: The runs.
        table: The zoo's attributes.

    Returns:
        "runs" and "seeds"; "num_train" and "num_test", one for each run; "refused",
        reasons of those that could not be; "seconds" they took; and under "scores",
        for each attribute and `AVERAGE`, "accuracy" and "scaled" (chance is 0, perfect
        is 1) as `summarize` gives them, the mean "chance", and each run's
        "test_intervals" (95%, over test classifiers); None where no run has a score.
    """
    runs = [result for result in results if isinstance(result, Run)]
    refused = [result.reason for result in results if isinstance(result, Refused)]
    documents = [run.document for run in runs]
    by_name = [{a["name"]: a for a in d["attributes"]} for d in documents]
    return {
        "runs": [run.name for run in runs],
        "seeds": [run.config.seed for run in runs],
        "num_train": [d["num_train"] for d in documents],
        "num_test": [d["num_test"] for d in documents],
        "seconds": sum(d["seconds"] for d in documents),
        "refused": sorted(set(refused)),
        "scores": {
            **{
                name: _summarize_scores([scores[name] for scores in by_name])
                for name in table.names
            },
            AVERAGE: _summarize_scores([d["average"] for d in documents]),
        },
    }


def _summarize_scores(scores: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    scores = [score for score in scores if score.get("accuracy") is not None]
    if not scores:
        return None
    return {
        "accuracy": summarize([score["accuracy"] for score in scores]),
        "scaled": summarize([score["normalized_accuracy"] for score in scores]),
        "chance": float(np.mean([score["chance"] for score in scores])),
        "test_intervals": [list(score["interval"]) for score in scores],
    }


def scored(summary: dict[str, Any]) -> tuple[str, ...]:
    """Returns the attributes that a summary has a score for."""
    scores = summary["scores"]
    return tuple(name for name in scores if name != AVERAGE and scores[name])


def say(summary: dict[str, Any] | None) -> str:
    """Returns e.g. "63.9 (60.4-66.9)" for a summary of fractions; "-" for None."""
    if summary is None:
        return "-"
    if len(summary["values"]) == 1:
        return f"{100 * summary['mean']:.1f}"
    return f"{say_mean(summary)} ({say_extent(summary)})"


def say_mean(summary: dict[str, Any] | None) -> str:
    """Returns e.g. "63.9" for a summary of fractions; "-" for None."""
    return "-" if summary is None else f"{100 * summary['mean']:.1f}"


def say_extent(summary: dict[str, Any]) -> str:
    """Returns e.g. "60.4-66.9" for a summary of fractions."""
    return f"{100 * summary['lowest']:.1f}-{100 * summary['highest']:.1f}"


def say_range(numbers: Sequence[int]) -> str:
    """Returns e.g. "76" or "74-76"; "-" for none."""
    if not numbers:
        return "-"
    lowest, highest = min(numbers), max(numbers)
    return f"{lowest:,}" if lowest == highest else f"{lowest:,}-{highest:,}"
