"""Detectors: quiet for users, loud for what is planted."""

import numpy as np
import pytest
from sklearn import datasets

from kennen_tf.auditing import detectors

NUM_QUERIES = 120


@pytest.fixture(scope="module")
def digits():
    loaded = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(loaded.target))
    return loaded.images[order] / 16, loaded.target[order]


@pytest.fixture(scope="module")
def users(digits):
    """Whom detectors learn from, and others like them."""
    images, labels = digits
    return (images[:900], labels[:900]), (images[900:], labels[900:])


@pytest.fixture(scope="module", params=["prada", "unusual"])
def detector(request, users):
    (images, labels), _ = users
    if request.param == "prada":
        return detectors.Prada.fit(images, labels, NUM_QUERIES, seed=0)
    return detectors.UnusualImages.fit(images, seed=0)


def test_other_users_are_left_alone(detector, users):
    _, (images, labels) = users
    random = np.random.default_rng(1)
    alarms = 0
    for _ in range(100):
        drawn = random.permutation(len(images))[:NUM_QUERIES]
        alarms += detector.find_alarm(images[drawn], labels[drawn]) is not None
    assert alarms <= 6


def test_queries_made_of_each_other_are_noticed_by_prada(users):
    (images, labels), (others, truth) = users
    prada = detectors.Prada.fit(images, labels, NUM_QUERIES, seed=0)
    random = np.random.default_rng(0)
    # As attackers do: a few images, then steps from these.
    steps = 0.05 * np.sign(random.normal(size=(NUM_QUERIES, 8, 8)))
    base = np.arange(NUM_QUERIES) % 30
    made = np.clip(
        others[base] + steps * (np.arange(NUM_QUERIES) >= 30)[:, None, None], 0, 1
    )
    alarm = prada.find_alarm(made, truth[base])
    assert alarm is not None
    assert alarm <= NUM_QUERIES


def test_the_same_image_again_and_again_is_noticed_by_prada(users):
    (images, labels), _ = users
    prada = detectors.Prada.fit(images, labels, NUM_QUERIES, seed=0)
    same = np.repeat(images[:1], NUM_QUERIES, axis=0)
    assert prada.find_alarm(same, np.zeros(NUM_QUERIES, int)) is not None


def test_images_that_nobody_asks_are_noticed_soon(users):
    (images, _), _ = users
    unusual = detectors.UnusualImages.fit(images, seed=0)
    noise = np.random.default_rng(0).random((NUM_QUERIES, 8, 8))
    assert unusual.is_unusual(noise).all()
    assert unusual.find_alarm(noise, np.zeros(NUM_QUERIES, int)) <= 5


def test_few_queries_raise_no_alarm_at_prada(users):
    (images, labels), _ = users
    prada = detectors.Prada.fit(images, labels, NUM_QUERIES, seed=0)
    assert (
        prada.find_alarm(np.repeat(images[:1], 40, axis=0), np.zeros(40, int)) is None
    )


def test_fitting_is_repeatable(users):
    (images, labels), _ = users
    first = detectors.Prada.fit(images, labels, NUM_QUERIES, seed=3)
    assert detectors.Prada.fit(images, labels, NUM_QUERIES, seed=3) == first
    assert detectors.UnusualImages.fit(images, 3).distance == pytest.approx(
        detectors.UnusualImages.fit(images, 3).distance, abs=0
    )
