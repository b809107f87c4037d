"""Real servers: KServe, MLServer and Triton answer, refuse, die and come again."""

import threading
import time
import types

import numpy as np
import pytest
import served_digits as digits
from real_servers import RealServer

from kennen_tf.black_boxes.forms import Form
from kennen_tf.black_boxes.kept_answers import KeptAnswers
from kennen_tf.black_boxes.opening import Access, open_black_box
from kennen_tf.black_boxes.servers import client
from kennen_tf.vocabulary.errors import UserError

pytestmark = [pytest.mark.needs_servers, pytest.mark.long]

FORM = Form.of(digits.SHAPE, digits.CLASSES)
IMAGES = np.random.default_rng(0).random((60, *digits.SHAPE), np.float32)
NAMES = digits.name_images(IMAGES)
WANTED = digits.probabilities(IMAGES)
WAYS = [("kserve", 1), ("kserve", 2), ("mlserver", 2), ("triton", 2)]
WORDS_OF_LOADING = {"mlserver": "is not ready", "triton": "no available versions"}


@pytest.fixture(scope="module")
def servers():
    """Servers by their names; each is started when it is first asked for."""
    started = {}

    def get(name):
        if name not in started:
            started[name] = RealServer(name)
            started[name].start()
        return started[name]

    yield get
    for server in started.values():
        server.close()


def only(*ways):
    """Runs a test with some of the ways."""
    ids = [f"{name}-v{version}" for name, version in ways]
    return pytest.mark.parametrize("way", ways, ids=ids, indirect=True)


@pytest.fixture(params=WAYS, ids=lambda way: f"{way[0]}-v{way[1]}")
def way(request, servers):
    name, version = request.param
    server = servers(name)
    server.diary.clear()
    return server, version


def wait_otherwise(monkeypatch, pause):
    """Has the client wait as a function of its own pauses says."""
    real = time.sleep
    other = types.SimpleNamespace(sleep=lambda seconds: real(pause(seconds)))
    monkeypatch.setattr(client, "time", other)


@pytest.fixture
def short_pauses(monkeypatch):
    wait_otherwise(monkeypatch, lambda seconds: min(seconds, 0.02))


@pytest.fixture
def long_pauses(monkeypatch):
    """The last pauses are longer, as a busy machine starts servers slowly."""
    wait_otherwise(monkeypatch, lambda s: s if s < 8 else 3 * s)


def open_box(way, kept=None, name=digits.NAME, signature="", **access):
    server, version = way
    return open_black_box(
        server.url(version, name),
        form=FORM,
        access=Access(signature=signature, **access),
        kept=kept,
    )


def sent(server):
    """Returns the names of the images that a server was sent, in order."""
    return [name for own in server.diary.requests() for name in own["names"]]


def kill_when_held(server, number, then=lambda: None):
    """Kills a server in the middle of a request; returns the thread that does."""
    server.diary.hold(number)

    def kill():
        server.wait(lambda: len(server.diary.requests()) > number)
        server.kill()
        then()

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_the_models_probabilities_come_and_each_image_is_sent_once(way):
    server, version = way
    box = open_box(way, batch_size=25)
    np.testing.assert_allclose(box.probabilities(IMAGES), WANTED, rtol=0, atol=1e-5)
    # To the last digit, as the names are of what came.
    assert sent(server) == NAMES
    assert box.num_queries == 60
    assert server.addresses() == {"127.0.0.1"}


def test_batches_above_the_most_are_halved(way):
    server, _ = way
    box = open_box(way)
    np.testing.assert_allclose(box.probabilities(IMAGES), WANTED, rtol=0, atol=1e-5)
    # KServe does not say what it takes: one image more, to see if it is the shape.
    before = [1] if server.name == "kserve" else []
    counts = [len(own["names"]) for own in server.diary.requests()]
    assert counts == [*before, 30, 30]
    assert box.num_queries == 60 + sum(counts)  # What is refused counts, too.


def test_what_is_no_number_is_told(way):
    images = IMAGES[:20].copy()
    images[7] = 0.0  # It divides by their norm.
    with pytest.raises(UserError, match="NaN or infinity for 1 of 20 images"):
        open_box(way).probabilities(images)


def test_another_model_is_not_there_in_the_servers_words(way):
    words = {
        "kserve": "Model with name letters does not exist",
        "mlserver": "Model letters not found",
        "triton": "Request for unknown model: 'letters' is not found",
    }
    with pytest.raises(UserError, match=f"status 404: {words[way[0].name]}"):
        open_box(way, name="letters").probabilities(IMAGES)
    assert sent(way[0]) == []


@only(*WAYS[1:])
def test_a_version_may_be_named(way, short_pauses):
    def ask():
        box = open_box(way, name=f"{digits.NAME}/versions/1")
        return box.probabilities(IMAGES[:5])

    words = {
        "kserve": "status 501: Model versioning not supported yet",
        "mlserver": "status 404: Model digits with version 1 not found",
    }
    if way[0].name in words:
        with pytest.raises(UserError, match=words[way[0].name]):
            ask()
    else:
        np.testing.assert_allclose(ask(), WANTED[:5], atol=1e-5)


@only(*WAYS[:3])
def test_tokens_reach_the_model(way, monkeypatch):
    server, _ = way
    monkeypatch.setenv("MY_TOKEN", digits.TOKEN.removeprefix("Bearer "))
    server.diary.lock()
    with pytest.raises(UserError, match="status 401.*: a token is wanted here") as told:
        open_box(way).probabilities(IMAGES[:5])
    assert "--token_variable" in str(told.value)
    assert sent(server) == []
    box = open_box(way, token_variable="MY_TOKEN")
    np.testing.assert_allclose(box.probabilities(IMAGES[:5]), WANTED[:5], atol=1e-5)
    [request] = server.diary.requests()
    assert request["authorization"] == digits.TOKEN


@only(*WAYS[:1])
def test_the_shape_is_found_where_the_server_does_not_say(way, short_pauses):
    box = open_box(way, name="rows")
    np.testing.assert_allclose(box.probabilities(IMAGES), WANTED, rtol=0, atol=1e-5)
    assert sent(way[0]) == [NAMES[0], *NAMES]


@only(*WAYS[3:])
def test_of_several_outputs_one_is_named(way):
    with pytest.raises(UserError, match="'label', 'probabilities'.*--signature"):
        open_box(way, name="both")
    with pytest.raises(UserError, match="one of the outputs.*Received: logits"):
        open_box(way, name="both", signature="logits")
    box = open_box(way, name="both", signature="probabilities")
    np.testing.assert_allclose(box.probabilities(IMAGES[:5]), WANTED[:5], atol=1e-5)


@only(*WAYS[3:])
def test_of_a_traceback_the_cause_is_told(way, short_pauses):
    with pytest.raises(UserError, match="status 500.*ValueError: the digits are not"):
        open_box(way, name="broken").probabilities(IMAGES[:5])


def test_killed_in_the_middle_it_goes_on_and_nothing_is_sent_twice(
    way, tmp_path, short_pauses
):
    server, _ = way
    path = tmp_path / "digits.answers.npz"
    killing = kill_when_held(server, 3)
    with pytest.raises(UserError, match="^30 of 60 images are answered and kept in"):
        open_box(way, KeptAnswers(path), batch_size=10).probabilities(IMAGES)
    killing.join()
    assert sent(server) == NAMES[:40]
    # The fourth ten were sent, and were to be sent again.
    assert (len(KeptAnswers(path)), KeptAnswers(path).num_sent) == (30, 50)
    server.diary.clear()
    server.start()
    again = open_box(way, KeptAnswers(path), batch_size=10)
    np.testing.assert_allclose(again.probabilities(IMAGES), WANTED, rtol=0, atol=1e-5)
    assert sent(server) == NAMES[30:]
    assert again.num_queries == 50 + 30
    third = open_box(way, KeptAnswers(path))
    np.testing.assert_array_equal(
        third.probabilities(IMAGES), again.probabilities(IMAGES)
    )
    assert sent(server) == NAMES[30:]


def test_killed_and_started_again_while_it_is_asked(way, long_pauses):
    server, _ = way
    starting = kill_when_held(server, 1, then=server.launch)
    box = open_box(way, batch_size=20)
    np.testing.assert_allclose(box.probabilities(IMAGES), WANTED, rtol=0, atol=1e-5)
    starting.join()
    # What it was killed with, it was sent again, and no more.
    assert sent(server) == [*NAMES[:40], *NAMES[20:]]
    # Triton says 404 until it has loaded: asked again, too.
    assert box.num_queries >= 80


@only(*WAYS[2:])
def test_a_model_that_is_still_loaded_is_waited_for(way, long_pauses):
    server, version = way
    server.kill()
    server.diary.load_slowly()
    server.launch()
    words = WORDS_OF_LOADING[server.name]
    server.wait(lambda: words in server.refusal())
    box = open_box(way)
    np.testing.assert_allclose(box.probabilities(IMAGES[:5]), WANTED[:5], atol=1e-5)
