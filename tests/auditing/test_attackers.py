"""Attackers: what is planted is found, and who knows of a defence looks through it."""

import fakes
import numpy as np
import pytest

from kennen_tf.auditing import defences
from kennen_tf.auditing.attackers import AWARE, UNAWARE, Attackers
from kennen_tf.queries.query_outputs import QueryOutputsInfo

NUM_QUERIES = 24


@pytest.fixture(scope="module")
def attackers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted") / "q"
    fakes.write_query_outputs(folder, 200, NUM_QUERIES, planted=True)
    return Attackers(QueryOutputsInfo.open(folder), range(NUM_QUERIES))


@pytest.fixture(scope="module")
def target(attackers):
    return attackers._test[0]


def total(attackers, attacker, name, target, **settings):
    attack = attackers.attack(attacker, defences.find(name), target, **settings)
    return sum(leak.bits for leak in attackers.measure(attack).values())


def test_what_is_planted_is_read_of_the_zoo_and_of_the_target(attackers, target):
    attack = attackers.attack(UNAWARE, defences.find("none"), target)
    found = attackers.measure(attack)
    for name, leak in found.items():
        assert leak.bits > 0.3 * leak.entropy, name
        assert leak.interval[0] > 0, name
    named = [attack.target[n].argmax() == attackers.labels[n][0] for n in found]
    assert sum(named) >= 10


def test_without_a_defence_there_is_nothing_to_know(attackers, target):
    unaware = attackers.attack(UNAWARE, defences.find("none"), target)
    aware = attackers.attack(AWARE, defences.find("none"), target)
    for name, said in unaware.held_out.items():
        np.testing.assert_allclose(said, aware.held_out[name], atol=1e-5)


def test_who_knows_of_a_defence_is_told_more(attackers, target):
    # It turns answers over: nothing is lost, and who does not know is misled.
    plain = total(attackers, UNAWARE, "none", target)
    name = f"{__name__}:turn_over"
    assert total(attackers, UNAWARE, name, target) < 0.2 * plain
    assert total(attackers, AWARE, name, target) > 0.7 * plain


def turn_over(rows):
    return rows[:, ::-1]


def say_nothing(rows):
    return np.full_like(rows, 1 / rows.shape[1])


def test_who_answers_nothing_gives_nothing_away(attackers, target):
    assert abs(total(attackers, AWARE, f"{__name__}:say_nothing", target)) < 1


def test_fresh_noise_is_averaged_away_and_fixed_noise_is_not(attackers, target):
    def bits(name, num_asked):
        return total(attackers, AWARE, name, target, num_asked=num_asked)

    assert bits("gaussian:2:fresh", 30) > 2 * bits("gaussian:2:fresh", 1)
    assert bits("gaussian:2", 30) == pytest.approx(bits("gaussian:2", 1))


def test_attacks_are_repeatable(attackers, target):
    first = attackers.attack(AWARE, defences.find("laplace:0.1"), target)
    again = attackers.attack(AWARE, defences.find("laplace:0.1"), target)
    for name, said in first.held_out.items():
        np.testing.assert_array_equal(said, again.held_out[name])
