"""Answers had before, in place of who gave them, and images to send by other means."""

import bars
import numpy as np
import PIL.Image
import pytest

from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.black_boxes.kept_answers import KeptAnswers, name_images
from kennen_tf.black_boxes.pixels import scale
from kennen_tf.configs.revealing import RevealConfig
from kennen_tf.reveal_black_box import reveal_black_box
from kennen_tf.revealing import boxes, naming
from kennen_tf.vocabulary.errors import UserError

ANSWERS = bars.Classifier(sharpness=0.9)(bars.IMAGES)


def reveal(metamodel, path, **settings):
    config = RevealConfig(
        metamodel=str(metamodel.path), black_box=str(path), **settings
    )
    return naming.reveal(metamodel, boxes.open_box(config, bars.FORM))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, bars_path):
    """The images to send, as the command writes them."""
    folder = tmp_path_factory.mktemp("queries") / "deep"
    reveal_black_box(RevealConfig(metamodel=bars_path, queries_only=str(folder)))
    return folder


@pytest.fixture(scope="module")
def asked(metamodel):
    """What is said of a classifier that was asked itself."""
    return naming.reveal(metamodel, bars_box(bars.Classifier(sharpness=0.9)))


def bars_box(answer, **settings):
    return BlackBox(
        "box", answer, form=bars.FORM, outputs_kind="auto", pixels="auto", **settings
    )


@pytest.fixture
def recorded(tmp_path):
    """A file of answers as it is kept of a black box that was asked."""
    path = tmp_path / "box.answers.npz"
    box = bars_box(bars.Classifier("byte", 0.9), kept=KeptAnswers(path))
    box.find_pixels(bars.IMAGES, bars.LABELS)
    box.probabilities(bars.IMAGES)
    return path


def change(path, **arrays):
    with np.load(path) as stored:
        arrays = {**stored, **arrays}
    np.savez(path, **{n: a for n, a in arrays.items() if a is not None})


def check_same(revelation, asked):
    for own, other in zip(revelation.answers, asked.answers, strict=True):
        np.testing.assert_allclose(own.probabilities, other.probabilities, atol=1e-5)
        assert own.plausible == other.plausible
    assert revelation.p_value == pytest.approx(asked.p_value)


def test_the_images_to_send_are_the_queries(folder, metamodel, capsys):
    paths = sorted(folder.glob("*.png"))
    assert [p.name for p in paths] == [f"{i:04d}.png" for i in range(bars.NUM_QUERIES)]
    pictures = np.stack([np.asarray(PIL.Image.open(path)) for path in paths])
    assert pictures.dtype == np.uint8
    sent = pictures[..., np.newaxis].astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(sent, metamodel.queries)
    with np.load(folder / "queries.npz") as stored:
        assert set(stored) == {"images", "queries"}
        np.testing.assert_array_equal(stored["images"], metamodel.queries)
        # As they are named in answers: those of a PNG file, read again, too.
        assert stored["queries"].tolist() == name_images(sent)
    assert sorted(p.name for p in folder.parent.iterdir()) == ["deep"]
    reveal_black_box(
        RevealConfig(metamodel=str(metamodel.path), queries_only=str(folder))
    )
    assert "queries.npz: 40 queries, and each as a PNG" in capsys.readouterr().out


@pytest.mark.parametrize("as_numbers", [np.float64, np.float32])
def test_a_file_made_by_hand_from_the_images_to_send_is_a_black_box(
    folder, metamodel, asked, tmp_path, as_numbers
):
    with np.load(folder / "queries.npz") as stored:
        np.savez(
            tmp_path / "mine.npz",
            queries=stored["queries"],
            answers=ANSWERS.astype(as_numbers),
        )
    revelation = reveal(metamodel, tmp_path / "mine.npz")
    check_same(revelation, asked)
    assert (revelation.num_queries, revelation.accuracy) == (bars.NUM_QUERIES, 1.0)
    again = reveal(metamodel, tmp_path / "mine.npz", pixels="unit")
    check_same(again, asked)


def test_labels_made_by_hand_are_labels(folder, metamodel, tmp_path):
    with np.load(folder / "queries.npz") as stored:
        names = stored["queries"]
    np.savez(tmp_path / "mine.npz", queries=names, answers=bars.LABELS)
    with pytest.raises(UserError, match="answers labels .* reads probabilities"):
        reveal(metamodel, tmp_path / "mine.npz")
    with pytest.raises(UserError, match="must return 10 numbers"):
        reveal(metamodel, tmp_path / "mine.npz", outputs="probabilities")
    np.savez(tmp_path / "mine.npz", queries=names, answers=np.eye(10, dtype=int)[:4])
    with pytest.raises(UserError, match="must hold one answer for each"):
        reveal(metamodel, tmp_path / "mine.npz")
    rows = np.eye(10, dtype=int)[bars.LABELS]
    np.savez(tmp_path / "mine.npz", queries=names, answers=rows)
    config = RevealConfig(
        metamodel="m", black_box=str(tmp_path / "mine.npz"), outputs="labels"
    )
    with pytest.raises(UserError, match="Labels must be one for each image"):
        boxes.open_box(config, bars.FORM).probabilities(bars.IMAGES)


def test_what_was_kept_is_a_black_box_that_is_not_asked(recorded, metamodel, asked):
    before = recorded.read_bytes()
    revelation = reveal(metamodel, recorded)
    check_same(revelation, asked)
    assert revelation.pixels == "byte"
    assert revelation.num_queries == 30 + bars.NUM_QUERIES
    assert recorded.read_bytes() == before


def test_shuffled_rows_that_kept_their_names_are_the_same(recorded, metamodel, asked):
    with np.load(recorded) as stored:
        names, answers = stored["queries"], stored["answers"]
    order = np.random.default_rng(0).permutation(len(names))
    change(recorded, queries=names[order], answers=answers[order])
    check_same(reveal(metamodel, recorded), asked)


@pytest.mark.parametrize("is_ours", [True, False])
def test_answers_shuffled_among_the_queries_are_refused(recorded, metamodel, is_ours):
    with np.load(recorded) as stored:
        answers = stored["answers"]
    order = np.random.default_rng(0).permutation(len(answers))
    change(recorded, answers=answers[order])
    message = "was changed since it was written"
    if not is_ours:  # Then, what the images show tells.
        change(recorded, description=None)
        message = r"names \d+% of 30 images rightly.*trained on something else"
    with pytest.raises(UserError, match=message):
        reveal(metamodel, recorded)


def test_answers_replaced_by_logits_are_refused(recorded, metamodel):
    with np.load(recorded) as stored:
        answers = stored["answers"]
    change(recorded, answers=np.log(answers) + 3)
    with pytest.raises(UserError, match="was changed since it was written"):
        reveal(metamodel, recorded)
    change(recorded, description=None)
    with pytest.raises(UserError, match="say --outputs=logits"):
        reveal(metamodel, recorded, outputs="probabilities")
    # That they are, is told.
    assert reveal(metamodel, recorded).outputs == "logits"


def test_fewer_answers_than_queries_are_refused(recorded, metamodel, tmp_path):
    mine = tmp_path / "mine.npz"
    names = np.array(name_images(bars.IMAGES))
    np.savez(mine, queries=names[:35], answers=ANSWERS[:35])
    with pytest.raises(UserError, match="an answer to each query.*none to 5 of them"):
        reveal(metamodel, mine)
    np.savez(mine, queries=names, answers=ANSWERS[:35])
    with pytest.raises(UserError, match="must hold one answer for each"):
        reveal(metamodel, mine)
    # More, of other images, do no harm.
    more = np.concatenate([names, ["another"]])
    np.savez(mine, queries=more, answers=np.concatenate([ANSWERS, ANSWERS[:1]]))
    assert reveal(metamodel, mine).accuracy == 1


def test_answers_to_other_images_are_refused(metamodel, tmp_path):
    other = np.random.default_rng(3).random(bars.IMAGES.shape, np.float32)
    np.savez(tmp_path / "mine.npz", queries=name_images(other), answers=ANSWERS)
    with pytest.raises(UserError, match="none to .* of them"):
        reveal(metamodel, tmp_path / "mine.npz")
    numbers = np.arange(len(other))
    np.savez(tmp_path / "mine.npz", queries=numbers, answers=ANSWERS)
    with pytest.raises(UserError, match="none to .* of them"):
        reveal(metamodel, tmp_path / "mine.npz")


def test_the_images_to_send_alone_are_no_answers(folder, metamodel):
    with pytest.raises(UserError, match="must hold `queries`.* Received: no answers"):
        reveal(metamodel, folder / "queries.npz")


def test_a_file_that_is_not_there_is_named(metamodel, tmp_path):
    with pytest.raises(UserError, match="none.npz, and it is not"):
        reveal(metamodel, tmp_path / "none.npz")


def test_answers_are_found_however_they_were_sent(metamodel, tmp_path, asked):
    for way in ("signed", "standardised"):
        path = tmp_path / f"{way}.npz"
        names = name_images(scale(bars.IMAGES, way))
        np.savez(path, queries=names, answers=ANSWERS)
        revelation = reveal(metamodel, path)
        assert revelation.pixels == way
        check_same(revelation, asked)


def test_answers_are_found_by_who_asks_in_another_order(tmp_path):
    path = tmp_path / "box.answers.npz"
    box = bars_box(bars.Classifier("byte", 0.9), kept=KeptAnswers(path))
    box.find_pixels(bars.IMAGES, bars.LABELS)
    box.probabilities(bars.IMAGES)
    # Tried from 0 to 1, too, but not all of them.
    read = boxes.open_recorded(str(path), outputs_kind="auto", form=bars.FORM)
    order = [0, *range(len(bars.IMAGES) - 1, 0, -1)]
    found = read.find_pixels(bars.IMAGES[order], bars.LABELS[order])
    assert found.pixels == "byte"
    assert len(read.probabilities(bars.IMAGES[order])) == len(bars.IMAGES)
