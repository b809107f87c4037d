"""Servers: two protocols, busy and broken ones, and answers that are never lost."""

import json
import time

import numpy as np
import pytest
import tenacity
from server_fakes import CLASSES, FORM, IMAGES, WANTED, Served, open_box, serve

from kennen_tf.black_boxes.kept_answers import KeptAnswers
from kennen_tf.black_boxes.opening import Access, open_black_box
from kennen_tf.vocabulary.errors import UserError


@pytest.fixture(params=[1, 2])
def served(request):
    with serve(Served(request.param)) as served:
        yield served


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Pauses between attempts, which are not waited for."""
    pauses = []
    real = time.sleep

    def note(seconds):
        pauses.append(seconds)
        real(0)

    monkeypatch.setattr(tenacity.nap.time, "sleep", note)
    return pauses


def test_both_protocols_give_the_models_answers(served):
    box = open_box(served)
    np.testing.assert_allclose(box.probabilities(IMAGES), WANTED, rtol=1e-5)
    assert box.num_queries == served.num_images == len(IMAGES)


def test_it_is_asked_in_its_own_shape(served):
    served.shape = (4,)
    np.testing.assert_allclose(
        open_box(served).probabilities(IMAGES), WANTED, rtol=1e-5
    )
    key = "instances" if served.version == 1 else "inputs"
    first = served.requests[0][key][0]
    assert np.shape(first) == (4,) if served.version == 1 else first["shape"] == [7, 4]


def test_a_server_without_metadata_is_asked_in_the_plain_shape(served):
    served.metadata = False
    np.testing.assert_allclose(
        open_box(served).probabilities(IMAGES), WANTED, rtol=1e-5
    )


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_busy_servers_are_asked_again(served, pauses, status):
    served.plan = [status, status]
    np.testing.assert_allclose(
        open_box(served).probabilities(IMAGES), WANTED, rtol=1e-5
    )
    assert pauses[0] < pauses[1]


def test_a_server_says_when_to_come_again(served, pauses):
    served.plan = [(429, {"error": "later"}, {"Retry-After": "7"})]
    open_box(served).probabilities(IMAGES)
    assert pauses == [7.0]


def test_a_cut_connection_is_made_again(served):
    served.plan = ["cut"]
    np.testing.assert_allclose(
        open_box(served).probabilities(IMAGES), WANTED, rtol=1e-5
    )


@pytest.mark.parametrize("status", [500, 429])
def test_a_server_that_stays_broken_is_quoted(served, status):
    served.plan = [(status, {"error": "out of quota " + "x" * 500}, {})] * 9
    with pytest.raises(UserError, match=rf"status {status}: out of quota x+\.\.\."):
        open_box(served).probabilities(IMAGES)
    assert len(served.requests) == {500: 3, 429: 6}[status]


def test_batches_that_are_too_large_are_halved(served):
    served.most = 2
    box = open_box(served)
    np.testing.assert_allclose(box.probabilities(IMAGES), WANTED, rtol=1e-5)
    # 7, then 3, then 1 at once: what is refused is counted, as it may be paid for.
    assert box.num_queries == served.num_images


def test_a_single_image_that_is_refused_is_an_error_in_the_servers_words(served):
    served.most = 0
    with pytest.raises(UserError, match="at most 0 at once"):
        open_box(served).probabilities(IMAGES)


def test_tokens_are_sent_and_not_told(served, monkeypatch, tmp_path):
    monkeypatch.setenv("MY_TOKEN", "secret")
    (tmp_path / "headers").write_text("X-Team: red\n\nX-Key:  hidden \n")
    access = dict(token_variable="MY_TOKEN", headers=str(tmp_path / "headers"))
    open_box(served, **access).probabilities(IMAGES)
    assert served.headers["Authorization"] == "Bearer secret"
    assert (served.headers["X-Team"], served.headers["X-Key"]) == ("red", "hidden")
    served.plan = [(401, {"error": "who are you?"}, {})]
    with pytest.raises(UserError, match="who are you") as caught:
        open_box(served, **access).probabilities(IMAGES)
    assert "secret" not in str(caught.value) and "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "variable", "message"),
    [
        ("no colon here: ", "NOT_SET", "NOT_SET, which is not set"),
        ("secret without", "", "line 1: a header is"),
    ],
)
def test_wrong_headers_are_told_without_their_content(
    tmp_path, text, variable, message
):
    (tmp_path / "h").write_text(text)
    access = Access(headers=str(tmp_path / "h"), token_variable=variable)
    with pytest.raises(UserError, match=message) as caught:
        open_black_box("http://127.0.0.1:9/v1/models/m", form=FORM, access=access)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("bad", [float("nan"), None, "NaN", "-Infinity"])
def test_what_is_no_number_is_refused(served, bad):
    def spoil(rows):
        rows = rows.tolist()
        rows[2][1] = bad
        return served.body_of(rows)

    served.plan = [spoil]
    with pytest.raises(UserError, match="NaN or infinity for 1 of 7 images"):
        open_box(served).probabilities(IMAGES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], "6 answers for 7 images"),
        (lambda rows: np.concatenate([rows, rows[:1]]), "8 answers for 7 images"),
        (lambda rows: rows[:, :2], "Received: shape"),
    ],
)
def test_another_number_of_answers_is_refused(served, change, message):
    served.plan = [lambda rows: served.body_of(change(rows))]
    with pytest.raises(UserError, match=message):
        open_box(served).probabilities(IMAGES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"predictions": [{"a": [1], "b": [2]}] * 7}, "one output.*'a', 'b'"),
        ({"predictions": [[1, 2, 3]] * 6 + [[1]]}, "rows of .1, 3. numbers"),
        ({"answers": []}, "`predictions`.*'answers'"),
        ({"outputs": [1, 2]}, "`predictions`.*'outputs'"),
        ("<html>", "in JSON. Received: <html>"),
    ],
)
def test_answers_of_another_form_are_told(content, message):
    with serve(Served(1)) as served:
        served.plan = [(200, content, {})]
        with pytest.raises(UserError, match=message):
            open_box(served).probabilities(IMAGES)


def test_one_named_output_and_one_nested_more_are_read():
    with serve(Served(1)) as served:
        served.plan = [lambda rows: {"predictions": [{"y": r} for r in rows.tolist()]}]
        np.testing.assert_allclose(
            open_box(served).probabilities(IMAGES), WANTED, rtol=1e-5
        )
        served.plan = [lambda rows: {"predictions": rows[:, np.newaxis].tolist()}]
        np.testing.assert_allclose(
            open_box(served).probabilities(IMAGES), WANTED, rtol=1e-5
        )


@pytest.mark.parametrize("is_column", [False, True])
def test_labels_are_labels_though_json_knows_no_whole_numbers(served, is_column):
    named = np.array([[3], [0], [2], [1], [1], [0], [2]]) % CLASSES
    labels = named if is_column else named[:, 0]

    def answer(rows):
        if served.version == 1:
            return {"predictions": labels.tolist()}
        output = {"name": "y", "shape": labels.shape, "datatype": "INT64"}
        return {"outputs": [{**output, "data": labels.ravel().tolist()}]}

    served.plan = [answer]
    found = open_box(served).recognised(IMAGES)
    assert found.kind == "labels"
    np.testing.assert_array_equal(found.probabilities.argmax(axis=1), named[:, 0])


def test_other_urls_are_refused():
    with pytest.raises(UserError, match="must be one of a model"):
        open_black_box("http://127.0.0.1:9/predict", form=FORM)


def test_a_server_that_is_not_there_is_named(pauses):
    with pytest.raises(UserError, match="after 6 attempts"):
        open_black_box("http://127.0.0.1:9/v1/models/m", form=FORM)


# Answers on disk.


def test_what_was_answered_is_never_asked_again(served, tmp_path):
    path = tmp_path / "m.answers.npz"
    box = open_box(served, KeptAnswers(path), batch_size=3)
    served.plan = [None, (403, {"error": "quota of 3 used up"}, {})]
    with pytest.raises(UserError, match="^3 of 7 images.*quota of 3 used up"):
        box.probabilities(IMAGES)
    sent = served.num_images
    again = open_box(served, KeptAnswers(path), batch_size=3)
    np.testing.assert_allclose(again.probabilities(IMAGES), WANTED, rtol=1e-5)
    assert served.num_images - sent == 4
    assert again.num_queries == served.num_images
    # All is there: nothing is sent.
    third = open_box(served, KeptAnswers(path))
    np.testing.assert_allclose(third.probabilities(IMAGES), WANTED, rtol=1e-5)
    assert third.num_queries == served.num_images


def test_a_count_after_a_kill_inside_a_batch_is_not_too_low(served, tmp_path):
    path = tmp_path / "m.answers.npz"

    def die(rows):
        raise KeyboardInterrupt

    box = open_box(served, KeptAnswers(path), batch_size=3)
    box._answer = die
    with pytest.raises(KeyboardInterrupt):
        box.probabilities(IMAGES)
    assert KeptAnswers(path).num_sent == 3 and len(KeptAnswers(path)) == 0


def test_no_more_than_so_many_a_second(served, monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    open_box(served, max_queries_per_second=2).probabilities(IMAGES)
    assert len(served.requests) == 4
    assert sum(slept) == pytest.approx(3.0, abs=0.6)


def test_floats_are_sent_to_the_last_digit(served):
    images = np.full((1, 2, 2, 1), np.float32(0.1))
    open_box(served).probabilities(images)
    np.testing.assert_array_equal(served.images_of(served.requests[0]), images)
    assert "0.1," in json.dumps(served.requests[0]) or "0.1]" in json.dumps(
        served.requests[0]
    )
