"""Parts of metamodels: heads and their loss, features, recipes, linear models."""

import dataclasses
import pathlib

import fakes
import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from kennen_tf.attributes import MISSING, Attribute, AttributeTable
from kennen_tf.configs.metamodels import RECIPES, MetamodelConfig, Recipe
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.machine import distribution
from kennen_tf.metamodels import metrics
from kennen_tf.metamodels.recipes import (
    features,
    fitting,
    heads,
    joint_loss,
    kernel,
    linear,
    mlp,
    solving,
)
from kennen_tf.vocabulary.errors import UserError
from pipelines import query_outputs

NUM_QUERIES = 24
SUM_OF_VALUES = sum(TABLE.num_values)
PAPER = RECIPES["paper"].for_table(TABLE)


def make_arrays(num_entries=200, planted=True, seed=0):
    entries = fakes.make_entries(num_entries, seed)
    return fakes.make_arrays(entries, NUM_QUERIES, planted=planted)


def make_targets(labels, balance=0, label_smoothing=0):
    return joint_loss.make_targets(
        TABLE, labels, balance=balance, max_weight=10, label_smoothing=label_smoothing
    )


def encode(labels):
    return joint_loss.encode_targets(TABLE, labels, tf.constant(make_targets(labels)))


def test_the_loss_is_the_sum_of_twelve_cross_entropies():
    _, labels = make_arrays(30)
    logits = np.random.default_rng(0).normal(0, 20, (30, SUM_OF_VALUES))
    logits = logits.astype(np.float32)
    targets = encode(labels)
    loss = joint_loss.JointCrossEntropy(TABLE, 30)(targets, logits[:, np.newaxis])
    expected = sum(
        keras.losses.sparse_categorical_crossentropy(
            labels[name], own, from_logits=True
        ).numpy()
        for name, own in heads.split_logits(TABLE, logits).items()
    )
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-5)
    score = metrics.score(TABLE, labels, logits, skip=())
    assert score["loss"] == pytest.approx(expected.mean(), rel=1e-5)


def test_each_member_has_the_loss_of_its_own():
    _, labels = make_arrays(30)
    logits = np.random.default_rng(0).normal(size=(30, 3, SUM_OF_VALUES))
    targets = encode(labels)
    loss = joint_loss.JointCrossEntropy(TABLE, 30)
    own = [float(loss(targets, logits[:, [member]])) for member in range(3)]
    assert len(set(own)) == 3
    assert float(loss(targets, logits)) == pytest.approx(np.mean(own), rel=1e-5)


def test_members_are_joined_by_their_mean_probabilities():
    logits = np.random.default_rng(0).normal(size=(5, 3, SUM_OF_VALUES))
    joined = heads.split_logits(TABLE, heads.join_members(TABLE, logits))
    by_member = [heads.split_logits(TABLE, logits[:, member]) for member in range(3)]
    for name, own in joined.items():
        mean = np.mean([special.softmax(m[name], axis=1) for m in by_member], axis=0)
        np.testing.assert_allclose(special.softmax(own, axis=1), mean, rtol=1e-5)


def test_the_loss_of_parts_of_a_batch_adds_up_to_that_of_the_batch():
    _, labels = make_arrays(30)
    logits = np.random.default_rng(0).normal(size=(30, 2, SUM_OF_VALUES))
    targets = encode(labels)
    loss = joint_loss.JointCrossEntropy(TABLE, 30)
    parts = [loss(targets[a:b], logits[a:b]) for a, b in ((0, 11), (11, 30))]
    assert float(sum(parts)) == pytest.approx(float(loss(targets, logits)), rel=1e-5)


def test_the_loss_is_finite_at_the_corners():
    _, labels = make_arrays(4)
    targets = encode(labels)
    logits = tf.Variable(np.tile([1e4, -1e4], (4, 1, SUM_OF_VALUES // 2)))
    with tf.GradientTape() as tape:
        loss = joint_loss.JointCrossEntropy(TABLE, 4)(targets, logits)
    assert np.isfinite(loss)
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_weights_make_values_count_alike_as_far_as_the_limit():
    labels = {name: np.zeros(100, int) for name in TABLE.names}
    labels["pool"] = np.repeat([0, 1], [80, 20])
    labels["drop"] = np.repeat([0, 1], [99, 1])
    targets = make_targets(labels, balance=1)
    index = TABLE.names.index
    pool, drop, act = (targets[index(name)] for name in ("pool", "drop", "act"))
    np.testing.assert_allclose(np.diag(pool)[:2], [100 / 160, 100 / 40])
    np.testing.assert_allclose(np.diag(drop)[:2], [100 / 198, 10], rtol=1e-6)
    np.testing.assert_allclose(act[0], [1, 0, 0, 0, 0, 0, 0, 0])


def test_label_smoothing_spreads_the_target_over_the_attributes_own_values():
    _, labels = make_arrays(50)
    targets = make_targets(labels, label_smoothing=0.1)
    pool = targets[TABLE.names.index("pool")]
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


@pytest.mark.parametrize("deviation_floor", [0.0, 0.1])
def test_features_that_do_not_vary_at_all_are_zero(deviation_floor):
    x = np.full((5, 2, 10), -1.0, np.float32)
    reader = features.make_standardizer(x, center=True, deviation_floor=deviation_floor)
    assert not features.call(reader, x).any()


def test_without_a_floor_all_that_varies_has_deviation_1():
    x, _ = make_arrays(50)
    x[:, 3] = -2.5 + 1e-3 * x[:, 3]
    x[:, 4] = -2.5
    made = features.call(features.make_standardizer(x, deviation_floor=0.0), x)
    deviations = made.std(axis=0).reshape(x.shape[1:])
    np.testing.assert_allclose(np.delete(deviations, 4, axis=0), 1, rtol=1e-2)
    assert not deviations[4].any()


def test_the_papers_recipe_reads_log_probabilities_as_they_are():
    x, _ = make_arrays(20)
    answering, trained = mlp.build(PAPER, TABLE, x, seed=0)
    names = [type(layer).__name__ for layer in answering.layers]
    assert names[:4] == ["InputLayer", "Flatten", "EinsumDense", "EinsumDense"]
    # One network.
    assert [layer.output.shape[1:] for layer in answering.layers[2:4]] == [
        (1, 1000)
    ] * 2
    # Every head is trained, unlike in the published code.
    assert len(trained.trainable_variables) == 2 * (2 + len(TABLE))


@pytest.mark.parametrize("name", RECIPES)
def test_a_metamodel_loads_without_this_package(name, tmp_path):
    x, labels = make_arrays(20)
    recipe = MetamodelConfig(recipe=name).make_recipe(TABLE)
    if isinstance(recipe, Recipe):
        answering, _ = mlp.build(recipe, TABLE, x, seed=0)
    else:
        answering, _ = solving.fit(recipe, TABLE, x, labels, range(20))
    answering.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    ours, theirs = answering(x), loaded(x)
    assert list(ours) == list(TABLE.names)
    for attribute in TABLE:
        probabilities = theirs[attribute.name].numpy()
        assert probabilities.shape == (20, len(attribute.values))
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_array_equal(probabilities, ours[attribute.name])
    for layer in loaded.layers:
        assert type(layer).__module__.startswith("keras."), layer


def test_the_seed_decides_the_initial_weights():
    x, _ = make_arrays(20)
    weights = [
        mlp.build(RECIPES["mlp"], TABLE, x, seed)[0].get_layer("hidden0").get_weights()
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(weights[0][0], weights[1][0])
    assert (weights[0][0] != weights[2][0]).any()


def test_networks_of_the_mlp_recipe_do_not_touch_each_other():
    x, _ = make_arrays(20)
    recipe = RECIPES["mlp"]
    answering, trained = mlp.build(recipe, TABLE, x, seed=0)
    before = {n: p.numpy() for n, p in answering(x).items()}
    logits = trained(x).numpy()
    assert logits.shape == (20, recipe.members, SUM_OF_VALUES)
    assert (logits[:, 0] != logits[:, 1]).any()
    np.testing.assert_allclose(
        special.softmax(
            heads.split_logits(TABLE, heads.join_members(TABLE, logits))["fc"], axis=1
        ),
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
    answering, _ = mlp.build(RECIPES["mlp"], TABLE, x, seed=0)
    units = RECIPES["mlp"].hidden_units[0]
    kernel = answering.get_layer("hidden0").kernel.numpy()
    limit = np.sqrt(6 / (len(kernel) + units))
    np.testing.assert_allclose(np.abs(kernel).max(axis=(0, 2)), limit, rtol=1e-2)
    assert len(np.unique(kernel[0])) == kernel[0].size


def test_the_linear_metamodel_reads_a_planted_zoo_and_answers_as_sklearn_does():
    from sklearn.linear_model import LogisticRegression

    x, labels = make_arrays(600)
    answering, trained = linear.fit(
        TABLE, x[:500], {n: v[:500] for n, v in labels.items()}, is_balanced=False
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
    logits = heads.join_members(TABLE, trained(x[500:]).numpy())
    score = metrics.score(
        TABLE, {n: v[500:] for n, v in labels.items()}, logits, skip=()
    )
    # Chance is 0.36; with so few entries, strong regularisation takes its toll.
    assert score["average"] > 0.65


def test_an_attribute_with_one_value_in_training_is_a_constant():
    x, labels = make_arrays(60)
    labels["fc"] = np.full(60, 1)
    labels["conv"] = np.repeat([0, 2], 30)
    answering, _ = linear.fit(TABLE, x, labels, is_balanced=True)
    answers = answering(x)
    np.testing.assert_allclose(answers["fc"], np.tile([0, 1, 0], (60, 1)), atol=1e-6)
    assert np.asarray(answers["conv"])[:, 1].max() < 1e-6


def test_scores_leave_out_what_is_skipped_or_has_one_value():
    _, labels = make_arrays(60)
    labels["fc"] = np.full(60, 1)
    logits = np.zeros((60, SUM_OF_VALUES), np.float32)
    score = metrics.score(TABLE, labels, logits, skip=("conv",))
    assert set(TABLE.names) - set(score["accuracy"]) == {"fc", "conv"}
    assert score["average"] == pytest.approx(np.mean(list(score["accuracy"].values())))


def test_recipes_and_configs_survive_json():
    for recipe in RECIPES.values():
        assert type(recipe).from_json(recipe.to_json()) == recipe
    config = MetamodelConfig(split="E-conv", representation="top-k", top_k=3)
    assert MetamodelConfig.from_json(config.to_json()) == config


def test_groups_name_an_attribute_once():
    groups = (("act", "drop"), TABLE.names[1:])
    with pytest.raises(UserError, match="groups must name an attribute once"):
        dataclasses.replace(RECIPES["mlp"], groups=groups)


def test_attributes_of_the_papers_table_share_networks_as_they_always_did():
    recipe = RECIPES["mlp"]
    assert recipe.for_table(TABLE) == recipe
    assert len(recipe.groups) == 4
    assert RECIPES["paper"].for_table(TABLE).groups == (TABLE.names,)


def test_other_attributes_share_a_network_with_their_group():
    table = AttributeTable(
        [
            TABLE["pool"],
            Attribute(name="depth", values=(1, 2), group="architecture"),
            Attribute(name="family", values=("a", "b"), group="source"),
            TABLE["alg"],
            Attribute(name="width", values=(1, 2), group="architecture"),
        ]
    )
    groups = RECIPES["mlp"].for_table(table).groups
    assert groups == (("pool",), ("alg",), ("depth", "width"), ("family",))
    assert RECIPES["paper"].for_table(table).groups == (table.names,)


def test_given_numbers_replace_those_of_the_recipe():
    recipe = MetamodelConfig(recipe="paper", epochs=7).make_recipe(TABLE)
    assert (recipe.epochs, recipe.batch_size) == (7, 100)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "kennen-x"}, "--method must be one of.*'kennen-x'"),
        ({"recipe": "secret"}, "--recipe must be one of"),
        ({"representation": "logits"}, "--representation must be one of"),
        ({"split": ""}, "--split must be given"),
        ({"num_queries": 0}, "num_queries must be at least 1"),
        ({"top_k": -1}, "top_k must be at least 0"),
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


def test_a_zoo_decides_what_settings_leave_open():
    config = MetamodelConfig(method="kennen-i", zoo_dir="zoo").for_zoo(TABLE, 10)
    assert (config.top_k, config.num_queries) == (10, 12)
    one = dataclasses.replace(config, attribute="#conv").for_zoo(TABLE, 10)
    assert (one.attribute, one.num_queries) == ("conv", 1)
    assert one.named(TABLE).names == ("conv",)
    assert one.for_zoo(TABLE, 10) == one
    assert MetamodelConfig(top_k=3).for_zoo(TABLE, 10).top_k == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"representation": "top-k", "top_k": 6}, "--top_k must be.* at most 5"),
        ({"method": "kennen-i", "attribute": "hue"}, "--attribute must be.*'act'.*hue"),
    ],
)
def test_what_a_zoo_does_not_allow_is_refused(settings, message):
    config = MetamodelConfig(zoo_dir="zoo", **settings)
    with pytest.raises(UserError, match=message):
        config.for_zoo(TABLE, 5)


def take_away(labels, name, first):
    """Takes the values of an attribute away from entry `first` on."""
    return {
        **labels,
        name: np.where(np.arange(len(labels[name])) < first, labels[name], MISSING),
    }


def test_a_value_that_is_missing_counts_neither_in_the_loss_nor_in_its_gradient():
    _, labels = make_arrays(30)
    logits = tf.Variable(np.random.default_rng(0).normal(size=(30, 1, SUM_OF_VALUES)))
    without = take_away(labels, "split", 20)
    loss = joint_loss.JointCrossEntropy(TABLE, 30)
    with tf.GradientTape() as tape:
        found = loss(encode(without), logits)
    ends = np.cumsum(TABLE.num_values)
    gradient = tape.gradient(found, logits).numpy()
    assert not gradient[20:, 0, ends[-2] :].any() and gradient[:20, 0, ends[-2] :].all()
    # What is left out of the sum is what those entries had in it.
    own = {name: v[20:] for name, v in labels.items()}
    whole = loss(encode(labels), logits)
    split = heads.split_logits(TABLE, logits.numpy()[20:, 0])["split"]
    gone = keras.losses.sparse_categorical_crossentropy(own["split"], split, True)
    assert float(whole - found) == pytest.approx(np.sum(gone) / 30, rel=1e-4)


def test_values_are_balanced_among_entries_that_have_one():
    _, labels = make_arrays(40)
    labels["pool"] = np.repeat([0, 1, MISSING], [8, 2, 30])
    labels["drop"] = np.full(40, MISSING)
    targets = make_targets(labels, balance=1)
    pool, drop = (targets[TABLE.names.index(name)] for name in ("pool", "drop"))
    np.testing.assert_allclose(np.diag(pool)[:2], [10 / 16, 10 / 4])
    assert not drop.any()
    weights = joint_loss.weigh(targets, labels["pool"], TABLE.names.index("pool"))
    assert weights.tolist() == [10 / 16] * 8 + [10 / 4] * 2 + [0] * 30


def test_scores_are_of_entries_that_have_a_value():
    _, labels = make_arrays(60)
    logits = np.random.default_rng(0).normal(size=(60, SUM_OF_VALUES))
    without = {
        name: np.where(np.arange(60) < 40, v, MISSING) for name, v in labels.items()
    }
    some = {name: v[:40] for name, v in labels.items()}
    assert metrics.score(TABLE, without, logits, skip=()) == metrics.score(
        TABLE, some, logits[:40], skip=()
    )
    nothing = {name: np.full(60, MISSING) for name in labels}
    assert metrics.score(TABLE, nothing, logits, skip=()) == {
        "loss": 0.0,
        "accuracy": {},
        "average": None,
    }


def test_the_linear_head_is_that_of_the_entries_that_have_a_value():
    x, labels = make_arrays(40)
    # Twice the same entries: the standardisation is the same with half of them.
    doubled = np.concatenate([x, x])
    twice = {name: np.tile(values, 2) for name, values in labels.items()}
    without = take_away(twice, "act", 40)
    alone, _ = linear.fit(TABLE, x, labels, is_balanced=True)
    answering, _ = linear.fit(TABLE, doubled, without, is_balanced=True)
    np.testing.assert_allclose(answering(x)["act"], alone(x)["act"], atol=1e-5)
    whole, _ = linear.fit(TABLE, doubled, twice, is_balanced=True)
    assert np.abs(whole(x)["act"] - alone(x)["act"]).max() > 1e-3


def train_mlp(recipe, x, labels):
    """Trains for two epochs, without a folder."""
    trainer = fitting.Trainer.start(
        dataclasses.replace(recipe, epochs=2, batch_size=10),
        TABLE,
        x,
        labels,
        seed=0,
        strategy=distribution.make_strategy("one_device"),
        checkpoint_path=pathlib.Path("none"),
    )

    def make_stream(batch_size, first_epoch):
        return query_outputs.make_array_dataset(
            x, labels, batch_size=batch_size, shuffle_seed=0, first_epoch=first_epoch
        )

    trainer.fit(make_stream, [])
    return trainer


@pytest.mark.parametrize("recipe", ["paper", "kernel", "linear"])
def test_an_attribute_that_no_entry_has_is_uniform(recipe):
    x, labels = make_arrays(30)
    labels["act"] = np.full(30, MISSING)
    if recipe == "linear":
        answering, _ = linear.fit(TABLE, x, labels, is_balanced=True)
    elif recipe == "kernel":
        answering, _ = kernel.fit(RECIPES[recipe], TABLE, x, labels, range(30))
    else:
        answering = train_mlp(PAPER, x, labels).answering
    np.testing.assert_allclose(answering(x)["act"], np.full((30, 4), 0.25), rtol=1e-5)


OTHER = AttributeTable(
    [
        Attribute(name="family", values=("vgg", "resnet", "dense"), group="source"),
        Attribute(name="stem", values=(3, 7), group="architecture"),
    ]
)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("names", [("family", "stem"), ("stem",)])
def test_any_table_and_any_number_of_classes_is_read(recipe, names):
    random = np.random.default_rng(0)
    table = OTHER.select(names)
    labels = {a.name: random.integers(0, len(a.values), 60) for a in table}
    x = random.normal(size=(60, 4, 3)).astype(np.float32)
    for query, own in enumerate(labels.values()):
        x[np.arange(60), query, own] += 6
    labels = {
        name: np.where(random.random(60) < 0.8, v, MISSING)
        for name, v in labels.items()
    }
    config = MetamodelConfig(recipe=recipe, epochs=2).for_zoo(table, 3)
    made = config.make_recipe(table)
    if isinstance(made, Recipe):
        answering, trained = mlp.build(made, table, x, seed=0)
    else:
        answering, trained = solving.fit(made, table, x, labels, range(60))
        score = metrics.score(
            table, labels, heads.join_members(table, trained(x).numpy()), skip=()
        )
        assert score["average"] == 1
    answers = answering(x)
    assert list(answers) == list(names)
    for attribute in table:
        assert answers[attribute.name].shape == (60, len(attribute.values))
