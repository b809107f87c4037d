"""What is said of an answer's limits: in the table, in JSON, and to Python."""

import dataclasses

import bars
import numpy as np
import pytest

from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.evaluation import limits, printing
from kennen_tf.revealing import naming, tables
from kennen_tf.revealing.exported_metamodel import ExportedMetamodel
from kennen_tf.revealing.naming import AttributeAnswer


def reveal(metamodel, classifier=None, **settings):
    box = BlackBox(
        "the-box",
        classifier or bars.Classifier(sharpness=0.9),
        form=bars.FORM,
        outputs_kind="auto",
        **settings,
    )
    return naming.reveal(metamodel, box)


@pytest.fixture(scope="module")
def revelation(metamodel):
    return reveal(metamodel)


def text_of(revelation):
    return printing.to_text(
        tables.revelation_table(revelation), tables.revelation_notes(revelation)
    )


def cells_of(table, header):
    [column] = [c for c in table.columns if c.header == header]
    return list(column.cells)


def test_values_that_are_not_ruled_out_are_those_above_their_thresholds(revelation):
    act, drop, pool = revelation.answers
    assert act.plausible == act.values and act.cannot_tell
    [kept] = drop.plausible
    assert kept == drop.ranked()[0][0] and drop.ranked()[0][1] >= 0.5
    assert not drop.cannot_tell
    assert pool.plausible == () and not pool.cannot_tell


def test_the_table_says_what_is_not_ruled_out(revelation):
    table = tables.revelation_table(revelation)
    _, drop, _ = revelation.answers
    assert cells_of(table, "not ruled out") == [
        *("cannot tell", str(drop.ranked()[0][0]), "none fits"),
    ]
    assert cells_of(table, "test accuracy") == ["75.0%"] * 3
    text = text_of(revelation)
    assert "90% of classifiers like the zoo's" in text
    assert "truth" not in text


def test_json_has_all_of_it(revelation, metamodel):
    document = revelation.to_json()
    assert document["p_value"] == revelation.p_value
    assert document["is_strange"] == revelation.is_strange
    assert document["sharpness_rank"] == revelation.sharpness_rank
    assert document["notes"] == list(revelation.notes)
    assert (document["pixels"], document["outputs"]) == ("unit", "probabilities")
    assert (document["accuracy"], document["num_queries"]) == (1.0, bars.NUM_QUERIES)
    for answer in revelation.answers:
        row = document["attributes"][answer.name]
        assert row["plausible"] == list(answer.plausible)
        assert row["test_accuracy"] == 0.75 and row["truth"] is None
        assert list(row["probabilities"].values()) == [p for _, p in answer.ranked()]


def test_one_like_the_zoos_is_not_called_strange(revelation):
    assert revelation.p_value > naming.STRANGE and not revelation.is_strange
    assert 0 < revelation.sharpness_rank < 1
    assert not any(note.startswith("Stranger") for note in revelation.notes)


def random_answers(images):
    return np.random.default_rng(0).dirichlet(np.ones(10), len(images))


def test_a_stranger_is_told_in_table_json_and_python(metamodel):
    revelation = reveal(metamodel, random_answers)
    assert revelation.is_strange and revelation.p_value <= naming.STRANGE
    assert revelation.to_json()["is_strange"] is True
    assert any("tranger than" in note for note in revelation.notes)
    assert "tranger than" in text_of(revelation).replace("\n", " ")
    like = reveal(metamodel)
    several = tables.revelations_table([revelation, like])
    assert cells_of(several, "strange") == ["yes", "no"]
    [note] = [
        n for n in tables.revelations_notes([revelation, like]) if "tranger than" in n
    ]
    assert note.startswith("the-box: ")


def test_truths_of_several_stand_where_they_were_missed(revelation):
    assert not tables.revelations_table([revelation]).show_footer
    right, wrong = (
        dataclasses.replace(
            revelation,
            answers=tuple(
                dataclasses.replace(a, truth=a.ranked()[place][0])
                for a in revelation.answers
            ),
        )
        for place in (0, 1)
    )
    shown = tables.revelations_table([right, wrong, revelation])
    first = revelation.answers[0]
    value, truth = (value for value, _ in first.ranked()[:2])
    cells = cells_of(shown, first.code)
    assert [cell.split("\n")[0] for cell in cells] == [str(value)] * 3
    assert [cell.endswith(f"(! {truth})") for cell in cells] == [False, True, False]
    assert [column.footer for column in shown.columns[2:]] == ["1/2"] * len(
        revelation.answers
    )
    notes = tables.revelations_notes([right, wrong])
    count = len(revelation.answers)
    assert notes[-1].startswith(f"{count} of {2 * count} values are named rightly")


def test_what_an_export_of_before_does_not_know_is_not_said(tmp_path):
    before = ExportedMetamodel.load(bars.export(tmp_path / "o", with_limits=False))
    revelation = reveal(before)
    assert revelation.p_value is revelation.sharpness_rank is None
    assert not revelation.is_strange
    assert all(a.plausible is None and not a.cannot_tell for a in revelation.answers)
    text = text_of(revelation)
    assert "ruled out" not in text and "Stranger" not in text
    assert revelation.to_json()["attributes"]["act"]["plausible"] is None
    several = tables.revelations_table([revelation])
    assert cells_of(several, "strange") == ["-"]
    assert reveal(before, bars.Classifier(change=lambda r: np.round(r, 3))).answers


def test_an_attribute_of_one_value_can_be_told():
    answer = AttributeAnswer(
        name="a",
        code="a",
        description="",
        values=("x",),
        probabilities=(1.0,),
        plausible=("x",),
    )
    assert not answer.cannot_tell
    two = dataclasses.replace(answer, values=("x", "y"), probabilities=(0.5, 0.5))
    assert not two.cannot_tell
    assert dataclasses.replace(two, plausible=("x", "y")).cannot_tell


def answer_in(change):
    return bars.Classifier(sharpness=0.9, change=change)


@pytest.mark.parametrize(
    ("change", "resolution"),
    [
        (lambda rows: rows, 0.0),
        (lambda rows: rows.astype(np.float32), 0.0),
        (lambda rows: np.round(rows, 4), 1e-4),
        (lambda rows: np.round(rows, 3), 1e-3),
        (lambda rows: np.round(100 * rows), 1e-2),
        (lambda rows: np.round(255 * rows).astype(np.uint8), 1 / 255),
        (lambda rows: rows.astype(np.float16), 2.0**-24),
    ],
)
def test_answers_are_read_no_finer_than_they_tell(
    metamodel, monkeypatch, change, resolution
):
    asked = []
    assess = ExportedMetamodel.assess

    def note(own, probabilities, resolutions):
        asked.extend(resolutions)
        [assessed] = assess(own, probabilities, resolutions)
        asked.append(assessed.resolution)
        return [assessed]

    monkeypatch.setattr(ExportedMetamodel, "assess", note)
    revelation = reveal(metamodel, answer_in(change))
    assert revelation.accuracy == 1
    given, level = asked
    assert given == pytest.approx(resolution)
    # Of its two levels, the coarse one is for whatever is not in full; float16 is.
    assert level == (1e-2 if resolution > 1e-7 else 0.0)


@pytest.mark.parametrize(("decimals", "resolution"), [(12, 1e-3), (2, 1e-2)])
def test_all_can_be_read_as_coarsely(metamodel, monkeypatch, decimals, resolution):
    asked = []
    assess = ExportedMetamodel.assess

    def note(own, probabilities, resolutions):
        asked.extend(resolutions)
        return assess(own, probabilities, resolutions)

    monkeypatch.setattr(ExportedMetamodel, "assess", note)
    answer = answer_in(lambda rows: np.round(rows, decimals))
    naming.reveal(metamodel, BlackBox("box", answer, form=bars.FORM), None, 1e-3)
    assert asked == pytest.approx([resolution])


@pytest.mark.parametrize("decimals", [3, 4, 5])
def test_a_floor_hides_what_rounding_changes(decimals):
    """Logarithms that are read move little, though without a floor they move far."""
    rows = bars.Classifier(sharpness=4.0)(bars.IMAGES)
    rounded = np.round(rows, decimals)
    rounded = rounded / rounded.sum(axis=1, keepdims=True)
    levels = [
        limits.Limits(resolution=own, floor=floor, thresholds={}, novelty=None)
        for own, floor in (limits.FULL, *limits.COARSE)
    ]
    level = levels[limits.choose(levels, 10.0**-decimals)]
    # By half a step over the floor, and by what is left to sum to 1.
    most = 0.5 * 10.0**-decimals / level.floor + 10 * 10.0**-decimals
    assert most < 0.07
    logs = [np.log(np.maximum(own, 1e-10)) for own in (rows, rounded)]
    moved = [
        np.abs(np.subtract(*(limits.coarsen(own, floor) for own in logs))).max()
        for floor in (level.floor, 0.0)
    ]
    assert moved[0] < most and moved[1] > 1


def test_the_world_is_named_in_the_first_note_and_in_json(revelation, metamodel):
    assert revelation.notes[0] == f"Read by {metamodel}."
    assert revelation.to_json()["metamodel"] == str(metamodel)
    several = tables.revelations_notes([revelation, revelation])
    assert several.count(f"Read by {metamodel}.") == 1
    shipped = dataclasses.replace(revelation, metamodel="wild_net/kennen-s")
    assert "wild_net/kennen-s" in tables.revelation_table(shipped).title


def test_what_does_not_apply_is_not_named(metamodel):
    act = next(own for own in metamodel.table if own.name == "act")
    # Whatever is named of the activation, pooling goes with none of it.
    absent = {"pool": [[act.name, value] for value in act.values]}
    description = {**metamodel.description, "absent": absent}
    found = reveal(dataclasses.replace(metamodel, description=description))
    assert [own.applies for own in found.answers] == [True, True, False]
    assert cells_of(tables.revelation_table(found), "value")[2] == "-"
    assert "have no value of" in text_of(found)
    assert found.to_json()["attributes"]["pool"]["applies"] is False
    # Where there is one all the same, it is missed.
    [*others, pool] = found.answers
    known = dataclasses.replace(
        found, answers=(*others, dataclasses.replace(pool, truth=pool.ranked()[0][0]))
    )
    assert cells_of(tables.revelation_table(known), "truth")[2].endswith("(!)")
    assert "(! " in str(
        list(tables.revelations_table([known, found]).columns[-1].cells)
    )
