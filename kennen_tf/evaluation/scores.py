"""Scores of a metamodel: class-balanced accuracy, chance, intervals, confusion.

Only NumPy. Accuracies are fractions in [0, 1]; `reporting.py` prints per cent. Entries
whose label of an attribute is `attributes.MISSING` do not count for it anywhere.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import MISSING, Attribute, AttributeTable, Value
from kennen_tf.designs import mnist_table
from kennen_tf.vocabulary.errors import UserError

NUM_RESAMPLES = 2000
NOT_NAMED = "this metamodel does not name it"
_Z = 1.959964  # 97.5% quantile of the normal distribution.
_RESAMPLES_AT_ONCE = 250  # Bounds memory: 250 x 10,000 combinations are 20 MB.

IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.floating[Any]]
Interval = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttributeResult:
    """How well one attribute was named. All scores are None if it is not scored.

    Attributes:
        name: The attribute's name.
        code: What tables print.
        description: A few words for people.
        values: Its values; rows and columns of `confusion` are in this order.
        count: Number of test entries that have one of them.
        count_per_value: Number of test entries with each value.
        confusion: Number of entries by true value (row) and named value (column); all 0
            if it is not named.
        not_scored: Why there is no score (`NOT_NAMED` or other words), or "".
        accuracy: Class-balanced accuracy over the values that test entries have.
        interval: 95% interval of `accuracy`; see `evaluate`.
        chance: 1 / number of values that test entries have: no guess that does not
            look at the outputs has a higher expected accuracy.
        normalized_accuracy: (accuracy - chance) / (1 - chance).
    """

    name: str
    code: str
    description: str
    values: tuple[Value, ...]
    count: int
    count_per_value: tuple[int, ...]
    confusion: tuple[tuple[int, ...], ...]
    not_scored: str = ""
    accuracy: float | None = None
    interval: Interval | None = None
    chance: float | None = None
    normalized_accuracy: float | None = None

    @property
    def attribute(self) -> Attribute:
        """The attribute as a row of a table."""
        return Attribute(
            name=self.name,
            values=self.values,
            code=self.code,
            description=self.description,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """Scores of a metamodel on one set of test entries.

    Attributes:
        attributes: One result for each attribute, in the order of the table.
        num_entries: Number of test entries.
        num_combinations: Number of combinations they come from; what is resampled.
        average: Unweighted averages over the attributes scored: "accuracy",
            "interval", "chance" and "normalized_accuracy"; empty if none is scored.
    """

    attributes: tuple[AttributeResult, ...]
    num_entries: int
    num_combinations: int
    average: dict[str, Any]

    @property
    def table(self) -> AttributeTable:
        """The attributes themselves."""
        return AttributeTable(a.attribute for a in self.attributes)

    @property
    def named(self) -> tuple[AttributeResult, ...]:
        """The attributes that the metamodel names, scored or not."""
        return tuple(a for a in self.attributes if a.not_scored != NOT_NAMED)

    @property
    def scored(self) -> tuple[AttributeResult, ...]:
        """The attributes that have a score."""
        return tuple(a for a in self.attributes if a.accuracy is not None)

    def __getitem__(self, name: str) -> AttributeResult:
        """Returns the result of the attribute of that name."""
        return {a.name: a for a in self.attributes}[name]

    def to_json(self) -> dict[str, Any]:
        """Returns plain values for `results.json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Results":
        """Makes results from what `to_json` gave, after a trip through JSON or not."""
        per_attribute = tuple(
            AttributeResult(
                **{
                    **_words(a),
                    **a,
                    "values": tuple(a["values"]),
                    "count_per_value": tuple(a["count_per_value"]),
                    "confusion": tuple(tuple(row) for row in a["confusion"]),
                    "interval": tuple(a["interval"]) if a["interval"] else None,
                }
            )
            for a in values["attributes"]
        )
        average = dict(values["average"])
        if average:
            average["interval"] = tuple(average["interval"])
        return cls(
            attributes=per_attribute,
            num_entries=values["num_entries"],
            num_combinations=values["num_combinations"],
            average=average,
        )


def _words(row: Mapping[str, Any]) -> dict[str, str]:
    """Returns code and description for a row of before results held them."""
    if "code" in row:
        return {}
    # Then there was one table.
    attribute = mnist_table.TABLE[row["name"]]
    return {"code": attribute.code, "description": attribute.description}


def confusion_matrix(
    labels: npt.ArrayLike, predictions: npt.ArrayLike, num_values: int
) -> npt.NDArray[np.int64]:
    """Counts entries by true label (row) and predicted label (column)."""
    labels, predictions = np.asarray(labels, int), np.asarray(predictions, int)
    is_known = labels != MISSING
    matrix = np.zeros((num_values, num_values), np.int64)
    np.add.at(matrix, (labels[is_known], predictions[is_known]), 1)
    return matrix


def class_balanced_accuracy(
    labels: npt.ArrayLike, predictions: npt.ArrayLike, num_values: int
) -> float | None:
    """Returns the mean recall over the values that occur; None without entries."""
    matrix = confusion_matrix(labels, predictions, num_values)
    count = matrix.sum(axis=1)
    occurs = count > 0
    if not occurs.any():
        return None
    return float(np.mean(matrix.diagonal()[occurs] / count[occurs]))


def normalized_accuracy(accuracy: float, chance: float) -> float:
    """Returns the accuracy on a scale where chance is 0 and perfect is 1."""
    return (accuracy - chance) / (1 - chance)


def score(
    labels: IntArray,
    predictions: IntArray,
    clusters: Sequence[str],
    num_values: int,
    seed: int = 0,
) -> tuple[float, Interval]:
    """Scores predictions of one property.

    Args:
        labels: `(entries,)`, one or more of them known.
        predictions: `(entries,)`.
        clusters: What each entry comes from; those of one do not count as independent.
        num_values: Number of values.
        seed: Decides the draws of the bootstrap.

    Returns:
        Class-balanced accuracy and its 95% interval, as `evaluate` finds it.
    """
    accuracy = class_balanced_accuracy(labels, predictions, num_values)
    if accuracy is None:
        raise ValueError("At least one entry with a label is needed. Received: none.")
    ids, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    counted = _count(labels, predictions, cluster, (len(ids), num_values))
    [resampled] = _resample({"": counted}, len(ids), seed).values()
    return accuracy, _interval(accuracy, resampled, _wilson_margins(*counted))


def evaluate(
    table: AttributeTable,
    labels: Mapping[str, npt.ArrayLike],
    probabilities: Mapping[str, npt.ArrayLike],
    *,
    skip: Collection[str] = (),
    untrained: Collection[str] = (),
    combination_ids: Sequence[str] | None = None,
    seed: int = 0,
) -> Results:
    """Scores what a metamodel says of some test entries.

    The 95% intervals come from a cluster bootstrap: whole combinations of attribute
    values are drawn with replacement, because entries of one combination are alike
    (ensembles even share members) and do not count as independent. All attributes see
    the same draws, so the average has an interval too. Near 100%, test entries hold
    hardly an error to draw, and the bootstrap alone is far too narrow: in simulations
    with 20 to 60 combinations and a true accuracy of 98% it held the truth in 36% to
    74% of cases. So each end is the outer one of the bootstrap's and of Wilson's
    interval with as many trials as combinations; that held it in 99%, and in 94% where
    the true accuracy was 50%. The intervals say how much the choice of test entries
    matters; how much the seed of training matters, only several seeds tell.

    Args:
        table: The attributes.
        labels: True labels `(entries,)` of every attribute; `MISSING` where an entry
            has no value.
        probabilities: What the metamodel gives each value, `(entries, values)`, of
            every attribute that it names. The most likely value is its answer.
        skip: Attributes not to score: the splitting ones of an E split.
        untrained: Others not to score: those whose training entries have no two values.
        combination_ids: Combination of each entry; None: all differ.
        seed: Decides the draws.

    Raises:
        UserError: If there are no entries.
    """
    num_entries = len(np.asarray(labels[table.names[0]]))
    if not num_entries:
        raise UserError("At least one test entry is needed. Received: none.")
    if combination_ids is None:
        combination_ids = [str(i) for i in range(num_entries)]
    ids, cluster = np.unique(np.asarray(combination_ids), return_inverse=True)
    results: list[AttributeResult] = []
    counts: dict[str, tuple[FloatArray, FloatArray]] = {}
    for attribute in table:
        true = np.asarray(labels[attribute.name], int)
        if attribute.name not in probabilities:
            results.append(_not_named(attribute, true))
            continue
        scores = np.asarray(probabilities[attribute.name])
        _check_shapes(attribute, true, scores, num_entries)
        predicted = scores.argmax(axis=1)
        matrix = confusion_matrix(true, predicted, len(attribute.values))
        why = ""
        if attribute.name in skip:
            why = "the split is made by it"
        elif attribute.name in untrained:
            why = "the training entries have no two known values"
        result = _score(attribute, matrix, num_entries, why)
        results.append(result)
        if result.accuracy is not None:
            counts[attribute.name] = _count(
                true, predicted, cluster, (len(ids), len(attribute.values))
            )
    resampled = _resample(counts, len(ids), seed)
    margins = {name: _wilson_margins(*counted) for name, counted in counts.items()}
    results = [
        dataclasses.replace(
            r, interval=_interval(r.accuracy, resampled[r.name], margins[r.name])
        )
        if r.accuracy is not None
        else r
        for r in results
    ]
    return Results(
        attributes=tuple(results),
        num_entries=num_entries,
        num_combinations=len(ids),
        average=_average(results, resampled, margins),
    )


def _check_shapes(
    attribute: Attribute,
    labels: IntArray,
    probabilities: FloatArray,
    num_entries: int,
) -> None:
    expected = (num_entries, len(attribute.values))
    if labels.shape != expected[:1] or probabilities.shape != expected:
        raise ValueError(
            f"'{attribute.name}' must have labels of shape {expected[:1]} and "
            f"probabilities of shape {expected}. Received: {labels.shape} and "
            f"{probabilities.shape}."
        )
    if np.isnan(probabilities).any():
        raise ValueError(f"Probabilities of '{attribute.name}' contain NaN.")


def _not_named(attribute: Attribute, labels: IntArray) -> AttributeResult:
    num_values = len(attribute.values)
    count = np.bincount(labels[labels != MISSING], minlength=num_values)
    nothing = np.zeros((num_values, num_values), np.int64)
    return dataclasses.replace(
        _unscored(attribute, count, nothing), not_scored=NOT_NAMED
    )


def _unscored(
    attribute: Attribute, count: IntArray, matrix: npt.NDArray[np.int64]
) -> AttributeResult:
    return AttributeResult(
        name=attribute.name,
        code=attribute.code,
        description=attribute.description,
        values=attribute.values,
        count=int(count.sum()),
        count_per_value=tuple(count.tolist()),
        confusion=tuple(tuple(row) for row in matrix.tolist()),
    )


def _score(
    attribute: Attribute,
    matrix: npt.NDArray[np.int64],
    num_entries: int,
    not_scored: str,
) -> AttributeResult:
    count = matrix.sum(axis=1)
    occurs = count > 0
    result = _unscored(attribute, count, matrix)
    if not_scored:
        return dataclasses.replace(result, not_scored=not_scored)
    if occurs.sum() < 2:
        why = "no test entry has a known value"
        if result.count:
            value = attribute.values[int(occurs.argmax())]
            who = "" if result.count == num_entries else " whose value is known"
            why = f"all test entries{who} have the value {value}"
        return dataclasses.replace(result, not_scored=why)
    accuracy = float(np.mean(matrix.diagonal()[occurs] / count[occurs]))
    chance = 1.0 / int(occurs.sum())
    return dataclasses.replace(
        result,
        accuracy=accuracy,
        chance=chance,
        normalized_accuracy=normalized_accuracy(accuracy, chance),
    )


def _count(
    labels: IntArray, predictions: IntArray, cluster: IntArray, shape: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """Returns entries, and entries named rightly, by (combination, true value)."""
    is_known = labels != MISSING
    labels, predictions = labels[is_known], predictions[is_known]
    cluster = cluster[is_known]
    total, right = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (cluster, labels), 1.0)
    np.add.at(right, (cluster, labels), (labels == predictions).astype(float))
    return total, right


def _resample(
    counts: Mapping[str, tuple[FloatArray, FloatArray]], num_clusters: int, seed: int
) -> dict[str, FloatArray]:
    """Returns `NUM_RESAMPLES` class-balanced accuracies of each attribute.

    They are NaN where a resample has no entry with a known value.
    """
    random = np.random.default_rng(seed)
    resampled: dict[str, list[FloatArray]] = {name: [] for name in counts}
    for _ in range(NUM_RESAMPLES // _RESAMPLES_AT_ONCE):
        # How often each combination is drawn, (resamples, combinations).
        times = random.multinomial(
            num_clusters, np.full(num_clusters, 1 / num_clusters), _RESAMPLES_AT_ONCE
        ).astype(float)
        for name, (total, right) in counts.items():
            drawn = times @ total
            recall = np.divide(times @ right, drawn, where=drawn > 0, out=0 * drawn)
            # A value that a resample misses does not count in it.
            num_values = (drawn > 0).sum(axis=1)
            accuracy = np.full(len(drawn), np.nan)
            np.divide(recall.sum(axis=1), num_values, accuracy, where=num_values > 0)
            resampled[name].append(accuracy)
    return {name: np.concatenate(parts) for name, parts in resampled.items()}


def _wilson_margins(total: FloatArray, right: FloatArray) -> FloatArray:
    """Returns how far the accuracy's interval reaches down and up, (2,).

    Each value's recall has Wilson's interval, with the combinations that hold the
    value as trials; the recalls being independent, the margins of their mean are added
    in squares (Zou and Donner, 2008, https://doi.org/10.1002/sim.3095).
    """
    occurs = total.sum(axis=0) > 0
    recall = right.sum(axis=0)[occurs] / total.sum(axis=0)[occurs]
    trials = (total > 0).sum(axis=0)[occurs]
    scale = 1 + _Z**2 / trials
    center = (recall + _Z**2 / (2 * trials)) / scale
    half = _Z / scale * np.sqrt(recall * (1 - recall) / trials + (_Z / 2 / trials) ** 2)
    margins = np.stack([recall - (center - half), (center + half) - recall])
    return np.sqrt(np.sum(np.maximum(margins, 0) ** 2, axis=1)) / len(recall)


def _interval(accuracy: float, resampled: FloatArray, margins: FloatArray) -> Interval:
    counted = resampled[~np.isnan(resampled)]
    lower, upper = np.quantile(counted, (0.025, 0.975))
    return (
        float(max(min(lower, accuracy - margins[0]), 0.0)),
        float(min(max(upper, accuracy + margins[1]), 1.0)),
    )


def _average(
    results: Sequence[AttributeResult],
    resampled: Mapping[str, FloatArray],
    margins: Mapping[str, FloatArray],
) -> dict[str, Any]:
    scored = [r for r in results if r.accuracy is not None]
    if not scored:
        return {}
    average: dict[str, Any] = {
        key: float(np.mean([getattr(r, key) for r in scored]))
        for key in ("accuracy", "chance", "normalized_accuracy")
    }
    average["interval"] = _interval(
        average["accuracy"],
        _mean(np.stack(list(resampled.values()))),
        np.sqrt(np.sum(np.square(list(margins.values())), axis=0)) / len(margins),
    )
    return average


def _mean(resampled: FloatArray) -> FloatArray:
    """Returns each resample's mean over the attributes that have an accuracy in it.

    Args:
        resampled: `(attributes, resamples)`.
    """
    is_known = ~np.isnan(resampled)
    total = np.sum(resampled, axis=0, where=is_known)
    number = is_known.sum(axis=0)
    mean = np.full(len(total), np.nan)
    return np.divide(total, number, mean, where=number > 0)
