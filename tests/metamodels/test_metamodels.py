"""Recipes of metamodels and their settings; any table and any number of classes."""

import dataclasses
import pathlib

import fakes
import keras
import numpy as np
import pytest
from scipy import special

from kennen_tf.attributes import MISSING, Attribute, AttributeTable
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.recipes import RECIPES, Recipe
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.machine import distribution
from kennen_tf.metamodels import metrics
from kennen_tf.metamodels.recipes import fitting, heads, kernel, linear, mlp, solving
from kennen_tf.vocabulary.errors import UserError
from pipelines import query_outputs

NUM_QUERIES = 24


SUM_OF_VALUES = sum(TABLE.num_values)


PAPER = RECIPES["paper"].for_table(TABLE)


def make_arrays(num_entries=200, planted=True, seed=0):
    entries = fakes.make_entries(num_entries, seed)
    return fakes.make_arrays(entries, NUM_QUERIES, planted=planted)


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


@pytest.mark.long
@pytest.mark.parametrize("name", [n for n in RECIPES if n != "joined"])
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


@pytest.mark.parametrize(
    "recipe", [pytest.param("paper", marks=pytest.mark.long), "kernel", "linear"]
)
def test_an_attribute_that_no_entry_has_is_uniform(recipe):
    x, labels = make_arrays(30)
    labels["act"] = np.full(30, MISSING)
    if recipe == "linear":
        answering, _ = linear.fit(TABLE, x, labels, is_balanced=True)
    elif recipe == "kernel":
        answering, _ = kernel.fit(RECIPES[recipe], TABLE, x, labels, range(30))
    else:
        small = dataclasses.replace(PAPER, hidden_units=(16,))
        answering = train_mlp(small, x, labels).answering
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
