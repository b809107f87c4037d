"""kennen-i and kennen-io from end to end, on small zoos with planted answers."""

import dataclasses
import pathlib
import shutil

import fakes
import numpy as np
import pytest

from kennen_tf.configs.evaluation import EvaluationConfig
from kennen_tf.configs.exporting import ExportConfig
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.queries import QueryConfig
from kennen_tf.configs.revealing import RevealConfig
from kennen_tf.designs.mnist_table import TABLE
from kennen_tf.evaluate_metamodel import evaluate_metamodel
from kennen_tf.evaluation.results import read_results
from kennen_tf.export_metamodel import export_metamodel
from kennen_tf.machine import distribution
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels.crafting import descent
from kennen_tf.metamodels.crafting.gradients import GradientBank
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.metamodels.recipes import checkpoints
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.query_zoo import query_zoo
from kennen_tf.reveal_black_box import reveal_black_box
from kennen_tf.revealing.exported_metamodel import ExportedMetamodel
from kennen_tf.train_metamodel import train_metamodel
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import store

pytestmark = [
    pytest.mark.long,
    # Functions of datasets are compiled all the same.
    pytest.mark.filterwarnings("ignore:Even though the `tf.config.*eagerly"),
]

METHODS = ("kennen-i", "kennen-io")


NUM_SHUFFLES = 6
# One of each network of the recipe mlp, and what is planted.
NAMES = ("act", "fc", "alg", "split")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    return fakes.make_betraying_zoo(folder, num_combinations=20, names=NAMES)


def make_config(folder, metamodel_dir, method, **settings):
    return MetamodelConfig(
        **{
            "method": method,
            "recipe": "mlp",
            "attribute": "alg" if method == "kennen-i" else "all",
            "zoo_dir": str(folder / "zoo"),
            "query_dir": str(folder / "q"),
            "metamodel_dir": str(metamodel_dir),
            "num_queries": 6,
            "strategy": "one_device",
            "image_epochs": 3,
            "epochs": 30,
            "checkpoint_every": 2,
            "evaluate_every": 15,
            **settings,
        }
    )


@pytest.fixture(scope="module", params=METHODS)
def trained(request, planted, tmp_path_factory):
    """The config of a metamodel that was trained without interruption."""
    folder = tmp_path_factory.mktemp("runs") / request.param
    config = make_config(planted, folder, request.param)
    train_metamodel(config)
    return config


def score(metamodel_dir):
    evaluate_metamodel(EvaluationConfig(metamodel_dir=str(metamodel_dir)))
    results = read_results(metamodel_dir)
    return {row["name"]: row for row in results["attributes"]}


def test_what_is_planted_is_read_scored_exported_and_revealed(
    trained, planted, tmp_path, capsys
):
    result = score(trained.metamodel_dir)["alg"]
    assert result["accuracy"] == 1.0
    capsys.readouterr()

    export_dir = str(tmp_path / "exported")
    export_metamodel(
        ExportConfig(metamodel_dir=trained.metamodel_dir, export_dir=export_dir)
    )
    metamodel = Metamodel.load(trained.metamodel_dir)
    # Black boxes are asked first what most classifiers name rightly.
    exported = ExportedMetamodel.load(export_dir)
    assert len(metamodel.query_accuracies) == len(exported.queries)
    assert tuple(exported.query_accuracies) == metamodel.query_accuracies
    test_id = min(i for i in metamodel.split.test_ids if "+" not in i)
    path = planted / "zoo" / "classifiers" / f"{test_id}.keras"
    reveal_black_box(
        RevealConfig(
            metamodel=export_dir, black_box=str(path), zoo_dir=str(planted / "zoo")
        )
    )
    row = next(
        line.split() for line in capsys.readouterr().out.splitlines() if "alg " in line
    )
    assert "(!)" not in row  # It marks a value that is not the true one.


def test_the_queries_are_crafted_images_and_are_shown(trained, planted):
    queries = Metamodel.load(trained.metamodel_dir).query_inputs
    stored = QueryInputs.load(planted / "q" / "queries.npz")
    same = (queries.images[:, np.newaxis] == stored.images).all(axis=(2, 3, 4))
    # Of the first ten starts of kennen-io, three are natural and stay so.
    is_natural = {"kennen-i": [False], "kennen-io": [True, False, False] * 2}
    assert same.any(axis=1).tolist() == is_natural[trained.method]
    assert len(queries) == {"kennen-i": 1}.get(trained.method, 6)
    for name in ("crafted.png", "curves.png"):
        path = f"{trained.metamodel_dir}/figures/{name}"
        with open(path, "rb") as file:
            assert file.read(4) == b"\x89PNG"


def write_random_labels(planted, query_dir, seed):
    """Writes the planted zoo's answers beside optimizers drawn at random."""
    info = QueryOutputsInfo.open(planted / "q")
    drawn = np.random.default_rng(seed).choice(TABLE["alg"].values, len(info.entries))
    entries = [
        dataclasses.replace(entry, values={**entry.values, "alg": str(alg)})
        for entry, alg in zip(info.entries, drawn, strict=True)
    ]
    fakes.write_again(info, query_dir, entries, info.attributes)


@pytest.fixture(scope="module")
def shuffled(planted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shuffled")
    for seed in range(NUM_SHUFFLES):
        write_random_labels(planted, folder / str(seed), seed)
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_labels_shuffled_over_classifiers_are_read_at_chance(
    method, planted, shuffled, train, tmp_path, undrawn
):
    accuracies, variances = [], []
    for seed in range(NUM_SHUFFLES):
        folder = tmp_path / str(seed)
        config = make_config(planted, folder, method, recipe="kernel", num_test=30)
        settings = {"query_dir": str(shuffled / str(seed)), "seed": seed, "epochs": 0}
        train(dataclasses.replace(config, image_epochs=1, **settings))
        row = score(folder)["alg"]
        confusion = np.array(row["confusion"])
        accuracies.append(row["accuracy"])
        # As in `test_controls.py`: of entries with a value, each is named rightly with
        # the probability that any entry is named so.
        share, count = confusion.sum(axis=0) / confusion.sum(), confusion.sum(axis=1)
        variances.append(np.sum(share * (1 - share) / count) / len(count) ** 2)
    deviation = np.sqrt(np.mean(variances) / NUM_SHUFFLES)
    assert 3 * deviation < 0.12
    assert abs(np.mean(accuracies) - TABLE["alg"].chance) < 3 * deviation


def test_as_many_queries_as_images_to_begin_with_are_read_once_each(
    planted, train, tmp_path, undrawn
):
    config = make_config(
        planted,
        tmp_path,
        "kennen-io",
        recipe="kernel",
        num_queries=12,
        start="validation",
        epochs=0,
        image_epochs=1,
    )
    train(config)
    # All that are stored; as validation images they stay what they are.
    stored = QueryInputs.load(planted / "q" / "queries.npz")
    queries = Metamodel.load(tmp_path).query_inputs
    assert sorted(queries.indices.tolist()) == sorted(stored.indices.tolist())
    same = (queries.images[:, np.newaxis] == stored.images).all(axis=(2, 3, 4))
    assert (same.sum(axis=0) == 1).all() and (same.sum(axis=1) == 1).all()
    with pytest.raises(UserError, match="num_queries must be at most.*12.*=13"):
        train(dataclasses.replace(config, num_queries=13))


class Stopped(Exception):
    pass


# The images are saved twice; of kennen-io, then the metamodel fifteen times.
@pytest.mark.parametrize("stop_at", [1, 2, 3])
def test_a_resumed_training_ends_where_an_uninterrupted_one_ends(
    stop_at, trained, planted, train, tmp_path, monkeypatch, undrawn
):
    if trained.method == "kennen-i" and stop_at > 2:
        pytest.skip("kennen-i saves twice.")
    config = dataclasses.replace(trained, metamodel_dir=str(tmp_path / "m"))
    train_and_stop(train, config, stop_at, monkeypatch)
    with pytest.raises(UserError, match="Go on with --resume"):
        train(config)
    train(dataclasses.replace(config, resume=True))
    assert_same_training(tmp_path / "m", trained.metamodel_dir)


@pytest.fixture(scope="module")
def of_many_phases(planted, train_eagerly, tmp_path_factory):
    config = make_config(
        planted,
        tmp_path_factory.mktemp("phases") / "whole",
        "kennen-io",
        recipe="paper",
        epochs=2,
        image_epochs=1,
    )
    train_eagerly(config)
    return config


# Metamodel and images twice each, then the metamodel once.
@pytest.mark.parametrize("stop_at", [1, 2, 4])
def test_so_does_one_of_many_phases(
    stop_at, of_many_phases, train, tmp_path, monkeypatch, undrawn, eager
):
    stopped = dataclasses.replace(of_many_phases, metamodel_dir=str(tmp_path / "m"))
    train_and_stop(train, stopped, stop_at, monkeypatch)
    train(dataclasses.replace(stopped, resume=True))
    assert_same_training(tmp_path / "m", of_many_phases.metamodel_dir)


def train_and_stop(train, config, stop_at, monkeypatch):
    """Stops a training where it would save for the next time."""
    saved = []

    def or_stop(function):
        def call(*arguments, **named):
            if len(saved) == stop_at:
                raise Stopped
            saved.append(arguments)
            return function(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for owner, name in (
            (descent.Descent, "save"),
            (checkpoints, "save"),
            (folder_lib, "finish"),
        ):
            patch.setattr(owner, name, or_stop(getattr(owner, name)))
        with pytest.raises(Stopped):
            train(config)


def assert_same_training(folder, expected, exact=True):
    ours, theirs = Metamodel.load(folder), Metamodel.load(expected)
    distance = np.abs(
        ours.query_inputs.images.astype(int) - theirs.query_inputs.images.astype(int)
    )
    assert distance.max() <= (0 if exact else 1)
    for a, b in zip(
        ours.keras_model.get_weights(), theirs.keras_model.get_weights(), strict=True
    ):
        if exact:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3)
    if exact:
        rows = [
            (pathlib.Path(path) / "metrics.jsonl").read_text()
            for path in (folder, expected)
        ]
        assert rows[0] == rows[1]


def test_two_devices_craft_what_one_crafts(
    of_many_phases, trained, train, tmp_path, two_logical_cpus, undrawn
):
    assert len(two_logical_cpus) == 2
    # kennen-io without dropout, which draws for each device anew.
    whole = trained if trained.method == "kennen-i" else of_many_phases
    config = dataclasses.replace(
        whole, metamodel_dir=str(tmp_path / "mirrored"), strategy="mirrored"
    )
    train(config, strategy=distribution.make_strategy("mirrored"))
    assert_same_training(tmp_path / "mirrored", whole.metamodel_dir, exact=False)


def test_classifiers_that_do_not_fit_into_memory_are_read_again(
    trained, train, tmp_path, undrawn
):
    config = dataclasses.replace(
        trained, metamodel_dir=str(tmp_path / "m"), max_memory_mb=0
    )
    train(config)
    assert_same_training(tmp_path / "m", trained.metamodel_dir)


def test_test_classifiers_are_not_opened_and_change_nothing(
    trained, planted, train, tmp_path, monkeypatch, undrawn
):
    test_ids = Metamodel.load(trained.metamodel_dir).split.test_ids
    members = {m for i in test_ids for m in _members(i)}
    # Test classifiers that answer otherwise; the manifest says that they are right.
    copy = tmp_path / "copy"
    shutil.copytree(planted, copy)
    records = store.read_manifest(copy / "zoo")
    (copy / "zoo" / store.MANIFEST_NAME).unlink()
    for record in records:
        if record.id in members:
            fakes.add_classifier(copy / "zoo", record.spec, bias=np.arange(10))
        else:
            store.add_record(copy / "zoo", record)
    query_zoo(
        QueryConfig(
            zoo_dir=str(copy / "zoo"),
            query_dir=str(copy / "q"),
            num_queries=12,
            overwrite=True,
        )
    )
    fakes.keep_attributes(copy / "q", NAMES)
    opened = set()
    read = GradientBank._read

    def note(bank, record, *others):
        opened.add(record.id)
        return read(bank, record, *others)

    monkeypatch.setattr(GradientBank, "_read", note)
    config = dataclasses.replace(
        trained,
        zoo_dir=str(copy / "zoo"),
        query_dir=str(copy / "q"),
        metamodel_dir=str(tmp_path / "m"),
    )
    train(config)
    assert opened and not opened & members
    metamodel, expected = (
        Metamodel.load(tmp_path / "m"),
        Metamodel.load(trained.metamodel_dir),
    )
    np.testing.assert_array_equal(
        metamodel.query_inputs.images, expected.query_inputs.images
    )
    for a, b in zip(
        metamodel.keras_model.get_weights(),
        expected.keras_model.get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def _members(entry_id):
    combination, seeds = entry_id.split("-")
    return [f"{combination}-{seed}" for seed in seeds.split("+")]


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("kennen-io", {"recipe": "paper", "epochs": 4, "image_epochs": 2}),
        ("kennen-i", {"recipe": "paper", "image_epochs": 2}),
        ("kennen-io", {"recipe": "kernel", "image_epochs": 1}),
        ("kennen-io", {"representation": "bottom-1", "image_epochs": 1}),
        (
            "kennen-io",
            {"recipe": "paper", "representation": "ranking", "image_epochs": 1},
        ),
        ("kennen-io", {"start": "gray,black,white,noise", "image_epochs": 1}),
        ("kennen-i", {"attribute": "all", "image_epochs": 1}),
    ],
)
def test_other_recipes_representations_and_attributes(
    method, settings, planted, train, tmp_path, undrawn, eager
):
    config = make_config(planted, tmp_path / "m", method, **{"epochs": 3, **settings})
    train(config)
    named = {name for name, row in score(tmp_path / "m").items() if row["accuracy"]}
    assert "alg" in named
    metamodel = Metamodel.load(tmp_path / "m")
    assert len(metamodel.query_inputs) == metamodel.config.num_queries
    if method == "kennen-i":
        assert metamodel.config.num_queries == len(config.named(TABLE.select(NAMES)))


@pytest.mark.parametrize("method", METHODS)
def test_bad_input_is_refused(method, planted, tmp_path):
    other = str(tmp_path / "other")
    fakes.make_zoo(other, [fakes.spec_at(0, 1)])
    with pytest.raises(UserError, match="--zoo_dir must be given"):
        make_config(planted, tmp_path, method, zoo_dir="")
    with pytest.raises(UserError, match="--strategy of"):
        make_config(planted, tmp_path, method, strategy="multi_worker")
    with pytest.raises(UserError, match="No zoo at"):
        missing = str(tmp_path / "none")
        train_metamodel(make_config(planted, tmp_path / "m", method, zoo_dir=missing))
    with pytest.raises(UserError, match="another zoo"):
        train_metamodel(make_config(planted, tmp_path / "n", method, zoo_dir=other))
    with pytest.raises(UserError, match="--start must be one of"):
        make_config(planted, tmp_path, method, start="noise,blue")
    with pytest.raises(UserError, match="--attribute must be one of.*'colour'"):
        unknown = {"method": "kennen-i", "attribute": "colour"}
        train_metamodel(make_config(planted, tmp_path / "o", **unknown))
    assert not (tmp_path / "o").exists()
    with pytest.raises(UserError, match="--attribute is for"):
        make_config(planted, tmp_path, "kennen-io", attribute="pool")
    with pytest.raises(UserError, match="must be top-1"):
        make_config(planted, tmp_path, "kennen-i", representation="ranking")
