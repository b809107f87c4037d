"""Answers are on disk before the next query is sent, and nothing is asked twice."""

import json

import bars
import image_fakes
import numpy as np
import pytest

from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.black_boxes.kept_answers import KeptAnswers, name_images
from kennen_tf.vocabulary.errors import UserError

COUNT = 100
IMAGES = np.random.default_rng(0).random((COUNT, 2, 2, 1), np.float32)


def answer(images):
    """Answers by what it sees: three numbers that tell images apart."""
    flat = images.reshape(len(images), -1)[:, :3].astype(np.float64) + 0.1
    return flat / flat.sum(axis=1, keepdims=True)


WANTED = answer(IMAGES)
FORM = bars.Form.of((2, 2, 1), 3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "box.answers.npz"


def make_box(answer, path, batch_size=20, description=None):
    return BlackBox(
        "the-box",
        answer,
        form=FORM,
        outputs_kind="auto",
        batch_size=batch_size,
        kept=KeptAnswers(path, description),
    )


def test_each_answer_is_on_disk_before_the_next_query_is_sent(path):
    seen = []

    def look(images):
        kept = KeptAnswers(path)
        seen.append((len(kept), kept.num_sent))
        if len(kept):
            stored = kept.get(name_images(IMAGES)[: len(kept)])
            np.testing.assert_array_equal(stored, WANTED[: len(kept)])
        return answer(images)

    box = make_box(look, path, batch_size=1)
    np.testing.assert_allclose(box.probabilities(IMAGES[:9]), WANTED[:9], rtol=1e-6)
    # What is being asked is counted, too.
    assert seen == [(number, number + 1) for number in range(9)]


@pytest.mark.parametrize("call", [1, 3, 5])
def test_after_a_kill_inside_a_batch_nothing_is_asked_twice(path, call):
    asked = []

    def note(images):
        asked.extend(name_images(images))
        return answer(images)

    with pytest.raises(image_fakes.Killed):
        make_box(image_fakes.die_in_call(call, note), path).probabilities(IMAGES)
    answered = 20 * (call - 1)
    kept = KeptAnswers(path)
    assert len(kept) == len(asked) == answered
    assert kept.num_sent == answered + 20  # It may have come to the other side.
    box = make_box(note, path)
    np.testing.assert_allclose(box.probabilities(IMAGES), WANTED, rtol=1e-6)
    assert len(asked) == len(set(asked)) == COUNT
    assert box.num_queries == COUNT + 20
    # All is there: nobody is asked.
    third = make_box(image_fakes.die_in_call(1, note), path)
    np.testing.assert_allclose(third.probabilities(IMAGES), WANTED, rtol=1e-6)
    assert third.num_queries == COUNT + 20


@pytest.mark.parametrize("moment", ["_write", "add"])
def test_a_kill_while_it_is_written_loses_no_more_than_one_batch(
    path, monkeypatch, moment
):
    with monkeypatch.context() as patch:
        dying = image_fakes.die_in_call(4, getattr(KeptAnswers, moment))
        patch.setattr(KeptAnswers, moment, dying)
        with pytest.raises(image_fakes.Killed):
            make_box(answer, path).probabilities(IMAGES)
    kept = KeptAnswers(path)
    assert kept.num_sent >= len(kept) + 20
    box = make_box(answer, path)
    np.testing.assert_allclose(box.probabilities(IMAGES), WANTED, rtol=1e-6)
    assert box.num_queries == COUNT + 20


def test_60_of_100_answered_is_said_and_nothing_is_padded(path):
    left = [60]

    def with_quota(images):
        if left[0] < len(images):
            raise RuntimeError("monthly quota used up")
        left[0] -= len(images)
        return answer(images)

    with pytest.raises(UserError) as caught:
        make_box(with_quota, path).probabilities(IMAGES)
    message = str(caught.value)
    assert message.startswith(f"60 of 100 images are answered and kept in {path}")
    assert "the same command goes on" in message
    assert "RuntimeError: monthly quota used up" in message
    assert len(KeptAnswers(path)) == 60
    left[0] = 40
    box = make_box(with_quota, path)
    np.testing.assert_allclose(box.probabilities(IMAGES), WANTED, rtol=1e-6)
    assert left == [0] and box.num_queries == 120


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda rows: rows * np.nan, "NaN or infinity for 20 of 20 images"),
        (lambda rows: rows.astype(str), "real numbers"),
        (lambda rows: rows.astype(object), "real numbers"),
        (lambda rows: rows[:, :2], "3 numbers for each image"),
        (lambda rows: rows.argmax(axis=1), "must be alike"),
    ],
)
def test_what_is_no_answer_is_not_kept_as_one(path, spoil, message):
    calls = []

    def answer_once(images):
        calls.append(images)
        return answer(images) if len(calls) == 1 else spoil(answer(images))

    with pytest.raises(UserError, match=message):
        make_box(answer_once, path).probabilities(IMAGES)
    assert len(KeptAnswers(path)) == 20
    box = make_box(answer, path)
    np.testing.assert_allclose(box.probabilities(IMAGES), WANTED, rtol=1e-6)


def test_the_same_image_twice_is_sent_once(path):
    asked = []

    def note(images):
        asked.append(len(images))
        return answer(images)

    twice = np.concatenate([IMAGES[:5], IMAGES[:5]])
    answers = make_box(note, path).probabilities(twice)
    np.testing.assert_array_equal(answers[:5], answers[5:])
    assert asked == [5]


def write(path, **changes):
    """Writes answers as they are kept, but for some arrays; None leaves one out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    make_box(answer, path, description={"black_box": "a"}).probabilities(IMAGES)
    with np.load(path) as stored:
        arrays = {**stored, **changes}
    np.savez(path, **{n: a for n, a in arrays.items() if a is not None})


def describe(path, **changes):
    with np.load(path) as stored:
        return np.array(
            json.dumps({**json.loads(str(stored["description"])), **changes})
        )


def test_the_order_of_what_is_kept_means_nothing(path):
    write(path)
    with np.load(path) as stored:
        arrays = dict(stored)
    order = np.random.default_rng(1).permutation(COUNT)
    for name in ("queries", "answers"):
        arrays[name] = arrays[name][order]
    np.savez(path, **arrays)
    kept = KeptAnswers(path, {"black_box": "a"})
    np.testing.assert_array_equal(kept.get(name_images(IMAGES)), WANTED)


@pytest.mark.parametrize("name", ["queries", "answers"])
def test_answers_that_were_given_to_other_queries_are_refused(path, name):
    write(path)
    with np.load(path) as stored:
        moved = stored[name].copy()
    moved[[3, 4]] = moved[[4, 3]]
    write(path, **{name: moved})
    with pytest.raises(UserError, match="was changed since it was written"):
        KeptAnswers(path)


def test_answers_are_taken_in_the_order_of_a_file_of_someone_elses(path):
    path.parent.mkdir()
    names = np.array(name_images(IMAGES))
    np.savez(path, queries=names, answers=WANTED)
    kept = KeptAnswers(path, {"black_box": "whoever"})
    assert kept.num_sent == len(kept) == COUNT
    np.testing.assert_array_equal(kept.get(names), WANTED)
    # The same image may be there twice, if it was answered in the same way.
    two = [*names, names[0]]
    np.savez(path, queries=two, answers=[*WANTED, WANTED[0]])
    assert len(KeptAnswers(path)) == COUNT
    np.savez(path, queries=two, answers=[*WANTED, WANTED[1]])
    with pytest.raises(UserError, match="two different ones"):
        KeptAnswers(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answers": None}, "must hold `queries`.*Received: no answers"),
        ({"queries": None, "answers": None}, "Received: no answers, queries"),
        ({"answers": WANTED[:-1]}, r"`queries` \(100,\), `answers` \(99, 3\)"),
        ({"queries": np.array("a")}, r"`queries` \(\)"),
        ({"queries": np.full((COUNT, 2), "a")}, r"`queries` \(100, 2\)"),
        ({"answers": np.array(3)}, r"`answers` \(\)"),
        ({"num_sent": np.array("many")}, "must hold answers of a black box. Rec"),
        ({"description": np.array("{")}, "must hold answers of a black box. Rec"),
        ({"description": np.array("[1]")}, "must hold answers of a black box. Rec"),
        (
            {"description": np.array('{"kind": "a zoo", "schema_version": 1}')},
            "must hold answers of a black box. Received: a zoo",
        ),
    ],
)
def test_a_file_that_is_not_whole_is_refused(path, changes, message):
    write(path, **changes)
    with pytest.raises(UserError, match=message):
        KeptAnswers(path)


def test_a_file_of_another_version_is_refused(path):
    write(path)
    write(path, description=describe(path, schema_version=99))
    with pytest.raises(UserError, match="schema version 1. Received: 99"):
        KeptAnswers(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", b"PK\x03\x04 but torn", "array", "torn", "flipped", "zipped"],
)
def test_a_damaged_file_is_refused_with_what_to_do(path, content):
    write(path)
    whole = path.read_bytes()
    if content == "array":
        with open(path, "wb") as file:
            np.save(file, WANTED)
    elif content == "zipped":
        with open(path, "wb") as file:
            np.savez_compressed(file, queries=name_images(IMAGES), answers=WANTED)
        whole = bytearray(path.read_bytes())
        whole[len(whole) // 2 : len(whole) // 2 + 50] = bytes(50)
        path.write_bytes(whole)
    else:
        torn = {"torn": whole[: len(whole) // 2], "flipped": whole.replace(b"0", b"1")}
        path.write_bytes(torn.get(content, content))
    with pytest.raises(UserError, match="must hold answers.*move it away"):
        KeptAnswers(path)


def test_a_folder_is_no_file_of_answers(tmp_path):
    with pytest.raises(UserError, match="IsADirectoryError"):
        KeptAnswers(tmp_path)


def test_answers_of_another_black_box_are_not_mixed_with_its_own(path):
    write(path)
    with pytest.raises(UserError, match="holds answers of a .*a black box with black"):
        KeptAnswers(path, {"black_box": "b"})
    assert len(KeptAnswers(path, {"black_box": "a"})) == COUNT
