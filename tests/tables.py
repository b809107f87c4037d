"""Attribute tables of zoos that are not the paper's."""

import numpy as np

from kennen_tf.attributes import MISSING, Attribute, AttributeTable
from kennen_tf.designs import mnist_net

PAPERS = mnist_net.TABLE

# Three attributes, with long names and a code of its own.
SMALL = AttributeTable(
    (
        Attribute(
            name="stem",
            code="#stem",
            description="layers before the first block",
            values=(1, 2),
            group="architecture",
        ),
        Attribute(
            name="augmentation",
            description="what is done to the training images",
            values=("none", "horizontal flips", "random crops and flips"),
            group="data",
        ),
        Attribute(name="license", values=("MIT", "Apache-2.0"), group="other"),
    )
)

# The paper's, and one that the paper does not have.
THIRTEEN = AttributeTable(
    (*PAPERS, Attribute(name="norm", values=("none", "batch", "layer")))
)

# More than figures were made for at first, and one with more values than markers.
EIGHTEEN = AttributeTable(
    (
        *(
            Attribute(
                name=f"attribute_with_a_name_{i}",
                description="something that takes quite a few words to say",
                values=tuple(f"value number {v}" for v in range(2 + i % 3)),
            )
            for i in range(17)
        ),
        Attribute(name="many", values=tuple(range(40))),
    )
)


def make_labels(table, num_entries, seed=0, missing_share=0.0):
    """Makes labels `(entries,)` at random, some of them missing."""
    random = np.random.default_rng(seed)
    labels = {}
    for a in table:
        own = random.integers(0, len(a.values), num_entries)
        is_missing = random.random(num_entries) < missing_share
        labels[a.name] = np.where(is_missing, MISSING, own)
    return labels


def make_probabilities(table, labels, strength=0.3, seed=1):
    """Makes answers `(entries, values)` that tend to be right by `strength`."""
    random = np.random.default_rng(seed)
    return {
        a.name: random.dirichlet(np.ones(len(a.values)), len(labels[a.name]))
        + strength * np.eye(len(a.values))[labels[a.name]]
        for a in table
    }
