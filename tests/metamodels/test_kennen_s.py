"""Choosing natural queries: what is planted is found, nothing else is looked at."""

import dataclasses

import fakes
import numpy as np
import pytest

from kennen_tf.attributes import MISSING
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels import kennen_s
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.metamodels.recipes import fitting
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from pipelines import query_outputs

NUM_QUERIES = 30


def make_outputs(num_entries=240, told=(), seed=0):
    """Makes noise; query i of `told` betrays its attribute by digits' probabilities."""
    random = np.random.default_rng(seed)
    entries = fakes.make_entries(num_entries, seed)
    outputs = random.normal(0, 1, (num_entries, NUM_QUERIES, 10)).astype(np.float32)
    rows = [TABLE.labels(entry.values) for entry in entries]
    labels = {n: np.array([row[n] for row in rows]) for n in TABLE.names}
    for query, name in told:
        outputs[np.arange(num_entries), query, labels[name]] += 6
    return outputs, labels, [entry.combination_id for entry in entries]


def test_queries_that_tell_are_chosen_first_and_each_thing_once():
    told = [(3, "act"), (7, "act"), (11, "split"), (20, "alg")]
    chosen = kennen_s.choose(TABLE, *make_outputs(told=told), 3, seed=0)
    assert len({3, 7} & set(chosen)) == 1
    assert {11, 20} <= set(chosen)


def test_with_more_queries_the_first_stay_the_same_until_all_are_chosen():
    made = make_outputs(60, told=[(3, "act")])
    chosen = kennen_s.choose(TABLE, *made, NUM_QUERIES, seed=1)
    assert sorted(chosen) == list(range(NUM_QUERIES))
    assert kennen_s.choose(TABLE, *made, 5, seed=1) == chosen[:5]


# Eleven features of a query, and more or fewer entries to fit to.
@pytest.mark.parametrize("num_entries", [80, 12])
def test_what_a_query_adds_is_what_a_regression_with_it_adds(num_entries):
    """The shortcut, query by query, against a regression that is fitted at once."""
    told = [(3, "act"), (4, "pool")]
    outputs, labels, combination_ids = make_outputs(num_entries, told=told)
    x = kennen_s._standardize(outputs)
    targets, weights = kennen_s._make_targets(TABLE, labels)
    is_out = kennen_s._draw_folds(combination_ids, 0)[0]
    fold = kennen_s._Fold(x, targets, weights, is_out)
    assert fold._is_wide == (num_entries == 12)
    fold.add(3)
    fold.add(9)
    errors = fold.errors()
    for query in (0, 4, 29):
        joined = np.concatenate([x[3], x[9], x[query]], axis=1)
        own, out = joined[~is_out], joined[is_out]
        gram = own.T @ own + kennen_s.RIDGE * np.eye(own.shape[1])
        reading = np.linalg.solve(gram, own.T @ targets[~is_out])
        left = targets[is_out] - out @ reading
        assert errors[query] == pytest.approx(
            np.sum(weights[is_out] * left**2), rel=1e-4
        )


def test_combinations_are_left_out_as_a_whole_and_once():
    combination_ids = [f"c{number // 3}" for number in range(30)]
    folds = np.array(kennen_s._draw_folds(combination_ids, 0))
    assert (folds.sum(axis=0) == 1).all()
    assert len(folds) == kennen_s.NUM_FOLDS
    for fold in folds:
        assert all(len(set(fold[start : start + 3])) == 1 for start in range(0, 30, 3))
    assert len(kennen_s._draw_folds(["a", "b", "b"], 0)) == 2


def test_of_queries_that_tell_the_same_each_is_chosen_once():
    outputs, labels, combination_ids = make_outputs(60, told=[(3, "act")])
    outputs[:] = outputs[:, [3]]
    chosen = kennen_s.choose(TABLE, outputs, labels, combination_ids, 30, seed=0)
    assert chosen[0] == 0
    assert sorted(chosen) == list(range(NUM_QUERIES))


def test_outputs_that_never_vary_are_no_nuisance():
    outputs, labels, combination_ids = make_outputs(200, told=[(3, "act")])
    outputs[:, 5] = -2.3
    assert kennen_s.choose(TABLE, outputs, labels, combination_ids, 1, seed=0) == [3]


def test_entries_without_a_value_have_no_part_in_its_regression():
    made = make_outputs(80, told=[(3, "act"), (4, "pool"), (5, "act")])
    outputs, labels, combination_ids = made
    table = TABLE.select(["act"])
    # Twice the same entries: the standardisation is the same with half of them.
    doubled = np.concatenate([outputs, outputs])
    twice = {"act": np.concatenate([labels["act"], np.full(80, MISSING)])}
    ids = combination_ids * 2
    alone = kennen_s.choose(table, outputs, labels, combination_ids, 8, seed=0)
    assert kennen_s.choose(table, doubled, twice, ids, 8, seed=0) == alone
    assert set(alone[:2]) == {3, 5}
    # An attribute that nobody has is nobody's.
    nobody = {**labels, "pool": np.full(80, MISSING)}
    both = TABLE.select(["act", "pool"])
    assert kennen_s.choose(both, outputs, nobody, combination_ids, 8, seed=0) == alone


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    fakes.write_query_outputs(folder, 300, 36, planted=True, share=1.0)
    return folder


def make_config(planted, folder, **settings):
    return MetamodelConfig(
        **{
            "method": "kennen-s",
            "recipe": "mlp",
            "query_dir": str(planted),
            "metamodel_dir": str(folder),
            "num_queries": 12,
            "epochs": 12,
            "checkpoint_every": 4,
            **settings,
        }
    )


@pytest.mark.long
def test_twelve_queries_are_chosen_that_tell_twelve_attributes(
    planted, train, tmp_path, undrawn
):
    train(make_config(planted, tmp_path / "m", recipe="kernel", epochs=0))
    metamodel = Metamodel.load(tmp_path / "m")
    # Query i tells attribute i modulo 12.
    told = {place % 12 for place in metamodel.query_indices}
    assert len(told) >= 10, metamodel.query_indices
    info = QueryOutputsInfo.open(str(planted))
    np.testing.assert_array_equal(
        metamodel.query_inputs.images,
        info.query_inputs.take(metamodel.query_indices).images,
    )


class Watched:
    """Outputs that remember whose answers were read."""

    def __init__(self):
        self.asked = set()

    def load_arrays(self, info, entry_ids, *rest):
        self.asked |= set(entry_ids)
        return query_outputs.load_arrays(info, entry_ids, *rest)


def test_test_classifiers_have_no_say(planted, make_job, tmp_path):
    outputs = Watched()
    job = make_job(make_config(planted, tmp_path / "m"), outputs=outputs)
    assert len(job.choose_queries()) == 12
    assert outputs.asked == set(job.split.train_ids)


def test_kennen_io_begins_with_the_queries_that_tell_most(planted, make_job, tmp_path):
    config = make_config(
        planted, tmp_path / "io", method="kennen-io", zoo_dir="zoo", num_queries=10
    )
    indices = make_job(config).choose_queries()
    assert len(set(indices)) == 10
    is_chosen = config.make_crafting_recipe().chosen_places(10)
    assert sum(is_chosen) == 3
    own = make_config(planted, tmp_path / "s", num_queries=3)
    chosen = [i for i, own in zip(indices, is_chosen, strict=True) if own]
    assert chosen == make_job(own).choose_queries()
    by_chance = dataclasses.replace(config, recipe="paper")
    assert make_job(by_chance).choose_queries() == folder_lib.draw_queries(
        QueryOutputsInfo.open(str(planted)), 10, config.seed
    )


class Stopped(Exception):
    pass


@pytest.mark.long
def test_a_stopped_training_goes_on_with_the_queries_it_chose(
    planted, train, tmp_path, monkeypatch, undrawn
):
    config = make_config(planted, tmp_path / "m", epochs=2)
    with monkeypatch.context() as patches:

        def stop(*args, **kwargs):
            raise Stopped

        patches.setattr(fitting.Trainer, "fit", stop)
        with pytest.raises(Stopped):
            train(config)
    chosen = folder_lib.read_query_indices(tmp_path / "m")
    monkeypatch.setattr(kennen_s, "choose", None)
    train(dataclasses.replace(config, resume=True))
    assert list(Metamodel.load(tmp_path / "m").query_indices) == chosen
