"""Entries of a zoo: its accepted classifiers and the ensembles they form.

An ensemble is 2, 3 or 4 accepted classifiers that agree in all but the seed (paper,
section 3). Its probabilities are the mean of theirs.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterable

from kennen_tf import attributes
from kennen_tf.attributes import Value
from kennen_tf.zoo.store import ClassifierRecord

ENSEMBLE_SIZES = (2, 3, 4)

# All ensembles of four classifiers. With more classifiers of one combination, the
# first ones in order of size and id are taken: ensembles should not swamp the rest.
MAX_ENSEMBLES = 11


@dataclasses.dataclass(frozen=True)
class Entry:
    """What a metamodel sees as one black box.

    Attributes:
        members: Records of one classifier, or of an ensemble's, sorted by id.
    """

    members: tuple[ClassifierRecord, ...]

    @property
    def combination_id(self) -> str:
        return self.members[0].spec.combination_id

    @property
    def id(self) -> str:
        """E.g. "c04211-s017", or "c04211-s017+s102" for an ensemble."""
        seeds = "+".join(f"s{record.spec.seed:03d}" for record in self.members)
        return f"{self.combination_id}-{seeds}"

    @functools.cached_property
    def values(self) -> dict[str, Value]:
        """Value of every attribute."""
        return attributes.all_values(
            attributes.Facts(
                combination=self.members[0].spec.combination,
                num_params=sum(record.num_params for record in self.members),
                num_members=len(self.members),
            )
        )


def list_entries(records: Iterable[ClassifierRecord]) -> list[Entry]:
    """Returns the single classifiers and their ensembles, sorted by id.

    Args:
        records: Accepted classifiers.
    """
    combinations: dict[str, list[ClassifierRecord]] = {}
    for record in sorted(records, key=lambda record: record.id):
        combinations.setdefault(record.spec.combination_id, []).append(record)
    entries = []
    for members in combinations.values():
        ensembles = itertools.chain.from_iterable(
            itertools.combinations(members, size) for size in ENSEMBLE_SIZES
        )
        entries += [Entry((record,)) for record in members]
        entries += [Entry(e) for e in itertools.islice(ensembles, MAX_ENSEMBLES)]
    return sorted(entries, key=lambda entry: entry.id)
