"""A metamodel knows its limits: what it says of itself, and that it keeps it."""

import dataclasses
import json

import fakes
import keras
import numpy as np
import pytest

from kennen_tf.configs import metamodels
from kennen_tf.configs.evaluation import EvaluationConfig
from kennen_tf.configs.exporting import ExportConfig
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.evaluate_metamodel import evaluate_metamodel
from kennen_tf.evaluation import limits as limits_lib
from kennen_tf.evaluation.results import read_results
from kennen_tf.export_metamodel import export_metamodel
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels import left_out as left_out_lib
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.metamodels.metrics import Side
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.revealing.exported_metamodel import ExportedMetamodel
from pipelines import query_outputs

NUM_QUERIES = 24


def write_outputs(folder, shuffled):
    fakes.write_query_outputs(folder, 400, NUM_QUERIES, planted=True, shuffled=shuffled)
    return str(folder)


def make(query_dir, folder, train, **settings):
    config = MetamodelConfig(
        query_dir=query_dir,
        metamodel_dir=str(folder),
        num_queries=NUM_QUERIES,
        **settings,
    )
    train(config)
    return Metamodel.load(folder)


def read_test_entries(metamodel):
    info = QueryOutputsInfo.open(metamodel.config.query_dir)
    ids, places = metamodel.split.test_ids, metamodel.query_indices
    return query_outputs.load_arrays(info, ids, places, None)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return write_outputs(tmp_path_factory.mktemp("planted"), False)


@pytest.fixture(scope="module")
def metamodel(planted, tmp_path_factory, train):
    folder = tmp_path_factory.mktemp("metamodel")
    own = make(planted, folder, train, recipe="kernel")
    evaluate_metamodel(EvaluationConfig(metamodel_dir=str(folder)))
    return own


@pytest.fixture(scope="module")
def exported(metamodel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "o"
    own = str(metamodel.folder)
    export_metamodel(ExportConfig(metamodel_dir=own, export_dir=str(folder)))
    return ExportedMetamodel.load(folder)


def name_values(assessed):
    return np.array([[p.argmax() for p in a.probabilities.values()] for a in assessed])


def round_answers(probabilities, decimals):
    rounded = np.round(probabilities.astype(float), decimals)
    return (rounded / rounded.sum(axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.long
def test_results_say_whether_it_keeps_what_it_promises(metamodel):
    document = read_results(metamodel.folder)
    assert document["calibration"]["all"]["error"] < 0.05
    assert set(document["calibration"]["attributes"]) == set(TABLE.names)
    assert 0.85 < document["sets"]["coverage"] < 0.97
    assert document["sets"]["plausible"] < 0.8  # Much is ruled out.
    assert document["false_alarms"]["share"] < 0.15
    assert (metamodel.folder / "figures" / "reliability.png").exists()


@pytest.mark.long
def test_of_shuffled_labels_nothing_is_ruled_out(tmp_path, train, undrawn):
    query_dir = write_outputs(tmp_path / "queries", True)
    make(query_dir, tmp_path / "m", train, recipe="kernel")
    evaluate_metamodel(EvaluationConfig(metamodel_dir=str(tmp_path / "m")))
    document = read_results(tmp_path / "m")
    assert document["sets"]["cannot_tell"] > 0.9
    assert document["calibration"]["all"]["error"] < 0.05


@pytest.mark.long
def test_an_export_says_of_answers_what_the_metamodel_does(metamodel, exported):
    probabilities, _ = read_test_entries(metamodel)
    np.testing.assert_array_equal(exported.labels, metamodel.query_inputs.labels)
    assert exported.labels.dtype == np.int32
    assessed = exported.assess(probabilities)
    predicted = metamodel.predict(probabilities)
    for name in TABLE.names:
        given = [own.probabilities[name] for own in assessed]
        np.testing.assert_allclose(given, predicted[name], atol=1e-4)
    document = read_results(metamodel.folder)
    alarms = np.mean([own.p_value <= 0.05 for own in assessed])
    assert alarms == pytest.approx(document["false_alarms"]["share"], abs=0.02)
    rows = document["sets"]["attributes"]
    held = np.mean([len(own.plausible["act"]) for own in assessed])
    assert held / len(TABLE["act"].values) == pytest.approx(rows["act"]["plausible"])
    assert {own.resolution for own in assessed} == {0.0}


@pytest.mark.long
@pytest.mark.parametrize(("decimals", "share"), [(6, 0.99), (4, 0.95), (3, 0.9)])
def test_answers_of_few_decimals_say_what_unrounded_ones_do(
    metamodel, exported, decimals, share
):
    probabilities, _ = read_test_entries(metamodel)
    rounded = round_answers(probabilities, decimals)
    step = [10.0**-decimals] * len(rounded)
    ours = exported.assess(rounded, step)
    assert ours[0].resolution >= step[0]
    whole = name_values(exported.assess(probabilities, step))
    assert np.mean(name_values(ours) == whole) >= share


@pytest.mark.long
def test_each_black_box_is_read_at_its_own_level(metamodel, exported):
    probabilities = read_test_entries(metamodel)[0][:4]
    mixed = exported.assess(probabilities, [1e-3, 0.0, 1e-4, 1e-3])
    assert [own.resolution for own in mixed] == [1e-2, 0.0, 1e-4, 1e-2]
    for step in (0.0, 1e-3, 1e-4):
        all_alike = exported.assess(probabilities, [step] * 4)
        for own, alone in zip(mixed, all_alike, strict=True):
            if own.resolution == alone.resolution:
                np.testing.assert_allclose(
                    own.probabilities["act"], alone.probabilities["act"], atol=1e-4
                )
                assert own.plausible == alone.plausible
    with pytest.raises(ValueError, match="one for each of 4 black boxes"):
        exported.assess(probabilities, [0.0])


@pytest.mark.long
def test_what_answers_to_all_the_same_is_called_strange(exported):
    answer = np.random.default_rng(0).dirichlet(np.ones(10))
    constant = np.tile(answer, (1, NUM_QUERIES, 1)).astype(np.float32)
    nothing = np.full_like(constant, 0.1)
    for own in exported.assess(np.concatenate([constant, nothing])):
        assert own.p_value <= 0.05 and own.strange_by == "constant"
    assert exported.assess(nothing)[0].sharpness_rank == 0.0


@pytest.mark.long
def test_a_coarse_metamodel_reads_what_has_a_floor(metamodel):
    coarse = metamodel.load_coarse()
    assert len(coarse) == len(limits_lib.COARSE) == len(metamodel.limits) - 1
    features = metamodel.represent(read_test_entries(metamodel)[0])
    below = np.minimum(features, -14.0)  # Less than a millionth.
    hidden = np.where(features < np.log(1e-3), below, features)
    last = coarse[-1]
    for name in ("act", "pool"):
        np.testing.assert_allclose(last(features)[name], last(hidden)[name], atol=0.2)


@pytest.mark.long
@pytest.mark.parametrize("method", ["linear", "mlp", "joined"])
def test_what_is_trained_learns_its_limits_from_a_second_training(
    method, planted, train, tmp_path, undrawn
):
    how = {"recipe": method, "epochs": 25}
    if method == "linear":
        how = {"method": "linear"}
    own = make(planted, tmp_path, train, **how)
    evaluate_metamodel(EvaluationConfig(metamodel_dir=str(tmp_path)))
    document = read_results(tmp_path)
    assert document["calibration"]["all"]["error"] < 0.07
    assert document["sets"]["coverage"] > 0.85
    # Of coarser answers, only what is solved for is known.
    num_coarse = len(limits_lib.COARSE) if method == "joined" else 0
    assert len(own.limits) == 1 + num_coarse
    assert len(own.load_coarse()) == num_coarse


def make_side(num_entries=40):
    random = np.random.default_rng(0)
    features = random.normal(size=(num_entries, 3, 4)).astype(np.float32)
    return Side(features, {"a": random.integers(2, size=num_entries)})


def make_model(strength=3.0):
    inputs = keras.Input((3, 4))
    layer = keras.layers.Dense(2, name="a_logits")
    logits = layer(keras.layers.Flatten()(inputs))
    layer.set_weights(
        [strength * np.random.default_rng(1).normal(size=(12, 2)), np.zeros(2)]
    )
    return keras.Model(inputs, {"a": keras.layers.Softmax(name="a")(logits)})


def test_those_left_out_were_not_trained_on():
    side, ids = make_side(), [f"c{i // 2}" for i in range(40)]
    seen = []

    def refit(others, combination_ids):
        assert len(others) == len(combination_ids) == len(others.labels["a"])
        seen.append(set(combination_ids))
        return make_model(len(seen))

    left_out = left_out_lib.leave_out(refit, side, ids, left_out_lib.deal(ids))["a"]
    for number, known in enumerate(seen, start=1):
        is_out = ~np.isin(ids, sorted(known))
        assert 0.1 < is_out.mean() < 0.4
        expected = make_model(number)(side.features[is_out])["a"]
        np.testing.assert_allclose(left_out[is_out], expected, atol=1e-5)
    one = left_out_lib.leave_out(refit, side, ids, left_out_lib.deal(ids)[:1])["a"]
    assert 0.6 < np.isnan(one).mean() < 0.9


def test_calibration_takes_confidence_back_and_changes_no_name():
    side, model = make_side(400), make_model()
    before = left_out_lib.answer(model, side.features)
    # Labels that have nothing to do with the answers.
    calibrated, after = left_out_lib.calibrate(model, side.labels, dict(before))
    now = left_out_lib.answer(calibrated, side.features)["a"]
    np.testing.assert_allclose(now, after["a"], atol=1e-5)
    np.testing.assert_array_equal(now.argmax(axis=1), before["a"].argmax(axis=1))
    assert before["a"].max(axis=1).mean() > 0.9
    assert now.max(axis=1).mean() < 0.75
    # With labels that are right, it becomes surer.
    right = {"a": before["a"].argmax(axis=1)}
    surer, _ = left_out_lib.calibrate(model, right, dict(before))
    assert (
        left_out_lib.answer(surer, side.features)["a"].max(axis=1) > 0.99
    ).mean() > 0.9


def test_recipes_that_gained_a_choice_are_what_they_were(planted):
    info = QueryOutputsInfo.open(planted)
    for recipe in ("mlp", "paper", "kernel", "joined"):
        config = MetamodelConfig(query_dir=planted, recipe=recipe)
        config = config.for_zoo(info.attributes, info.num_classes)
        stored = folder_lib.describe(config, info)["recipe"]
        # Not said where it is as before, so that fingerprints stay.
        assert ("divide" in stored) == metamodels.RECIPES[recipe].divide
        assert ("beside" in stored) == (recipe == "joined")
        read = type(metamodels.RECIPES[recipe]).from_json(
            json.loads(json.dumps(stored))
        )
        assert read == config.make_recipe(info.attributes)
    before = dataclasses.replace(metamodels.RECIPES["kernel"], divide=False)
    assert not any("normalize" in how and how["normalize"] for how in before.views)
