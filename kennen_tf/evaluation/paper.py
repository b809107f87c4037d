"""Numbers of the paper that tables print beside ours, each with its source.

"Towards Reverse-Engineering Black-Box Neural Networks", Oh, Augustin, Schiele, Fritz,
ICLR 2018 (arXiv 1711.01768). The numbers are those of the anonymous submission; where
the final version's public summary speaks, both agree. They are per cent, for the
paper's MNIST-NET: 5,000 training classifiers, 1,000 black boxes, 100 queries; kennen-i
has one query for each attribute. They stand beside results of a zoo of MNIST-NET's
attributes only; see `is_papers`.
"""

import dataclasses
from collections.abc import Collection

import numpy as np

from kennen_tf.attributes import AttributeTable
from kennen_tf.designs import mnist_table

SUBMISSION = "anonymous submission"
# It says that the row "one label" is bottom-1, which the submission leaves open.
SUBMISSION_AND_SUMMARY = "anonymous submission; public summary of the final version"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A row of Table 2: class-balanced accuracy on the R split, in per cent.

    Attributes:
        method: "kennen-o", "kennen-i" or "kennen-io".
        output: The output representation, as the paper calls it.
        representation: What it is called here.
        source: Which version of the paper.
        accuracies: One for each of `NAMES`.
        average: The average over all of them.
    """

    method: str
    output: str
    representation: str
    source: str
    accuracies: tuple[float, ...]
    average: float

    def accuracy(self, name: str) -> float | None:
        """Returns the accuracy; None for an attribute that the paper does not have."""
        return dict(zip(NAMES, self.accuracies, strict=True)).get(name)

    def average_over(self, names: Collection[str]) -> float | None:
        """Returns the average over those of some attributes that the paper has.

        Over all of its own, that is the average that it prints.
        """
        if set(names) >= set(NAMES):
            return self.average
        known = [a for n, a in zip(NAMES, self.accuracies, strict=True) if n in names]
        return float(np.mean(known)) if known else None


# What its metamodels of Table 2 are trained on.
NUM_TRAIN = 5_000

# A thirteenth attribute of a design finds no number rather than a wrong one.
_TABLE = AttributeTable(mnist_table.TABLE.attributes[:12])
NAMES = _TABLE.names

# act, drop, pool, ks, #conv, #fc, #par, ens, alg, bs, size, split
TABLE_2 = (
    Row(
        method="kennen-o",
        output="prob",
        representation="probabilities",
        source=SUBMISSION,
        accuracies=(
            *(80.6, 94.6, 94.9, 84.6, 67.1, 77.3, 41.7, 54.0),
            *(71.8, 50.4, 73.8, 90.0),
        ),
        average=73.4,
    ),
    Row(
        method="kennen-o",
        output="ranking",
        representation="ranking",
        source=SUBMISSION,
        accuracies=(
            *(63.7, 93.8, 90.8, 80.0, 63.0, 73.7, 44.1, 62.4),
            *(65.3, 47.0, 66.2, 86.6),
        ),
        average=69.7,
    ),
    Row(
        method="kennen-o",
        output="one label",
        representation="bottom-1",
        source=SUBMISSION_AND_SUMMARY,
        accuracies=(
            *(48.6, 80.0, 73.6, 64.0, 48.9, 63.1, 28.7, 52.8),
            *(53.6, 41.9, 45.9, 51.4),
        ),
        average=54.4,
    ),
    Row(
        method="kennen-i",
        output="top-1, one query",
        representation="top-1",
        source=SUBMISSION,
        accuracies=(
            *(43.5, 77.0, 94.8, 88.5, 54.5, 41.0, 32.3, 46.5),
            *(45.7, 37.0, 42.6, 29.3),
        ),
        average=52.7,
    ),
    Row(
        method="kennen-io",
        output="prob",
        representation="probabilities",
        source=SUBMISSION,
        accuracies=(
            *(88.4, 95.8, 99.5, 97.7, 80.3, 80.2, 45.2, 60.2),
            *(79.3, 54.3, 84.8, 95.6),
        ),
        average=80.1,
    ),
)

# kennen-io on the E splits: mean over the attributes not used for splitting, scaled so
# that chance is 0 and the R split is 100. E-split is in the final version only, which
# was not read.
TABLE_3 = {
    "E-conv": 92.1,
    "E-conv-fc": 80.7,
    "E-alg": 88.5,
    "E-alg-bs": 70.1,
    "E-size": 86.9,
}


def is_papers(table: AttributeTable) -> bool:
    """Says whether a table begins with the paper's attributes and their values."""
    first = table.attributes[: len(_TABLE)]
    wanted = [(a.name, a.values) for a in _TABLE]
    return [(a.name, a.values) for a in first] == wanted


def table_2_row(
    method: str, representation: str, split: str, table: AttributeTable
) -> Row | None:
    """Returns the paper's row for a metamodel, if it has one.

    A zoo with another table has none. For "linear", which the paper does not have, the
    row is that of kennen-o.
    """
    if split != "R" or not is_papers(table):
        return None
    method = "kennen-o" if method == "linear" else method
    for row in TABLE_2:
        if (row.method, row.representation) == (method, representation):
            return row
    return None


def table_3_score(method: str, split: str, table: AttributeTable) -> float | None:
    """Returns the paper's score of an E split, if it has one for method and table."""
    if method != "kennen-io" or not is_papers(table):
        return None
    return TABLE_3.get(split)
