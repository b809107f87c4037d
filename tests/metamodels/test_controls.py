"""Controls: what is planted is read, and what is not there to be told is not."""

import dataclasses

import fakes
import numpy as np
import pytest

from kennen_tf.configs import metamodels
from kennen_tf.configs.evaluation import EvaluationConfig
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.evaluate_metamodel import evaluate_metamodel
from kennen_tf.evaluation.results import read_results
from kennen_tf.evaluation.scores import class_balanced_accuracy
from kennen_tf.metamodels import jobs, making, metrics
from kennen_tf.metamodels.recipes import linear, solving
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from pipelines.outputs_in_memory import OutputsInMemory

# Recipes of kennen-o, and the yardstick.
METHODS = ("kernel", "svm", "ridge", "mlp", "joined", "linear")
NUM_SHUFFLES = 6
NUM_TRAIN, NUM_TEST = 200, 300
CHANCE = np.mean([attribute.chance for attribute in TABLE])


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    fakes.write_query_outputs(folder, 600, 24, planted=True, share=1.0)
    return str(folder)


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "representation"),
    [
        *((method, "probabilities") for method in METHODS),
        ("kernel", "top-1"),
        ("mlp", "top-1"),
    ],
)
def test_a_zoo_that_betrays_its_attributes_is_read_at_100_percent(
    method, representation, planted, train, tmp_path, undrawn
):
    config = make_config(planted, tmp_path, method, representation=representation)
    train(config)
    evaluate_metamodel(EvaluationConfig(metamodel_dir=str(tmp_path)))
    results = read_results(tmp_path)
    assert {row["name"]: row["accuracy"] for row in results["attributes"]} == (
        dict.fromkeys(TABLE.names, 1.0)
    )


def make_config(query_dir, folder, method, **settings):
    """Makes settings of a recipe of kennen-o, or of the method "linear"."""
    which = {"method": method} if method == "linear" else {"recipe": method}
    epochs = {"epochs": 25} if method in ("mlp", "joined") else {}
    return MetamodelConfig(
        **{
            "query_dir": query_dir,
            "metamodel_dir": str(folder),
            "num_queries": 24,
            **which,
            **epochs,
            **settings,
        }
    )


class RandomOutputs:
    """Query outputs where each entry has those of any one, drawn at random."""

    def __init__(self, info, seed):
        self._outputs = OutputsInMemory(info)
        ids = [entry.id for entry in info.entries]
        drawn = np.random.default_rng(seed).choice(ids, len(ids))
        self._source_of = dict(zip(ids, drawn, strict=True))

    def load_arrays(self, info, entry_ids, *reading):
        _, labels = self._outputs.load_arrays(info, entry_ids, *reading)
        sources = [self._source_of[entry_id] for entry_id in sorted(set(entry_ids))]
        read, places = np.unique(sources, return_inverse=True)
        features, _ = self._outputs.load_arrays(info, read, *reading)
        return features[places], labels


@pytest.fixture(scope="module")
def shuffles(planted):
    info = QueryOutputsInfo.open(planted)
    return [RandomOutputs(info, seed) for seed in range(NUM_SHUFFLES)]


@pytest.mark.long
@pytest.mark.parametrize("method", METHODS)
def test_labels_shuffled_over_classifiers_are_read_at_chance(
    method, planted, shuffles, make_job, tmp_path, monkeypatch
):
    for name in ("mlp", "joined"):
        own = metamodels.RECIPES[name]
        tiny = dataclasses.replace(own, hidden_units=(32,), members=1)
        monkeypatch.setitem(metamodels.RECIPES, name, tiny)
    averages, deviations = [], []
    for seed, outputs in enumerate(shuffles):
        config = make_config(
            planted,
            tmp_path / str(seed),
            method,
            num_train=NUM_TRAIN,
            num_test=NUM_TEST,
            seed=seed,
        )
        job = make_job(config, keeps_curves=False, outputs=outputs)
        model = making.make(job).model
        train, test = jobs.load_sides(job)
        assert len(test) >= NUM_TEST
        accuracies, by_chance = read(model, test)
        averages.append(np.mean(accuracies))
        deviations.append(np.mean(by_chance))
        # Those that it was trained on are known, by heart: were they tested on, it
        # would be seen.
        assert np.mean(read(model, train)[0]) > averages[-1] + 0.1
    # Shuffles are independent of each other. Attributes may not be, so their deviations
    # are added as if they were all right together and all wrong together.
    deviation = np.sqrt(np.mean(np.square(deviations)) / NUM_SHUFFLES)
    assert 3 * deviation < 0.035
    assert abs(np.mean(averages) - CHANCE) < 3 * deviation


def read(model, side):
    """Returns class-balanced accuracies, and how far chance takes each from 1 / values.

    Where outputs tell nothing, of n entries with a value a share is named rightly whose
    mean is p, the share of all entries that are named so, with variance p (1 - p) / n.
    Shares p add up to 1, so the mean over K values is 1 / K, and its variance the sum
    of theirs over K ** 2.
    """
    accuracies, deviations = [], []
    for name, probabilities in model(side.features).items():
        named, true = probabilities.numpy().argmax(axis=1), side.labels[name]
        num_values = probabilities.shape[1]
        accuracies.append(class_balanced_accuracy(true, named, num_values))
        share = np.bincount(named, minlength=num_values) / len(named)
        count = np.bincount(true, minlength=num_values)
        deviations.append(np.sqrt(np.sum(share * (1 - share) / count)) / num_values)
    return accuracies, deviations


@pytest.mark.parametrize("recipe", ["kernel", "svm", "ridge", "linear"])
def test_of_twins_that_differ_in_an_attribute_nobody_can_tell_which_is_which(recipe):
    table = TABLE.select(["drop", "pool"])
    entries = fakes.make_entries(240)
    x, labels = fakes.make_arrays(entries, 12, planted=True)
    # Each entry twice, as if its file were saved again; of the twins, one has pooling.
    twice = np.concatenate([x, x])
    own = {
        "drop": np.tile(labels["drop"], 2),
        "pool": np.concatenate([labels["pool"], 1 - labels["pool"]]),
    }
    ids = [entry.combination_id for entry in entries]
    ids += [f"{name} again" for name in ids]
    if recipe == "linear":
        answering, _ = linear.fit(table, twice, own, is_balanced=True)
    else:
        answering, _ = solving.fit(metamodels.RECIPES[recipe], table, twice, own, ids)
    answers = {name: values.numpy() for name, values in answering(twice).items()}
    np.testing.assert_array_equal(answers["drop"][:240], answers["drop"][240:])
    assert class_balanced_accuracy(own["drop"], answers["drop"].argmax(1), 2) > 0.98
    np.testing.assert_allclose(answers["pool"], 0.5, atol=0.05)
    # Told apart by nothing, exactly one of each two is named rightly.
    assert class_balanced_accuracy(own["pool"], answers["pool"].argmax(1), 2) == 0.5


def test_answers_that_tie_are_at_chance():
    entries = fakes.make_entries(200)
    labels = {
        name: np.array([TABLE.labels(e.values)[name] for e in entries])
        for name in TABLE.names
    }
    assert all(len(set(own)) == len(TABLE[name].values) for name, own in labels.items())
    logits = np.zeros((200, sum(TABLE.num_values)), np.float32)
    found = metrics.score(TABLE, labels, logits, skip=())["accuracy"]
    assert found == {attribute.name: attribute.chance for attribute in TABLE}


def test_as_many_queries_as_are_stored_are_read_once_each(planted, make_job, tmp_path):
    for method in ("kennen-o", "kennen-s"):
        config = make_config(planted, tmp_path, "kernel")
        job = make_job(dataclasses.replace(config, method=method))
        assert sorted(job.choose_queries()) == list(range(24))
