"""What goes without what is seen from who has it."""

import numpy as np

from kennen_tf.attributes import MISSING, Attribute, AttributeTable
from kennen_tf.evaluation import absence

TABLE = AttributeTable(
    (
        Attribute(name="kind", values=("perceptron", "convolutional")),
        Attribute(name="ks", values=(3, 5)),
        Attribute(name="alg", values=("sgd", "adam")),
        Attribute(name="unknown", values=("a", "b")),
    )
)


def make_labels(num_each=15):
    kind = np.repeat([0, 1], num_each)
    alg = np.arange(2 * num_each) % 2
    return {
        "kind": kind,
        "ks": np.where(kind == 1, alg, MISSING),
        "alg": alg,
        "unknown": np.full(2 * num_each, MISSING),
    }


def test_what_all_of_a_kind_lack_does_not_apply_to_it():
    absent = absence.find_absent(TABLE, make_labels())
    assert absent == {"ks": [("kind", "perceptron")]}
    assert absence.list_absent(absent, {"kind": "perceptron", "alg": "sgd"}) == {"ks"}
    assert not absence.list_absent(absent, {"kind": "convolutional", "ks": 3})
    assert not absence.list_absent({}, {"kind": "perceptron"})


def test_one_that_has_it_is_enough_to_apply():
    labels = make_labels()
    labels["ks"][0] = 1
    assert not absence.find_absent(TABLE, labels)


def test_few_that_lack_it_may_do_so_by_chance():
    assert not absence.find_absent(TABLE, make_labels(num_each=8))
