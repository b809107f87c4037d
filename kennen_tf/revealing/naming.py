"""Naming a black box's attributes with an exported metamodel."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box, markup
from rich.table import Table

from kennen_tf.attributes import Value, Values
from kennen_tf.configs.revealing import LABELS
from kennen_tf.evaluation import printing
from kennen_tf.keras_models import archives
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import store

if TYPE_CHECKING:
    from kennen_tf.black_boxes.black_box import BlackBox
    from kennen_tf.revealing.exported_metamodel import ExportedMetamodel
    from kennen_tf.zoo.store import Zoo

_NONE = "-"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttributeAnswer:
    """What a metamodel says of one attribute of a black box.

    Attributes:
        name, code, description: Of the attribute.
        values: Its values, in the order of the table.
        probabilities: Of each value.
        test_accuracy: Class-balanced accuracy of the metamodel for this attribute on
            test classifiers, in [0, 1], if the export knows it.
        truth: The true value; None if it is not known or there is none.
    """

    name: str
    code: str
    description: str
    values: tuple[Value, ...]
    probabilities: tuple[float, ...]
    test_accuracy: float | None = None
    truth: Value | None = None

    def ranked(self) -> list[tuple[Value, float]]:
        """Returns values and probabilities, the most likely first."""
        pairs = zip(self.values, self.probabilities, strict=True)
        return sorted(pairs, key=lambda pair: -pair[1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Revelation:
    """What a metamodel says of a black box.

    Attributes:
        black_box: Its name.
        num_queries: Images that it was sent.
        answers: One for each attribute named, in the order of the table.
    """

    black_box: str
    num_queries: int
    answers: tuple[AttributeAnswer, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, probabilities by attribute and value."""
        return {
            "black_box": self.black_box,
            "num_queries": self.num_queries,
            "attributes": {
                answer.name: {
                    "value": answer.ranked()[0][0],
                    "probabilities": {str(v): p for v, p in answer.ranked()},
                    "test_accuracy": answer.test_accuracy,
                    "truth": answer.truth,
                }
                for answer in self.answers
            },
        }


def reveal(
    metamodel: "ExportedMetamodel",
    black_boxes: "Sequence[BlackBox]",
    truths: Sequence[Values] = (),
) -> list[Revelation]:
    """Sends the metamodel's queries to black boxes and names their attributes.

    Args:
        metamodel: Who names them.
        black_boxes: Whom to ask.
        truths: True values by attribute of each black box, if they are known; None
            for an attribute whose value is not.

    Raises:
        UserError: If a black box fails or answers something else than it should, or
            answers labels and the metamodel reads more.
    """
    answers_labels = any(box.outputs_kind == LABELS for box in black_boxes)
    if answers_labels and not metamodel.reads_labels:
        raise UserError(
            f"With --outputs={LABELS}, the metamodel must read nothing but the top "
            "label: one of kennen-i, or of --representation=top-1. Received: "
            f"{metamodel.path}, which reads {metamodel.description['representation']}."
        )
    probabilities = [box.probabilities(metamodel.queries) for box in black_boxes]
    answers = metamodel.reveal(np.stack(probabilities))
    accuracies = metamodel.description.get("test_accuracy", {})
    return [
        Revelation(
            black_box=black_box.name,
            num_queries=black_box.num_queries,
            answers=tuple(
                AttributeAnswer(
                    name=attribute.name,
                    code=attribute.code,
                    description=attribute.description,
                    values=attribute.values,
                    probabilities=tuple(answers[attribute.name][index].tolist()),
                    test_accuracy=accuracies.get(attribute.name),
                    truth=truths[index].get(attribute.name) if truths else None,
                )
                for attribute in metamodel.table
            ),
        )
        for index, black_box in enumerate(black_boxes)
    ]


def true_values(zoo: "Zoo", path: str) -> Values:
    """Returns the value of every attribute of a zoo's classifier, None if not known.

    Args:
        zoo: The zoo.
        path: Of the classifier's file or folder, wherever it was copied to, or of a
            file that holds the same layers and weights; or the function, if it was
            imported as one.

    Raises:
        UserError: If the file is none of the zoo's classifiers.
    """
    file = pathlib.Path(path)
    own = store.fingerprint_of(file) if file.exists() else ""
    for record in zoo.accepted:
        is_own = record.sha256 == own if record.sha256 else record.file == path
        if is_own:
            return zoo.values_of([record])
    twin = archives.fingerprint(file)
    for record in zoo.accepted if twin else ():
        if archives.fingerprint(zoo.classifier_path(record)) == twin:
            return zoo.values_of([record])
    raise UserError(
        f"With --zoo_dir, a black box must be a classifier of the zoo in {zoo.zoo_dir}."
        f" Received: {path}. Leave out --zoo_dir to reveal any other."
    )


def revelation_table(revelation: Revelation) -> Table:
    """Returns one row for each attribute: the likeliest value and the runner-up."""
    name = markup.escape(revelation.black_box)
    table = Table(
        title=f"{name} ({printing.count_queries(revelation.num_queries)})",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    knows_truth = any(a.truth is not None for a in revelation.answers)
    knows_accuracy = any(a.test_accuracy is not None for a in revelation.answers)
    table.add_column("attribute", no_wrap=True)
    table.add_column("", max_width=26)
    table.add_column("value", style="bold", no_wrap=True)
    table.add_column("probability", justify="right")
    table.add_column("runner-up", no_wrap=True)
    if knows_truth:
        table.add_column("truth", no_wrap=True)
    if knows_accuracy:
        table.add_column("test accuracy", justify="right")
    for answer in revelation.answers:
        (first, first_p), *others = answer.ranked()
        cells = [answer.code, answer.description, str(first), f"{100 * first_p:.1f}%"]
        # An attribute may have one value.
        runners_up = [f"{value} {100 * p:.1f}%" for value, p in others]
        cells.append(next(iter(runners_up), _NONE))
        if knows_truth:
            is_wrong = answer.truth not in (None, first)
            truth = _NONE if answer.truth is None else str(answer.truth)
            cells.append(f"{truth} (!)" if is_wrong else truth)
        if knows_accuracy:
            accuracy = answer.test_accuracy
            cells.append(_NONE if accuracy is None else f"{100 * accuracy:.1f}%")
        table.add_row(*cells)
    return table


def revelation_notes(revelation: Revelation) -> list[str]:
    """Returns what a reader of `revelation_table` should know."""
    notes = []
    known = [a for a in revelation.answers if a.truth is not None]
    if known:
        right = sum(answer.ranked()[0][0] == answer.truth for answer in known)
        notes.append(
            f"{right} of {len(known)} attributes"
            + (" whose value is known" if len(known) < len(revelation.answers) else "")
            + " are named rightly; (!) marks the others."
            if len(known) > 1
            else "(!) marks an attribute that is not named rightly."
        )
    if any(a.test_accuracy is not None for a in revelation.answers):
        notes.append(
            "Test accuracy is how often the metamodel names the attribute rightly, "
            "class-balanced, on classifiers that it was not trained on."
        )
    return notes


def revelations_table(revelations: Sequence[Revelation]) -> Table:
    """Returns one row for each black box: likeliest values and probabilities."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("black box")
    for answer in revelations[0].answers:
        table.add_column(answer.code)
    for revelation in revelations:
        ranked = [answer.ranked()[0] for answer in revelation.answers]
        table.add_row(
            markup.escape(revelation.black_box),
            *(f"{value}\n{100 * probability:.0f}%" for value, probability in ranked),
        )
    return table
