"""Entries of a zoo: its accepted classifiers and the ensembles they form.

An ensemble is 2, 3 or 4 accepted classifiers that agree in all but the seed (paper,
section 3). Its probabilities are the mean of theirs. Which zoos have them, their design
says.
"""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from kennen_tf.attributes import SharedValues
from kennen_tf.zoo.entries import QueriedEntry
from kennen_tf.zoo.store import ClassifierRecord, Zoo

ENSEMBLE_SIZES = (2, 3, 4)

# All ensembles of four classifiers. With more classifiers of one combination, the
# first ones in order of size and id are taken: ensembles should not swamp the rest.
MAX_ENSEMBLES = 11


def list_entries(zoo: Zoo, records: Iterable[ClassifierRecord]) -> list[QueriedEntry]:
    """Returns the single classifiers and their ensembles, sorted by id.

    Args:
        zoo: The zoo.
        records: Some of its accepted classifiers.
    """
    combinations: dict[str, list[ClassifierRecord]] = {}
    for record in sorted(records, key=lambda record: record.id):
        combinations.setdefault(record.combination_id, []).append(record)
    entries: list[QueriedEntry] = []
    shared = SharedValues()
    for members in combinations.values():
        entries += [make_entry(zoo, [record], shared) for record in members]
        if zoo.design is not None and zoo.design.ensembles:
            ensembles = itertools.chain.from_iterable(
                itertools.combinations(members, size) for size in ENSEMBLE_SIZES
            )
            for chosen in itertools.islice(ensembles, MAX_ENSEMBLES):
                entries.append(make_entry(zoo, chosen, shared))
    return sorted(entries, key=lambda entry: entry.id)


def make_entry(
    zoo: Zoo, members: Sequence[ClassifierRecord], shared: SharedValues
) -> QueriedEntry:
    """Makes what a metamodel sees as one black box, of one classifier or several."""
    [first, *others] = members
    ids = tuple(record.id for record in members)
    seeds = [f"s{record.spec.seed:03d}" for record in others if record.spec]
    return QueriedEntry(
        id="+".join([ids[0], *seeds]),
        combination_id=first.combination_id,
        members=ids,
        accuracy=float(
            np.mean([r.accuracy for r in members]) if others else first.accuracy
        ),
        values=shared.find(zoo.values_of(members)),
    )
