"""The audit of an attack: what is planted is named, unless a defence says nothing."""

import json
import sys

import family_fakes
import figure_checks
import image_fakes
import numpy as np
import pytest
from scipy import special

from kennen_tf.auditing import defences
from kennen_tf.auditing.attackers import AWARE, UNAWARE
from kennen_tf.evaluation import figures, printing
from kennen_tf.imagenet.aips.generator_sets import ONE_OF_EACH
from kennen_tf.imagenet.attacks import grading
from kennen_tf.imagenet.auditing import (
    family_audit,
    family_audit_reporting,
    family_namers,
)
from kennen_tf.imagenet.auditing.attack_folder import AttackAnswers
from kennen_tf.imagenet.families.family_outputs import FamilyOutputs
from kennen_tf.vocabulary.errors import UserError

NUM_IMAGES = 40
NUM_CLASSES = image_fakes.NUM_CLASSES
# Of the likeliest class, beside what families prefer theirs by.
SURENESS = 25.0
# What images show: no family's own class, nor does `turn` make one of it.
SHOWN = (3, 4)


def softmax(logits):
    return special.softmax(logits, axis=1).astype(np.float32)


def answer(labels, sureness=SURENESS):
    return sureness * np.eye(NUM_CLASSES)[labels]


def make_answers(
    tmp_path, *, preference=family_fakes.PREFERENCE, sureness=SURENESS, **changes
):
    """An attack on a classifier of family b; all name images rightly, but one image.

    Of families with as many classifiers at hand, answers that say nothing have the
    first named, which is another.
    """
    families = family_fakes.make_registry(a=2, b=3, c=2)
    labels = np.random.default_rng(1).choice(SHOWN, NUM_IMAGES)
    logits = family_fakes.make_logits(families, preference, num_images=NUM_IMAGES)
    target = logits.pop("b2")
    shown = answer(labels, sureness)
    probabilities = {name: softmax(own + shown) for name, own in logits.items()}
    seen = np.where(np.arange(NUM_IMAGES) == 0, (labels + 1) % NUM_CLASSES, labels)

    def misled(count):
        """What the black box makes of AIPs that mislead it so often."""
        is_misled = np.arange(NUM_IMAGES) >= NUM_IMAGES - count
        return softmax(answer(np.where(is_misled, (labels + 1) % NUM_CLASSES, labels)))

    return AttackAnswers(
        **{
            "folder": tmp_path,
            "config": {"metamodel": "svm", "num_queries": 10, "black_box": "b2.keras"},
            "fingerprints": {},
            "predicted_family": "b",
            "families": families.without(["b2"]),
            "outputs": FamilyOutputs(
                labels=labels.astype(np.int32), probabilities=probabilities
            ),
            "clean": softmax(target + answer(seen, sureness)),
            "perturbed": {"a": misled(3), "b": misled(30), ONE_OF_EACH: misled(13)},
            "generators": {
                "a": ("a0", "a1"),
                "b": ("b0", "b1"),
                ONE_OF_EACH: ("a0", "b0", "c0"),
            },
            **changes,
        }
    )


def say_label(rows):
    """Tells nothing but the label, and that as surely as ever."""
    return 0.9 * np.eye(rows.shape[1])[rows.argmax(axis=1)] + 0.1 / rows.shape[1]


def turn(rows):
    """Says of each class what holds for the one before it."""
    return np.roll(rows, 1, axis=1)


DEFENCES = ("planted:say_label", "planted:turn", "gaussian:0.001:fresh")


@pytest.fixture(scope="module")
def planted():
    """A module with defences of an owner's own."""
    module = type(sys)("planted")
    module.say_label, module.turn = say_label, turn
    with pytest.MonkeyPatch.context() as patches:
        patches.setitem(sys.modules, "planted", module)
        yield


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    return make_answers(tmp_path_factory.mktemp("attack"))


@pytest.fixture(scope="module")
def audit(answers, planted):
    return family_audit.audit(answers, DEFENCES, family="b", num_draws=6)


@pytest.fixture(scope="module")
def by_name(audit):
    return {own.name: own for own in audit.defences}


def shares(defence):
    return [defence.attackers[name].right.rate for name in (UNAWARE, AWARE)]


def others(defence):
    return [
        defence.attackers[name].naming.held_out.accuracy for name in (UNAWARE, AWARE)
    ]


# Who names what.


def test_the_family_is_named_without_a_defence(audit, by_name):
    assert [own.name for own in audit.defences] == ["none", *DEFENCES]
    assert shares(by_name["none"]) == [1.0, 1.0]
    assert others(by_name["none"]) == [1.0, 1.0]
    assert audit.chance == pytest.approx(1 / 3)
    assert (audit.num_draws, audit.num_queries) == (6, 10)


def test_it_is_not_named_from_answers_that_say_nothing(by_name):
    silent = by_name["planted:say_label"]
    assert shares(silent) == [0.0, 0.0]
    # Somebody must be named, and is the same whoever is asked.
    assert others(silent)[1] == pytest.approx(1 / 3)
    assert others(silent)[0] < 0.5
    assert silent.cost.flipped == 0 and silent.cost.ranking_kept < 1


def test_who_knows_that_answers_are_turned_over_names_it_all_the_same(by_name):
    turned = by_name["planted:turn"]
    assert shares(turned) == [0.0, 1.0]
    # What b says of its class is what c says of its own.
    assert set(turned.attackers[UNAWARE].naming.target) == {"c"}
    assert others(turned)[0] < 0.5 and others(turned)[1] == 1.0
    assert turned.worst == AWARE and by_name["none"].worst == UNAWARE


def test_who_knows_of_noise_looks_through_it(tmp_path):
    # What is next to nothing is all noise, in logarithms more than all else.
    answers = make_answers(tmp_path, preference=4.0, sureness=6.0)
    audit = family_audit.audit(answers, ["gaussian:0.01"], family="b", num_draws=4)
    noisy = audit.defences[1]
    assert noisy.attackers[AWARE].naming.floor > noisy.attackers[UNAWARE].naming.floor
    assert shares(noisy)[1] == 1.0
    assert others(noisy)[1] > 0.8


def test_equal_seeds_say_the_same(answers):
    def say(seed):
        audit = family_audit.audit(
            answers, ["gaussian:0.02:fresh"], num_draws=2, seed=seed
        )
        return audit.defences[1].to_json()

    assert say(0) == say(0) != say(1)


def test_noise_that_is_drawn_anew_is_averaged_and_no_other():
    even = np.full((50, NUM_CLASSES), 1 / NUM_CLASSES)

    def far(name, num_asked):
        defence = defences.find(name)
        given = family_namers.defend(defence, even, 0, "box", num_asked=num_asked)
        return np.abs(given - even).mean()

    once = far("gaussian:0.02:fresh", 1)
    assert far("gaussian:0.02:fresh", 100) == pytest.approx(once / 10, rel=0.2)
    assert far("gaussian:0.02", 100) == far("gaussian:0.02", 1) == once


def test_whose_answers_they_are_decides_the_noise():
    even = np.full((3, NUM_CLASSES), 1 / NUM_CLASSES)
    defence = defences.find("laplace:0.02")
    first, other = (family_namers.defend(defence, even, 0, name) for name in "ab")
    assert len({row.tobytes() for row in (*first, *other)}) == 6


def test_answers_that_are_nearly_alike_are_told_apart_in_no_time(answers):
    # Far from their mean, rounding errors would be all that is left of them.
    audit = family_audit.audit(answers, ["gaussian:0.001"], family="b", num_draws=3)
    assert len(audit.defences[1].attackers[AWARE].naming.target) == 3


def test_without_the_truth_what_is_named_without_a_defence_counts(answers, planted):
    audit = family_audit.audit(answers, ["planted:turn"], num_draws=3)
    assert (audit.family, audit.is_truth) == ("b", False)
    assert shares(audit.defences[1]) == [0.0, 1.0]
    assert "the truth was not given" in family_audit_reporting.audit_notes(audit)[0]


def test_another_truth_than_what_is_named_is_a_leak_of_nothing(answers):
    audit = family_audit.audit(answers, [], family="c", num_draws=3)
    assert shares(audit.defences[0]) == [0.0, 0.0]


def test_where_no_family_has_two_nobody_is_held_out(answers, tmp_path):
    alone = answers.families.without(["a1", "b1", "c1"])
    few = make_answers(tmp_path, families=alone)
    audit = family_audit.audit(few, ["round:2"], family="b", num_draws=2)
    assert shares(audit.defences[0]) == [1.0, 1.0]
    assert all(own.attackers[AWARE].naming.held_out is None for own in audit.defences)
    notes = " ".join(family_audit_reporting.audit_notes(audit))
    assert "there is no other to hold out" in notes
    figure_checks.assert_nothing_is_cut_off(family_audit_reporting.audit_figure(audit))


# What attackers gain.


def test_what_is_expected_by_hand():
    reached = {
        "a": grading.make_rate(np.arange(8) < 4),
        "b": grading.make_rate(np.arange(8) < 2),
    }
    expected = family_audit.expect(["a", "a", "b", "c"], reached)
    assert expected.least == pytest.approx((0.5 + 0.5 + 0.25) / 4)
    assert expected.unknown == 0.25 and not expected.is_known
    assert expected.most == pytest.approx(0.3125 + 0.25)
    assert family_audit.expect(["b"], reached).is_known


def test_images_that_were_right_before_are_counted(by_name, audit):
    # One of them was not.
    own = by_name["none"]
    found = {name: (r.wrong, r.count) for name, r in own.misclassified.items()}
    assert found == {"a": (3, 39), "b": (30, 39), ONE_OF_EACH: (13, 39)}
    assert own.attackers[UNAWARE].expected.least == pytest.approx(30 / 39)
    assert audit.clean_error.wrong == 1


def test_who_names_a_family_without_aips_reaches_nobody_knows_what(by_name, audit):
    turned = by_name["planted:turn"]
    # It names c, of which there are none.
    assert turned.attackers[UNAWARE].expected.least == 0
    assert turned.attackers[UNAWARE].expected.unknown == 1
    assert audit.without_aips == ["c"]


def test_labels_that_a_defence_changes_count_for_aips_too(by_name):
    # All right ones become wrong, and of misled ones, none becomes right.
    assert by_name["planted:turn"].cost.flipped == 1
    assert by_name["planted:turn"].misclassified["a"].rate == 1
    assert by_name["planted:say_label"].misclassified["a"].wrong == 3


# What is refused.


def test_a_family_that_nobody_at_hand_has_is_refused(answers):
    with pytest.raises(UserError, match=r"one of those that the attack knows, a, b, c"):
        family_audit.audit(answers, [], family="vgg")


def test_a_defence_that_is_none_is_refused(answers):
    with pytest.raises(UserError, match="A defence must be one of"):
        family_audit.audit(answers, ["none", "wall"])


def test_a_black_box_at_chance_is_refused(tmp_path):
    wrong = softmax(answer((make_answers(tmp_path).labels + 1) % NUM_CLASSES))
    at_chance = make_answers(tmp_path, clean=wrong)
    with pytest.raises(UserError, match=r"names 100\.0% of 40 clean images wrongly"):
        family_audit.audit(at_chance, [])


# What is shown.


def test_all_numbers_are_plain_values(audit):
    document = json.loads(json.dumps(audit.to_json()))
    assert document["family"] == "b" and document["is_truth"]
    turned = document["defences"][2]
    assert turned["name"] == "planted:turn" and turned["worst"] == AWARE
    assert turned["attackers"][AWARE]["right"]["rate"] == 1
    assert turned["attackers"][AWARE]["named"] == {"b": 1.0}
    assert turned["cost"]["flipped"] == 1
    assert turned["misclassified"]["a"]["rate"] == 1


def test_the_table_says_what_is_named_and_what_is_not_known(audit):
    text = printing.to_text(
        family_audit_reporting.audit_table(audit),
        family_audit_reporting.audit_notes(audit),
    )
    [row] = [line for line in text.splitlines() if line.strip().startswith("none ")]
    cells = row.split()
    assert cells[1:3] == ["100.0", "100.0"]
    assert "76.9" in cells and "33.3" in cells  # 30 and 13 of 39.
    [turned] = [line for line in text.splitlines() if "planted:turn " in line]
    assert "0.0 - 100.0" in turned
    for part in (
        "The leak is counted against b, the truth that was given.",
        "Share of 6 different draws of queries",
        "Knowing the family is worth 43.6 points",
        "The run has no AIPs of c:",
        "each query is asked once",
        "6 classifiers at hand, one of each family held out in turn",
    ):
        assert part in text


def test_who_gains_nothing_by_the_family_is_told(answers, tmp_path):
    perturbed = {**answers.perturbed, "b": answers.perturbed["a"]}
    own = make_answers(tmp_path, perturbed=perturbed)
    audit = family_audit.audit(own, [], family="b", num_draws=1)
    notes = " ".join(family_audit_reporting.audit_notes(audit))
    assert "hiding the family protects from nothing here" in notes


def test_the_figure_has_a_row_for_each_defence_and_names_its_axes(audit, tmp_path):
    figure = family_audit_reporting.audit_figure(audit)
    figure_checks.assert_nothing_is_cut_off(figure)
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == [
        own.name for own in audit.defences
    ]
    assert left.get_xlabel() == "b named (%)"
    assert right.get_xlabel() == "misclassified (%)"
    [legend] = figure.legends
    assert "chance" in [text.get_text() for text in legend.get_texts()]
    figures.save_png(figure, tmp_path / "audit.png")
    assert (tmp_path / "audit.png").read_bytes().startswith(b"\x89PNG")
