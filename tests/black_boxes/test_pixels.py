"""How a black box takes its pixels is found by asking, counted, or obeyed."""

import bars
import numpy as np
import pytest

from kennen_tf.black_boxes import pixels
from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.configs.revealing import PIXELS
from kennen_tf.vocabulary.errors import UserError


def make_box(classifier, way="auto", **settings):
    return BlackBox(
        "the-box",
        classifier,
        form=bars.FORM,
        pixels=way,
        outputs_kind="auto",
        **settings,
    )


@pytest.mark.parametrize("way", PIXELS)
def test_each_way_is_found_and_what_it_takes_is_counted(way):
    classifier = bars.Classifier(way)
    box = make_box(classifier)
    found = box.find_pixels(bars.IMAGES, bars.LABELS)
    assert (found.pixels, box.pixels, found.accuracy) == (way, way, 1.0)
    tried = PIXELS.index(way) + 1
    assert set(found.others) == set(PIXELS[: tried - 1])
    assert max(found.others.values(), default=0) <= 0.2
    assert found.num_tried == pixels.NUM_TRIED
    assert box.num_queries == classifier.num_asked == tried * pixels.NUM_TRIED
    # Those that are answered are not sent again.
    answers = box.probabilities(bars.IMAGES)
    expected = bars.Classifier()(bars.IMAGES)
    np.testing.assert_allclose(answers, expected, rtol=1e-3)
    new = bars.NUM_QUERIES - pixels.NUM_TRIED
    assert box.num_queries == classifier.num_asked == tried * pixels.NUM_TRIED + new


@pytest.mark.parametrize("way", PIXELS)
def test_a_way_that_is_given_is_obeyed(way):
    classifier = bars.Classifier(way)
    box = make_box(classifier, way)
    found = box.find_pixels(bars.IMAGES, bars.LABELS)
    assert (found.pixels, found.accuracy, found.num_tried) == (way, None, 0)
    assert classifier.num_asked == box.num_queries == 0
    answers = box.probabilities(bars.IMAGES)
    np.testing.assert_array_equal(answers.argmax(axis=1), bars.LABELS)


def test_a_way_that_is_given_is_obeyed_though_it_is_the_wrong_one():
    box = make_box(bars.Classifier("byte"), "inverted")
    assert box.find_pixels(bars.IMAGES, bars.LABELS).pixels == "inverted"
    assert (box.probabilities(bars.IMAGES).argmax(axis=1) == 0).all()


def test_what_takes_whole_numbers_is_sent_no_others():
    classifier = bars.Classifier("inverted-byte")
    box = make_box(classifier, takes_whole=True)
    assert box.find_pixels(bars.IMAGES, bars.LABELS).pixels == "inverted-byte"
    for images in classifier.asked:
        np.testing.assert_allclose(images, np.rint(images), atol=1e-4)
    assert classifier.num_asked == 2 * pixels.NUM_TRIED


def test_who_names_no_better_than_chance_is_refused_with_what_was_tried():
    box = make_box(lambda images: np.eye(10)[np.full(len(images), 3)])
    with pytest.raises(UserError, match="the-box names 10% of 30 images") as caught:
        box.find_pixels(bars.IMAGES, bars.LABELS)
    for way in PIXELS:
        assert f"{way} 10%" in str(caught.value)
    assert "trained on something else" in str(caught.value)
    assert "--pixels" in str(caught.value)


def test_classes_in_another_order_are_refused():
    classifier = bars.Classifier(change=lambda answers: np.roll(answers, 1, axis=1))
    with pytest.raises(UserError, match="classes are in another order"):
        make_box(classifier).find_pixels(bars.IMAGES, bars.LABELS)


def test_nothing_is_sent_where_it_is_not_known_what_images_show():
    classifier = bars.Classifier("byte")
    box = make_box(classifier)
    labels = np.full(bars.NUM_QUERIES, -1)
    labels[:10] = bars.LABELS[:10]  # Too few.
    found = box.find_pixels(bars.IMAGES, labels)
    assert (found.pixels, found.accuracy, found.others) == ("unit", None, {})
    assert classifier.num_asked == box.num_queries == 0


def test_of_two_ways_that_are_as_good_the_plain_one_is_taken():
    """Both name two thirds rightly, though the later is surer of the truth."""

    def answer(images):
        labels = np.arange(len(images)) % 10
        named = np.where(np.arange(len(images)) % 3 == 0, (labels + 1) % 10, labels)
        is_byte = images.max() > 1
        rows = np.full((len(images), 10), 0.02)
        rows[np.arange(len(images)), labels] += 0.1 if is_byte else 0.0
        rows[np.arange(len(images)), named] += 0.7
        return rows / rows.sum(axis=1, keepdims=True)

    box = make_box(answer)
    found = box.find_pixels(bars.IMAGES, bars.LABELS)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.pixels == "unit"


def test_a_way_that_cannot_win_any_more_is_asked_no_further():
    """All but three of thirty are named rightly, and one in ten in other ways."""
    asked = []

    def answer(images):
        asked.append(len(images))
        named = bars.Classifier()(images).argmax(axis=1)
        if len(asked) == 1:
            named[:3] = (named[:3] + 1) % 10
        return np.eye(10)[named]

    box = make_box(answer)
    found = box.find_pixels(bars.IMAGES, bars.LABELS)
    assert (found.pixels, found.accuracy) == ("unit", 0.9)
    assert len(found.others) == len(PIXELS) - 1
    assert box.num_queries == sum(asked) < pixels.NUM_TRIED * len(PIXELS)
    hopeless = [own for way, own in found.others.items() if own < 0.5]
    assert sum(asked) <= 30 + 10 * len(hopeless) + 30 * (5 - len(hopeless))
    assert hopeless


def test_nonsense_in_one_way_does_not_end_the_search():
    classifier = bars.Classifier("inverted")

    def answer(images):
        answers = classifier(images)
        return answers * np.nan if images.max() > 1 else answers

    assert make_box(answer).find_pixels(bars.IMAGES, bars.LABELS).pixels == "inverted"
    with pytest.raises(UserError, match="finite numbers"):
        make_box(lambda images: answer(images) * np.nan).find_pixels(
            bars.IMAGES, bars.LABELS
        )


def test_labels_are_enough_to_find_it():
    classifier = bars.Classifier("byte", change=lambda answers: answers.argmax(axis=1))
    box = make_box(classifier)
    assert box.find_pixels(bars.IMAGES, bars.LABELS).pixels == "byte"
    assert box.outputs_kind == "labels"


def test_scaling_leaves_images_alone():
    before = bars.IMAGES.copy()
    for way in PIXELS:
        sent = pixels.scale(bars.IMAGES, way)
        assert sent.dtype == np.float32
        np.testing.assert_allclose(bars.BACK[way](sent), before, atol=1e-6)
    np.testing.assert_array_equal(bars.IMAGES, before)
