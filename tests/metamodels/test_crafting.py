"""The parts of crafting: starts, objectives, the choice of starts, the descent."""

import fakes
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.attributes import MISSING
from kennen_tf.configs.crafting import IMAGES, RECIPES, STARTS, CraftingRecipe
from kennen_tf.configs.metamodels import CRAFTED
from kennen_tf.configs.recipes import RECIPES as METAMODEL_RECIPES
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.metamodels import kennen_i
from kennen_tf.metamodels.crafting import descent as crafting
from kennen_tf.metamodels.crafting import start_images
from kennen_tf.metamodels.crafting.gradients import GradientBank
from kennen_tf.metamodels.crafting.left_out_loss import LeftOutLoss
from kennen_tf.metamodels.crafting.losses import NamedClasses
from kennen_tf.vocabulary.errors import UserError

NUM_ENTRIES, NUM_IMAGES = 24, 3


@pytest.fixture(scope="module")
def labels():
    random = np.random.default_rng(0)
    return {a.name: random.integers(0, len(a.values), NUM_ENTRIES) for a in TABLE}


@pytest.fixture(scope="module")
def combination_ids():
    # Groups of one, two and three.
    return [f"c{i}" for i in np.repeat(np.arange(12), [1, 2, 3] * 4)]


@pytest.fixture(scope="module")
def log_probabilities():
    random = np.random.default_rng(1)
    probabilities = random.dirichlet(np.ones(10), (NUM_ENTRIES, NUM_IMAGES))
    return np.log(probabilities).astype(np.float32)


def everyone():
    return np.arange(NUM_ENTRIES)


def assert_gradient(objective, log_probabilities):
    """Compares the gradient with what a small step along it changes."""
    tensor = tf.constant(log_probabilities)
    loss, gradient = objective(tensor, everyone())
    direction = gradient.numpy() if hasattr(gradient, "numpy") else gradient
    step = 1e-2 / np.linalg.norm(direction)
    up, _ = objective(tensor + step * direction, everyone())
    down, _ = objective(tensor - step * direction, everyone())
    measured = (float(up) - float(down)) / (2 * step)
    assert measured == pytest.approx(float(np.sum(direction**2)), rel=0.02)
    assert np.isfinite(float(loss))


def test_named_classes_count_values_alike(labels, log_probabilities):
    names = ["pool", "act", "pool"]
    objective = NamedClasses(labels, names)
    assert_gradient(objective, log_probabilities)
    # Whoever names all digits with the same probability has lost log 10 for each image.
    even = tf.fill((NUM_ENTRIES, NUM_IMAGES, 10), -np.log(10).astype(np.float32))
    loss, _ = objective(even, everyone())
    assert float(loss) == pytest.approx(NUM_IMAGES * np.log(10), rel=1e-5)


def test_errors_of_those_left_out_are_those_of_readers_that_never_saw_them(
    labels, combination_ids, log_probabilities
):
    objective = LeftOutLoss(TABLE, labels, combination_ids, ridge=0.3)
    assert_gradient(objective, log_probabilities)
    loss, _ = objective(tf.constant(log_probabilities), everyone())

    ids = np.array(combination_ids)
    features = log_probabilities - log_probabilities.mean(axis=-1, keepdims=True)
    features = features.reshape(NUM_ENTRIES, -1).astype(float)
    variance = features.var(axis=0)
    features -= features.mean(axis=0)
    features /= np.sqrt(np.maximum(variance, 0.01 * variance.mean()))
    kernel = features @ features.T / features.shape[1] + 10
    errors = 0.0
    for held_out in sorted(set(combination_ids)):
        test, train = np.flatnonzero(ids == held_out), np.flatnonzero(ids != held_out)
        inner = kernel[np.ix_(train, train)] + 0.3 * np.eye(len(train))
        targets = objective._targets
        read = kernel[np.ix_(test, train)] @ np.linalg.solve(inner, targets[train])
        errors += np.sum((targets[test] - read) ** 2)
    assert float(loss) == pytest.approx(errors / NUM_ENTRIES, rel=1e-3)


@pytest.mark.long
def test_entries_without_a_value_have_no_part_in_its_loss(
    labels, combination_ids, log_probabilities
):
    # All entries standardise the features; half have no value of two attributes.
    half = np.arange(NUM_ENTRIES) % 2 == 0
    some = {
        name: np.where(half, own, MISSING) if name in ("act", "par") else own
        for name, own in labels.items()
    }
    some["drop"] = np.full(NUM_ENTRIES, MISSING)
    objective = LeftOutLoss(TABLE, some, combination_ids, ridge=0.3)
    assert_gradient(objective, log_probabilities)
    # The mean over attributes of what each gives alone.
    tensor = tf.constant(log_probabilities)
    loss, _ = objective(tensor, everyone())
    errors = []
    for names in (["act", "par"], set(TABLE.names) - {"act", "par", "drop"}):
        part = LeftOutLoss(
            TABLE.select(names),
            {name: some[name] for name in names},
            combination_ids,
            ridge=0.3,
        )
        own, _ = part(tensor, everyone())
        errors.append(float(own) * len(names) / 11)
    assert float(loss) == pytest.approx(sum(errors), rel=1e-4)
    is_held_out = np.array([name < "c3" for name in combination_ids])
    assert np.isfinite(objective.held_out_error(log_probabilities, is_held_out))
    logits, again = objective.predict_logits(log_probabilities, log_probabilities)
    assert np.isfinite(logits).all() and np.isfinite(again).all()
    # Nobody has it, so nobody can be told to have it.
    np.testing.assert_allclose(np.ptp(logits[:, 4:6], axis=1), 0)


def test_readers_never_see_entries_without_a_value(
    labels, combination_ids, log_probabilities
):
    table = TABLE.select(["act"])
    half = np.arange(NUM_ENTRIES) < 12
    some = {"act": np.where(half, labels["act"], MISSING)}
    ids = combination_ids[:12]
    alone = LeftOutLoss(table, {"act": labels["act"][half]}, ids, ridge=0.3)
    # Twice the same outputs, which leave the standardisation as it is.
    doubled = np.concatenate([log_probabilities[:12]] * 2)
    objective = LeftOutLoss(table, some, ids * 2, ridge=0.3)
    loss, _ = objective(tf.constant(doubled), everyone())
    wanted, _ = alone(tf.constant(log_probabilities[:12]), np.arange(12))
    assert float(loss) == pytest.approx(float(wanted), rel=1e-4)
    logits, _ = objective.predict_logits(doubled, doubled)
    expected, _ = alone.predict_logits(*[log_probabilities[:12]] * 2)
    np.testing.assert_allclose(logits[:12], expected, rtol=1e-3, atol=1e-3)


def test_images_do_not_learn_from_entries_without_a_value(labels, log_probabilities):
    some = {"act": np.where(np.arange(NUM_ENTRIES) < 12, labels["act"], MISSING)}
    objective = NamedClasses(some, ["act"] * NUM_IMAGES)
    assert_gradient(objective, log_probabilities)
    _, gradient = objective(tf.constant(log_probabilities), everyone())
    assert not gradient[12:].numpy().any()
    alone = NamedClasses({"act": labels["act"][:12]}, ["act"] * NUM_IMAGES)
    _, expected = alone(tf.constant(log_probabilities[:12]), np.arange(12))
    np.testing.assert_allclose(gradient[:12], expected, rtol=1e-5)
    nobody = NamedClasses({"act": np.full(NUM_ENTRIES, MISSING)}, ["act"])
    assert float(nobody(tf.constant(log_probabilities), everyone())[0]) == 0


def test_noise_is_not_read_and_what_is_planted_is(labels, combination_ids):
    random = np.random.default_rng(2)
    noise = np.log(random.dirichlet(np.ones(10), (NUM_ENTRIES, 2)))
    planted = noise.copy()
    planted[everyone(), 1, labels["alg"]] += 6.0
    reader = LeftOutLoss(TABLE, labels, combination_ids, ridge=0.1)
    rights = []
    for outputs in (noise, planted):
        logits, again = reader.predict_logits(
            outputs.astype(np.float32), outputs.astype(np.float32)
        )
        assert logits.shape == again.shape
        start = sum(len(a.values) for a in TABLE.attributes[: TABLE.names.index("alg")])
        named = logits[:, start : start + 3].argmax(axis=1)
        rights.append(np.mean(named == labels["alg"]))
    assert rights[0] < 0.7
    assert rights[1] > 0.9


def test_starts_are_made_of_the_seed():
    validation = fakes.make_query_inputs(len(STARTS))
    starts = start_images.make_starts(STARTS, validation, seed=0)
    again = start_images.make_starts(STARTS, validation, seed=0)
    other = start_images.make_starts(STARTS, validation, seed=1)
    assert starts.fingerprint == again.fingerprint != other.fingerprint
    at = {kind: starts.images[place] for place, kind in enumerate(STARTS)}
    np.testing.assert_array_equal(at["validation"], validation.images[0])
    assert {kind: np.unique(at[kind]).tolist() for kind in ("black", "white")} == {
        "black": [0],
        "white": [255],
    }
    # Shifted in a circle: the same grey levels elsewhere.
    place = STARTS.index("shifted")
    assert sorted(at["shifted"].flat) == sorted(validation.images[place].flat)
    assert (at["shifted"] != validation.images[place]).any()
    assert starts.indices.tolist() == [0] + [-1] * (len(STARTS) - 1)


class ColourImages:
    """Validation images of another size, in colour."""

    images = np.random.default_rng(0).integers(0, 256, (3, 6, 8, 3), np.uint8)

    def __len__(self):
        return len(self.images)


@pytest.mark.parametrize("kind", STARTS[1:])
def test_starts_have_the_size_and_colours_of_the_zoos_images(kind):
    random = np.random.default_rng(0)
    pixels = start_images._make(kind, 1, ColourImages(), random)
    assert pixels.shape == (6, 8, 3)
    assert 0 <= pixels.min() <= pixels.max() <= 1


@pytest.fixture(scope="module")
def specs():
    return fakes.make_small_specs(3)


@pytest.fixture(scope="module")
def zoo(specs, tmp_path_factory):
    return fakes.make_zoo(tmp_path_factory.mktemp("zoo"), specs)


@pytest.mark.long
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_images_stay_within_bounds_and_reach_what_is_wanted(optimizer, specs, zoo):
    entries = [
        fakes.make_entry([specs[0]], 2**15),
        fakes.make_entry(specs[2:4], 2**15),
        fakes.make_entry([specs[4]], 2**15),
    ]
    labels = {a.name: np.array([0, 1, 1]) for a in TABLE}
    recipe = CraftingRecipe(
        phases=((IMAGES, 5),),
        optimizer=optimizer,
        learning_rate=0.2,
        batch_size=2,
        image_noise=0.05,
    )
    images = np.random.default_rng(0).random((2, 28, 28, 1), np.float32)
    bank = GradientBank(zoo, zoo.accepted)
    descent = crafting.Descent(recipe, bank, entries, images, seed=0)
    objective = NamedClasses(labels, ["pool", "drop"])
    losses = []
    for _ in range(5):
        losses.append(descent.run_epoch(objective))
        assert 0 <= descent.images.min() <= descent.images.max() <= 1
    assert losses[-1] < losses[0]
    assert (descent.images != images).any()
    # The mean of the members' probabilities, not of their logarithms.
    together = crafting.ask(bank, entries[1:2], images)
    members = bank.log_probabilities([s.id for s in specs[2:4]], tf.constant(images))
    expected = np.log(np.exp(members.numpy()).mean(axis=0))
    np.testing.assert_allclose(together[0], expected, atol=1e-5)


@pytest.mark.long
def test_the_best_images_are_kept(specs, zoo, tmp_path):
    recipe = RECIPES["kennen-i"]["mlp"]
    entries = [fakes.make_entry([specs[0]], 2**15)]
    images = np.zeros((1, 28, 28, 1), np.float32)
    bank = GradientBank(zoo, zoo.accepted)
    descent = crafting.Descent(recipe, bank, entries, images, seed=0)
    descent.judge(0.5)
    objective = NamedClasses({"pool": np.array([1])}, ["pool"])
    descent.run_epoch(objective)
    descent.judge(0.6)
    np.testing.assert_array_equal(descent.best_images, images)
    descent.save(tmp_path / "c" / "images.npz")
    again = crafting.Descent(recipe, bank, entries, images, seed=0)
    assert again.restore(tmp_path / "c" / "images.npz")
    again.judge(0.55)
    np.testing.assert_array_equal(again.best_images, images)
    again.judge(0.4)
    np.testing.assert_array_equal(again.best_images, descent.images)


def test_what_a_digit_means_is_counted():
    seen = np.array([7] * 10 + [3] * 10 + [7, 3])
    labels = np.array([0] * 10 + [1] * 10 + [1, 0])
    table = kennen_i._fit_table(seen, labels, 2, 10)
    assert table[[7, 3]].argmax(axis=1).tolist() == [0, 1]
    np.testing.assert_allclose(np.exp(table).sum(axis=1), 1, rtol=1e-5)
    # Never seen, but it is the label.
    assert table[[0, 1]].argmax(axis=1).tolist() == [0, 1]
    # Classifiers without a value do not count.
    more = np.append(seen, [7] * 50), np.append(labels, [MISSING] * 50)
    np.testing.assert_array_equal(kennen_i._fit_table(*more, 2, 10), table)
    # A value without a classifier is never named.
    assert kennen_i._fit_table(seen, labels, 3, 10)[:, 2].max() == -50


def test_attributes_have_at_most_as_many_values_as_there_are_classes():
    kennen_i.check_num_values(TABLE, 8)
    with pytest.raises(UserError, match="at most 5 values. Received: par, with 8"):
        kennen_i.check_num_values(TABLE, 5)


def test_all_methods_have_recipes_of_the_same_names():
    assert set(RECIPES) == set(CRAFTED)
    for recipes in RECIPES.values():
        assert set(recipes) == set(METAMODEL_RECIPES)
    # The loss of a metamodel that standardises could not be resumed.
    for name, recipe in RECIPES["kennen-io"].items():
        assert not (
            recipe.objective == "metamodel" and METAMODEL_RECIPES[name].standardize
        )
