"""Asking a black box what a metamodel wants to know: first how, then all of it."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.black_boxes.pixels import LEAST, PixelsFound
from kennen_tf.black_boxes.recognising import Recognised
from kennen_tf.configs.revealing import AUTO, LABELS
from kennen_tf.queries import packages
from kennen_tf.vocabulary.errors import UserError

# Who names fewer of the digits rightly is hardly trained, or asked in a wrong way.
_TRAINED = 0.8
# Digits that so many of the zoo name rightly say how well somebody else does, where
# there are enough: those that tell most are often named wrongly by all.
_EASY, _LEAST_EASY = 0.9, 10


class Questions(Protocol):
    """What is sent to a black box; an exported metamodel, for one."""

    @property
    def name(self) -> str:
        """Of who asks; a ready metamodel's is that of its package and kind."""

    @property
    def queries(self) -> npt.NDArray[np.float32]:
        """Images in [0, 1], `(n, height, width, channels)`."""

    @property
    def labels(self) -> npt.NDArray[np.integer]:
        """What each shows, `(n,)`; -1 if it is not known."""

    @property
    def query_accuracies(self) -> npt.NDArray[np.floating]:
        """Share of the zoo that names each rightly, `(n,)`; 1 if unknown."""

    @property
    def reads_labels(self) -> bool:
        """Whether the likeliest label of an answer is enough."""

    @property
    def representation(self) -> str:
        """How much of an answer is read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenQuestions:
    """Questions of who reads answers in a way of its own: labels, if there is no more.

    Attributes:
        name, queries, labels, query_accuracies: As those of `Questions`.
    """

    name: str
    queries: npt.NDArray[np.float32]
    labels: npt.NDArray[np.integer]
    query_accuracies: npt.NDArray[np.floating]
    reads_labels: bool = True
    representation: str = "probabilities"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """What a black box answered, and how it was asked.

    Attributes:
        pixels: How it was sent images.
        recognised: Its answers.
        accuracy: Share of the queries that it names rightly, of those whose class is
            known and which nearly all of the zoo name rightly, if there are enough;
            None if none is known.
        notes: Sentences on how far what follows is to be trusted.
    """

    pixels: PixelsFound
    recognised: Recognised
    accuracy: float | None
    notes: tuple[str, ...]


def ask(metamodel: Questions, box: BlackBox) -> Asked:
    """Finds how a black box takes its pixels, and sends it all queries.

    Args:
        metamodel: Whose queries are sent.
        box: Whom to ask.

    Raises:
        UserError: If it fails, answers something else than it should, answers labels
            and the metamodel reads more, or names the digits no better than chance.
    """
    queries, labels = metamodel.queries, metamodel.labels
    was_auto = box.pixels == AUTO
    _check_labels(metamodel, box)
    # Those first that anybody names rightly: what is asked in a wrong way does not.
    easiest = np.argsort(-metamodel.query_accuracies, kind="stable")
    found = box.find_pixels(queries[easiest], labels[easiest])
    _check_labels(metamodel, box)  # Before all is sent, if it is known by now.
    recognised = box.recognised(queries)
    _check_labels(metamodel, box)
    known = labels >= 0
    is_easy = known & (metamodel.query_accuracies >= _EASY)
    if is_easy.sum() >= _LEAST_EASY:
        known = is_easy
    accuracy = None
    if known.any():
        named = recognised.probabilities.argmax(axis=1)
        accuracy = float((named == labels)[known].mean())
    notes = [*_say_pixels(found, was_auto), *recognised.notes]
    if accuracy is not None and accuracy < LEAST:
        notes.append(
            f"It names {100 * accuracy:.0f}% of the images rightly, asked with "
            f"--pixels={box.pixels}: it is asked in a wrong way, or was trained on "
            "something else, so what is named of it means nothing."
        )
    elif accuracy is not None and accuracy < _TRAINED:
        notes.append(
            f"It names only {100 * accuracy:.0f}% of the images rightly: it is hardly "
            "trained, so what is named is doubtful."
        )
    return Asked(
        pixels=found, recognised=recognised, accuracy=accuracy, notes=tuple(notes)
    )


def _check_labels(metamodel: Questions, box: BlackBox) -> None:
    """Raises `UserError` if a black box answers less than what is read."""
    if box.outputs_kind == LABELS and not metamodel.reads_labels:
        raise UserError(
            f"{box.name} answers labels (--outputs={LABELS}); the metamodel must read "
            "nothing but the top label: one of kennen-i, or of --representation=top-1, "
            f"e.g. --metamodel={_name_for_labels(metamodel)}. Received: {metamodel}, "
            f"which reads {metamodel.representation}."
        )


def _name_for_labels(metamodel: Questions) -> str:
    """Returns the name of a ready metamodel that reads labels."""
    package = metamodel.name.rpartition("/")[0] or packages.MNIST_NET
    return f"{package}/labels"


def _say_pixels(found: PixelsFound, was_auto: bool) -> Sequence[str]:
    """Returns what was found out about pixels, unless it is what one would think."""
    if not was_auto:
        return []
    if found.accuracy is None:
        return [
            "It is not known what enough of the queries show: pixels were taken to be "
            "from 0 to 1. If they are not, say --pixels."
        ]
    if found.pixels == "unit":
        return []
    tried = ", ".join(f"{way} {100 * own:.0f}%" for way, own in found.others.items())
    return [
        f"Pixels are sent as --pixels={found.pixels}: so it names "
        f"{100 * found.accuracy:.0f}% of {found.num_tried} images rightly ({tried})."
    ]
