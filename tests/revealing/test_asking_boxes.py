"""A black box is asked rightly, and what is doubtful about its answers is said."""

import bars
import numpy as np
import pytest

from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.revealing import asking
from kennen_tf.vocabulary.errors import UserError


def make_box(answer, pixels="auto", outputs="auto"):
    return BlackBox(
        "the-box", answer, form=bars.FORM, pixels=pixels, outputs_kind=outputs
    )


def test_what_one_would_think_is_not_said(metamodel):
    asked = asking.ask(metamodel, make_box(bars.Classifier()))
    assert (asked.accuracy, asked.notes) == (1.0, ())
    assert asked.pixels.pixels == "unit"


def test_what_was_found_of_pixels_is_said(metamodel):
    asked = asking.ask(metamodel, make_box(bars.Classifier("byte")))
    [note] = asked.notes
    assert note.startswith("Pixels are sent as --pixels=byte: so it names 100% of 30")
    assert "(unit 10%)" in note
    # Who knew it needs not be told.
    asked = asking.ask(metamodel, make_box(bars.Classifier("byte"), "byte"))
    assert (asked.accuracy, asked.notes) == (1.0, ())


def test_a_wrong_way_that_was_given_is_obeyed_and_doubted(metamodel):
    box = make_box(bars.Classifier("byte"), "signed")
    asked = asking.ask(metamodel, box)
    assert asked.accuracy == pytest.approx(0.1) and box.pixels == "signed"
    assert "names 10% of the images rightly, asked with --pixels=signed" in " ".join(
        asked.notes
    )
    with pytest.raises(UserError, match="It was trained on something else"):
        asking.ask(metamodel, make_box(lambda images: np.full((len(images), 10), 0.1)))


def test_unknown_images_are_sent_plainly_and_that_is_said(metamodel):
    classifier = bars.Classifier()
    asked = asking.ask(bars.without_labels(metamodel), make_box(classifier))
    assert asked.accuracy is None and asked.pixels.accuracy is None
    assert asked.notes == (
        "It is not known what enough of the queries show: pixels were taken to be from "
        "0 to 1. If they are not, say --pixels.",
    )
    assert classifier.num_asked == bars.NUM_QUERIES


def forget(answers):
    """Names every other image as the class after its own."""
    rolled = np.roll(answers, 1, axis=1)
    is_forgotten = np.arange(len(answers)) % 2 == 0
    return np.where(is_forgotten[:, np.newaxis], rolled, answers)


def test_who_is_hardly_trained_is_doubted(metamodel):
    asked = asking.ask(metamodel, make_box(bars.Classifier(change=forget)))
    assert asked.accuracy == 0.5
    assert any(
        "only 50% of the images rightly: it is hardly tr" in n for n in asked.notes
    )


@pytest.mark.parametrize(("outputs", "most"), [("labels", 0), ("auto", 30)])
def test_labels_are_refused_before_all_is_sent(metamodel, outputs, most):
    classifier = bars.Classifier(change=lambda answers: answers.argmax(axis=1))
    box = make_box(classifier, outputs=outputs)
    message = "the-box answers labels .*kennen-i.*which reads probabilities"
    with pytest.raises(UserError, match=message):
        asking.ask(metamodel, box)
    assert classifier.num_asked == most


def test_what_was_recognised_of_answers_is_said(metamodel):
    for change, word in (
        (lambda rows: np.round(rows, 4), "rounded to 0.0001"),
        (lambda rows: np.round(100 * rows, 1), "in per cent"),
        (lambda rows: np.where(rows > 0.02, rows, 0), "are left out"),
    ):
        asked = asking.ask(metamodel, make_box(bars.Classifier(change=change)))
        assert word in " ".join(asked.notes)
        assert asked.accuracy == 1


def test_a_model_that_fails_now_and_then_is_quoted(metamodel):
    calls = []

    def fails(images):
        calls.append(images)
        if len(calls) > 1:
            raise OSError("the plug was pulled")
        return bars.Classifier()(images)

    with pytest.raises(UserError, match="the-box failed.*OSError: the plug was pulled"):
        asking.ask(metamodel, make_box(fails))
