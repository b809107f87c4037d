"""What real servers showed, with fake ones: refusals read, and what is sent again."""

import email.utils
import gc
import time
import types

import httpx
import numpy as np
import pytest
from server_fakes import IMAGES, WANTED, Served, open_box, serve

from kennen_tf.black_boxes.kept_answers import KeptAnswers
from kennen_tf.black_boxes.servers import client
from kennen_tf.vocabulary.errors import UserError


@pytest.fixture(params=[1, 2])
def served(request):
    with serve(Served(request.param)) as served:
        yield served


@pytest.fixture
def second():
    """A server of the Open Inference Protocol."""
    with serve(Served(2)) as served:
        yield served


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Pauses of the client between attempts, which are not waited for."""
    pauses = []
    monkeypatch.setattr(client, "time", types.SimpleNamespace(sleep=pauses.append))
    return pauses


def check(box):
    np.testing.assert_allclose(box.probabilities(IMAGES), WANTED, rtol=1e-5)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Model m is not ready yet."),
        (404, "Request for unknown model: 'm' has no available versions"),
    ],
)
def test_a_model_that_is_still_loaded_is_waited_for(served, pauses, status, words):
    served.plan = [(status, {"error": words}, {})] * 2
    check(open_box(served))
    assert pauses == [1.0, 2.0]


def test_a_model_that_was_there_is_waited_for(served, pauses):
    box = open_box(served, batch_size=4)
    served.plan = [None, (404, {"error": "no m here"}, {})]
    check(box)
    assert pauses == [1.0]


def test_a_model_that_never_was_there_is_not(served, pauses):
    served.plan = [(404, {"error": "no m here"}, {})]
    with pytest.raises(UserError, match="answers status 404: no m here.$"):
        open_box(served).probabilities(IMAGES)
    assert pauses == []


def test_what_a_server_cannot_do_is_asked_once(served):
    served.plan = [(501, {"error": "Not supported."}, {})]
    with pytest.raises(UserError, match=r"answers status 501: Not supported\.$"):
        open_box(served).probabilities(IMAGES)
    assert len(served.requests) == 1


def test_another_place_is_named(served):
    served.plan = [(307, "", {"Location": "https://there/v1/models/m"})]
    with pytest.raises(UserError, match="somewhere else.*https://there/v1/models/m"):
        open_box(served).probabilities(IMAGES)


def test_of_a_traceback_the_cause_is_told(served):
    text = (
        "Failed: Traceback (most recent call last):\n"
        + '  File "model.py", line 7, in execute\n    raise error\n' * 9
        + "ValueError: the model is not at home\n\n\n\nAt:\n  model.py(501): execute\n"
    )
    served.plan = [(500, {"error": text}, {})] * 3
    with pytest.raises(UserError, match="Failed: ValueError: the model is not at home"):
        open_box(served).probabilities(IMAGES)


def test_a_server_may_say_at_which_moment_to_come_again(served, pauses):
    moment = email.utils.formatdate(time.time() + 60, usegmt=True)
    served.plan = [(429, {"error": "later"}, {"Retry-After": moment})]
    check(open_box(served))
    assert pauses == [pytest.approx(60, abs=5)]


def test_nobody_waits_for_an_hour(served, pauses, tmp_path):
    box = open_box(served, KeptAnswers(tmp_path / "m.answers.npz"), batch_size=4)
    later = (429, {"error": "Out of quota."}, {"Retry-After": "3600"})
    served.plan = [None, later]
    with pytest.raises(UserError, match=r"^4 of 7.*in 3600 s.*Out of quota\.$"):
        box.probabilities(IMAGES)
    assert pauses == []


@pytest.mark.parametrize("step", [429, 500, 503, "cut"])
def test_what_is_sent_again_is_counted_again(served, tmp_path, step):
    kept = KeptAnswers(tmp_path / "m.answers.npz")
    box = open_box(served, kept, batch_size=4)
    served.plan = [None, step, step]
    check(box)
    assert box.num_queries == served.num_images == 4 + 3 * 3
    assert KeptAnswers(kept.path).num_sent == 13


def test_what_never_came_to_a_server_is_not_counted_again(pauses):
    with serve(Served(1)) as served:
        box = open_box(served)
    with pytest.raises(UserError, match="after 6 attempts"):
        box.probabilities(IMAGES)
    assert (box.num_queries, len(pauses)) == (len(IMAGES), 5)


def test_each_request_has_an_id_of_its_own(second):
    # It may be left out; but models of KServe that give it back fail then.
    check(open_box(second, batch_size=4))
    ids = [body["id"] for body in second.requests]
    assert len(set(ids)) == 2 and all(ids)


def with_two_outputs(served):
    """Has a server tell of two outputs, and give both whatever it is asked for."""

    def describe():
        found = Served.describe(served)
        found["outputs"].append({"name": "label", "datatype": "INT64", "shape": [-1]})
        return found

    def both(rows):
        found = served.body_of(rows)
        label = {"name": "label", "shape": [len(rows)], "datatype": "INT64"}
        found["outputs"].append({**label, "data": rows.argmax(axis=1).tolist()})
        return found

    served.describe = describe
    served.plan = [both]


def test_of_several_outputs_one_is_named(second):
    with_two_outputs(second)
    check(open_box(second, signature="probabilities"))
    assert second.requests[0]["outputs"] == [{"name": "probabilities"}]


UNNAMED = "one output. Received: .'probabilities', 'label'.. Name one with"
NO_OUTPUT = "--signature must be one of.*'probabilities', 'label'.*Received: z"


@pytest.mark.parametrize(
    ("metadata", "signature", "message"),
    [
        (True, "", UNNAMED),
        (True, "z", NO_OUTPUT),
        (False, "", UNNAMED),
        (False, "z", UNNAMED),
    ],
)
def test_outputs_that_are_not_named_are_told(second, metadata, signature, message):
    with_two_outputs(second)
    second.metadata = metadata
    with pytest.raises(UserError, match=message):
        open_box(second, signature=signature).probabilities(IMAGES)


class Picky(Served):
    """A server without metadata that takes images of one shape alone."""

    def __init__(self, version, takes, status, **settings):
        super().__init__(version, metadata=False, **settings)
        self.takes = takes
        self.status = status

    def images_of(self, body):
        images = super().images_of(body)
        if images.shape[1:] != self.takes:
            self.plan = [(self.status, {"error": "another shape, please"}, {})]
        return images


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("takes", [(2, 2), (1, 2, 2), (4,)])
def test_the_shape_is_found_where_the_server_does_not_say(version, takes, status):
    with serve(Picky(version, takes, status)) as served:
        box = open_box(served, batch_size=5)
        check(box)
        assert box.num_queries == served.num_images
        counts = [len(served.images_of(body)) for body in served.requests]
        # One image in each shape before, then the batch anew, and the next at once.
        assert counts[-3:] == [1, 5, 2]


def test_more_than_is_taken_is_not_another_shape():
    with serve(Picky(1, (2, 2, 1), 400, most=3)) as served:
        box = open_box(served)
        check(box)
        counts = [len(served.images_of(body)) for body in served.requests]
        assert counts == [7, 1, 3, 3, 1]
        assert box.num_queries == served.num_images


def test_where_no_shape_is_taken_the_server_is_quoted_at_once():
    with serve(Picky(1, (9,), 400)) as served:
        with pytest.raises(UserError, match="one of the shapes.*another shape, please"):
            open_box(served).probabilities(IMAGES)
        assert len(served.requests) == 5


@pytest.mark.parametrize("bad", [float("nan"), None])
def test_what_is_no_number_is_not_kept(served, tmp_path, bad):
    def spoil(rows):
        rows = rows.tolist()
        rows[2][1] = bad
        return served.body_of(rows)

    path = tmp_path / "m.answers.npz"
    served.plan = [None, spoil]
    with pytest.raises(UserError, match="^4 of 7.*NaN or infinity for 1 of 3 images"):
        open_box(served, KeptAnswers(path), batch_size=4).probabilities(IMAGES)
    check(open_box(served, KeptAnswers(path)))


def test_connections_end_with_the_box(served, monkeypatch):
    made = []
    real = httpx.Client

    def make(**settings):
        made.append(real(**settings))
        return made[-1]

    monkeypatch.setattr(client.httpx, "Client", make)
    box = open_box(served)
    check(box)
    assert [one.is_closed for one in made] == [False]
    del box
    gc.collect()
    assert [one.is_closed for one in made] == [True]
