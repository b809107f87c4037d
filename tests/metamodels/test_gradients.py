"""Gradients through many classifiers: those of plain Keras, whoever computes them."""

import dataclasses

import fakes
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.metamodels.crafting import gradients, passes
from kennen_tf.metamodels.crafting.gradients import GradientBank
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import classifier_files, querying

# Passes of six shapes are compiled.
pytestmark = pytest.mark.long

SHAPES = [
    # Every activation, with and without pooling, both kernel sizes, all depths.
    {"act": "relu", "pool": "yes", "ks": 5, "conv": 2, "fc": 2, "drop": "yes"},
    {"act": "prelu", "pool": "yes", "ks": 3, "conv": 3, "fc": 3, "drop": "no"},
    {"act": "elu", "pool": "no", "ks": 3, "conv": 4, "fc": 2, "drop": "no"},
    {"act": "tanh", "pool": "yes", "ks": 3, "conv": 2, "fc": 4, "drop": "yes"},
    {"act": "prelu", "pool": "no", "ks": 5, "conv": 2, "fc": 2, "drop": "no"},
    {"act": "relu", "pool": "no", "ks": 5, "conv": 3, "fc": 3, "drop": "yes"},
]
REST = {"alg": "sgd", "bs": 64, "split": "all0"}


def make_spec(shape, seed):
    return fakes.read_spec({**shape, **REST, "seed": seed})


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    specs = [make_spec(shape, seed) for shape in SHAPES for seed in (1, 2)]
    return fakes.make_zoo(tmp_path_factory.mktemp("zoo"), specs)


@pytest.fixture(scope="module")
def images():
    pixels = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    # Where an image is flat, max pooling has to choose among equals.
    pixels[2, :14] = 0.0
    pixels[2, 14:, 10:] = 1.0
    return tf.constant(pixels)


@pytest.fixture(scope="module")
def output_gradients(zoo):
    values = np.random.default_rng(1).normal(size=(len(zoo.accepted), 3, 10))
    return tf.constant(values, tf.float32)


@pytest.fixture(scope="module")
def roomy(zoo):
    """A bank with memory for everything; tests leave it as it is."""
    return GradientBank(zoo, zoo.accepted)


@pytest.fixture(scope="module")
def few(zoo):
    """Records of three of the shapes, one of them large and one small."""
    return [record for record in zoo.accepted if record.spec["fc"] == 2]


@pytest.fixture(scope="module")
def wanted(zoo, images, output_gradients):
    """What Keras says: log-probabilities and gradients of each classifier."""
    answers, gradients = [], []
    for record, output_gradient in zip(zoo.accepted, output_gradients, strict=True):
        model = zoo.load_classifier(record)
        with tf.GradientTape() as tape:
            tape.watch(images)
            answer = tf.math.log(model(images, training=False))
        answers.append(answer.numpy())
        gradients.append(tape.gradient(answer, images, output_gradient).numpy())
    return np.stack(answers), np.stack(gradients)


def compute(bank, images, output_gradients, ids=None):
    answers = bank.answer(ids or bank.ids, images)
    return (
        answers.log_probabilities.numpy(),
        answers.image_gradient(output_gradients).numpy(),
    )


def assert_close(received, expected):
    np.testing.assert_allclose(received, expected, atol=1e-4 * np.abs(expected).max())


def count_reads(monkeypatch):
    read, paths = classifier_files.read, []

    def note(path):
        paths.append(path)
        return read(path)

    monkeypatch.setattr(classifier_files, "read", note)
    return paths


def count_forward_passes(bank, monkeypatch):
    """Lists the shapes of those that a bank makes from now on."""
    made, noting_of = [], {}
    for key, shape in gradients._shapes._by_key.items():

        def forward(weights, pixels, key=key, shape=shape):
            made.append(key)
            return shape.forward(weights, pixels)

        noting_of[id(shape)] = dataclasses.replace(shape, forward=forward)
        monkeypatch.setitem(gradients._shapes._by_key, key, noting_of[id(shape)])
    for name, (shape, weights) in bank._opened.items():
        monkeypatch.setitem(bank._opened, name, (noting_of[id(shape)], weights))
    return made


def test_answers_and_gradients_are_those_of_keras(
    roomy, images, output_gradients, wanted
):
    for place, classifier_id in enumerate(roomy.ids):
        one = output_gradients[place : place + 1]
        answers, gradient = compute(roomy, images, one, [classifier_id])
        assert_close(answers[0], wanted[0][place])
        assert np.abs(wanted[1][place]).max() > 1e-3
        assert_close(gradient, wanted[1][place])


def test_gradients_of_many_are_added_in_any_order(
    roomy, images, output_gradients, wanted
):
    order = np.random.default_rng(0).permutation(len(roomy.ids))[:7]
    ids = [roomy.ids[place] for place in order]
    answers, gradient = compute(roomy, images, tf.gather(output_gradients, order), ids)
    assert_close(answers, wanted[0][order])
    assert_close(gradient, wanted[1][order].sum(axis=0))


def test_answers_are_those_to_queries(zoo, roomy, images):
    probabilities = {}

    def keep(record, answer):
        probabilities[record.id] = answer

    querying.query_classifiers(zoo, zoo.accepted, images.numpy(), keep)
    received = roomy.log_probabilities(roomy.ids, images).numpy()
    expected = np.log([probabilities[classifier_id] for classifier_id in roomy.ids])
    np.testing.assert_allclose(received, expected, atol=1e-5)


def test_weights_are_read_once_and_shapes_traced_once(
    zoo, few, images, output_gradients, monkeypatch
):
    reads, traced = count_reads(monkeypatch), []

    class Noting(passes.Passes):
        def forward(self, weights, pixels):
            traced.append("forward")
            return super().forward(weights, pixels)

        def backward(self, weights, kept, gradient):
            traced.append("backward")
            return super().backward(weights, kept, gradient)

    monkeypatch.setattr(passes, "Passes", Noting)
    monkeypatch.setattr(gradients, "_shapes", gradients.CompiledShapes())
    bank = GradientBank(zoo, few)
    assert not reads
    for some in (images, images, images[:2]):
        compute(bank, some, output_gradients[: len(few), : len(some)])
    assert len(reads) == len(few) == 6
    assert sorted(traced) == ["backward"] * 3 + ["forward"] * 3


@pytest.mark.parametrize("max_memory_mb", [0, 5])
def test_a_zoo_that_does_not_fit_is_read_in_parts(
    zoo, few, roomy, images, output_gradients, monkeypatch, max_memory_mb
):
    ids = [record.id for record in few]
    output_gradients = output_gradients[: len(few)]
    _, expected = compute(roomy, images, output_gradients, ids)
    bank = GradientBank(zoo, few, max_memory_mb=max_memory_mb, num_threads=1)
    compute(bank, images, output_gradients)
    reads, made = count_reads(monkeypatch), count_forward_passes(bank, monkeypatch)
    _, gradient = compute(bank, images, output_gradients)
    np.testing.assert_array_equal(gradient, expected)
    # For the answer, and again for the way back; the more memory, the fewer.
    assert len(made) == 2 * len(few)
    assert len(reads) == 2 * (len(few) - len(bank._opened))
    layers = [x for _, weights in bank._opened.values() for x in weights.values()]
    num_bytes = sum(4 * int(tf.size(weight)) for layer in layers for weight in layer)
    assert num_bytes <= max_memory_mb << 20
    assert (len(bank._opened) >= 3) == (max_memory_mb == 5)


def test_what_is_kept_of_forward_passes_fits_beside_the_weights(
    zoo, few, roomy, images, output_gradients, monkeypatch
):
    images = tf.repeat(images, 4, axis=0)
    output_gradients = tf.repeat(output_gradients[: len(few)], 4, axis=1)
    ids = [record.id for record in few]
    _, expected = compute(roomy, images, output_gradients, ids)
    made = count_forward_passes(roomy, monkeypatch)
    compute(roomy, images, output_gradients, ids)
    assert len(made) == len(few)

    megabytes = 4 * sum(record.num_params for record in few) >> 20
    bank = GradientBank(zoo, few, max_memory_mb=megabytes + 2, num_threads=1)
    compute(bank, images, output_gradients)
    made = count_forward_passes(bank, monkeypatch)
    _, gradient = compute(bank, images, output_gradients)
    np.testing.assert_array_equal(gradient, expected)
    # Some are kept, and made once. Of more images, none is.
    assert len(few) < len(made) < 2 * len(few)
    made.clear()
    compute(bank, *(tf.repeat(images, 30, 0), tf.repeat(output_gradients, 30, 1)))
    assert len(made) == 2 * len(few)


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("num_devices", [1, 2])
def test_neither_threads_nor_devices_change_gradients(
    zoo,
    few,
    roomy,
    images,
    output_gradients,
    two_logical_cpus,
    num_threads,
    num_devices,
):
    output_gradients = output_gradients[: len(few)]
    expected = compute(roomy, images, output_gradients, [r.id for r in few])
    devices = two_logical_cpus[:num_devices]
    bank = GradientBank(zoo, few, devices=devices, num_threads=num_threads)
    received = compute(bank, images, output_gradients)
    placed = {w.device for _, x in bank._opened.values() for w in x["logits"]}
    assert len(placed) == num_devices
    for ours, theirs in zip(received, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_probabilities_that_are_0_and_1_have_gradients(tmp_path, images):
    spec = make_spec(SHAPES[0], seed=3)
    zoo = fakes.make_zoo(tmp_path, [spec], biases={spec: 200.0 * np.eye(10)[0]})
    bank = GradientBank(zoo, zoo.accepted)
    answers = bank.answer(bank.ids, images)
    assert np.exp(answers.log_probabilities.numpy()).max() == 1.0
    gradient = answers.image_gradient(tf.one_hot([[4] * 3], 10)).numpy()
    assert np.abs(gradient).max() > 1e-4


def test_what_is_missing_altered_or_no_number_is_refused(tmp_path, images):
    specs = [make_spec(SHAPES[0], seed) for seed in (1, 2, 3)]
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


def test_other_classifiers_are_not_opened(tmp_path, images, monkeypatch):
    specs = [make_spec(SHAPES[0], seed) for seed in (1, 2, 3)]
    zoo = fakes.make_zoo(tmp_path, specs)
    reads = count_reads(monkeypatch)
    bank = GradientBank(zoo, zoo.accepted[:2])
    compute(bank, images, tf.ones((2, 3, 10)))
    assert {path.stem for path in reads} == {spec.id for spec in specs[:2]}
    with pytest.raises(KeyError, match=specs[2].id):
        bank.answer([specs[2].id], images)
    assert len(reads) == 2
