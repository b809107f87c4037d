"""What is ruled out, and how strange something is: conformal prediction, NumPy only.

Both compare with classifiers of the zoo, each read by a metamodel that had its whole
combination of attribute values left out. Those of one combination are alike, so they
share the weight of one.

Sets of values are class-conditional: whatever the true value is, it is in the set in
90% of cases. See Vovk, Gammerman and Shafer (2005), and, for entries in groups, Dunn,
Wasserman and Ramdas (2022).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# A value that is true is wrongly ruled out with this probability.
LEVEL = 0.1
# Fewer combinations than these cannot rule a value out at this level.
LEAST_COMBINATIONS = 9
# Standard deviations above chance, from which on an attribute counts as betrayed at
# all. Of one that is not, nothing is ruled out.
BETRAYED = 2.0

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.integer]


def find_thresholds(
    left_out: FloatArray,
    labels: IntArray,
    combination_ids: Sequence[str],
    level: float = LEVEL,
) -> FloatArray:
    """Finds from which probability on each value is plausible.

    Args:
        left_out: What a metamodel gives each value of entries whose combination it has
            not seen, `(entries, values)`; NaN where nobody was asked.
        labels: `(entries,)`, negative without a value.
        combination_ids: `(entries,)`.
        level: Share of the entries of a value for which it is ruled out.

    Returns:
        `(values,)`; 0 rules a value out never.
    """
    asked = (labels >= 0) & np.isfinite(left_out).all(axis=1)
    read, own = left_out[asked], labels[asked]
    ids = np.asarray(combination_ids)[asked]
    thresholds = np.zeros(left_out.shape[1])
    if not _is_betrayed(read, own, ids):
        return thresholds
    for value in np.unique(own):
        has = own == value
        weights, count = _share_weights(ids[has])
        if count < LEAST_COMBINATIONS:
            continue
        order = np.argsort(read[has, value], kind="stable")
        # Between places there is a straight line: so sets are neither too small nor,
        # with few combinations, too large.
        places = np.cumsum(weights[order]) - weights[order] / 2 + 0.5
        found = np.interp(level * (count + 1), places, read[has, value][order])
        thresholds[value] = found
    return thresholds


def plausible(
    probabilities: FloatArray, thresholds: FloatArray
) -> npt.NDArray[np.bool_]:
    """Says which values are not ruled out.

    Args:
        probabilities: `(..., values)`.
        thresholds: What `find_thresholds` returned.

    Returns:
        `(..., values)`.
    """
    # What was computed twice may differ in the last digit.
    return probabilities >= thresholds - 1e-6


def find_p_values(
    scores: FloatArray, left_out: FloatArray, weights: FloatArray
) -> FloatArray:
    """Returns the share of the zoo that is at least as strange.

    Args:
        scores: How strange things are, `(things,)`.
        left_out: How strange classifiers of the zoo are, `(entries,)`, sorted, to what
            has not seen their combinations.
        weights: `(entries,)`; see `share_weights`.

    Returns:
        In (0, 1), `(things,)`: at most p with probability p for one of the zoo's kind.
    """
    # As for sets, between places there is a straight line: else, with few combinations,
    # fewer would be called strange than is promised.
    places = np.cumsum(weights[::-1]) - weights[::-1] / 2 + 0.5
    found = np.interp(-scores, -left_out[::-1], places, left=0.5)
    return found / (1 + np.sum(weights))


def deal(combination_ids: Sequence[str], num_parts: int) -> list[npt.NDArray[np.bool_]]:
    """Deals combinations to parts; returns which entries are in each, `(entries,)`."""
    ids, cluster = np.unique(np.asarray(combination_ids), return_inverse=True)
    # Dealt in an order that has nothing to do with the names.
    parts = (np.random.default_rng(0).permutation(len(ids)) % num_parts)[cluster]
    return [parts == part for part in range(num_parts)]


def share_weights(combination_ids: Sequence[str]) -> FloatArray:
    """Returns weights of entries, `(entries,)`, those of a combination of sum 1."""
    return _share_weights(np.asarray(combination_ids))[0]


def _share_weights(ids: npt.NDArray[np.str_]) -> tuple[FloatArray, int]:
    _, places, counts = np.unique(ids, return_inverse=True, return_counts=True)
    return 1 / counts[places], len(counts)


def _is_betrayed(read: FloatArray, labels: IntArray, ids: npt.NDArray[np.str_]) -> bool:
    """Says whether values are named more often than chance would."""
    seen, places = np.unique(labels, return_inverse=True)
    if len(seen) < 2:
        return False
    # Values count alike, so that naming a frequent one always is no more than chance.
    shares = 1 / (len(seen) * np.bincount(places)[places])
    gains = shares * ((read.argmax(axis=1) == labels) - 1 / len(seen))
    _, cluster = np.unique(ids, return_inverse=True)
    sums = np.bincount(cluster, gains)
    return bool(gains.sum() > BETRAYED * np.sqrt(np.sum(sums**2)))
