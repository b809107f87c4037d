"""What TensorBoard is told of a training: names and settings."""

import pytest

from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.metamodels.tensorboard_log import make_settings, run_name


def settings_of(**given):
    config = MetamodelConfig(query_dir="q", zoo_dir="z", **given)
    return make_settings(config.for_zoo(TABLE, 10), TABLE, num_train=50)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"recipe": "mlp"}, "kennen-o/mlp/seed0"),
        (
            {"method": "kennen-io", "recipe": "paper", "seed": 3},
            "kennen-io/paper/seed3",
        ),
        ({"method": "linear"}, "linear/seed0"),
    ],
)
def test_a_run_is_named_by_what_it_is(given, name):
    assert run_name(MetamodelConfig(query_dir="q", zoo_dir="z", **given)) == name


def test_what_did_not_matter_is_not_shown():
    common = {"1 method", "3 seed", "4 classifiers", "5 queries", "answers", "split"}
    assert set(settings_of(method="linear", epochs=9)) == common
    kernel = settings_of(recipe="kernel", batch_size=9)
    assert set(kernel) == {*common, "2 recipe"}
    assert "query seed" not in settings_of(query_seed=0)
    assert settings_of(query_seed=4)["query seed"] == 4


def test_what_was_left_to_its_default_has_its_number():
    crafted = settings_of(method="kennen-io", recipe="paper")
    assert (crafted["epochs"], crafted["image epochs"]) == (200, 100)
    assert crafted["batch size"] == 100 and crafted["starts"] == "validation"
    assert settings_of(representation="top-k")["answers"] == "top-10"
    assert settings_of(representation="top-k", top_k=3)["answers"] == "top-3"
    one = settings_of(method="kennen-i", attribute="pool")
    assert (one["attribute"], one["5 queries"], one["answers"]) == ("pool", 1, "top-1")
    assert "epochs" not in one


def test_short_trainings_are_evaluated_every_epoch():
    config = MetamodelConfig(query_dir="q")
    assert [config.epochs_between(n) for n in (1, 60, 100, 101, 200)] == [1, 1, 1, 2, 2]
    given = MetamodelConfig(query_dir="q", evaluate_every=7)
    assert given.epochs_between(60) == given.image_epochs_between == 7
