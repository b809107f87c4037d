"""Inference servers on this machine: well-behaved, and badly."""

import contextlib
import http.server
import json
import threading

import numpy as np

from kennen_tf.black_boxes.forms import Form
from kennen_tf.black_boxes.opening import Access, open_black_box

CLASSES = 3
FORM = Form.of((2, 2, 1), CLASSES)
IMAGES = np.random.default_rng(0).random((7, 2, 2, 1), np.float32)


def answer_of(image):
    """Returns what the fake model answers: probabilities that tell the image."""
    total = float(np.sum(image))
    scores = np.array([total, 1.0, np.sqrt(abs(total))])
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


WANTED = np.array([answer_of(image) for image in IMAGES])


def open_box(served, kept=None, **access):
    """Opens what is served."""
    return open_black_box(
        served.url, form=FORM, access=Access(**access), kept=kept, outputs_kind="auto"
    )


class Served:
    """A model on a server, and how it misbehaves.

    Attributes:
        url: Of the model.
        requests: Bodies of the requests for answers, in order.
        headers: Those of the last request.
        plan: What to do at the next requests instead of answering, one each: a status,
            `(status, headers, body)`, a function of the rows, or None to answer.
        most: Images at once that are not too many.
        answer: From an image to probabilities.
    """

    def __init__(
        self, version, shape=(2, 2, 1), most=1000, metadata=True, answer=answer_of
    ):
        self.version = version
        self.shape = shape
        self.most = most
        self.metadata = metadata
        self.answer = answer
        self.plan = []
        self.requests = []
        self.headers = {}
        self.url = ""

    @property
    def num_images(self):
        """Images that were sent, in all requests."""
        key = "instances" if self.version == 1 else "inputs"
        counts = [
            len(body[key]) if self.version == 1 else body[key][0]["shape"][0]
            for body in self.requests
        ]
        return sum(counts)

    def describe(self):
        sides = [-1, *self.shape]
        if self.version == 1:
            dims = {"dim": [{"size": str(side)} for side in sides]}
            inputs = {"image": {"dtype": "DT_FLOAT", "tensor_shape": dims}}
            served = {"serving_default": {"inputs": inputs, "outputs": {"y": {}}}}
            return {"metadata": {"signature_def": {"signature_def": served}}}
        return {
            "name": "m",
            "inputs": [{"name": "image", "datatype": "FP32", "shape": sides}],
            "outputs": [
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, CLASSES]}
            ],
        }

    def images_of(self, body):
        if self.version == 1:
            return np.array(body["instances"], np.float32)
        [sent] = body["inputs"]
        return np.array(sent["data"], np.float32).reshape(sent["shape"])

    def body_of(self, rows):
        rows = np.asarray(rows).tolist() if not isinstance(rows, list) else rows
        if self.version == 1:
            return {"predictions": rows}
        flat = [number for row in rows for number in row]
        shape = [len(rows), len(rows[0])]
        output = {
            "name": "probabilities",
            "shape": shape,
            "datatype": "FP32",
            "data": flat,
        }
        return {"model_name": "m", "outputs": [output]}


class _Handler(http.server.BaseHTTPRequestHandler):
    served: Served

    def do_GET(self):
        if not self.served.metadata:
            self._reply(404, {"error": "no metadata"})
        else:
            self._reply(200, self.served.describe())

    def do_POST(self):
        served = self.served
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        served.requests.append(body)
        served.headers = dict(self.headers)
        images = served.images_of(body)
        step = served.plan.pop(0) if served.plan else None
        if step == "cut":
            self.connection.close()
            return
        if isinstance(step, int):
            self._reply(step, {"error": f"planned {step}"})
        elif isinstance(step, tuple):
            self._reply(*step)
        elif len(images) > served.most:
            self._reply(400, {"error": f"at most {served.most} at once"})
        else:
            rows = np.array([served.answer(image) for image in images])
            self._reply(200, step(rows) if step else served.body_of(rows))

    def _reply(self, status, content, headers=()):
        text = content if isinstance(content, str) else json.dumps(content)
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        """Says nothing."""


@contextlib.contextmanager
def serve(served):
    """Runs a server on the loopback address; yields the model on it."""
    handler = type("Handler", (_Handler,), {"served": served})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    )
    thread.start()
    host, port = server.server_address[:2]
    served.url = f"http://{host}:{port}/v{served.version}/models/m"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
