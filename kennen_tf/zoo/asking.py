"""Entries of a zoo as black boxes: images in, outputs out, and nothing else.

Whoever asks here, gets the probabilities that a classifier or an ensemble answers, and
neither weights nor gradients. It is the only way to the classifiers that a metamodel is
tested on.
"""

from collections.abc import Sequence

import numpy as np

from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import querying
from kennen_tf.zoo.entries import QueriedEntry
from kennen_tf.zoo.store import ClassifierRecord, Zoo


def ask(zoo: Zoo, entries: Sequence[QueriedEntry], pixels: np.ndarray) -> np.ndarray:
    """Sends images to classifiers and ensembles.

    Args:
        zoo: The zoo.
        entries: Whom to ask.
        pixels: float32 `(n, height, width, channels)` in [0, 1].

    Returns:
        Probabilities, float32 `(entries, n, classes)`, those of an ensemble the mean of
        its members'.

    Raises:
        UserError: If the zoo lacks a member, or its file is not the one recorded.
    """
    members = find_records(zoo, entries)
    answers: dict[str, np.ndarray] = {}

    def keep(record: ClassifierRecord, probabilities: np.ndarray) -> None:
        answers[record.id] = probabilities

    querying.query_classifiers(zoo, members, pixels, keep)
    return np.stack(
        [np.mean([answers[m] for m in entry.members], axis=0) for entry in entries]
    )


def find_records(
    zoo: Zoo, entries: Sequence[QueriedEntry]
) -> tuple[ClassifierRecord, ...]:
    """Returns the records of all members of some entries, sorted by id.

    Raises:
        UserError: If the zoo lacks one.
    """
    by_id = {record.id: record for record in zoo.accepted}
    wanted = sorted({member for entry in entries for member in entry.members})
    missing = [member for member in wanted if member not in by_id]
    if missing:
        raise UserError(
            f"The zoo in {zoo.zoo_dir} must hold every classifier that was queried. "
            f"Received: a zoo without {len(missing)} of {len(wanted)}, e.g. "
            f"{missing[0]}. Query it again, or name the right zoo with --zoo_dir."
        )
    return tuple(by_id[member] for member in wanted)
