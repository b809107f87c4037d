"""Naming a black box's attributes with an exported metamodel."""

import dataclasses
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kennen_tf.attributes import AttributeTable, Value, Values
from kennen_tf.evaluation import absence, novelty
from kennen_tf.queries import packages
from kennen_tf.revealing import asking
from kennen_tf.revealing.asking import Asked

if TYPE_CHECKING:
    from kennen_tf.black_boxes.black_box import BlackBox
    from kennen_tf.revealing.assessments import Assessment
    from kennen_tf.revealing.exported_metamodel import ExportedMetamodel

# Of the zoo's classifiers, so many are at least as strange as one that is flagged.
STRANGE = 0.05
# What is said of each reason of strangeness.
_REASONS = {
    novelty.SHAPE: "of another shape",
    novelty.SHARPER: "sharper than {sharper:.0f}% of it",
    novelty.FLATTER: "flatter than {flatter:.0f}% of it",
    novelty.STRANGERS: "it answers as classifiers do that are no networks (support "
    "vector machines, nearest neighbours, forests)",
    novelty.CONSTANT: "it answers nearly the same to every image",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttributeAnswer:
    """What a metamodel says of one attribute of a black box.

    Attributes:
        name, code, description: Of the attribute.
        values: Its values, in the order of the table.
        probabilities: Of each value.
        plausible: Values that are not ruled out at 90%; None if that is not known.
        test_accuracy: Class-balanced accuracy of the metamodel for this attribute on
            test classifiers, in [0, 1], if the export knows it.
        truth: The true value; None if it is not known or there is none.
        applies: Whether classifiers that are otherwise as is named have a value of it.
    """

    name: str
    code: str
    description: str
    values: tuple[Value, ...]
    probabilities: tuple[float, ...]
    plausible: tuple[Value, ...] | None = None
    test_accuracy: float | None = None
    truth: Value | None = None
    applies: bool = True

    def ranked(self) -> list[tuple[Value, float]]:
        """Returns values and probabilities, the most likely first."""
        pairs = zip(self.values, self.probabilities, strict=True)
        return sorted(pairs, key=lambda pair: -pair[1])

    @property
    def is_ruled_out(self) -> bool:
        """Whether the likeliest value is ruled out all the same."""
        return self.plausible is not None and self.ranked()[0][0] not in self.plausible

    @property
    def cannot_tell(self) -> bool:
        """Whether no value is ruled out, of two or more."""
        return (
            self.plausible is not None and len(self.plausible) == len(self.values) > 1
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Revelation:
    """What a metamodel says of a black box, and how far it can be trusted.

    Attributes:
        black_box: Its name.
        metamodel: Name of the metamodel, or of the query outputs that it learned from:
            of which world the answers are.
        num_queries: Images that it was sent, in all.
        answers: One for each attribute named, in the order of the table.
        pixels, outputs: How it was asked, and what it answers.
        accuracy: Share of the queries that it names rightly; None if not known.
        p_value: Share of the zoo's classifiers at least as strange; None if not known.
        strange_by: Of one that is strange, by what: "shape", "sharper", "flatter",
            "strangers" or "constant".
        sharpness_rank: Share of the zoo's classifiers that are less sharp.
        notes: Sentences on how far the answers can be trusted.
    """

    black_box: str
    metamodel: str
    num_queries: int
    answers: tuple[AttributeAnswer, ...]
    pixels: str = "unit"
    outputs: str = "probabilities"
    accuracy: float | None = None
    p_value: float | None = None
    strange_by: str | None = None
    sharpness_rank: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_strange(self) -> bool:
        """Whether it is unlike the zoo's classifiers."""
        return self.p_value is not None and self.p_value <= STRANGE

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, probabilities by attribute and value."""
        return {
            "black_box": self.black_box,
            "metamodel": self.metamodel,
            "num_queries": self.num_queries,
            "pixels": self.pixels,
            "outputs": self.outputs,
            "accuracy": self.accuracy,
            "p_value": self.p_value,
            "is_strange": self.is_strange,
            "strange_by": self.strange_by,
            "sharpness_rank": self.sharpness_rank,
            "notes": list(self.notes),
            "attributes": {
                answer.name: {
                    "value": answer.ranked()[0][0],
                    "applies": answer.applies,
                    "probabilities": {str(v): p for v, p in answer.ranked()},
                    "plausible": None
                    if answer.plausible is None
                    else list(answer.plausible),
                    "test_accuracy": answer.test_accuracy,
                    "truth": answer.truth,
                }
                for answer in self.answers
            },
        }


def reveal(
    metamodel: "ExportedMetamodel",
    black_box: "BlackBox",
    truth: Values | None = None,
    resolution: float = 0.0,
) -> Revelation:
    """Sends the metamodel's queries to a black box and names its attributes.

    Args:
        metamodel: Who names them.
        black_box: Whom to ask.
        truth: True value by attribute, if they are known; None for an attribute whose
            value is not.
        resolution: Answers are read no finer than this; see `ExportedMetamodel.assess`.

    Raises:
        UserError: See `asking.ask`.
    """
    asked = asking.ask(metamodel, black_box)
    recognised = asked.recognised
    [assessed] = metamodel.assess(
        recognised.probabilities[np.newaxis], [max(recognised.resolution, resolution)]
    )
    return make_revelation(
        metamodel.table,
        black_box,
        asked,
        assessed,
        metamodel.description.get("test_accuracy", {}),
        truth or {},
        name=str(metamodel),
        absent=metamodel.description.get("absent", {}),
    )


def make_revelation(
    table: AttributeTable,
    black_box: "BlackBox",
    asked: Asked,
    assessed: "Assessment",
    test_accuracy: Mapping[str, float],
    truth: Values,
    *,
    name: str,
    absent: absence.Absent = types.MappingProxyType({}),
) -> Revelation:
    """Puts together what is said of a black box.

    Args:
        table: The attributes that are named.
        black_box: Who was asked.
        asked: What it answered.
        assessed: What a metamodel says of that.
        test_accuracy: Of the metamodel, class-balanced, by attribute, in [0, 1].
        truth: See `reveal`.
        name: Of the metamodel, or of what it learned from.
        absent: What goes without what, if that is known.
    """
    named = {
        attribute.name: attribute.values[
            int(assessed.probabilities[attribute.name].argmax())
        ]
        for attribute in table
    }
    without = absence.list_absent(absent, named)
    is_strange = assessed.p_value is not None and assessed.p_value <= STRANGE
    return Revelation(
        black_box=black_box.name,
        metamodel=name,
        num_queries=black_box.num_queries,
        pixels=black_box.pixels,
        outputs=asked.recognised.kind,
        accuracy=asked.accuracy,
        p_value=assessed.p_value,
        strange_by=assessed.strange_by if is_strange else None,
        sharpness_rank=assessed.sharpness_rank,
        notes=(
            packages.say_world(name),
            *asked.notes,
            *_say_strangeness(assessed),
        ),
        answers=tuple(
            AttributeAnswer(
                name=attribute.name,
                code=attribute.code,
                description=attribute.description,
                values=attribute.values,
                probabilities=tuple(assessed.probabilities[attribute.name].tolist()),
                plausible=None
                if assessed.plausible is None
                else assessed.plausible[attribute.name],
                test_accuracy=test_accuracy.get(attribute.name),
                truth=truth.get(attribute.name),
                applies=attribute.name not in without,
            )
            for attribute in table
        ),
    )


def _say_strangeness(assessed: "Assessment") -> list[str]:
    if assessed.p_value is None:
        return []
    if assessed.p_value > STRANGE:
        return [
            f"Not called unlike the zoo: {100 * assessed.p_value:.0f}% of its "
            "classifiers are as strange or stranger."
        ]
    how = ""
    if assessed.strange_by is not None and assessed.sharpness_rank is not None:
        sharper = 100 * assessed.sharpness_rank
        reasons = [assessed.strange_by]
        # Outside of all that the zoo shows, if not what is strangest.
        if assessed.strange_by == novelty.SHAPE and sharper in (0, 100):
            reasons.append(novelty.SHARPER if sharper else novelty.FLATTER)
        said = (
            _REASONS[own].format(sharper=sharper, flatter=100 - sharper)
            for own in reasons
        )
        how = ": " + ", ".join(said)
    return [
        f"Stranger than {100 * (1 - assessed.p_value):.0f}% of the zoo{how}. It is not "
        "of the kind that the metamodel knows, so what is named of it may well be "
        "wrong."
    ]
