"""Gradients through many classifiers: those of plain Keras, whoever computes them."""

import fakes
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.errors import UserError
from kennen_tf.zoo import black_boxes, querying
from kennen_tf.zoo.gradients import GradientBank
from kennen_tf.zoo.specs import ClassifierSpec

SHAPES = [
    {"act": "relu", "pool": "yes", "ks": 5, "conv": 2, "fc": 2, "drop": "yes"},
    {"act": "prelu", "pool": "yes", "ks": 3, "conv": 3, "fc": 3, "drop": "no"},
    {"act": "elu", "pool": "no", "ks": 3, "conv": 4, "fc": 2, "drop": "no"},
    {"act": "tanh", "pool": "yes", "ks": 3, "conv": 2, "fc": 4, "drop": "yes"},
]
REST = {"alg": "sgd", "bs": 64, "split": "all0"}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    specs = [
        ClassifierSpec.from_json({**shape, **REST, "seed": seed})
        for shape in SHAPES
        for seed in (1, 2)
    ]
    return fakes.make_zoo(tmp_path_factory.mktemp("zoo"), specs)


@pytest.fixture(scope="module")
def images():
    pixels = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    return tf.constant(pixels)


@pytest.fixture(scope="module")
def wanted(zoo, images):
    """What Keras says: log-probabilities, and the gradient of a weighted sum."""
    weights = np.random.default_rng(1).normal(size=(len(zoo.accepted), 3, 10))
    weights = tf.constant(weights, tf.float32)
    answers, total = [], tf.zeros_like(images)
    for record, weight in zip(zoo.accepted, weights, strict=True):
        model = zoo.load_classifier(record)
        with tf.GradientTape() as tape:
            tape.watch(images)
            answer = tf.math.log(model(images, training=False))
            loss = tf.reduce_sum(weight * answer)
        answers.append(answer.numpy())
        total += tape.gradient(loss, images)
    return np.stack(answers), weights, total.numpy()


def compute(bank, images, weights):
    answers = bank.answer(bank.ids, images)
    return (
        answers.log_probabilities.numpy(),
        answers.image_gradient(weights).numpy(),
    )


def count_reads(monkeypatch):
    read, paths = querying.read_weights, []

    def note(path):
        paths.append(path)
        return read(path)

    monkeypatch.setattr(querying, "read_weights", note)
    return paths


def test_gradients_are_those_of_keras_and_weights_are_read_once(
    zoo, images, wanted, monkeypatch
):
    reads = count_reads(monkeypatch)
    bank = GradientBank(zoo, zoo.accepted)
    for _ in range(2):
        answers, gradient = compute(bank, images, wanted[1])
        np.testing.assert_allclose(answers, wanted[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(gradient, wanted[2], rtol=1e-3, atol=1e-4)
    assert len(reads) == len(zoo.accepted)
    # Concrete functions, which are of one trace each.
    assert len(bank._shapes) == len(SHAPES)


def test_neither_memory_nor_threads_nor_devices_change_them(
    zoo, images, wanted, monkeypatch, two_logical_cpus
):
    reads = count_reads(monkeypatch)
    _, expected = compute(GradientBank(zoo, zoo.accepted), images, wanted[1])
    num_reads = len(reads)
    tight = GradientBank(zoo, zoo.accepted, max_memory_mb=0)
    _, gradient = compute(tight, images, wanted[1])
    np.testing.assert_array_equal(gradient, expected)
    # For the answer, and again for the way back.
    assert len(reads) - num_reads == 2 * len(zoo.accepted)
    for settings in ({"num_threads": 1}, {"devices": two_logical_cpus}):
        bank = GradientBank(zoo, zoo.accepted, **settings)
        _, gradient = compute(bank, images, wanted[1])
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)


def test_probabilities_that_are_0_and_1_have_gradients(tmp_path, images):
    spec = ClassifierSpec.from_json({**SHAPES[0], **REST, "seed": 3})
    zoo = fakes.make_zoo(tmp_path, [spec], biases={spec: 200.0 * np.eye(10)[0]})
    bank = GradientBank(zoo, zoo.accepted)
    answers = bank.answer(bank.ids, images)
    assert np.exp(answers.log_probabilities.numpy()).max() == 1.0
    gradient = answers.image_gradient(tf.one_hot([[4] * 3], 10)).numpy()
    assert np.abs(gradient).max() > 1e-4


def test_what_is_missing_altered_or_no_number_is_refused(tmp_path, images):
    specs = [
        ClassifierSpec.from_json({**SHAPES[0], **REST, "seed": seed})
        for seed in (1, 2, 3)
    ]
    zoo = fakes.make_zoo(tmp_path, specs, biases={specs[2]: np.full(10, np.nan)})
    bank = GradientBank(zoo, zoo.accepted)
    zoo.classifier_path(zoo.accepted[0]).unlink()
    with zoo.classifier_path(zoo.accepted[1]).open("ab") as file:
        file.write(b"more")
    for spec, match in zip(
        specs, ("must be the file", "must be the file", "finite weights"), strict=True
    ):
        with pytest.raises(UserError, match=match):
            bank.answer([spec.id], images)


def test_entries_as_black_boxes_answer_the_mean_of_their_members(zoo, images, wanted):
    records = zoo.accepted[:2]
    specs = [record.spec for record in records]
    if specs[0].combination_id != specs[1].combination_id:
        pytest.fail("The first two classifiers must differ in the seed only.")
    entries = [
        fakes.make_entry(members, records[0].num_params)
        for members in (specs[:1], specs)
    ]
    answers = black_boxes.ask(zoo, entries, images.numpy())
    probabilities = np.exp(wanted[0])
    np.testing.assert_allclose(answers[0], probabilities[0], atol=1e-5)
    np.testing.assert_allclose(answers[1], probabilities[:2].mean(axis=0), atol=1e-5)
    stranger = ClassifierSpec.from_json({**SHAPES[0], **REST, "seed": 999})
    with pytest.raises(UserError, match="must hold every classifier"):
        black_boxes.ask(zoo, [fakes.make_entry([stranger], 2**15)], images.numpy())
