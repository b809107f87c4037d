"""Would it be noticed: after how many queries an alarm is raised.

Two who watch what a classifier is asked, each from nothing but images and the labels
that they were answered with, and each set on what real users ask, so that of so many
users' queries few raise an alarm:

- `Prada` (Juuti et al., PRADA: Protecting Against DNN Model Stealing Attacks, 2019)
  looks at how far each query is from the nearest one of before of its label. Real
  users' distances are about normal; those of queries that are made of each other, or
  all alike, are not.
- `UnusualImages` looks at each image alone: how far it is from the nearest of what
  users asked. Of users' images, one in a hundred is as far; an alarm is raised when
  there are more of them than chance would have.
"""

import dataclasses
import math
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.integer]

# Of users' streams, how many may raise an alarm.
FALSE_ALARMS = 0.01
# What PRADA needs to tell a distribution, and how often it looks.
_LEAST_DISTANCES, _EVERY = 50, 5
# Users' streams that thresholds are found from.
_NUM_STREAMS = 200
_USUAL = 0.99


class Detector(Protocol):
    """Who watches the queries of one user."""

    def find_alarm(self, images: FloatArray, labels: IntArray) -> int | None:
        """Returns after how many queries an alarm is raised; None if never.

        Args:
            images: In the order in which they are asked, `(n, ...)`, in [0, 1].
            labels: What they were answered with, `(n,)`.
        """
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prada:
    """How queries lie to each other.

    Attributes:
        threshold: Of the Shapiro-Wilk statistic, below which an alarm is raised.
    """

    threshold: float

    @classmethod
    def fit(
        cls, images: FloatArray, labels: IntArray, num_queries: int, seed: int
    ) -> "Prada":
        """Sets the threshold on users who ask so many of the images, in any order."""
        random = np.random.default_rng(seed)
        lowest = []
        for _ in range(_NUM_STREAMS):
            drawn = random.permutation(len(images))[:num_queries]
            found = _statistics(images[drawn], labels[drawn])
            lowest.append(min((w for _, w in found), default=1.0))
        return cls(threshold=float(np.quantile(lowest, FALSE_ALARMS)))

    def find_alarm(self, images: FloatArray, labels: IntArray) -> int | None:
        """See `Detector`."""
        for count, statistic in _statistics(images, labels):
            if statistic < self.threshold:
                return count
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnusualImages:
    """What single images look like.

    Attributes:
        usual: What users asked, `(images, pixels)`.
        distance: To the nearest of them, which one in a hundred of theirs exceeds.
        share: Of unusual images among users', as it was found.
    """

    usual: FloatArray
    distance: float
    share: float

    @classmethod
    def fit(cls, images: FloatArray, seed: int) -> "UnusualImages":
        """Learns from users' images what is usual: half of them set the distance."""
        flat = images.reshape(len(images), -1)
        order = np.random.default_rng(seed).permutation(len(flat))
        known, others = np.array_split(flat[order], 2)
        nearest = _nearest(others, known)
        distance = float(np.quantile(nearest, _USUAL))
        share = float(np.mean(nearest > distance))
        return cls(usual=known, distance=distance, share=max(share, 1 / len(others)))

    def is_unusual(self, images: FloatArray) -> npt.NDArray[np.bool_]:
        """Says which images are unusual, `(n,)`."""
        return _nearest(images.reshape(len(images), -1), self.usual) > self.distance

    def find_alarm(self, images: FloatArray, labels: IntArray) -> int | None:
        """See `Detector`; labels are not looked at."""
        counts = np.cumsum(self.is_unusual(images))
        asked = np.arange(1, len(images) + 1)
        # Looking after each query is looking often: what is rare is to be rarer.
        bound = FALSE_ALARMS / max(math.log2(len(images)), 1.0)
        chance = stats.binom.sf(counts - 1, asked, self.share)
        alarms = np.flatnonzero(chance < bound)
        return int(alarms[0]) + 1 if len(alarms) else None


def _statistics(images: FloatArray, labels: IntArray) -> list[tuple[int, float]]:
    """Returns, every few queries, how many there were and how normal distances are."""
    flat = images.reshape(len(images), -1)
    kept: dict[int, list[int]] = {}
    of_class: dict[int, list[float]] = {}
    least: dict[int, float] = {}
    distances: list[float] = []
    found = []
    for place, label in enumerate(labels.tolist()):
        before = kept.setdefault(label, [])
        if not before:
            before.append(place)
            continue
        nearest = float(np.linalg.norm(flat[before] - flat[place], axis=1).min())
        distances.append(nearest)
        # The set that distances are to grows only by what is far enough from it.
        own = of_class.setdefault(label, [])
        own.append(nearest)
        if nearest > least.get(label, 0.0):
            before.append(place)
            bound = float(np.mean(own) - np.std(own))
            least[label] = max(least.get(label, 0.0), bound)
        if len(distances) >= _LEAST_DISTANCES and len(distances) % _EVERY == 0:
            values = np.array(distances)
            mean, deviation = values.mean(), values.std()
            inner = values[np.abs(values - mean) <= 3 * deviation]
            if np.ptp(inner) == 0:  # All alike: as far from normal as can be.
                found.append((place + 1, 0.0))
            else:
                found.append((place + 1, float(stats.shapiro(inner).statistic)))
    return found


def _nearest(images: FloatArray, others: FloatArray) -> FloatArray:
    """Returns the distance of each image to the nearest of the others."""
    squares = (
        (images**2).sum(axis=1)[:, np.newaxis]
        + (others**2).sum(axis=1)
        - 2 * images @ others.T
    )
    return np.sqrt(np.maximum(squares.min(axis=1), 0.0))
