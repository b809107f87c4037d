"""Parts of metamodels: heads and their loss, features, recipes, linear models."""

import dataclasses

import fakes
import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from kennen_tf import attributes
from kennen_tf.configs.metamodels import RECIPES, KernelRecipe, MetamodelConfig
from kennen_tf.errors import UserError
from kennen_tf.metamodels import features, heads, kennen_o, kernel, linear, metrics

NUM_QUERIES = 24


def make_arrays(num_entries=200, planted=True, seed=0):
    entries = fakes.make_entries(num_entries, seed)
    return fakes.make_arrays(entries, NUM_QUERIES, planted=planted)


def plain_table(labels):
    return heads.target_table(labels, balance=0, max_weight=10, label_smoothing=0)


def test_the_loss_is_the_sum_of_twelve_cross_entropies():
    _, labels = make_arrays(30)
    logits = np.random.default_rng(0).normal(0, 20, (30, sum(heads.NUM_VALUES)))
    logits = logits.astype(np.float32)
    targets = heads.encode_targets(labels, tf.constant(plain_table(labels)))
    loss = heads.JointCrossEntropy(30)(targets, logits[:, np.newaxis])
    expected = sum(
        keras.losses.sparse_categorical_crossentropy(
            labels[name], own, from_logits=True
        ).numpy()
        for name, own in heads.split_logits(logits).items()
    )
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-5)
    score = metrics.score(labels, logits, skip=())
    assert score["loss"] == pytest.approx(expected.mean(), rel=1e-5)


def test_each_member_has_the_loss_of_its_own():
    _, labels = make_arrays(30)
    logits = np.random.default_rng(0).normal(size=(30, 3, sum(heads.NUM_VALUES)))
    targets = heads.encode_targets(labels, tf.constant(plain_table(labels)))
    loss = heads.JointCrossEntropy(30)
    own = [float(loss(targets, logits[:, [member]])) for member in range(3)]
    assert len(set(own)) == 3
    assert float(loss(targets, logits)) == pytest.approx(np.mean(own), rel=1e-5)


def test_members_are_joined_by_their_mean_probabilities():
    logits = np.random.default_rng(0).normal(size=(5, 3, sum(heads.NUM_VALUES)))
    joined = heads.split_logits(heads.join_members(logits))
    by_member = [heads.split_logits(logits[:, member]) for member in range(3)]
    for name, own in joined.items():
        mean = np.mean([special.softmax(m[name], axis=1) for m in by_member], axis=0)
        np.testing.assert_allclose(special.softmax(own, axis=1), mean, rtol=1e-5)


def test_the_loss_of_parts_of_a_batch_adds_up_to_that_of_the_batch():
    _, labels = make_arrays(30)
    logits = np.random.default_rng(0).normal(size=(30, 2, sum(heads.NUM_VALUES)))
    targets = heads.encode_targets(labels, tf.constant(plain_table(labels)))
    loss = heads.JointCrossEntropy(30)
    parts = [loss(targets[a:b], logits[a:b]) for a, b in ((0, 11), (11, 30))]
    assert float(sum(parts)) == pytest.approx(float(loss(targets, logits)), rel=1e-5)


def test_the_loss_is_finite_at_the_corners():
    _, labels = make_arrays(4)
    targets = heads.encode_targets(labels, tf.constant(plain_table(labels)))
    logits = tf.Variable(np.tile([1e4, -1e4], (4, 1, sum(heads.NUM_VALUES) // 2)))
    with tf.GradientTape() as tape:
        loss = heads.JointCrossEntropy(4)(targets, logits)
    assert np.isfinite(loss)
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_weights_make_values_count_alike_as_far_as_the_limit():
    labels = {name: np.zeros(100, int) for name in attributes.NAMES}
    labels["pool"] = np.repeat([0, 1], [80, 20])
    labels["drop"] = np.repeat([0, 1], [99, 1])
    table = heads.target_table(labels, balance=1, max_weight=10, label_smoothing=0)
    index = attributes.NAMES.index
    pool, drop, act = (table[index(name)] for name in ("pool", "drop", "act"))
    np.testing.assert_allclose(np.diag(pool)[:2], [100 / 160, 100 / 40])
    np.testing.assert_allclose(np.diag(drop)[:2], [100 / 198, 10], rtol=1e-6)
    np.testing.assert_allclose(act[0], [1, 0, 0, 0, 0, 0, 0, 0])


def test_label_smoothing_spreads_the_target_over_the_attributes_own_values():
    _, labels = make_arrays(50)
    table = heads.target_table(labels, balance=0, max_weight=10, label_smoothing=0.1)
    pool = table[attributes.NAMES.index("pool")]
    np.testing.assert_allclose(pool[1], [0.05, 0.95, 0, 0, 0, 0, 0, 0], atol=1e-7)


@pytest.mark.parametrize("center", [False, True])
def test_features_are_standardised_over_the_training_entries(center):
    x, _ = make_arrays(50)
    x[:, 3] = -2.5  # Never varies.
    inputs = keras.Input(x.shape[1:])
    flat = features.add_features(
        inputs, x, center=center, standardize=True, deviation_floor=0.01
    )
    made = keras.Model(inputs, flat).predict(x, verbose=0).reshape(x.shape)
    np.testing.assert_allclose(made.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.delete(made.std(axis=0), 3, axis=0), 1, rtol=1e-3)
    assert np.abs(made[:, 3]).max() < 1e-3


def test_the_scale_of_an_output_is_told_beside_its_proportions():
    x, _ = make_arrays(20)
    how = {"center": True, "separate_scale": True}
    related = np.asarray(features.relate(x, **how))
    tripled = np.asarray(features.relate(3 * x, **how))
    assert related.shape == (20, NUM_QUERIES, 11)
    np.testing.assert_allclose(tripled[..., :10], related[..., :10], atol=1e-4)
    np.testing.assert_allclose(tripled[..., 10] - related[..., 10], np.log(3), 1e-4)
    np.testing.assert_allclose(np.square(related[..., :10]).mean(-1), 1, rtol=1e-4)
    # A black box that names all digits alike.
    assert np.isfinite(features.relate(np.full((1, 1, 10), -2.3), **how)).all()


def test_a_feature_that_hardly_varied_in_training_does_not_explode():
    x, _ = make_arrays(50)
    x[:, 3] = -2.5
    inputs = keras.Input(x.shape[1:])
    flat = features.add_features(
        inputs, x, center=False, standardize=True, deviation_floor=0.1
    )
    other = np.array(x[:1])
    other[:, 3] = -23.0
    assert np.abs(keras.Model(inputs, flat).predict(other, verbose=0)).max() < 300


def test_features_that_do_not_vary_at_all_are_zero():
    x = np.full((5, 2, 10), -1.0, np.float32)
    inputs = keras.Input((2, 10))
    flat = features.add_features(
        inputs, x, center=True, standardize=True, deviation_floor=0.1
    )
    assert not keras.Model(inputs, flat).predict(x, verbose=0).any()


def test_the_papers_recipe_reads_log_probabilities_as_they_are():
    x, _ = make_arrays(20)
    answering, trained = kennen_o.build(RECIPES["paper"], x, seed=0)
    names = [type(layer).__name__ for layer in answering.layers]
    assert names[:4] == ["InputLayer", "Flatten", "EinsumDense", "EinsumDense"]
    # One network.
    assert [layer.output.shape[1:] for layer in answering.layers[2:4]] == [
        (1, 1000)
    ] * 2
    # Every head is trained, unlike in the published code.
    assert len(trained.trainable_variables) == 2 * (2 + len(attributes.NAMES))


@pytest.mark.parametrize("name", RECIPES)
def test_a_metamodel_loads_without_this_package(name, tmp_path):
    x, labels = make_arrays(20)
    recipe = RECIPES[name]
    if isinstance(recipe, KernelRecipe):
        answering, _ = kernel.fit(recipe, x, labels, range(20))
    else:
        answering, _ = kennen_o.build(recipe, x, seed=0)
    answering.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    ours, theirs = answering(x), loaded(x)
    assert list(ours) == list(attributes.NAMES)
    for attribute in attributes.ATTRIBUTES:
        probabilities = theirs[attribute.name].numpy()
        assert probabilities.shape == (20, len(attribute.values))
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_array_equal(probabilities, ours[attribute.name])
    for layer in loaded.layers:
        assert type(layer).__module__.startswith("keras."), layer


def test_the_seed_decides_the_initial_weights():
    x, _ = make_arrays(20)
    weights = [
        kennen_o.build(RECIPES["mlp"], x, seed)[0].get_layer("hidden0").get_weights()
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(weights[0][0], weights[1][0])
    assert (weights[0][0] != weights[2][0]).any()


def test_networks_of_the_mlp_recipe_do_not_touch_each_other():
    x, _ = make_arrays(20)
    recipe = RECIPES["mlp"]
    answering, trained = kennen_o.build(recipe, x, seed=0)
    before = {n: p.numpy() for n, p in answering(x).items()}
    logits = trained(x).numpy()
    assert logits.shape == (20, recipe.members, sum(heads.NUM_VALUES))
    assert (logits[:, 0] != logits[:, 1]).any()
    np.testing.assert_allclose(
        special.softmax(heads.split_logits(heads.join_members(logits))["fc"], axis=1),
        before["fc"],
        rtol=1e-4,
    )
    # The last network is the last member of the last group.
    kernel = answering.get_layer("hidden1").kernel
    kernel.assign(np.concatenate([kernel[:-1], -kernel[-1:]]))
    changed = {n for n, p in answering(x).items() if (p.numpy() != before[n]).any()}
    assert changed == set(recipe.groups[-1])
    assert (trained(x).numpy()[:, :-1] == logits[:, :-1]).all()


def test_each_network_is_initialised_as_if_it_were_alone():
    x, _ = make_arrays(20)
    answering, _ = kennen_o.build(RECIPES["mlp"], x, seed=0)
    units = RECIPES["mlp"].hidden_units[0]
    kernel = answering.get_layer("hidden0").kernel.numpy()
    limit = np.sqrt(6 / (len(kernel) + units))
    np.testing.assert_allclose(np.abs(kernel).max(axis=(0, 2)), limit, rtol=1e-2)
    assert len(np.unique(kernel[0])) == kernel[0].size


def test_the_linear_metamodel_reads_a_planted_zoo_and_answers_as_sklearn_does():
    from sklearn.linear_model import LogisticRegression

    x, labels = make_arrays(600)
    recipe = dataclasses.replace(RECIPES["mlp"], balance=0)
    answering, trained = linear.fit(
        recipe, x[:500], {n: v[:500] for n, v in labels.items()}
    )
    flat = x.reshape(len(x), -1)
    mean, deviation = flat[:500].mean(axis=0), flat[:500].std(axis=0)
    standardized = (flat - mean) / deviation
    for name in ("pool", "split"):
        regression = LogisticRegression(C=linear.INVERSE_REGULARIZATION, max_iter=5000)
        regression.fit(standardized[:500], labels[name][:500])
        np.testing.assert_allclose(
            answering(x[500:])[name],
            regression.predict_proba(standardized[500:]),
            atol=2e-3,
        )
    logits = heads.join_members(trained(x[500:]).numpy())
    score = metrics.score({n: v[500:] for n, v in labels.items()}, logits, skip=())
    # Chance is 0.36; with so few entries, strong regularisation takes its toll.
    assert score["average"] > 0.65


def test_an_attribute_with_one_value_in_training_is_a_constant():
    x, labels = make_arrays(60)
    labels["fc"] = np.full(60, 1)
    labels["conv"] = np.repeat([0, 2], 30)
    answering, _ = linear.fit(RECIPES["mlp"], x, labels)
    answers = answering(x)
    np.testing.assert_allclose(answers["fc"], np.tile([0, 1, 0], (60, 1)), atol=1e-6)
    assert np.asarray(answers["conv"])[:, 1].max() < 1e-6


def test_scores_leave_out_what_is_skipped_or_has_one_value():
    _, labels = make_arrays(60)
    labels["fc"] = np.full(60, 1)
    logits = np.zeros((60, sum(heads.NUM_VALUES)), np.float32)
    score = metrics.score(labels, logits, skip=("conv",))
    assert set(attributes.NAMES) - set(score["accuracy"]) == {"fc", "conv"}
    assert score["average"] == pytest.approx(np.mean(list(score["accuracy"].values())))


def test_recipes_and_configs_survive_json():
    for recipe in RECIPES.values():
        assert type(recipe).from_json(recipe.to_json()) == recipe
    config = MetamodelConfig(split="E-conv", representation="top-k", top_k=3)
    assert MetamodelConfig.from_json(config.to_json()) == config


def test_groups_have_every_attribute_once():
    groups = (("act", "drop"), attributes.NAMES[1:])
    with pytest.raises(UserError, match="groups must name each of"):
        dataclasses.replace(RECIPES["mlp"], groups=groups)


def test_given_numbers_replace_those_of_the_recipe():
    recipe = MetamodelConfig(recipe="paper", epochs=7).make_recipe()
    assert (recipe.epochs, recipe.batch_size) == (7, 100)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "kennen-x"}, "--method must be one of.*'kennen-x'"),
        ({"recipe": "secret"}, "--recipe must be one of"),
        ({"representation": "logits"}, "--representation must be one of"),
        ({"split": "E-everything"}, "--split must be"),
        ({"num_queries": 0}, "num_queries must be at least 1"),
        ({"top_k": 11}, "top_k must be at least 1 and at most 10"),
        ({"strategy": "tpu"}, "--strategy must be one of"),
        ({"metamodel_dir": ""}, "--metamodel_dir must be given"),
        (
            {"method": "kennen-s", "strategy": "multi_worker"},
            "--strategy of kennen-s must be one of one_device, mirrored, auto",
        ),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        MetamodelConfig(**settings)
