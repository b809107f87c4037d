"""A zoo whose answers betray all, and classifiers of its kind to be audited."""

import dataclasses

import fakes
import numpy as np

NUM_ENTRIES, NUM_QUERIES = 160, 24

# Whose answers `answer` gives, and to which images: set by the fixture.
STATE: dict = {}


def write_zoo(folder, monkeypatch):
    """Writes query outputs to images of which nobody knows what they show."""
    make = fakes.make_query_inputs

    def make_unknown(num_queries, seed=0):
        inputs = make(num_queries, seed)
        return dataclasses.replace(inputs, labels=np.full_like(inputs.labels, -1))

    monkeypatch.setattr(fakes, "make_query_inputs", make_unknown)
    entries = fakes.write_query_outputs(folder, NUM_ENTRIES, NUM_QUERIES, planted=True)
    STATE["pixels"] = make_unknown(NUM_QUERIES).pixels.reshape(NUM_QUERIES, -1)
    known = {entry.combination_id for entry in entries}
    others = fakes.make_entries(40, seed=5)
    STATE["stranger"] = next(e for e in others if e.combination_id not in known)
    STATE["member"] = next(entry for entry in entries if len(entry.members) == 1)
    STATE["asked"] = 0


def find_places(images):
    """Returns which query each image is; of none, the nearest."""
    flat = images.reshape(len(images), -1)
    apart = ((flat[:, np.newaxis] - STATE["pixels"]) ** 2).sum(axis=2)
    STATE["asked"] += len(images)
    return apart.argmin(axis=1)


def _answer(who, images):
    rows = fakes.make_probabilities(STATE[who], NUM_QUERIES, planted=True)
    return rows[find_places(images)]


def answer_as_a_stranger(images):
    return _answer("stranger", images)


def answer_as_a_member(images):
    return _answer("member", images)


def answer_rounded(images):
    return np.round(_answer("stranger", images), 2)


def answer_labels(images):
    return _answer("stranger", images).argmax(axis=1)


def say_nothing(rows):
    """A defence."""
    return np.full_like(rows, 1 / rows.shape[1])


def say_too_little(rows):
    """No defence."""
    return rows[:, :2]


def fail(rows):
    """No defence."""
    raise RuntimeError("no mood")
