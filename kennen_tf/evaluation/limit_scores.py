"""Whether a metamodel keeps what it promises of its limits, on test entries."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import MISSING
from kennen_tf.evaluation import calibration, conformal
from kennen_tf.evaluation.limits import Limits

# Called strange: so many of those that are like the zoo are, wrongly.
ALARM = 0.05

FloatArray = npt.NDArray[np.floating]


def score(
    labels: Mapping[str, npt.NDArray[np.integer]],
    probabilities: Mapping[str, FloatArray],
    combination_ids: Sequence[str],
    limits: Limits | None,
    outputs: FloatArray,
) -> dict[str, Any]:
    """Scores confidence, sets of values and alarms; what is said of sets is a mean.

    Args:
        labels: Of each attribute, `(entries,)`, `MISSING` without a value.
        probabilities: Of each attribute that is named, `(entries, values)`.
        combination_ids: `(entries,)`.
        limits: At full precision; None if they are not known.
        outputs: What is read, `(entries, num_queries, classes)`.

    Returns:
        Plain values for `results.json`: "calibration", of all answers and of each
        attribute, and, with limits, "coverage", the share of the entries whose value is
        not ruled out, "plausible", the mean share of values that are not, and
        "cannot_tell", the share of entries of which none is, each with that of
        "attributes"; and "false_alarms", the share of entries that are called strange.
    """
    whole, by_attribute = calibration.measure_all(
        labels, probabilities, combination_ids
    )
    document: dict[str, Any] = {
        "calibration": {
            "all": whole.to_json() if whole else None,
            "attributes": {n: own.error for n, own in by_attribute.items()},
        }
    }
    if limits is None:
        return document
    rows = {
        name: _score_sets(labels[name], own, np.asarray(limits.thresholds[name]))
        for name, own in probabilities.items()
        if name in limits.thresholds and (labels[name] != MISSING).any()
    }
    if rows:
        document["sets"] = {
            "level": 1 - conformal.LEVEL,
            **{
                key: float(np.mean([row[key] for row in rows.values()]))
                for key in next(iter(rows.values()))
            },
            "attributes": rows,
        }
    if limits.novelty is not None:
        strange = limits.novelty.p_values(outputs) <= ALARM
        document["false_alarms"] = {"level": ALARM, "share": float(strange.mean())}
    return document


def _score_sets(
    labels: npt.NDArray[np.integer], probabilities: FloatArray, thresholds: FloatArray
) -> dict[str, float]:
    known = labels != MISSING
    holds = conformal.plausible(probabilities[known], thresholds)
    return {
        "coverage": float(holds[np.arange(len(holds)), labels[known]].mean()),
        "plausible": float(holds.mean()),
        "cannot_tell": float(holds.all(axis=1).mean()),
    }
