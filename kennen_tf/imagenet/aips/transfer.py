"""What AIPs do to whom: grades of pairings, the transfer matrix, the four scenarios."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.imagenet.aips.generator_sets import ITSELF, ONE_OF_EACH, Pairing
from kennen_tf.imagenet.classifiers.family_classifier import FamilyClassifier

CLEAN = "clean"
TARGET_KNOWN = "target known"
FAMILY_KNOWN = "family known"
FAMILY_PREDICTED = "family predicted"
SEVERAL_FAMILIES = "several families"
SCENARIOS = (TARGET_KNOWN, FAMILY_KNOWN, FAMILY_PREDICTED, SEVERAL_FAMILIES)

_CONFIDENCE = 0.95
_NUM_RESAMPLES = 2000

FloatArray = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Graded:
    """A pairing and how its target ranks the true class of each image.

    Attributes:
        pairing: Who generated against whom.
        clean_ranks: `grading.rank_labels` of the clean images, `(n,)`.
        ranks: Of the perturbed images, `(n,)`.
        predicted: The class that the target sees in each perturbed image, `(n,)`.
    """

    pairing: Pairing
    clean_ranks: npt.NDArray[np.int32]
    ranks: npt.NDArray[np.int32]
    predicted: npt.NDArray[np.int32]


def transfer_matrix(
    graded: Sequence[Graded], families: Sequence[str], *, only_right_before: bool
) -> dict[str, dict[str, float | None]]:
    """Returns top-1 misclassification by generators (rows) and target family.

    Each is the mean over the classifiers of the target family, as in the paper's table
    of section 4; its first row is the error on clean images.

    Args:
        graded: As `generator_sets.pair_all` pairs them.
        families: Rows and columns, in this order.
        only_right_before: Count only images that the target classified rightly when
            they were clean; then the row of clean images is left out.

    Returns:
        By row and column, in [0, 1]; None where nothing was generated.
    """
    rows: dict[str, dict[str, float | None]] = {}
    if not only_right_before:
        rows[CLEAN] = {
            f: _mean([_rate(g.clean_ranks) for g in _of(graded, ITSELF, f)])
            for f in families
        }
    for generated_on in (*families, ONE_OF_EACH):
        rows[generated_on] = {
            family: _mean(
                [
                    _rate(g.ranks[g.clean_ranks == 0] if only_right_before else g.ranks)
                    for g in _of(graded, generated_on, family)
                ]
            )
            for family in families
        }
    return rows


@dataclasses.dataclass(frozen=True)
class Scenario:
    """Top-1 misclassification under one of the paper's assumptions.

    Attributes:
        name: One of `SCENARIOS`.
        rate: Mean over families of the mean over their classifiers, in [0, 1]; None if
            no target has such generators.
        interval: 95%, by bootstrap over images; how much other classifiers would
            change it, it does not say.
        num_targets: Number of classifiers attacked.
    """

    name: str
    rate: float | None
    interval: tuple[float, float] | None
    num_targets: int


def compare_scenarios(
    graded: Sequence[Graded],
    families: Sequence[str],
    predicted_families: Mapping[FamilyClassifier, Sequence[str]],
    seed: int,
) -> list[Scenario]:
    """Returns what is gained by knowing more of the target (paper, section 4).

    All are over the same targets: those whose family has another classifier.

    Args:
        graded: As `generator_sets.pair_all` pairs them.
        families: Names of the families.
        predicted_families: For each target, the families that a metamodel that has
            not seen it named, one for each draw of queries.
        seed: Decides the bootstrap.
    """
    by_target = {(g.pairing.target, g.pairing.generated_on): g for g in graded}
    targets = [c for c in predicted_families if (c, c.family) in by_target]
    generated_on: dict[str, Callable[[FamilyClassifier], Sequence[str]]] = {
        TARGET_KNOWN: lambda target: [ITSELF],
        FAMILY_KNOWN: lambda target: [target.family],
        FAMILY_PREDICTED: lambda target: predicted_families[target],
        SEVERAL_FAMILIES: lambda target: [ONE_OF_EACH],
    }
    scenarios = []
    for name in SCENARIOS:
        wrong = {
            target: np.mean(
                [by_target[target, o].ranks > 0 for o in generated_on[name](target)],
                axis=0,
            )
            for target in targets
        }
        per_family = [
            np.mean([w for target, w in wrong.items() if target.family == f], axis=0)
            for f in families
            if any(target.family == f for target in targets)
        ]
        scenarios.append(_summarize(name, per_family, len(targets), seed))
    return scenarios


def _summarize(
    name: str, per_family: Sequence[FloatArray], num_targets: int, seed: int
) -> Scenario:
    from scipy import stats

    if not per_family:
        return Scenario(name, None, None, 0)
    per_image = np.mean(per_family, axis=0)
    rate = float(per_image.mean())
    if np.ptp(per_image) == 0:  # Nothing to resample.
        return Scenario(name, rate, (rate, rate), num_targets)
    found = stats.bootstrap(
        (per_image,),
        np.mean,
        confidence_level=_CONFIDENCE,
        n_resamples=_NUM_RESAMPLES,
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return Scenario(name, rate, (float(found.low), float(found.high)), num_targets)


def _of(graded: Sequence[Graded], generated_on: str, family: str) -> list[Graded]:
    return [
        g
        for g in graded
        if g.pairing.generated_on == generated_on and g.pairing.target.family == family
    ]


def _rate(ranks: npt.NDArray[Any]) -> float | None:
    return float(np.mean(ranks > 0)) if len(ranks) else None


def _mean(rates: Sequence[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return float(np.mean(known)) if known else None
