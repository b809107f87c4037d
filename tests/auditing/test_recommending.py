"""Recommendations: what is cheapest of what helps, and never what chance explains."""

import dataclasses
from types import SimpleNamespace

from kennen_tf.auditing import recommending
from kennen_tf.auditing.audits import Told, Tried
from kennen_tf.auditing.costs import Cost
from kennen_tf.auditing.leaks import Leak

FREE = Cost(
    flipped=0.0,
    tied=0.0,
    l1=0.0,
    l2=0.0,
    kl=0.0,
    ranking_kept=1.0,
    accuracy_lost=0.0,
    calibration=None,
)


def tell(attacker, bits, width=0.5):
    total = Leak(
        bits=bits, interval=(bits - width, bits + width), entropy=12.0, count=90
    )
    return Told(
        attacker=attacker,
        num_asked=1,
        total=total,
        leaks={},
        own={},
        own_total=bits,
        rank=0.5,
    )


def attempt(name, unaware, aware, **cost):
    return Tried(
        name=name,
        cost=dataclasses.replace(FREE, **cost),
        told=(tell("unaware", unaware), tell("aware", aware)),
    )


NONE = Tried(name="none", cost=FREE, told=(tell("unaware", 6.0),))


def recommend(*tried):
    return recommending.recommend(SimpleNamespace(tried=(NONE, *tried)))


def test_the_cheapest_that_leaves_half_is_named_with_its_numbers():
    first, second = recommend(
        attempt("dear", 0.1, 0.5, l1=0.4),
        attempt("cheap", 1.0, 2.5, l1=0.1),
        attempt("weak", 5.0, 5.1, l1=0.01),
    )
    assert first.startswith("Answer with cheap: ")
    assert "2.5 (95% interval 2.0 to 3.0) of 6.0 bits" in first
    assert "0.100" in first
    assert "learns 1.0 bits, who does 2.5" in second
    assert "what hides most is dear, 0.5 bits" in second


def test_a_defence_that_fools_only_who_does_not_know_of_it_is_not_named():
    first, _ = recommend(
        attempt("trick", -3.0, 5.9, l1=0.01), attempt("honest", 2.0, 2.5, l1=0.3)
    )
    assert first.startswith("Answer with honest: ")


def test_who_changes_labels_is_not_named():
    first, _ = recommend(
        attempt("rough", 0.1, 0.2, l1=0.01, flipped=0.02),
        attempt("gentle", 2.0, 2.5, l1=0.3),
    )
    assert first.startswith("Answer with gentle: ")


def test_what_chance_explains_is_no_gain():
    first, second = recommend(attempt("noise", 5.6, 5.7, l1=0.01))
    assert first.startswith("None of the defences tried can be recommended")
    assert "noise, 5.7 bits" in second


def test_nothing_is_recommended_against_an_attacker_who_learns_nothing():
    own = Tried(name="none", cost=FREE, told=(tell("unaware", 0.2),))
    other = attempt("label", 0.0, 0.0, l1=0.5)
    first, _ = recommending.recommend(SimpleNamespace(tried=(own, other)))
    assert first.startswith("No defence is needed")


def test_the_front_is_what_nothing_beats():
    tried = [
        attempt("a", 5.0, 5.0, l1=0.1),
        attempt("worse", 5.5, 5.5, l1=0.2),
        attempt("b", 2.0, 2.0, l1=0.3),
        NONE,
    ]
    assert [own.name for own in recommending.find_front(tried)] == ["none", "a", "b"]
