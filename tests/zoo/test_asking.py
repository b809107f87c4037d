"""Entries of a zoo as black boxes: the right answers of the right classifiers."""

import shutil

import fakes
import numpy as np
import pytest

from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import asking, classifier_files, store

VALUES = {
    **{"act": "relu", "drop": "yes", "pool": "yes", "ks": 3, "conv": 2, "fc": 2},
    **{"alg": "sgd", "bs": 64, "split": "all0"},
}
SPECS = [fakes.read_spec({**VALUES, "seed": seed}) for seed in (1, 2, 3)]
STRANGER = fakes.read_spec({**VALUES, "seed": 999})
PIXELS = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)


def make_entry(*specs):
    return fakes.make_entry(specs, 2**15)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return fakes.make_zoo(tmp_path_factory.mktemp("made"), SPECS)


@pytest.fixture
def zoo(made, tmp_path):
    """A copy, that a test may damage."""
    shutil.copytree(made.zoo_dir, tmp_path, dirs_exist_ok=True)
    return store.Zoo.open(tmp_path)


@pytest.mark.long
def test_entries_answer_the_mean_of_their_members(zoo, monkeypatch):
    models = [zoo.load_classifier(record) for record in zoo.accepted]
    probabilities = np.stack([model.predict(PIXELS, verbose=0) for model in models])
    assert np.abs(probabilities[0] - probabilities[1]).max() > 1e-2
    read, reads = classifier_files.read, []
    monkeypatch.setattr(
        classifier_files, "read", lambda path: reads.append(path) or read(path)
    )
    members = [SPECS[1:2], SPECS, SPECS[:1], SPECS[1:]]
    answers = asking.ask(zoo, [make_entry(*specs) for specs in members], PIXELS)
    expected = [
        probabilities[[SPECS.index(spec) for spec in specs]].mean(axis=0)
        for specs in members
    ]
    np.testing.assert_allclose(answers, expected, atol=1e-6)
    assert answers.shape == (4, 4, 10) and answers.dtype == np.float32
    # However many entries it is a member of, a classifier is asked once.
    assert len(reads) == len(SPECS)


def test_nobody_else_is_opened(zoo):
    zoo.classifier_path(zoo.accepted[2]).unlink()
    entries = [make_entry(*SPECS[:2])]
    assert [r.spec for r in asking.find_records(zoo, entries)] == SPECS[:2]
    assert asking.ask(zoo, entries, PIXELS).shape == (1, 4, 10)
    with pytest.raises(UserError, match=f"{SPECS[2].id}.* must be the file"):
        asking.ask(zoo, [make_entry(SPECS[2])], PIXELS)


def test_a_zoo_without_a_member_is_refused(zoo):
    entries = [make_entry(SPECS[0]), make_entry(SPECS[0], STRANGER)]
    with pytest.raises(UserError, match=f"without 1 of 2, e.g. {STRANGER.id}"):
        asking.ask(zoo, entries, PIXELS)
