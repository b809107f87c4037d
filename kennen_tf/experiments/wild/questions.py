"""What is asked of classifiers out there: each attribute, and coarser questions.

Nine in ten files have ReLU and Adam, and values that a zoo lacks: Adadelta, five
convolutions, kernels of two sizes. So beside the attributes: convolutional or not,
pooling or none, ReLU or not, Adam or not, and the number of convolutions within one.
What is asked of convolutional networks alone (pooling, numbers of convolutions,
kernels) counts of these alone.
"""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import MISSING, Attribute, AttributeTable, Value
from kennen_tf.evaluation import scores
from kennen_tf.evaluation.results import Results
from kennen_tf.experiments.wild.files import PublishedFile
from kennen_tf.vocabulary.errors import UserError

_OTHER = "another"
_MOST_CONV = 5
# What is known of a classifier: of attributes, and, of a file, what its cells say.
Known = Mapping[str, Value | str | None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """A question about a classifier.

    Attributes:
        attribute: Name, answers in their order and words for people.
        of: Name of the attribute of the zoo that answers it.
        judge: From what is known to the right answer; None: it is not known.
        read: From a value that is named, and the right answer, to the answer given.
    """

    attribute: Attribute
    of: str
    judge: Callable[[Known], Value | None]
    read: Callable[[Value, Value], Value]


def _ask_for(name: str, of: str, value: str, code: str, description: str) -> Question:
    """Makes a question whether an attribute has a value, or any other."""

    def judge(known: Known) -> Value | None:
        own = known.get(of)
        # Of several layers, some may have it.
        if own in (None, "", "mixed"):
            return None
        return value if own == value else _OTHER

    def read(named: Value, right: Value) -> Value:
        return value if named == value else _OTHER

    attribute = _ask(name, code, description, (value, _OTHER))
    return Question(attribute=attribute, of=of, judge=judge, read=read)


def _count_conv(known: Known) -> int | None:
    """Returns the number of convolutions; None if it is not known as a number."""
    text = str(known.get("conv", ""))
    return int(text) if text.isdecimal() else None


def _judge_kind(known: Known) -> Value | None:
    count = _count_conv(known)
    if count is None:
        return None
    return "convolutional" if count else "perceptron"


def _judge_pool(known: Known) -> Value | None:
    if _judge_kind(known) != "convolutional" or not known.get("pool"):
        return None
    return "no" if known["pool"] == "no" else "yes"


def _judge_conv(known: Known) -> Value | None:
    count = _count_conv(known)
    # Of five or more, four is within one of five only.
    return min(count, _MOST_CONV) if count else None


def _near(named: Value, right: Value) -> Value:
    return right if abs(int(named) - int(right)) <= 1 else named


def _ask(name: str, code: str, description: str, values: Sequence[Value]) -> Attribute:
    return Attribute(
        name=name, code=code, description=description, values=tuple(values)
    )


COARSE = (
    Question(
        attribute=_ask(
            "kind",
            "kind",
            "perceptron or convolutional",
            ("perceptron", "convolutional"),
        ),
        of="kind",
        judge=_judge_kind,
        read=lambda named, right: named,
    ),
    Question(
        attribute=_ask("pooling", "pool?", "pooling or none", ("no", "yes")),
        of="pool",
        judge=_judge_pool,
        read=lambda named, right: "no" if named == "no" else "yes",
    ),
    Question(
        attribute=_ask(
            "conv_near", "#conv±1", "convolutions, within one", range(_MOST_CONV + 1)
        ),
        of="conv",
        judge=_judge_conv,
        read=_near,
    ),
    Question(
        attribute=_ask("dropout", "drop", "dropout", ("no", "yes")),
        of="drop",
        judge=lambda known: known.get("drop") or None,
        read=lambda named, right: named,
    ),
    _ask_for("relu", "act", "relu", "relu?", "ReLU or not"),
    _ask_for("adam", "alg", "adam", "adam?", "Adam or not"),
)


def applying(table: AttributeTable) -> tuple[Question, ...]:
    """Returns the coarse questions that a zoo's metamodels answer.

    Raises:
        UserError: If there is none.
    """
    found = tuple(own for own in COARSE if own.of in table)
    if not found:
        wanted = ", ".join(dict.fromkeys(own.of for own in COARSE))
        raise UserError(
            "The experiment wild asks about one or more of the attributes "
            f"{wanted}. Received: a zoo with {', '.join(table.names)}."
        )
    return found


def know_file(
    file: PublishedFile, table: AttributeTable
) -> dict[str, Value | str | None]:
    """Returns what is known of a file: values, and what its cells say if none fits."""
    known: dict[str, Value | str | None] = {}
    for attribute in table:
        value = file.value(attribute)
        known[attribute.name] = value
        if value is None and attribute.name in ("act", "alg", "conv"):
            known[attribute.name] = file.cells.get(attribute.name)
    kind = _judge_kind(known)
    if "kind" in table:
        known["kind"] = kind
    if kind == "perceptron":  # What "no" means of pooling is another thing there.
        known |= {name: None for name in ("pool", "ks", "filters") if name in table}
    return known


def evaluate(
    table: AttributeTable,
    known: Sequence[Known],
    probabilities: Mapping[str, npt.NDArray[np.floating]],
    clusters: Sequence[str],
) -> tuple[Results, Results, dict[str, int]]:
    """Scores what a metamodel says.

    Args:
        table: The attributes that it names.
        known: What is known of each classifier.
        probabilities: What it gives each value, `(classifiers, values)`, by attribute.
        clusters: What each classifier comes from; those of one are not independent.

    Returns:
        Results of the attributes, and of the coarse questions; and for each of these,
        how many are right of one who gives the same answer to all, whichever is best.
        Chance is what is right of that one, class-balanced: within one of two or three
        convolutions are most.
    """
    labels = {
        attribute.name: [
            attribute.label(own) if own in attribute.values else MISSING
            for own in (one.get(attribute.name) for one in known)
        ]
        for attribute in table
    }
    fine = scores.evaluate(table, labels, probabilities, combination_ids=clusters)
    asked = applying(table)
    right: dict[str, list[int]] = {}
    given: dict[str, npt.NDArray[np.floating]] = {}
    for question in asked:
        attribute, values = question.attribute, table[question.of].values
        judged = [question.judge(one) for one in known]
        named = [values[i] for i in probabilities[question.of].argmax(axis=1)]
        right[attribute.name] = [attribute.label(own) for own in judged]
        read = [
            attribute.values[0] if own is None else question.read(value, own)
            for value, own in zip(named, judged, strict=True)
        ]
        given[attribute.name] = np.eye(len(attribute.values))[
            [attribute.label(value) for value in read]
        ]
    coarse = scores.evaluate(
        AttributeTable(question.attribute for question in asked),
        right,
        given,
        combination_ids=clusters,
    )
    guessed = {}
    for question in asked:
        answers = [own for own in map(question.judge, known) if own is not None]
        guessed[question.attribute.name] = _guess(question, table, answers)
    results = [
        dataclasses.replace(
            own,
            chance=guessed[own.name][1],
            normalized_accuracy=_scale(own.accuracy, guessed[own.name][1]),
        )
        if own.accuracy is not None
        else own
        for own in coarse.attributes
    ]
    coarse = dataclasses.replace(coarse, attributes=tuple(results))
    return fine, coarse, {name: count for name, (count, _) in guessed.items()}


def _guess(
    question: Question, table: AttributeTable, judged: Sequence[Value]
) -> tuple[int, float]:
    """Returns what the best answer that is the same for all gets right.

    Returns:
        How many, and the class-balanced accuracy, each of its best answer.
    """
    counts = collections.Counter(judged)
    most, best = 0, 0.0
    for named in table[question.of].values:
        is_right = {own: question.read(named, own) == own for own in counts}
        most = max(most, sum(counts[own] for own, found in is_right.items() if found))
        best = max(best, sum(is_right.values()) / max(len(counts), 1))
    return most, best


def _scale(accuracy: float, chance: float) -> float:
    """Returns an accuracy with chance at 0 and perfect at 1."""
    return (accuracy - chance) / (1 - chance) if chance < 1 else 0.0
