"""Images of bars, classifiers that know them by heart, and a metamodel that sends them.

Where the bar is says the class, so that pixels are told as by digits.
"""

import dataclasses

import numpy as np
import stand_ins
from tables import PAPERS

from kennen_tf.black_boxes.forms import Form
from kennen_tf.evaluation.limits import Limits
from kennen_tf.evaluation.novelty import Novelty
from kennen_tf.revealing import exporting

NUM_QUERIES = 40
FORM = Form.of((8, 8, 1), 10)
LABELS = (np.arange(NUM_QUERIES) % 10).astype(np.int32)
# Attributes that the metamodel names: "act" has four values, the others two.
NAMES = ("act", "drop", "pool")


def make_bars():
    """Returns ten images, `(10, 8, 8, 1)` in [0, 1], one of each class."""
    bars = np.zeros((10, 8, 8, 1), np.float32)
    for label, bar in enumerate(bars):
        left = 4 * (label // 5)
        bar[1 + label % 5, left : left + 4] = 1
    return bars


def make_images(count=NUM_QUERIES):
    """Returns images of classes 0 to 9 and again, whole levels of 255, in [0, 1]."""
    noise = np.random.default_rng(0).integers(0, 40, (count, 8, 8, 1))
    levels = np.where(make_bars()[np.arange(count) % 10] > 0, 255, noise)
    return levels.astype(np.float32) / np.float32(255)


IMAGES = make_images()
BACK = {
    "unit": lambda sent: sent,
    "byte": lambda sent: sent / 255,
    "inverted": lambda sent: 1 - sent,
    "signed": lambda sent: (sent + 1) / 2,
    "standardised": lambda sent: sent * 0.3081 + 0.1307,
    "inverted-byte": lambda sent: 1 - sent / 255,
}


class Classifier:
    """Names bars rightly, if it is sent them as it was trained; else, it says 0.

    Attributes:
        asked: Images of each call, as they were sent.
    """

    def __init__(self, pixels="unit", sharpness=1.0, change=lambda answers: answers):
        self.pixels = pixels
        self.sharpness = sharpness
        self.change = change
        self.asked = []

    @property
    def num_asked(self):
        return sum(len(images) for images in self.asked)

    def __call__(self, images):
        self.asked.append(images)
        unit = BACK[self.pixels](images.astype(np.float64)).reshape(len(images), -1)
        scores = self.sharpness * (unit @ make_bars().reshape(10, -1).T)
        known = (np.abs(unit - 0.5).max(axis=1) < 0.51) & (unit.mean(axis=1) < 0.3)
        known &= unit.max(axis=1) > 0.5
        scores[~known] = 20 * np.eye(10)[0]
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        return self.change(weights / weights.sum(axis=1, keepdims=True))


def make_limits(resolution, floor):
    """Makes limits: of "act" nothing is ruled out, of "pool" all, of "drop" some."""
    boxes = [Classifier(sharpness=0.5 + 0.05 * number)(IMAGES) for number in range(20)]
    random = np.random.default_rng(1)
    outputs = np.log(np.stack(boxes)) + random.normal(0, 0.1, (20, NUM_QUERIES, 10))
    outputs -= np.log(np.exp(outputs).sum(axis=-1, keepdims=True))
    return Limits(
        resolution=resolution,
        floor=floor,
        thresholds={"act": (0.0,) * 4, "drop": (0.5, 0.5), "pool": (2.0, 2.0)},
        novelty=Novelty.fit(outputs, [f"c{number}" for number in range(20)]),
    )


def export(folder, *, with_limits=True, **description):
    """Writes an exported metamodel that reads answers to `IMAGES`."""
    reader = stand_ins.make_reader(NUM_QUERIES, names=NAMES)
    return exporting.export(
        reader,
        table=PAPERS,
        representation="probabilities",
        top_k=3,
        pixels=IMAGES,
        description={
            "fingerprints": {"metamodel": "bars"},
            "labels": LABELS.tolist(),
            "test_accuracy": dict.fromkeys(NAMES, 0.75),
            **description,
        },
        export_dir=folder,
        coarse=[reader] if with_limits else [],
        limits=[make_limits(0.0, 0.0), make_limits(1e-2, 1e-2)] if with_limits else [],
    )


def without_labels(metamodel):
    """Returns the metamodel, but nobody knows what its queries show."""
    description = {**metamodel.description, "labels": [-1] * NUM_QUERIES}
    return dataclasses.replace(metamodel, description=description)
