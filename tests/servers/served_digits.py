"""A small classifier of 28x28 images, for servers: NumPy and the standard library only.

It is a linear softmax of the image over its norm: of a black image, NaN, as 0/0 is.
What it is sent is written down, a line of JSON for each request, where the tests look.
"""

import hashlib
import json
import os
import pathlib
import time

import numpy as np

NAME = "digits"
SHAPE = (28, 28, 1)
CLASSES = 10
MOST = 32  # Images at once that are not too many.
TOKEN = "Bearer open sesame"  # Let in where a server sees headers and wants one.
_LONGEST_HOLD = 60.0

_WEIGHTS = np.random.RandomState(16).standard_normal((784, CLASSES))


def probabilities(images):
    """Returns `(n, 10)` probabilities, float64, for images of any shape `(n, ...)`."""
    rows = np.asarray(images, np.float64).reshape(len(images), -1)
    with np.errstate(invalid="ignore"):
        rows = rows / np.sqrt(np.sum(rows**2, axis=1, keepdims=True))
    scores = rows @ _WEIGHTS
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def name_images(images):
    """Returns the SHA-256 of each image, as the client names what it sends."""
    return [
        hashlib.sha256(np.ascontiguousarray(image, np.float32).tobytes()).hexdigest()
        for image in np.reshape(images, (-1, *SHAPE))
    ]


class Diary:
    """What a server was sent, and how the tests want it to be, in a folder.

    Attributes:
        folder: Holds `requests.jsonl`, and a file for each wish.
    """

    def __init__(self, folder=None):
        self.folder = pathlib.Path(folder or os.environ["DIGITS_FOLDER"])

    def clear(self):
        """Forgets what was sent, and all wishes."""
        for name in ("requests.jsonl", "hold", "locked", "slow"):
            (self.folder / name).unlink(missing_ok=True)

    def hold(self, number):
        """Has the request of a number, from 0, never answered."""
        (self.folder / "hold").write_text(str(number))

    def lock(self):
        """Lets nobody in without a token, where a server passes headers on."""
        (self.folder / "locked").touch()

    def load_slowly(self):
        """Has the model take some seconds to load."""
        (self.folder / "slow").touch()

    def lets_in(self, authorization):
        return authorization == TOKEN or not (self.folder / "locked").exists()

    @property
    def seconds_to_load(self):
        return 3.0 if (self.folder / "slow").exists() else 0.0

    def requests(self):
        """Returns the requests so far, oldest first."""
        path = self.folder / "requests.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def answer(self, images, authorization=None):
        """Writes down what was sent; returns probabilities, `(n, 10)`."""
        number = len(self.requests())
        line = {"names": name_images(images), "authorization": authorization}
        with (self.folder / "requests.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        hold = self.folder / "hold"
        if hold.exists() and int(hold.read_text()) == number:
            time.sleep(_LONGEST_HOLD)  # The tests end the server before.
        return probabilities(images)
