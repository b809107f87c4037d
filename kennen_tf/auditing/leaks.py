"""How much answers give away, in bits.

Before anything is asked, an attacker knows how often each value occurs in the zoo: the
prior. Afterwards, the probabilities of a metamodel. What was learned of a classifier
whose truth is known is the logarithm of the ratio of the two at the true value, below 0
if answers misled; its mean over classifiers held out estimates the mutual information
of attribute and answers from below, and never exceeds the entropy of the prior. Of a
classifier whose truth is not known, there is what the attacker believes to have
learned: the divergence of the probabilities from the prior.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import MISSING, AttributeTable
from kennen_tf.vocabulary.seeds import derive_seed

FloatArray = npt.NDArray[np.floating]

NUM_RESAMPLES = 2000
# Nobody is surer than that, so one classifier misleads by 13 bits at most.
_FLOOR = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leak:
    """What classifiers held out give away of one attribute, on average.

    Attributes:
        bits: Mean over classifiers; at most `entropy`, below 0 if answers mislead.
        interval: 95% interval of it, whole combinations being drawn.
        entropy: Of the prior, in bits: all that there is to be known.
        count: Classifiers whose value is known.
    """

    bits: float
    interval: tuple[float, float]
    entropy: float
    count: int

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def find_prior(labels: npt.NDArray[np.integer], num_values: int) -> FloatArray:
    """Returns how often each value occurs, `(values,)`; none is impossible.

    Args:
        labels: Of training entries, `(entries,)`, `MISSING` without a value.
        num_values: Values of the attribute.
    """
    counts = np.bincount(labels[labels != MISSING], minlength=num_values)
    return (counts + 1) / (counts + 1).sum()


def learned_bits(
    probabilities: FloatArray, labels: npt.NDArray[np.integer], prior: FloatArray
) -> FloatArray:
    """Returns what was learned of each classifier, in bits, `(entries,)`.

    Args:
        probabilities: What an attacker says, `(entries, values)`.
        labels: The truth, `(entries,)`, none of them `MISSING`.
        prior: What he knew before, `(values,)`.
    """
    said = _bound(probabilities)[np.arange(len(labels)), labels]
    return np.log2(said / prior[labels])


def believed_bits(probabilities: FloatArray, prior: FloatArray) -> FloatArray:
    """Returns what an attacker believes to have learned of each, `(entries,)`."""
    said = _bound(probabilities)
    return (said * np.log2(said / prior)).sum(axis=1)


def measure(
    probabilities: FloatArray,
    labels: npt.NDArray[np.integer],
    prior: FloatArray,
    clusters: Sequence[str],
    seed: int = 0,
) -> Leak | None:
    """Measures what classifiers held out give away.

    Args:
        probabilities: What an attacker says of them, `(entries, values)`.
        labels: The truth, `(entries,)`, `MISSING` without a value.
        prior: What he knew before, `(values,)`.
        clusters: The combination that each is of; those of one are alike.
        seed: Of the interval's resamples.

    Returns:
        None if no value is known.
    """
    known = labels != MISSING
    if not known.any():
        return None
    bits = learned_bits(probabilities[known], labels[known], prior)
    return _summarise(
        bits, np.asarray(clusters)[known], _entropy(prior), seed, "interval of bits"
    )


def counted(table: AttributeTable) -> tuple[str, ...]:
    """Returns the attributes whose bits may be added up: the names of those chosen.

    What follows from others, as the number of parameters does, would count twice. Of
    those that were drawn independently, the sum is at most what is known of all.
    """
    return tuple(a.name for a in table.chosen) or table.names


def measure_total(
    names: Sequence[str],
    probabilities: Mapping[str, FloatArray],
    labels: Mapping[str, npt.NDArray[np.integer]],
    priors: Mapping[str, FloatArray],
    clusters: Sequence[str],
    seed: int = 0,
) -> Leak:
    """Measures what classifiers held out give away of several attributes together.

    Args:
        names: Which.
        probabilities, labels, priors, clusters, seed: As those of `measure`, by
            attribute. What has no value of one gives nothing away of it.
    """
    total = np.zeros(len(clusters))
    entropy = 0.0
    for name in names:
        known = labels[name] != MISSING
        total[known] += learned_bits(
            probabilities[name][known], labels[name][known], priors[name]
        )
        entropy += float(known.mean()) * _entropy(priors[name])
    return _summarise(total, np.asarray(clusters), entropy, seed, "interval of total")


def _summarise(
    bits: FloatArray,
    clusters: npt.NDArray[np.str_],
    entropy: float,
    seed: int,
    purpose: str,
) -> Leak:
    _, places = np.unique(clusters, return_inverse=True)
    sums, counts = np.bincount(places, bits), np.bincount(places)
    random = np.random.default_rng(derive_seed(seed, purpose))
    share = np.full(len(counts), 1 / len(counts))
    times = random.multinomial(len(counts), share, NUM_RESAMPLES)
    lowest, highest = np.quantile(times @ sums / (times @ counts), [0.025, 0.975])
    return Leak(
        bits=float(bits.mean()),
        interval=(float(lowest), float(highest)),
        entropy=entropy,
        count=len(bits),
    )


def _entropy(prior: FloatArray) -> float:
    return float(-(prior * np.log2(prior)).sum())


def rank(bits: float, others: FloatArray) -> float:
    """Returns the share of classifiers of its kind that a classifier leaks more than.

    Args:
        bits: What is believed to have been learned of it, all attributes together.
        others: The same of classifiers held out; of equal ones, half count.
    """
    return float(np.mean((others < bits) + 0.5 * (others == bits)))


def _bound(probabilities: FloatArray) -> FloatArray:
    num_values = probabilities.shape[1]
    return (1 - num_values * _FLOOR) * probabilities + _FLOOR
