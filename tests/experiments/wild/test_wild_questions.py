"""Coarse questions: judged by what is known, read from what is named."""

import numpy as np
import pytest

from kennen_tf.designs.wild_table import TABLE
from kennen_tf.experiments.wild import questions
from kennen_tf.experiments.wild.files import PublishedFile
from kennen_tf.vocabulary.errors import UserError


def know(**cells):
    file = PublishedFile(id="a", path=None, network="a", cells=cells)
    return questions.know_file(file, TABLE)


def judge(known):
    return {own.attribute.name: own.judge(known) for own in questions.COARSE}


def test_files_are_judged_also_by_values_that_no_zoo_has():
    found = judge(know(act="elu", conv="5", pool="yes: max 2", alg="adadelta", drop=""))
    assert found == {
        **{"kind": "convolutional", "pooling": "yes", "conv_near": 5},
        **{"dropout": None, "relu": "another", "adam": "another"},
    }


def test_what_is_not_known_is_not_judged():
    assert set(judge(know(act="mixed")).values()) == {None}
    assert set(judge(know()).values()) == {None}


def test_cells_that_are_no_number_of_convolutions_are_not_judged():
    assert judge(know(conv="two or three", pool="max"))["kind"] is None
    assert judge(know(conv="2-3"))["conv_near"] is None


def test_a_zoo_that_has_nothing_to_ask_is_told():
    with pytest.raises(UserError, match="one or more of the attributes kind, pool"):
        questions.applying(TABLE.select(["bs", "epochs"]))


def test_of_perceptrons_pooling_and_convolutions_are_not_asked():
    known = know(conv="0", pool="no", act="relu", ks="3")
    assert (known["kind"], known["pool"], known["ks"]) == ("perceptron", None, None)
    found = judge(known)
    assert (found["pooling"], found["conv_near"]) == (None, None)


def name(known, **named):
    """Scores a metamodel that names values, and any of the others."""
    said = {}
    for attribute in TABLE:
        chosen = [
            attribute.label(one) if one is not None else 0
            for one in named.get(attribute.name, [None] * len(known))
        ]
        said[attribute.name] = np.eye(len(attribute.values))[chosen]
    clusters = [str(place) for place in range(len(known))]
    _, coarse, _ = questions.evaluate(TABLE, known, said, clusters)
    return {own.name: own for own in coarse.attributes}


def test_convolutions_count_within_one_and_values_alike():
    known = [know(conv=text) for text in "11245"]
    found = name(known, conv=[0, 3, 3, 2, 4])["conv_near"]
    # One of two with one, all of two, none of four, all of five.
    assert found.accuracy == pytest.approx((0.5 + 1 + 0 + 1) / 4)
    assert found.count == 5
    # Who says three convolutions of all is right of two to four: of 2 and 4.
    assert found.chance == pytest.approx(0.5)


def test_chance_is_the_best_answer_that_is_the_same_for_all():
    known = [know(conv=text, act="relu") for text in "122345"]
    said = {own.name: np.eye(len(own.values))[[0] * 6] for own in TABLE}
    *_, guessed = questions.evaluate(TABLE, known, said, list("abcdef"))
    # Two: of one, two and three convolutions.
    assert (guessed["conv_near"], guessed["relu"], guessed["kind"]) == (4, 6, 6)
    assert guessed["adam"] == 0


def test_pooling_is_right_whichever_is_named():
    known = [know(conv="2", pool=text) for text in ("yes: max 2", "average", "no")]
    found = name(known, pool=["average", "max", "max"])["pooling"]
    assert found.accuracy == pytest.approx((1 + 0) / 2)
    assert np.trace(np.asarray(found.confusion)) == 2


def test_relu_and_adam_are_told_from_all_others():
    truths = [("relu", "adam"), ("tanh", "adam"), ("elu", "adadelta")]
    known = [know(act=act, alg=alg) for act, alg in truths]
    named = {"act": ["relu", "sigmoid", "relu"], "alg": ["adam", "sgd", "rmsprop"]}
    found = name(known, **named)
    assert found["relu"].accuracy == pytest.approx((1 + 0.5) / 2)
    assert found["adam"].accuracy == pytest.approx((0.5 + 1) / 2)


def test_values_of_entries_are_judged_alike():
    known = [{"conv": 0, "act": None, "pool": None, "alg": "sgd", "drop": "no"}]
    assert judge(known[0]) == {
        **{"kind": "perceptron", "pooling": None, "conv_near": None},
        **{"dropout": "no", "relu": None, "adam": "another"},
    }
