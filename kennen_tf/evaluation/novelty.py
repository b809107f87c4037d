"""Like the zoo or not: how far answers lie from those of the zoo's classifiers.

Two things are read of log-probabilities less their mean over the classes: the shape,
each query's own over their root mean square, and the sharpness, that root mean square
over all queries. Shapes are as strange as they are far from the zoo's mean, along 20
directions in which shapes vary most, times along all. Sharpness is strange only outside
of all that the zoo shows. The larger of both, each in units of its own, is the score.
Its p-value is conformal, over combinations left out, so that both together alarm as
often as promised.

What chose this: a zoo of digits_net (200 to 300 combinations) and one of mnist_net (76,
five epochs), 100 queries, a quarter of the combinations left out; perceptrons trained
for the purpose as long as the zoos, half of them to choose with; and answers of other
people's classifiers. Nearly all scores flag constant answers, untrained nets and nets
of other data. Perceptrons, by digits_net and mnist_net, at 5%, of shapes divided by
each query's own size: this product 33 and 82%; distance along 20 directions alone 29
and 79%, along all alone 29 and 81%, along 8 or 50 directions 25 to 29 and 79 to 83%,
what the main directions leave 31 and 85%. Divided by one number for each classifier, it
is 70% for mnist_net; as ranks of classes, margins, probabilities, or sums over classes
or queries, no more. Nearest neighbours, whitening by differences of seeds, predicted
attributes, and likeness to answers by pixels did not find more: on digits_net nothing
but a reader trained on perceptrons did (77%), which this is not.

Of the other half of the perceptrons, asked once: 18% on digits_net, 87% on mnist_net,
all nets of other data and untrained ones; of people's classifiers, on the half that
chose it, 54% of perceptrons and 21% of convolutional nets. So what is not called
strange may be so still: a zoo of much variety hides perceptrons.

Sharpness by two tails took a quarter of the perceptrons found on digits_net, as it
alarms inside of the zoo as well; so it counts outside only. Among few combinations the
outermost are a large share: what is outside by less than they are of the others may not
be called strange.

Where answers of strangers are known, likeness to them is measured beside
(`likeness.py`), in a unit of its own.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from kennen_tf.evaluation import conformal
from kennen_tf.evaluation.cloud import Cloud, find_sharpness, find_spread
from kennen_tf.evaluation.likeness import Likeness

NUM_FOLDS = 10
# Why something is strange.
SHAPE, SHARPER, FLATTER, CONSTANT = "shape", "sharper", "flatter", "constant"
STRANGERS = "strangers"
# One unit of strangeness: exceeded by this share of shapes, and of likeness to
# strangers, left out; by sharpness, by none of those left out, with something to spare.
_EXCEED = 0.025
_MARGIN = 1.2
# Answers that hardly depend on the query: their spread as a share of the zoo's least.
_CONSTANT = 0.5
# What is computed twice may differ in the last digits.
_LEAST_UNIT = 1e-4

Array = npt.NDArray[np.floating]


@dataclasses.dataclass(frozen=True)
class Novelty:
    """What tells how strange answers are.

    Attributes:
        cloud: Where the zoo's classifiers lie.
        units: Of how strange shapes are, how far sharpness is below and above that of
            all of the zoo, and how like strangers' answers are, `(4,)`; `(3,)` if none
            of strangers are known.
        scores: Of those left out, sorted, `(entries,)`.
        weights: How much each of them counts; see `conformal.share_weights`.
        sharpness: Of the zoo's classifiers, sorted, `(entries,)`.
        least_spread: Of the zoo's classifiers; see `find_spread`.
        likeness: To strangers; None if none are known.
    """

    cloud: Cloud
    units: Array
    scores: Array
    weights: Array
    sharpness: Array
    least_spread: float
    likeness: Likeness | None = None

    @classmethod
    def fit(
        cls,
        outputs: Array,
        combination_ids: Sequence[str],
        strangers: Array | None = None,
    ) -> "Novelty":
        """Learns from the answers of training entries.

        Args:
            outputs: Represented, `(entries, num_queries, classes)`; log-probabilities.
            combination_ids: `(entries,)`; those of one are left out together.
            strangers: The same of classifiers that are none of the zoo's kind.
        """
        measured = np.zeros((len(outputs), 3 if strangers is None else 4))
        for out in conformal.deal(combination_ids, NUM_FOLDS):
            if out.any() and not out.all():
                measured[out, :3] = Cloud.fit(outputs[~out]).measure(outputs[out])
                if strangers is not None:
                    told = Likeness.fit(outputs[~out], strangers)
                    measured[out, 3] = told.measure(outputs[out])
        units = _MARGIN * measured.max(axis=0)
        by_share = [0] if strangers is None else [0, 3]
        units[by_share] = np.quantile(measured[:, by_share], 1 - _EXCEED, axis=0)
        units = np.maximum(units, _LEAST_UNIT)
        scores = (measured / units).max(axis=1)
        order = np.argsort(scores, kind="stable")
        return cls(
            cloud=Cloud.fit(outputs),
            units=units,
            scores=scores[order],
            weights=conformal.share_weights(combination_ids)[order],
            sharpness=np.sort(find_sharpness(outputs)),
            least_spread=float(find_spread(outputs).min()),
            likeness=None if strangers is None else Likeness.fit(outputs, strangers),
        )

    def p_values(self, outputs: Array) -> Array:
        """Returns which share of those left out is at least as strange, `(entries,)`.

        Args:
            outputs: As those of `fit`.
        """
        scores = self._measure(outputs).max(axis=1)
        return conformal.find_p_values(scores, self.scores, self.weights)

    def reasons(self, outputs: Array) -> list[str]:
        """Returns what is strangest of each entry: one of the constants above."""
        return [
            CONSTANT
            if np.isinf(own[0])
            else (SHAPE, FLATTER, SHARPER, STRANGERS)[own.argmax()]
            for own in self._measure(outputs)
        ]

    def sharpness_ranks(self, outputs: Array) -> Array:
        """Returns which share of the zoo's classifiers is less sharp, `(entries,)`."""
        own = find_sharpness(outputs)
        return np.searchsorted(self.sharpness, own) / len(self.sharpness)

    def to_arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Returns what `from_arrays` takes, for an .npz file."""
        own = dataclasses.asdict(self)
        arrays = {
            f"{part}.{name}": array
            for part in ("cloud", "likeness")
            for name, array in (own.pop(part) or {}).items()
        }
        return {name: np.asarray(v, np.float32) for name, v in (arrays | own).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "Novelty":
        cloud = {f.name: arrays[f"cloud.{f.name}"] for f in dataclasses.fields(Cloud)}
        likeness = {
            f.name: arrays[f"likeness.{f.name}"]
            for f in dataclasses.fields(Likeness)
            if f"likeness.{f.name}" in arrays
        }
        return cls(
            cloud=Cloud(**cloud),
            units=arrays["units"],
            scores=arrays["scores"],
            weights=arrays["weights"],
            sharpness=arrays["sharpness"],
            least_spread=float(arrays["least_spread"]),
            likeness=Likeness(**likeness) if likeness else None,
        )

    def _measure(self, outputs: Array) -> Array:
        """Returns what `Cloud.measure` does in units; infinity for constant answers."""
        measured = self.cloud.measure(outputs)
        if self.likeness is not None:
            measured = np.column_stack([measured, self.likeness.measure(outputs)])
        measured = measured / self.units
        # They may lie in the middle of all.
        is_constant = find_spread(outputs) < _CONSTANT * self.least_spread
        measured[is_constant, 0] = np.inf
        return measured
