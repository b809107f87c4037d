"""Family prediction: coordinates, metamodels, folds, controls that find leaks."""

import collections
import dataclasses

import family_fakes
import numpy as np
import pytest
import tensorflow as tf
from family_fakes import find, make_registry
from rich.console import Console
from scipy import special
from sklearn.svm import SVC

from kennen_tf.configs.family_prediction import METAMODELS, MLP, RIDGE, SVM
from kennen_tf.configs.imagenet import PAPER
from kennen_tf.evaluation import figures
from kennen_tf.imagenet.classifiers.registry import Registry
from kennen_tf.imagenet.families import (
    family_metamodels,
    family_reporting,
    mlp,
    prediction,
    scoring,
)
from kennen_tf.imagenet.families.prediction import Guess
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.seeds import derive_seed

# Nine classifiers of three families, of which three are not trained on.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
TRAIN, TEST = np.array([0, 1, 2, 4, 5, 7]), np.array([3, 6, 8])


@pytest.fixture
def features():
    """Log-probabilities of them, `(classifiers, images, classes)`."""
    logits = np.random.default_rng(0).normal(size=(len(LABELS), 12, 5))
    return special.log_softmax(logits, axis=-1)


def plain_points(features, train=TRAIN):
    """Returns the classifiers in all dimensions, centred and scaled."""
    points = features.reshape(len(features), -1)
    present = np.unique(LABELS[train])
    own = [points[train][LABELS[train] == family].mean(axis=0) for family in present]
    centered = points - np.mean(own, axis=0)
    return centered / np.sqrt((centered[train] ** 2).sum(axis=1).mean())


def inner_products(features):
    flat = features.reshape(len(features), -1)
    return flat @ flat.T


def score(metamodel, features, train, num_families, labels=LABELS):
    """Scores families for `TEST`."""
    return family_metamodels.score_families(
        *(metamodel, inner_products(features), train, TEST, labels, num_families, 0)
    )


def coordinates_of(features, train=TRAIN, test=TEST):
    return mlp.find_coordinates(inner_products(features), train, test, LABELS)


def probabilities_of(logits):
    return special.softmax(logits, axis=-1).astype(np.float32)


# Coordinates.


def test_coordinates_keep_distances_and_inner_products(features):
    points, found = plain_points(features), coordinates_of(features)
    train, test = points[TRAIN], points[TEST]
    np.testing.assert_allclose(found.train @ found.train.T, train @ train.T)
    np.testing.assert_allclose(found.test @ found.train.T, test @ train.T)
    squares = (found.test**2).sum(axis=1) + found.outside**2
    np.testing.assert_allclose(squares, (test**2).sum(axis=1))
    between = found.test[:, np.newaxis] - found.train
    wanted = test[:, np.newaxis] - train
    np.testing.assert_allclose(
        (between**2).sum(axis=2) + found.outside[:, np.newaxis] ** 2,
        (wanted**2).sum(axis=2),
    )


def test_training_classifiers_span_the_coordinates_and_have_unit_length(features):
    found = coordinates_of(features)
    assert found.train.shape == (len(TRAIN), len(TRAIN) - 1)
    assert (found.train**2).sum(axis=1).mean() == pytest.approx(1)
    # Families count alike in the origin, however many classifiers they have.
    means = [found.train[LABELS[TRAIN] == family].mean(axis=0) for family in range(3)]
    np.testing.assert_allclose(np.mean(means, axis=0), 0, atol=1e-12)


def test_test_classifiers_do_not_influence_the_coordinates_of_others(features):
    before = coordinates_of(features)
    features[TEST] *= 3
    after = coordinates_of(features)
    np.testing.assert_array_equal(after.train, before.train)
    assert not np.allclose(after.test, before.test)
    alone = coordinates_of(features, test=TEST[:1])
    np.testing.assert_allclose(alone.test, after.test[:1])


def test_a_training_classifier_asked_again_has_nothing_outside(features):
    found = coordinates_of(features, test=TRAIN[:2])
    np.testing.assert_allclose(found.test, found.train[:2])
    np.testing.assert_allclose(found.outside, 0, atol=1e-6)


# Metamodels.


def test_inner_products_in_pieces_are_those_in_one_go(monkeypatch):
    registry = make_registry(a=2, b=1)
    logits = family_fakes.make_logits(registry, num_images=10)
    outputs, names = family_fakes.make_outputs(logits), ["b0", "a0", "a1"]
    box = probabilities_of(logits["a1"]).round(2)
    whole = family_metamodels.products_of(outputs, names)
    backwards = np.arange(10)[::-1]
    with_box = family_metamodels.products_of(outputs, names, backwards, box)
    monkeypatch.setattr(family_metamodels, "_IMAGES_AT_ONCE", 3)
    np.testing.assert_array_equal(family_metamodels.products_of(outputs, names), whole)
    np.testing.assert_array_equal(
        family_metamodels.products_of(outputs, names, backwards, box), with_box
    )
    rows = [special.log_softmax(logits[name], axis=-1) for name in names]
    wanted = np.einsum("inc,jnc->nij", rows, rows)
    np.testing.assert_allclose(whole, wanted, rtol=1e-5)


@pytest.mark.parametrize("metamodel", METAMODELS)
def test_families_without_a_training_classifier_are_never_named(features, metamodel):
    train = TRAIN[LABELS[TRAIN] != 1]
    scores = score(metamodel, features, train, num_families=3)
    assert scores.shape == (len(TEST), 3)
    assert (scores[:, 1] < scores[:, [0, 2]].min(axis=1) - 10).all()
    assert np.isfinite(scores[:, [0, 2]]).all()


@pytest.mark.parametrize("metamodel", METAMODELS)
def test_training_classifiers_that_answer_alike_tell_nothing(features, metamodel):
    features[TRAIN] = features[0]
    scores = score(metamodel, features, TRAIN, num_families=3)
    # But for rounding.
    np.testing.assert_allclose(scores, 0, atol=1e-6)


@pytest.mark.parametrize("metamodel", METAMODELS)
def test_families_count_alike_however_many_classifiers_they_have(metamodel):
    """Two of five classifiers of one family answer as the only one of the other."""
    points = np.array([-1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0])
    labels = np.array([0, 0, 0, 0, 0, 1, -1])
    for seed in range(5):
        [scores] = family_metamodels.score_families(
            metamodel,
            np.outer(points, points),
            np.arange(6),
            np.array([6]),
            labels,
            2,
            seed,
        )
        assert scores[1] > scores[0]


# The paper's metamodel.


def train_plainly(weights, biases, inputs, labels, importance):
    """Trains a perceptron by gradient descent on all of its inputs."""
    weights, biases = ([tf.Variable(v) for v in values] for values in (weights, biases))

    def logits(x):
        for layer in range(3):
            x = x @ weights[layer] + biases[layer]
            x = tf.nn.relu(x) if layer < 2 else x
        return x

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels, logits(tf.constant(inputs))
            )
            loss = tf.reduce_sum(losses * importance)
        variables = [*weights, *biases]
        gradients = tape.gradient(loss, variables)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(mlp._LEARNING_RATE * gradient)

    for _ in range(mlp._NUM_EPOCHS):
        step()
    return logits


@pytest.mark.long
def test_an_mlp_in_coordinates_is_that_of_all_inputs(features, monkeypatch):
    points, found = plain_points(features), coordinates_of(features, test=TEST[:1])
    labels = LABELS[TRAIN]
    trained = mlp.fit(found.train, labels, 3, seed=5)
    with monkeypatch.context() as patches:
        patches.setattr(mlp, "_NUM_EPOCHS", 0)
        drawn = mlp.fit(found.train, labels, 3, seed=5)

    # A basis of all directions: those of the span, that of the test classifier outside
    # it, and the rest.
    span = np.linalg.lstsq(found.train, points[TRAIN], rcond=None)[0]
    np.testing.assert_allclose(span @ span.T, np.eye(len(span)), atol=1e-9)
    outside = points[TEST[0]] - found.test[0] @ span
    outside /= found.outside[0]
    rng = np.random.default_rng(1)
    rest = rng.normal(size=(points.shape[1], points.shape[1] - len(span) - 1))
    basis = np.linalg.qr(np.column_stack([span.T, outside, rest]))[0]

    # The weights that the test classifier meets outside the span are drawn last.
    met_rng = np.random.default_rng(derive_seed(5, "outside"))
    met = met_rng.normal(0.0, mlp._FIRST_DEVIATION, mlp._NUM_HIDDEN)
    others = rng.normal(size=(rest.shape[1], mlp._NUM_HIDDEN))
    first = (
        span.T @ drawn.weights[0]
        + np.outer(outside, met)
        + basis[:, len(span) + 1 :] @ others
    )
    counts = np.bincount(labels)
    logits = train_plainly(
        [first, *drawn.weights[1:]],
        drawn.biases,
        points[TRAIN],
        labels,
        1 / (3 * counts[labels]),
    )
    everybody = logits(tf.constant(points[[*TRAIN, TEST[0]]])).numpy()
    np.testing.assert_allclose(
        trained.scores(found.train, np.zeros(len(TRAIN))), everybody[:-1], rtol=1e-6
    )
    np.testing.assert_allclose(
        trained.scores(found.test, found.outside), everybody[-1:], rtol=1e-6
    )
    before = drawn.scores(found.train, np.zeros(len(TRAIN)))
    assert not np.allclose(before, everybody[:-1], rtol=0.1)


@pytest.mark.long
def test_an_mlps_seed_decides_all(features):
    found = coordinates_of(features)

    def scores(seed):
        network = mlp.fit(found.train, LABELS[TRAIN], 3, seed)
        return network.scores(found.test, found.outside)

    np.testing.assert_array_equal(scores(0), scores(0))
    assert not np.allclose(scores(0), scores(1))


@pytest.mark.long
def test_an_mlp_learns_what_no_plane_separates():
    """Points on a circle: their families alternate four times around it."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labels = (np.arange(24) // 6) % 2
    right = []
    for seed in range(5):
        network = mlp.fit(points, labels, 2, seed)
        right.append(network.scores(points, np.zeros(24)).argmax(axis=1) == labels)
    assert np.mean(right) > 0.95
    plane = SVC(kernel="linear").fit(points, labels)
    assert plane.score(points, labels) < 0.8


# Controls.


def accuracies(guesses):
    """Share of right guesses by metamodel and number of queries."""
    right = collections.defaultdict(list)
    for guess in guesses:
        key = guess.metamodel, guess.num_queries
        right[key].append(guess.family == guess.classifier.family)
    return {key: np.mean(values) for key, values in right.items()}


@pytest.mark.long
@pytest.mark.parametrize("sizes", [{"a": 3, "b": 2, "c": 1, "d": 2}, {"a": 2, "b": 2}])
def test_families_that_betray_themselves_are_always_named(sizes):
    registry = make_registry(**sizes)
    guesses = prediction.guess_held_out(
        METAMODELS,
        family_fakes.make_outputs(family_fakes.make_logits(registry)),
        registry,
        [5, 20],
        num_folds=3,
        num_draws=2,
        seed=0,
    )
    wanted = {(metamodel, count): 1.0 for metamodel in METAMODELS for count in (5, 20)}
    assert accuracies(guesses) == wanted
    num_held = sum(size > 1 for size in sizes.values())
    assert len(guesses) == len(wanted) * 3 * 2 * num_held


def score_in_worlds_without_structure(twins):
    """Scores guesses about classifiers whose families have nothing in common.

    The trained metamodel makes guesses of one world depend on each other, so there are
    many worlds with one fold each.

    Args:
        twins: Whether every classifier has a twin of the same family.
    """
    guesses = []
    for world in range(60):
        registry = make_registry(a=4, b=4, c=4)
        logits = family_fakes.make_logits(registry, preference=0, seed=world)
        for classifiers in registry.families.values() if twins else ():
            for one, twin in zip(classifiers[::2], classifiers[1::2], strict=True):
                logits[twin.name] = logits[one.name]
        own = prediction.guess_held_out(
            METAMODELS,
            family_fakes.make_outputs(logits),
            registry,
            [20],
            num_folds=1,
            num_draws=1,
            seed=world,
        )
        for guess in own:
            name = f"{guess.classifier.name} of world {world}"
            classifier = dataclasses.replace(guess.classifier, name=name)
            guesses.append(dataclasses.replace(guess, classifier=classifier))
    return scoring.score_guesses(guesses, list(registry.families), seed=0)


@pytest.mark.long
def test_families_with_nothing_in_common_are_named_at_chance():
    for score in score_in_worlds_without_structure(twins=False):
        lower, upper = score.interval
        assert lower < score.chance < upper < 0.5, score


@pytest.mark.long
def test_this_control_would_find_a_classifier_that_is_trained_on():
    """Here, each is: as its twin."""
    for score in score_in_worlds_without_structure(twins=True):
        assert score.accuracy == 1, score


@pytest.fixture
def changeling():
    """A classifier of family a that answers as those of family b do."""
    registry = make_registry(a=4, b=4, c=2)
    logits = family_fakes.make_logits(registry)
    logits["a0"] = logits["a0"] - logits["a1"].mean(axis=0) + logits["b1"].mean(axis=0)
    return registry, family_fakes.make_outputs(logits)


@pytest.mark.parametrize("metamodel", METAMODELS)
def test_nobody_is_trained_on_itself(changeling, metamodel):
    registry, outputs = changeling
    classifier = find(registry, "a0")
    named = prediction.predict_left_out(
        metamodel, outputs, registry, [classifier], num_queries=20, seed=0
    )
    assert named == {classifier: ["b"] * 10}
    guesses = prediction.guess_held_out(
        [metamodel], outputs, registry, [20], num_folds=4, num_draws=2, seed=0
    )
    assert [g.family for g in guesses if g.classifier == classifier] == ["b"] * 2


# Folds and queries.


def test_each_fold_holds_out_one_of_each_family_that_has_two():
    registry = make_registry(a=3, b=1, c=2)
    folds = prediction.make_folds(registry, 7, seed=0)
    assert len(folds) == 7
    assert all([c.family for c in held] == ["a", "c"] for held in folds)


@pytest.mark.parametrize("seed", range(5))
def test_classifiers_of_a_family_take_turns(seed):
    registry = make_registry(a=3, b=2)
    folds = prediction.make_folds(registry, 7, seed)
    counts = collections.Counter(c.name for held in folds for c in held)
    assert sorted(counts[name] for name in ("a0", "a1", "a2")) == [2, 2, 3]
    assert sorted(counts[name] for name in ("b0", "b1")) == [3, 4]
    first = {c.name for held in folds[:3] for c in held if c.family == "a"}
    assert first == {"a0", "a1", "a2"}


def test_the_seed_decides_who_is_held_out():
    registry = make_registry(a=5, b=5)
    folds = [prediction.make_folds(registry, 3, seed) for seed in (0, 0, 1)]
    assert folds[0] == folds[1] != folds[2]


@pytest.mark.parametrize(
    ("sizes", "received"),
    [({"a": 3}, r"\{'a': 3\}"), ({"a": 1, "b": 1}, r"\{'a': 1, 'b': 1\}")],
)
def test_there_must_be_somebody_to_hold_out(sizes, received):
    with pytest.raises(UserError, match=f"two families or more.*{received}"):
        prediction.make_folds(make_registry(**sizes), 2, seed=0)


def test_more_queries_include_the_fewer():
    many = prediction.draw_queries(50, 20, 0, 1, 2)
    few = prediction.draw_queries(50, 5, 0, 1, 2)
    np.testing.assert_array_equal(few, many[:5])
    assert len(set(many.tolist())) == 20
    assert 0 <= many.min() and many.max() < 50


def test_every_fold_and_draw_has_queries_of_its_own():
    paths = [(fold, draw) for fold in range(3) for draw in range(3)]
    draws = {
        tuple(prediction.draw_queries(50, 10, seed, *path))
        for seed in (0, 1)
        for path in paths
    }
    assert len(draws) == 2 * len(paths)


def test_there_must_be_as_many_images_as_queries():
    assert len(prediction.draw_queries(8, 8, 0)) == 8
    with pytest.raises(UserError, match="number of images, 8. Received: num_queries=9"):
        prediction.draw_queries(8, 9, 0)


# Black boxes.


def predict_classifier(
    registry, logits, classifier, metamodel=SVM, answer=lambda p: p, **kw
):
    """Scores families for a classifier that the metamodel is not trained on."""
    return prediction.predict(
        metamodel,
        family_fakes.make_outputs(logits),
        registry.without([classifier.identity]),
        answer(probabilities_of(logits[classifier.name])),
        **{"num_queries": 24, "seed": 0, **kw},
    )


def best(scores):
    return max(scores, key=scores.__getitem__)


@pytest.mark.parametrize("metamodel", [SVM, RIDGE])
def test_a_black_box_is_named_as_the_same_classifier_held_out(metamodel):
    """Whether rightly or not: these families have little in common."""
    registry = make_registry(a=3, b=4, c=3)
    logits = family_fakes.make_logits(registry, preference=0.8)
    held_out = prediction.predict_left_out(
        metamodel,
        family_fakes.make_outputs(logits),
        registry,
        registry.classifiers,
        num_queries=24,  # All images, so that draws do not differ.
        seed=0,
    )
    for classifier in registry.classifiers:
        scores = predict_classifier(registry, logits, classifier, metamodel)
        assert list(scores) == ["a", "b", "c"]
        assert {best(scores)} == set(held_out[classifier]), classifier
    wrong = [c.name for c, named in held_out.items() if named[0] != c.family]
    assert 0 < len(wrong) < len(registry.classifiers)


ANSWERS = {
    "exactly": lambda p: p,
    "with 4 digits": lambda p: p.round(4),
    "with 1 digit": lambda p: p.round(1),
    "with the likeliest class alone": lambda p: np.eye(p.shape[1])[p.argmax(axis=1)],
    "in half precision": lambda p: p.astype(np.float16).astype(np.float32),
}


@pytest.mark.parametrize("metamodel", METAMODELS)
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(
    "sizes",
    [{"a": 2, "b": 3, "c": 2}, {"a": 2, "b": 2}],
    ids=["three families", "two families of which one has a single member left"],
)
def test_a_black_box_that_betrays_its_family_is_named(metamodel, answer, sizes):
    registry = make_registry(**sizes)
    logits = family_fakes.make_logits(registry)
    for classifier in registry.classifiers:
        if answer == "with 4 digits":
            rounded = ANSWERS[answer](probabilities_of(logits[classifier.name]))
            assert (rounded == 0).mean() > 0.3
        scores = predict_classifier(
            registry, logits, classifier, metamodel, ANSWERS[answer]
        )
        assert all(map(np.isfinite, scores.values()))
        assert best(scores) == classifier.family, scores


def test_what_a_black_box_rounds_away_does_not_count(monkeypatch):
    """The likeliest class betrays the family; the rest, rounded to 0, another one."""
    registry = make_registry(a=4, b=4)
    logits = family_fakes.make_logits(registry, preference=0)
    for classifier in registry.classifiers:
        place = ["a", "b"].index(classifier.family)
        logits[classifier.name][:, 2] = 60
        logits[classifier.name][:, place] = 57 + np.linspace(0, 1, 24)
        logits[classifier.name][:, 3 + place] = -40
    scores = predict_classifier(
        registry, logits, find(registry, "b0"), answer=lambda p: p.round(4)
    )
    assert best(scores) == "b"


def test_images_are_few_enough_for_any_number_of_queries():
    registry = make_registry(a=2, b=2)
    logits = family_fakes.make_logits(registry)
    classifier = find(registry, "a1")
    all_images = predict_classifier(registry, logits, classifier, num_queries=24)
    assert (
        predict_classifier(registry, logits, classifier, num_queries=1000) == all_images
    )
    assert predict_classifier(registry, logits, classifier, num_queries=5) != all_images


def test_targets_alone_in_their_family_are_passed_over():
    registry = make_registry(a=2, b=1, c=2)
    outputs = family_fakes.make_outputs(family_fakes.make_logits(registry))
    named = prediction.predict_left_out(
        SVM, outputs, registry, registry.classifiers, num_queries=1000, seed=0
    )
    assert [c.name for c in named] == ["a0", "a1", "c0", "c1"]
    # All images are queries, so there is one draw.
    assert all(families == [c.family] for c, families in named.items())
    alone = Registry({"a": registry.families["a"]})
    assert not prediction.predict_left_out(
        SVM, outputs, alone, alone.classifiers, num_queries=5, seed=0
    )


@pytest.mark.parametrize(
    ("num_queries", "num_draws"), [(5, 10), (23, 9), (24, 1), (25, 1)]
)
def test_draws_of_the_same_queries_count_once(num_queries, num_draws):
    """Of 24 images, at most 24 draws of 23 differ: here, 9 of ten do."""
    registry = make_registry(a=2, b=2)
    outputs = family_fakes.make_outputs(family_fakes.make_logits(registry))
    named = prediction.predict_left_out(
        SVM, outputs, registry, registry.classifiers, num_queries=num_queries, seed=0
    )
    assert [len(families) for families in named.values()] == [num_draws] * 4


# Scores.


def make_guesses(registry, named, metamodel=SVM, num_queries=100):
    """Makes guesses from the families named of each classifier, by its name."""
    return [
        Guess(
            metamodel=metamodel,
            num_queries=num_queries,
            fold=fold,
            draw=0,
            classifier=find(registry, name),
            family=family,
        )
        for name, families in named.items()
        for fold, family in enumerate(families)
    ]


@pytest.fixture
def registry():
    return make_registry(a=2, b=2, c=1)


@pytest.fixture
def guesses(registry):
    """Of family a, 3 of 4 are right; of family b, 1 of 2; c has nobody to hold out."""
    return make_guesses(registry, {"a0": "aab", "a1": "a", "b0": "bc"})


def test_scores_by_hand(registry, guesses):
    [score] = scoring.score_guesses(guesses, "abc", seed=0)
    assert score.metamodel == SVM and score.num_queries == 100
    assert score.count == 6
    assert score.accuracy == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert score.chance == pytest.approx(1 / 3)
    assert score.confusion == ((3, 1, 0), (0, 1, 1), (0, 0, 0))
    assert score.per_member == pytest.approx({"a0": 2 / 3, "a1": 1, "b0": 1 / 2})


def test_metamodels_and_numbers_of_queries_are_scored_apart(registry, guesses):
    perfect = make_guesses(registry, {"a0": "a", "b1": "b"}, MLP, 10)
    scores = scoring.score_guesses([*guesses, *perfect], "abc", seed=0)
    assert [(s.metamodel, s.num_queries) for s in scores] == [(SVM, 100), (MLP, 10)]
    assert [s.accuracy for s in scores] == pytest.approx([0.625, 1])
    document = scores[0].to_json()
    assert document["confusion"][0] == (3, 1, 0)
    assert document["per_member"]["a1"] == 1


@pytest.mark.parametrize("seed", range(4))
def test_intervals_hold_the_accuracy_and_stay_within_0_and_1(registry, seed):
    rng = np.random.default_rng(seed)
    share = [0.0, 0.3, 0.8, 1.0][seed]
    named = {
        c.name: [c.family if right else "c" for right in rng.random(20) < share]
        for c in registry.classifiers
        if c.family != "c"
    }
    [score] = scoring.score_guesses(make_guesses(registry, named), "abc", seed=seed)
    lower, upper = score.interval
    assert 0 <= lower <= score.accuracy <= upper <= 1
    assert lower < upper


def test_more_draws_of_the_same_classifiers_are_no_more_evidence(registry):
    widths = []
    for times in (1, 50):
        named = {"a0": "a" * times, "a1": "b" * times, "b0": "b" * times}
        guesses = make_guesses(registry, named)
        [score] = scoring.score_guesses(guesses, "abc", seed=0)
        widths.append(score.interval[1] - score.interval[0])
    assert widths[0] == pytest.approx(widths[1])


# Tables and figures.


def rendered(table):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def rows_of(table):
    return list(zip(*[list(column.cells) for column in table.columns], strict=True))


@pytest.fixture
def scores(registry, guesses):
    """SVM and MLP, each from 10 and 100 queries."""
    all_guesses = [
        dataclasses.replace(guess, metamodel=metamodel, num_queries=num_queries)
        for metamodel in (SVM, MLP)
        for num_queries in (10, 100)
        for guess in guesses
    ]
    return scoring.score_guesses(all_guesses, "abc", seed=0)


def test_the_curves_table_is_in_per_cent(scores):
    table = family_reporting.curve_table(scores, "my/manifest.json", "a title")
    lower, upper = (f"{100 * end:.1f}" for end in scores[0].interval)
    rest = ("62.5", f"{lower} - {upper}", "33.3", "6")
    assert rows_of(table) == [
        (SVM, "10", *rest),
        ("", "100", *rest),
        (MLP, "10", *rest),
        ("", "100", *rest),
    ]
    assert "a title" in rendered(table) and "paper" not in rendered(table)
    [note] = family_reporting.curve_notes(3, 7)
    assert "3 folds x 7 draws" in note


def test_the_papers_numbers_stand_beside_its_classifiers_and_metamodel(scores):
    table = family_reporting.curve_table(scores, PAPER, "a title")
    assert [row[-1] for row in rows_of(table)] == ["-", "-", "-", "90.4"]


def test_the_classifiers_table_has_all_classifiers(registry, scores):
    # Of two images of class 0: one is named rightly, the other among the first five.
    logits = np.array([[9.0, 0, 0, 0, 0, 0], [0, 9.0, 0, 0, 0, 0]])
    outputs = family_fakes.make_outputs({c.name: logits for c in registry.classifiers})
    table = family_reporting.classifiers_table(scores[1], registry, outputs)
    accuracy = ("50.0", "100.0")
    assert rows_of(table) == [
        ("a", "a0", *accuracy, "66.7"),
        ("", "a1", *accuracy, "100.0"),
        ("b", "b0", *accuracy, "50.0"),
        ("", "b1", *accuracy, "-"),
        ("c", "c0", *accuracy, "-"),
    ]
    assert "svm from 100 queries" in rendered(table)


def test_notes_say_who_was_never_held_out_and_why(registry, scores):
    assert family_reporting.classifiers_notes(scores[0], registry) == [
        "Top-1 and top-5: accuracy on these images.",
        "Never held out, as nobody else could teach their family: c.",
        "Not held out in any fold: b1.",
    ]
    all_held = Registry({"a": registry.families["a"]})
    assert len(family_reporting.classifiers_notes(scores[0], all_held)) == 1


@pytest.mark.parametrize("classifiers", [PAPER, "my/manifest.json"])
def test_the_curve_has_chance_intervals_and_names(scores, classifiers):
    figure = family_reporting.curve_figure(scores, classifiers, "a title")
    assert figures.png_bytes(figure).startswith(b"\x89PNG")
    [axes] = figure.axes
    assert (axes.get_xlabel(), axes.get_title()) == ("queries", "a title")
    assert axes.get_ylabel() == "families named rightly (%)"
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["10", "100"]
    [chance] = [line for line in axes.get_lines() if line.get_label() == "chance"]
    np.testing.assert_allclose(chance.get_ydata(), 100 / 3)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    named = [f"{name}, 95% interval" for name in (SVM, MLP)]
    paper = ["paper"] if classifiers == PAPER else []
    assert sorted(texts) == sorted([*named, *paper, "chance"])
    for container, score in zip(axes.containers, scores[::2], strict=True):
        line, _, [bars] = container.lines
        np.testing.assert_allclose(line.get_ydata(orig=False), 62.5)
        ends = 100 * np.array(score.interval)
        np.testing.assert_allclose(bars.get_segments()[0][:, 1], ends)


def test_a_curve_of_one_point_is_drawn(scores):
    figure = family_reporting.curve_figure(scores[:1], "my/manifest.json")
    assert figures.png_bytes(figure).startswith(b"\x89PNG")


def test_the_confusion_matrix_names_families_and_counts(scores):
    figure = family_reporting.confusion_figure(scores[1], "abc")
    assert figures.png_bytes(figure).startswith(b"\x89PNG")
    [axes] = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b", "c"]
    assert axes.get_title() == "svm with 100 queries\n(family)"
    assert sorted(text.get_text() for text in axes.texts) == ["1", "1", "1", "3"]
