"""A classifier served over HTTP answers as its file does."""

import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import threading

import httpx
import keras
import numpy as np
import pytest

from kennen_tf.black_boxes import opening, serving
from kennen_tf.black_boxes.formats.opened import Opened
from kennen_tf.black_boxes.forms import Form
from kennen_tf.keras_models import saving
from kennen_tf.vocabulary.errors import UserError

SHAPE, CLASSES = (4, 4, 1), 3
IMAGES = np.random.default_rng(0).random((5, *SHAPE), np.float32)
FORM = Form.of(SHAPE, CLASSES)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A Keras file."""
    path = tmp_path_factory.mktemp("served") / "mine.keras"
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    saving.save_model(model, path)
    return path


@contextlib.contextmanager
def running(opened, name="mine"):
    server = serving.make_server(opened, name=name, host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield serving.url_of(server, name)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def url(path):
    with running(opening.open_file(path)) as url:
        yield url


def test_it_answers_as_its_file_does(path, url):
    asked = opening.open_black_box(url, form=FORM, outputs_kind="auto")
    wanted = opening.open_black_box(str(path), form=FORM).probabilities(IMAGES)
    np.testing.assert_allclose(asked.probabilities(IMAGES), wanted, atol=1e-7)
    assert asked.image_shape == SHAPE


def test_it_says_what_it_takes(url):
    found = httpx.get(f"{url}/metadata").json()
    own = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    spec = own["inputs"]["images"]
    assert spec["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in spec["tensor_shape"]["dim"]] == ["-1", "4", "4", "1"]
    [status] = httpx.get(url).json()["model_version_status"]
    assert status["state"] == "AVAILABLE"


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"no json", "JSONDecodeError"),
        (b"[1, 2]", "TypeError"),
        (b'{"inputs": []}', "instances"),
        (b'{"instances": []}', "one or more"),
        (b'{"instances": [[1, 2], [1]]}', "equal shapes"),
        (b'{"instances": [[[[1], [2]], [[3], [4]]]]}', "shape (1, 2, 2, 1)"),
    ],
)
def test_it_refuses_what_is_no_request(url, body, part):
    reply = httpx.post(f"{url}:predict", content=body)
    assert reply.status_code == 400
    assert part in reply.json()["error"]


def test_it_knows_one_model(url):
    other = url.replace("mine", "yours")
    for reply in (httpx.get(other), httpx.post(f"{other}:predict", content=b"{}")):
        assert reply.status_code == 404
        assert "/v1/models/mine" in reply.json()["error"]


def test_a_model_that_fails_is_an_error_of_the_server():
    def fail(images):
        raise RuntimeError("no memory")

    with running(Opened(answer=fail, shape=SHAPE)) as url:
        body = {"instances": IMAGES.tolist()}
        reply = httpx.post(f"{url}:predict", content=json.dumps(body))
    assert reply.status_code == 500
    assert reply.json() == {"error": "RuntimeError: no memory"}


def test_whole_pixels_and_fixed_batches_are_kept_to():
    seen = []

    def answer(images):
        seen.append((len(images), images.dtype))
        return np.full((len(images), CLASSES), 1 / CLASSES)

    opened = Opened(answer=answer, shape=SHAPE, dtype=np.dtype("uint8"), batch_size=2)
    with running(opened) as url:
        box = opening.open_black_box(url, form=FORM, outputs_kind="auto", pixels="auto")
        box.probabilities(IMAGES)
    assert seen
    assert set(seen) == {(2, np.dtype("uint8"))}


def test_a_taken_port_and_a_name_that_is_none(path):
    opened = opening.open_file(path)
    with pytest.raises(UserError, match="--name must be"):
        serving.make_server(opened, name="a/b", host="127.0.0.1", port=0)
    server = serving.make_server(opened, name="a", host="127.0.0.1", port=0)
    with server, pytest.raises(UserError, match="free to listen on"):
        port = server.server_address[1]
        serving.make_server(opened, name="a", host="127.0.0.1", port=port)


@pytest.mark.long
def test_the_binary_prints_its_url_and_ends_by_ctrl_c(path):
    root = pathlib.Path(serving.__file__).resolve().parents[2]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "kennen_tf.serve_classifier"),
            *(f"--classifier={path}", "--port=0"),
        ],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        # Tests that run in the background of a shell ignore Ctrl-C, and who they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        url = process.stdout.readline().strip()
        assert url.endswith("/v1/models/mine")
        body = {"instances": IMAGES.tolist()}
        reply = httpx.post(f"{url}:predict", content=json.dumps(body))
        assert np.shape(reply.json()["predictions"]) == (len(IMAGES), CLASSES)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
