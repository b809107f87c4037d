"""wild_net: every combination that is drawn can be built, within bounds of cost."""

import collections

import keras
import numpy as np
import pytest

from kennen_tf.attributes import MISSING, Facts
from kennen_tf.designs import building, wild_layers
from kennen_tf.designs.design import load_design
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import specs

DESIGN = load_design("wild_net")
TABLE = DESIGN.attributes

# A network of the kind that is found most.
USUAL = {
    **{"act": "relu", "pool": "max", "ks": 3, "conv": 3, "fc": 2, "filters": 32},
    **{"units": 64, "drop_conv": "no", "drop_fc": "yes", "norm": "no"},
    **{"growth": "yes", "taper": "no", "pad": "valid", "per_pool": 1},
    **{
        "head": "flatten",
        "alg": "adam",
        "bs": 64,
        "epochs": 5,
        "size": "all",
        "pixels": "unit",
    },
}
SOME = specs.sample_specs(DESIGN, 16, 1, root_seed=0)
MANY = specs.sample_specs(DESIGN, 2000, 1, root_seed=1)


def make_spec(**changes):
    return specs.read_spec(TABLE, {**USUAL, "seed": 3, **changes})


def build(spec):
    return building.build_logits(DESIGN, spec.combination, lambda *names: len(names))


def complete(spec, num_params=93_322):
    return TABLE.complete(Facts(combination=spec.combination, num_params=num_params))


def test_the_usual_network_is_what_tutorials_have():
    model = build(make_spec())
    kinds = [type(layer).__name__ for layer in model.layers[2:]]
    assert kinds == [
        *("Conv2D", "Activation", "MaxPooling2D") * 2,
        *("Conv2D", "Activation", "Flatten"),
        *("Dense", "Activation", "Dropout", "Dense"),
    ]
    assert model.count_params() == 93_322
    values = complete(make_spec())
    assert (values["kind"], values["drop"], values["bn"]) == (
        "convolutional",
        "yes",
        "no",
    )
    assert values["par"] == 16


def test_normalisation_stands_on_either_side_of_activation():
    for norm, wanted in (
        ("before", ["Conv2D", "BatchNormalization", "Activation"]),
        ("after", ["Conv2D", "Activation", "BatchNormalization"]),
    ):
        model = build(make_spec(norm=norm))
        assert [type(layer).__name__ for layer in model.layers[2:5]] == wanted
        assert complete(make_spec(norm=norm))["bn"] == "yes"


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        (
            {"conv": 0},
            {"pool", "ks", "filters", "drop_conv", "growth", "pad", "per_pool", "head"},
        ),
        ({"conv": 1}, {"growth", "per_pool", "head"}),
        ({"conv": 2}, {"head"}),
        ({"pool": "no"}, {"per_pool"}),
        ({"fc": 1}, {"units"}),
        ({"fc": 3}, set()),
        (
            {"conv": 0, "fc": 1},
            {"act", "pool", "ks", "filters", "units", "drop_conv", "drop_fc"}
            | {"norm", "growth", "pad", "per_pool", "head", "drop", "bn"},
        ),
    ],
)
def test_what_does_not_apply_has_no_value(changes, missing):
    if changes.get("fc", 2) < 3:
        missing = missing | {"taper"}
    values = complete(make_spec(**changes))
    assert {name for name, value in values.items() if value is None} == missing
    labels = TABLE.labels(values)
    assert {name for name, label in labels.items() if label == MISSING} == missing


def test_specs_that_differ_in_what_does_not_apply_are_the_same():
    given = make_spec(conv=0, fc=3)
    assert given == make_spec(conv=0, fc=3, ks=5, pool="average", filters=8)
    again = specs.read_spec(TABLE, given.to_json())  # With None in it.
    assert again == given and again.id == given.id
    assert again.combination["ks"] is None
    index = given.combination_index
    assert specs.make_spec(TABLE, index, 3) == given


def test_what_applies_must_have_a_value():
    with pytest.raises(UserError, match="'ks' applies to this spec"):
        make_spec(ks=None)


def test_draws_are_repeatable_and_grow():
    assert SOME == specs.sample_specs(DESIGN, 16, 1, root_seed=0)
    assert SOME[:10] == specs.sample_specs(DESIGN, 10, 1, root_seed=0)
    assert SOME != specs.sample_specs(DESIGN, 16, 1, root_seed=1)
    assert len({spec.id for spec in MANY}) == len(MANY)
    by_id = {spec.combination_id: spec.combination for spec in MANY}
    assert all(by_id[spec.combination_id] == spec.combination for spec in MANY)


def test_each_value_is_drawn_often_enough_to_be_learned():
    for attribute in TABLE.chosen:
        counts = collections.Counter(spec[attribute.name] for spec in MANY)
        counts.pop(None, None)
        for value in attribute.values:
            share = counts[value] / counts.total()
            assert share > 0.25 / len(attribute.values), (attribute.name, value)


def test_no_classifier_costs_more_than_the_bound():
    seconds = [wild_layers.estimate_seconds(spec.combination) for spec in MANY]
    assert max(seconds) <= wild_layers.MOST_SECONDS
    assert np.mean(seconds) <= wild_layers.MEAN_SECONDS


@pytest.mark.parametrize("spec", SOME, ids=lambda spec: spec.id)
def test_planned_layers_are_those_that_are_built(spec):
    model = build(spec)
    building.check_model(model, DESIGN, (28, 28, 1), 10)
    values = spec.combination
    built = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    planned = wild_layers.plan_convolutions(values)
    assert [(x.output.shape[1], x.filters) for x in built] == [
        (x.side, x.filters) for x in planned
    ]
    dense = [x for x in model.layers if isinstance(x, keras.layers.Dense)]
    assert len(dense) == values["fc"]
    assert dense[0].input.shape[1] == wild_layers.count_features(values)
    num_params = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    TABLE.labels(complete(spec, num_params))
