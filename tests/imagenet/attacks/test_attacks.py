"""Attacks: losses by hand, and laws that every method keeps in every norm."""

import functools

import image_fakes
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.configs.aips import COMBINATIONS, METHODS, NORMS, AipConfig
from kennen_tf.imagenet.attacks import grading, methods, objectives
from kennen_tf.imagenet.attacks.ascent import Ascent
from kennen_tf.keras_models.pixel_models import PixelModel
from kennen_tf.vocabulary.errors import UserError

SIZE = image_fakes.IMAGE_SIZE
# For 8x8 images: the same root mean square as the budgets at 224x224.
EPSILONS = {"l2": 8000.0, "linf": 20.0}


@pytest.fixture(scope="module")
def linear():
    return PixelModel("linear", image_fakes.make_linear())


@pytest.fixture(scope="module")
def classifiers():
    return [PixelModel(f"c{i}", image_fakes.make_model(i)) for i in range(3)]


@pytest.fixture(scope="module")
def images():
    return image_fakes.make_images()


def make_config(method="gaman", norm="l2", **settings):
    settings = {"epsilon": EPSILONS[norm], "num_steps": 8, **settings}
    return AipConfig(
        images="x", output_dir="x", generators="x", method=method, norm=norm, **settings
    )


def labels_of(classifier, images):
    return classifier(images).numpy().argmax(1).astype(np.int32)


@functools.cache
def single(method, classifier):
    """Compiles what each climbs once; budgets and norms do not change it."""
    attack = methods.make_attack(make_config(method), SIZE)
    return objectives.JointLoss(attack, [classifier], "losses")


def perturb(classifiers, images, labels, config):
    attack = methods.make_attack(config, SIZE)
    singles = [single(config.method, c) for c in classifiers]
    objective = objectives.combine(attack, classifiers, config.combination, singles)
    seeds = np.stack([np.arange(len(images))] * 2, axis=1).astype(np.int32)
    return Ascent(attack, config.num_steps).perturb(objective, images, labels, seeds)


def losses(method, classifier, images, labels):
    attack = methods.make_attack(make_config(method), SIZE)
    return attack.loss(classifier(images), labels).numpy()


def test_the_margin_by_hand():
    attack = methods.make_attack(make_config("gaman"), SIZE)
    logits = tf.constant([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    np.testing.assert_allclose(attack.loss(logits, tf.constant([0, 1])), [-1.0, 2.0])


def test_the_cross_entropy_by_hand():
    attack = methods.make_attack(make_config("i-fgsm"), SIZE)
    loss = attack.loss(tf.math.log([[0.5, 0.25, 0.25]]), tf.constant([1]))
    np.testing.assert_allclose(loss, [np.log(4)], rtol=1e-6)


def test_momentum_adds_up_directions():
    attack = methods.make_attack(make_config("mi-fgsm", "linf", momentum=0.5), SIZE)
    ones = tf.ones((1, 2, 2, 3))
    _, memory = attack.direction(4 * ones, tf.zeros_like(ones))
    direction, memory = attack.direction(-ones, memory)
    # First +1, then 0.5 - 1.
    np.testing.assert_allclose(memory, -0.5 * ones)
    np.testing.assert_allclose(direction, -ones)


@pytest.mark.long
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("method", METHODS)
def test_a_step_does_not_depend_on_the_place_in_the_batch(method, norm):
    """To the last bit, as images are often of an odd side."""
    side = 227
    attack = methods.make_attack(make_config(method, norm), side)
    rng = np.random.default_rng(0)
    gradients = rng.normal(0, 1, (5, side, side, 3)).astype(np.float32)

    @tf.function
    def step(gradients):
        direction, memory = attack.direction(gradients, gradients / 3)
        moved = 1e6 * direction  # Far outside of the budget.
        return direction, memory, attack.norm.project(moved, attack.budget.epsilon)

    wanted = [values.numpy() for values in step(gradients)]
    for places in ([1, 2, 3, 4, 0], [3, 3, 3, 3, 3]):
        for values, own in zip(step(gradients[places]), wanted, strict=True):
            np.testing.assert_array_equal(values, own[places])


@pytest.mark.long
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("method", METHODS)
def test_laws_of_attacks(method, norm, linear, images):
    labels = labels_of(linear, images)
    before = images.copy()
    config = make_config(method, norm)
    perturbed = perturb([linear], images, labels, config)
    np.testing.assert_array_equal(images, before)
    assert perturbed.dtype == np.uint8 and perturbed.shape == images.shape
    # Within the budget after rounding, and near it.
    budget = config.make_budget(SIZE)
    sizes = grading.measure(images, perturbed)[norm]
    assert (sizes <= budget.epsilon).all()
    assert (sizes > 0.5 * budget.epsilon).all()
    # The loss rises on every image.
    rise = losses(method, linear, perturbed, labels) - losses(
        method, linear, images, labels
    )
    assert (rise > 0).all()
    # The same seed gives the same images.
    again = perturb([linear], images, labels, config)
    np.testing.assert_array_equal(again, perturbed)


@pytest.mark.long
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("method", METHODS)
def test_a_larger_epsilon_never_helps_the_target_and_0_changes_nothing(
    method, norm, linear, images
):
    labels = labels_of(linear, images)
    wrong = []
    for share in (0, 0.01, 0.03, 0.1, 0.3, 1):
        config = make_config(method, norm, epsilon=share * EPSILONS[norm])
        perturbed = perturb([linear], images, labels, config)
        if share == 0:
            np.testing.assert_array_equal(perturbed, images)
        wrong.append(np.mean(labels_of(linear, perturbed) != labels))
    assert wrong == sorted(wrong)
    assert wrong[0] == 0 and wrong[-1] == 1


@pytest.mark.long
@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("method", ["gaman", "i-fgsm"])
def test_an_ensemble_climbs_what_it_says(combination, method, classifiers, images):
    labels = labels_of(classifiers[0], images)
    config = make_config(method, combination=combination)

    def objective(pixels):
        logits = np.stack([c(pixels).numpy() for c in classifiers])
        if combination == "losses":
            attack = methods.make_attack(config, SIZE)
            return np.mean([attack.loss(own, labels) for own in logits], axis=0)
        if combination == "probabilities":
            mean = np.log(np.mean(tf.nn.softmax(logits), axis=0))
        else:
            mean = logits.mean(0)
        return methods.make_attack(config, SIZE).loss(mean, labels).numpy()

    perturbed = perturb(classifiers, images, labels, config)
    assert (objective(perturbed) > objective(images)).all()


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_losses_and_gradients_agree_with_finite_differences(
    combination, classifiers, images
):
    labels = tf.constant(labels_of(classifiers[0], images))
    attack = methods.make_attack(make_config("i-fgsm"), SIZE)
    singles = [objectives.JointLoss(attack, [c], "losses") for c in classifiers]
    objective = objectives.combine(attack, classifiers, combination, singles)
    pixels = tf.cast(images, tf.float32)
    found, gradients = objective.differentiate(pixels, labels)
    np.testing.assert_allclose(found, objective.losses(pixels, labels), rtol=1e-4)
    step = np.random.default_rng(0).normal(0, 0.3, images.shape).astype(np.float32)
    rise = objective.losses(pixels + step, labels) - objective.losses(
        pixels - step, labels
    )
    expected = 2 * np.sum(step * gradients.numpy(), axis=(1, 2, 3))
    np.testing.assert_allclose(rise, expected, rtol=0.05, atol=0.02)


@pytest.mark.long
def test_only_pgd_depends_on_the_seed_of_an_image(linear, images):
    labels = labels_of(linear, images)
    for method in METHODS:
        ascent = Ascent(methods.make_attack(make_config(method), SIZE), 2)
        first, second = (
            ascent.perturb(
                single(method, linear),
                *(images, labels, np.full((len(images), 2), seed, np.int32)),
            )
            for seed in (1, 2)
        )
        assert (first != second).any() == (method == "pgd"), method


@pytest.mark.parametrize("factor", [np.nan, np.inf])
@pytest.mark.parametrize("method", ["gaman", "i-fgsm"])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_gradients_that_are_no_numbers_are_refused(images, factor, method, norm):
    def broken(pixels):
        return tf.reduce_sum(pixels, axis=(1, 2)) * factor

    config = make_config(method, norm=norm)
    with pytest.raises(UserError, match="finite"):
        perturb([broken], images, np.zeros(len(images), np.int32), config)


def test_budgets_keep_the_root_mean_square():
    config = make_config(epsilon=1000, step_size=10)
    assert config.make_budget(224).epsilon == 1000
    assert config.make_budget(448).epsilon == 2000
    assert config.make_budget(448).step_size == 20
    linf = make_config(norm="linf", epsilon=4, step_size=0)
    assert linf.make_budget(448).epsilon == 4
    assert linf.make_budget(448).step_size == 5 * 4 / 8


def test_an_epsilon_for_l2_is_refused_for_linf():
    with pytest.raises(UserError, match="epsilon must be at least 0.0 and at most 255"):
        make_config(norm="linf", epsilon=1000)
