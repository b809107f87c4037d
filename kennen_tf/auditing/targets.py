"""The classifier that is audited: what it answers, and to whose images."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable, Value, Values
from kennen_tf.auditing import defences, sources
from kennen_tf.auditing.defences import Defence, Probabilities
from kennen_tf.auditing.sources import CRAFTED, NATURAL, Knowledge, Source
from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.black_boxes.pixels import LEAST
from kennen_tf.black_boxes.recognising import Recognised
from kennen_tf.configs.auditing import AuditConfig
from kennen_tf.configs.revealing import LABELS
from kennen_tf.images import datasets
from kennen_tf.revealing import asking
from kennen_tf.revealing.asking import Asked
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.seeds import derive_seed

FloatArray = npt.NDArray[np.floating]
# Steps of rounding that have whole digits, to the last of them.
_MOST_DIGITS = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Users:
    """Images as real users send them, and what they were answered.

    Attributes:
        images: float32 in [0, 1], `(n, height, width, channels)`.
        labels: What they show, `(n,)`; -1 where it is not known.
        answers: `(n, classes)`.
        are_queries: Whether they are attackers' natural queries, for want of others.
    """

    images: FloatArray
    labels: npt.NDArray[np.integer]
    answers: Probabilities
    are_queries: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A classifier, asked for all that an audit needs.

    Attributes:
        box: Who was asked.
        asked: What it answered to the natural queries that are asked, and how.
        deployed: How it answers as it is: "none", if in full.
        users: Of real users.
    """

    box: BlackBox
    asked: Asked
    deployed: Defence
    users: Users
    _answers: Mapping[str, Probabilities]

    @property
    def natural(self) -> tuple[Probabilities, npt.NDArray[np.integer]]:
        """Its answers to natural queries, and the places of these among all."""
        rows = self._answers[NATURAL]
        places = np.flatnonzero(np.isfinite(rows).all(axis=1))
        return rows[places], places

    def answers(self, source: Source, order: tuple[int, ...]) -> Probabilities:
        """Returns its answers to some queries, `(queries, classes)`."""
        kind = CRAFTED if source.name == CRAFTED else NATURAL
        return self._answers[kind][list(order)]


def ask(config: AuditConfig, knowledge: Knowledge, box: BlackBox) -> Target:
    """Asks a classifier for all that an audit needs.

    Raises:
        UserError: If it cannot be asked, answers something else than it should, or
            names images no better than chance.
    """
    info = knowledge.info
    wanted = {
        place
        for source in knowledge.sources
        if source.name != CRAFTED
        for order in source.orders
        for place in order[: max(*config.query_counts, config.num_queries)]
    }
    places = sorted(wanted)
    inputs = info.query_inputs.take(places)
    questions = asking.GivenQuestions(
        name=knowledge.name,
        queries=inputs.pixels,
        labels=inputs.labels,
        query_accuracies=sources.query_accuracies(info)[places],
    )
    asked = asking.ask(questions, box)
    if asked.accuracy is not None and asked.accuracy < LEAST:
        raise UserError(
            f"A classifier that is audited must know the images that attackers send. "
            f"Received: {box.name}, which names {100 * asked.accuracy:.0f}% of "
            f"{len(places)} rightly, asked with --pixels={box.pixels}. It is hardly "
            "trained, or on something else, or takes other pixels: there is nothing to "
            "audit."
        )
    natural = np.full((info.num_queries, info.num_classes), np.nan)
    natural[places] = _normalise(asked.recognised.probabilities)
    answers = {NATURAL: natural}
    if crafted := knowledge.find(CRAFTED):
        sent = crafted.info.query_inputs.pixels
        answers[CRAFTED] = _normalise(box.recognised(sent).probabilities)
    return Target(
        box=box,
        asked=asked,
        deployed=defences.find(name_deployed(asked.recognised)),
        users=_ask_for_users(config, knowledge, box, questions, natural[places]),
        _answers=answers,
    )


def name_deployed(recognised: Recognised) -> str:
    """Returns the defence that a classifier has as it is; "none" if it has none."""
    if recognised.kind == LABELS or recognised.num_told == 1:
        return "label"
    if recognised.num_told:
        return f"top:{recognised.num_told}"
    step = recognised.resolution
    if step >= 0.5:
        return "label"
    if step < 0.5 * 10.0**-_MOST_DIGITS:
        return "none"
    # A step between those of whole digits, as of bytes, is taken as the finer one.
    return f"round:{max(1, math.ceil(-math.log10(step) - 0.01))}"


def find_truth(
    config: AuditConfig, table: AttributeTable, known: Values | None
) -> dict[str, Value]:
    """Returns what is known of a classifier.

    Args:
        config: With what the user says of it.
        table: The attributes that attackers name.
        known: What is known of it as one of the zoo's.

    Raises:
        UserError: If an attribute or a value is none of the table's.
    """
    found = {name: value for name, value in (known or {}).items() if value is not None}
    for part in filter(None, (own.strip() for own in config.truth.split(","))):
        name, is_given, text = part.partition("=")
        if not is_given:
            raise UserError(
                "--truth must be attributes and values, e.g. act=relu,drop=yes. "
                f"Received: {part!r}."
            )
        attribute = table[name.strip()]
        values = {str(value): value for value in attribute.values}
        if text.strip() not in values:
            raise UserError(
                f"--truth of {attribute.code} must be one of {', '.join(values)}. "
                f"Received: {text.strip()!r}. What attackers cannot name is no part of "
                "the audit: leave it out."
            )
        found[attribute.name] = values[text.strip()]
    return found


def _ask_for_users(
    config: AuditConfig,
    knowledge: Knowledge,
    box: BlackBox,
    questions: asking.GivenQuestions,
    answers: Probabilities,
) -> Users:
    """Asks images that users might send; without any, queries take their place."""
    found = _draw_users(config, knowledge)
    if found is None:
        return Users(
            images=questions.queries,
            labels=questions.labels,
            answers=answers,
            are_queries=True,
        )
    images, labels = found
    return Users(
        images=images,
        labels=labels,
        answers=_normalise(box.recognised(images).probabilities),
        are_queries=False,
    )


def _draw_users(
    config: AuditConfig, knowledge: Knowledge
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.integer]] | None:
    zoo = knowledge.zoo
    if zoo is None or not config.num_images:
        return None
    images, labels = datasets.load_validation(zoo.config, zoo.images_path)
    free = np.setdiff1d(np.arange(len(images)), knowledge.info.query_inputs.indices)
    random = np.random.default_rng(derive_seed(config.seed, "users' images"))
    chosen = random.permutation(free)[: config.num_images]
    if not len(chosen):
        return None
    return images[chosen].astype(np.float32) / np.float32(255), labels[chosen]


def _normalise(rows: FloatArray) -> Probabilities:
    exact = rows.astype(np.float64)
    return exact / exact.sum(axis=-1, keepdims=True)
