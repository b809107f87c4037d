"""What attacks climb, against plain TensorFlow; generators that are open for it."""

import weakref

import image_fakes
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.configs.aips import COMBINATIONS, AipConfig
from kennen_tf.imagenet.aips import generator_pool
from kennen_tf.imagenet.aips.generator_pool import GeneratorPool
from kennen_tf.imagenet.attacks import methods
from kennen_tf.imagenet.attacks.objectives import JointLoss, MeanLoss, combine
from kennen_tf.imagenet.classifiers import batches
from kennen_tf.imagenet.classifiers.family_classifier import FamilyClassifier
from kennen_tf.keras_models.pixel_models import PixelModel
from kennen_tf.machine import memory

LABELS = np.array([0, 1, 2, 3], np.int32)


@pytest.fixture(scope="module")
def linears():
    return [PixelModel(f"linear{i}", image_fakes.make_linear(i)) for i in range(3)]


@pytest.fixture(scope="module")
def pixels():
    return tf.cast(image_fakes.make_images(len(LABELS)), tf.float32)


def make_attack(method="gaman"):
    config = AipConfig(images="x", output_dir="x", generators="x", method=method)
    return methods.make_attack(config, image_fakes.IMAGE_SIZE)


def make_objective(attack, classifiers, combination):
    singles = [JointLoss(attack, [c], combination) for c in classifiers]
    return combine(attack, classifiers, combination, singles)


def constant(*logits):
    """A classifier that gives these logits, whatever the image."""
    return lambda pixels: tf.constant([logits]) + 0 * pixels[:, 0, 0, :1]


def plain_losses(attack, classifiers, combination, pixels):
    """The definition of each combination, uncompiled and not in logarithms."""
    logits = [classifier(pixels) for classifier in classifiers]
    if combination == "losses":
        return sum(attack.loss(own, LABELS) for own in logits) / len(logits)
    if combination == "logits":
        return attack.loss(sum(logits) / len(logits), LABELS)
    probabilities = sum(tf.nn.softmax(own) for own in logits) / len(logits)
    return attack.loss(tf.math.log(probabilities), LABELS)


@pytest.mark.parametrize(
    ("combination", "wanted"),
    [
        # The margin of class 0 is log 3 for the one and log 8 for the other.
        ("losses", (np.log(3) + np.log(8)) / 2),
        # Mean logits: log(2 * 1) / 2, log(6 * 1) / 2, log(1 * 8) / 2.
        ("logits", np.log(8) / 2 - np.log(2) / 2),
        # Mean probabilities: (2/9 + 1/10) / 2, (6/9 + 1/10) / 2, (1/9 + 8/10) / 2.
        ("probabilities", np.log((1 / 9 + 8 / 10) / (2 / 9 + 1 / 10))),
    ],
)
def test_combinations_by_hand(combination, wanted, pixels):
    first = constant(np.log(2.0), np.log(6.0), np.log(1.0))
    second = constant(np.log(1.0), np.log(1.0), np.log(8.0))
    objective = make_objective(make_attack(), [first, second], combination)
    losses = objective.losses(pixels[:1], tf.constant([0]))
    np.testing.assert_allclose(losses, [wanted], rtol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("method", ["gaman", "i-fgsm"])
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_losses_and_gradients_are_those_of_a_plain_tape(
    combination, method, linears, pixels
):
    attack = make_attack(method)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        wanted = plain_losses(attack, linears, combination, pixels)
    wanted_gradients = tape.gradient(wanted, pixels)
    objective = make_objective(attack, linears, combination)
    losses, gradients = objective.differentiate(pixels, LABELS)
    np.testing.assert_allclose(losses, wanted, rtol=1e-4)
    np.testing.assert_allclose(objective.losses(pixels, LABELS), wanted, rtol=1e-4)
    np.testing.assert_allclose(gradients, wanted_gradients, rtol=1e-3, atol=1e-6)


def test_tiny_probabilities_keep_their_gradient(pixels):
    """Where softmax gives 0, its logarithm would tell an attack nothing."""

    def sure(pixels):
        return tf.constant([[0.0, -300.0]]) + pixels[:, 0, 0, :2]

    objective = make_objective(make_attack(), [sure, sure], "probabilities")
    losses, gradients = objective.differentiate(pixels / 255, tf.zeros(4, tf.int32))
    assert (losses.numpy() < -298).all()
    np.testing.assert_allclose(gradients[:, 0, 0, :2], [[-1, 1]] * 4, rtol=1e-5)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_one_classifier_is_itself_in_every_combination(combination, linears, pixels):
    attack = make_attack()
    alone = JointLoss(attack, linears[:1], combination)
    assert combine(attack, linears[:1], combination, [alone]) is alone
    wanted = attack.loss(linears[0](pixels), LABELS)
    np.testing.assert_allclose(alone.losses(pixels, LABELS), wanted, rtol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_an_ensemble_of_one_classifier_thrice_is_that_classifier(
    combination, linears, pixels
):
    attack = make_attack("i-fgsm")
    one = JointLoss(attack, linears[:1], combination)
    three = make_objective(attack, linears[:1] * 3, combination)
    for found, wanted in zip(
        three.differentiate(pixels, LABELS),
        one.differentiate(pixels, LABELS),
        strict=True,
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_the_mean_loss_uses_what_is_compiled_for_each(linears, pixels):
    attack = make_attack()
    traced = []

    def counting(pixels):
        traced.append(len(traced))
        return linears[0](pixels)

    singles = [JointLoss(attack, [c], "losses") for c in (counting, linears[1])]
    for _ in range(2):
        MeanLoss(singles).differentiate(pixels, LABELS)
        singles[0].differentiate(pixels, LABELS)
    assert traced == [0]


def test_each_batch_size_is_compiled_for_itself(linears, pixels):
    """For open shapes, other kernels are chosen, and a resumed run would end in others.

    The last batch of a run is smaller; resumed there, it is the first.
    """
    shapes = []

    def remember(pixels):
        shapes.append(pixels.shape[0])
        return linears[0](pixels)

    objective = JointLoss(make_attack(), [remember], "losses")
    for count in (3, 3, 1, 2):
        objective.differentiate(pixels[:count], LABELS[:count])
        objective.losses(pixels[:count], LABELS[:count])
    assert shapes == [3, 3, 1, 1, 2, 2]


def test_many_generators_are_compiled_without_a_warning(linears, pixels):
    def work():
        for _ in range(6):
            JointLoss(make_attack(), linears[:1], "losses").losses(pixels, LABELS)

    assert image_fakes.tensorflows_warnings(work) == []


class Opener:
    """Makes classifiers of 10,000 parameters or more that tell when they are opened."""

    def __init__(self):
        self.opened = []

    def make(self, name):
        def open_it():
            self.opened.append(name)
            return PixelModel(name, image_fakes.make_linear(num_classes=60))

        return FamilyClassifier(
            family="f",
            name=name,
            image_size=image_fakes.IMAGE_SIZE,
            num_classes=60,
            identity=name,
            opener=open_it,
        )


@pytest.fixture
def opener():
    return Opener()


@pytest.fixture
def classifiers(opener):
    return [opener.make(name) for name in "abcd"]


def test_a_pool_opens_each_once(opener, classifiers):
    pool = GeneratorPool(make_attack(), "losses")
    pool.objective(classifiers[:2])
    pool.objective(classifiers[1:])
    assert [c.name for c in pool.open(classifiers)] == list("abcd")
    assert opener.opened == list("abcd")


def test_a_pool_over_its_limit_closes_what_was_not_used_for_longest(
    opener, classifiers, monkeypatch
):
    # Each has 8 * 8 * 3 * 60 weights and 60 biases: there is room for two.
    monkeypatch.setattr(generator_pool, "_MAX_PARAMETERS", 2 * (192 + 1) * 60)
    a, b, c, _ = classifiers
    pool = GeneratorPool(make_attack(), "losses")
    pool.open([a, b])
    pool.open([a])
    pool.open([c])  # Closes b, as a was used after it.
    pool.open([a, c])
    assert opener.opened == list("abc")
    pool.open([b])
    assert opener.opened == list("abcb")


def test_what_is_needed_stays_open_whatever_the_limit(opener, classifiers, monkeypatch):
    monkeypatch.setattr(generator_pool, "_MAX_PARAMETERS", 1)
    pool = GeneratorPool(make_attack(), "losses")
    for _ in range(2):
        assert [c.name for c in pool.open(classifiers)] == list("abcd")
    assert opener.opened == list("abcd")


def test_closed_generators_are_freed(classifiers, monkeypatch):
    monkeypatch.setattr(generator_pool, "_MAX_PARAMETERS", 1)
    pool = GeneratorPool(make_attack(), "losses")
    pixels = tf.zeros((1, 8, 8, 3))
    pool.objective(classifiers[:1]).differentiate(pixels, LABELS[:1])
    [classifier] = pool.open(classifiers[:1])
    reference = weakref.ref(classifier)
    del classifier
    pool.open(classifiers[1:2])
    assert reference() is None


@pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="a GPU has its own size"
)
def test_the_batch_size_is_bounded_by_memory(classifiers, monkeypatch):
    pool = GeneratorPool(make_attack(), "losses")
    monkeypatch.setattr(batches, "image_bytes", lambda model: 1 << 20)
    # A quarter of 64 MB, for 2 classifiers of 1 MB an image, and as much for gradients.
    monkeypatch.setattr(memory, "available_memory", lambda: 64 << 20)
    assert pool.batch_size(classifiers[:2]) == 4
    assert pool.batch_size(classifiers) == 2
    monkeypatch.setattr(memory, "available_memory", lambda: 0)
    assert pool.batch_size(classifiers) == 1
    monkeypatch.setattr(memory, "available_memory", lambda: 1 << 50)
    assert pool.batch_size(classifiers[:1]) == 20
