"""Every experiment at tiny size on a zoo with a planted answer; stopped, gone on with.

In the zoo the optimizer is betrayed by every answer, and nothing else is. Activation,
pooling, kernel size and depth do not vary, so some experiments have nothing to say.
"""

import dataclasses
import html.parser
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import types

import fakes
import numpy as np
import pytest
from matplotlib.figure import Figure

from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.queries import QueryConfig
from kennen_tf.configs.recipes import EVERY, RECIPES
from kennen_tf.configs.reproduction import EXPERIMENTS, WILD, ReproductionConfig
from kennen_tf.designs import mnist_table
from kennen_tf.evaluation import figures
from kennen_tf.experiments import num_queries, num_train, readers, table2
from kennen_tf.experiments.shared import run_tasks
from kennen_tf.experiments.shared import runs as runs_lib
from kennen_tf.metamodels import (
    crafted_images,
    crafted_run,
    kennen_o,
    making,
    metrics,
)
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.metamodels.recipes import checkpoints
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.query_zoo import query_zoo
from kennen_tf.reproduce import reproduce
from kennen_tf.train_metamodel import train_metamodel
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo.store import Zoo

pytestmark = pytest.mark.long


# Whose figures are drawn on pages, with runs that were refused among them. Those of all
# are made, and `test_experiments_of_tables` looks at how they are laid out.
DRAWN = ("table2", "num-queries", "crafted")
# The other one is of all only where there are files: see `wild/`.
ON_THE_ZOO = [name for name in EXPERIMENTS if name != WILD]


@pytest.fixture(scope="module", autouse=True)
def small_networks():
    """Has MLPs of few units, and one network for all attributes; kernels stay.

    Runs of the default recipe are solved for: there are many.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "joined", RECIPES["kernel"])
        for name in ("mlp", "paper"):
            small = dataclasses.replace(
                RECIPES[name], groups=((EVERY,),), hidden_units=(16, 16)
            )
            patch.setitem(RECIPES, name, small)
        yield


@pytest.fixture(scope="module", autouse=True)
def few_figures():
    """Draws some of the report's figures, coarsely, and none of single trainings.

    Tests of metamodels look at the latter.
    """
    empty = figures.png_bytes(Figure((0.1, 0.1)))
    save_png = figures.save_png

    def save(figure, path):
        if path.parent.name in DRAWN:
            save_png(figure, path)
        else:
            path.write_bytes(empty)

    nothing = types.SimpleNamespace(png_bytes=lambda figure: empty, save_png=save)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "_DOTS_PER_INCH", 30)
        patch.setattr(figures, "save_png", save)
        patch.setattr(metrics, "figures", nothing)
        patch.setattr(crafted_run, "figures", nothing)
        # What stands below images in a figure.
        patch.setattr(
            crafted_images.CraftedImages,
            "_score_images",
            lambda training, answers: [0.0] * answers.shape[1],
        )
        patch.setattr(readers, "NUM_TREES", 50)
        yield


# A single shuffle has a standard deviation of 0.16, and so their mean one of 0.05.
NUM_SHUFFLES = 12


def make_config(folder, report_dir, **settings):
    return ReproductionConfig(
        **{
            "zoo_dir": str(folder / "zoo"),
            "other_zoos": f"{folder}/zoo:{folder}/q",
            "query_dir": str(folder / "q"),
            "report_dir": str(report_dir),
            "num_seeds": 1,
            "query_draws": 3,
            "curve_draws": 2,
            "num_queries": 6,
            "train_sizes": "30",
            "query_counts": "1,6,50",
            "crafted_query_counts": "1,6",
            "epochs": 30,
            "image_epochs": 1,
            **settings,
        }
    )


def open_runs(config):
    return runs_lib.Runs(
        config,
        QueryOutputsInfo.open(config.query_dir),
        Zoo.open(config.zoo_dir),
    )


def read_result(report_dir, name):
    return json.loads((report_dir / name / "result.json").read_text())


@pytest.fixture(scope="module")
def report(planted, tmp_path_factory):
    """The report of all experiments."""
    folder = tmp_path_factory.mktemp("report")
    reproduce(make_config(planted, folder))
    return folder


@pytest.mark.parametrize("name", ON_THE_ZOO)
def test_an_experiment_leaves_its_numbers_and_how_they_came_about(name, report):
    document = read_result(report, name)
    assert document["experiment"] == name
    command = document["provenance"]["command"]
    assert command.startswith(f"python -m kennen_tf.reproduce --experiment={name} ")
    assert "pytest" not in command.partition(" --zoo_dir")[0]
    assert document["seconds"] > 0
    assert "tensorflow" in document["provenance"]["versions"]
    assert {"query_outputs", "zoo", "settings"} <= set(document["made_from"])
    assert list((report / name).glob("*.png"))
    for page in ("index.html", "README.md"):
        assert command.split(" --zoo_dir")[0] in (report / page).read_text()


class Links(html.parser.HTMLParser):
    """Collects whatever a page would load, or lead to."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.tags = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.found += [v for k, v in attrs if k in ("src", "href", "srcset", "data")]


def test_the_page_stands_alone(report):
    text = (report / "index.html").read_text()
    links = Links()
    links.feed(text)
    pictures = [link for link in links.found if link.startswith("data:image/png")]
    assert len(pictures) == len(list(report.glob("*/*.png"))) >= len(ON_THE_ZOO)
    others = set(links.found) - set(pictures)
    assert others == {f"#{name}" for name in ON_THE_ZOO}
    assert not links.tags & {"script", "link", "iframe", "object"}
    assert "http" not in re.sub('data:image/png;base64,[^"]*', "", text)


def test_the_pictures_of_the_other_page_are_there(report):
    paths = re.findall(r"\]\((.*?\.png)\)", (report / "README.md").read_text())
    assert len(paths) >= len(ON_THE_ZOO)
    assert all((report / path).stat().st_size > 0 for path in paths)


def scores(report, *path):
    value = read_result(report, path[0])["result"]
    for key in path[1:]:
        value = value[key]
    return value["scores"]


def test_what_is_planted_is_read_and_the_rest_is_not_scored(report):
    rows = read_result(report, "table2")["result"]["rows"]
    names = [(row["method"], row["recipe"], row["representation"]) for row in rows]
    assert names == [
        ("linear", None, "probabilities"),
        ("kennen-o", "joined", "probabilities"),
        ("kennen-o", "paper", "probabilities"),
        ("kennen-o", "joined", "ranking"),
        ("kennen-o", "joined", "bottom-1"),
        ("kennen-o", "joined", "top-1"),
        ("kennen-s", "joined", "probabilities"),
        ("kennen-i", "joined", "top-1"),
        ("kennen-io", "joined", "probabilities"),
    ]
    for row in rows:
        # The likeliest label is planted, not the others' order.
        is_told = row["representation"] in ("probabilities", "top-1")
        if is_told and row["recipe"] != "paper":
            assert row["scores"]["alg"]["accuracy"]["mean"] > 0.95, row["method"]
        assert row["scores"]["act"] is None
        assert row["scores"]["average"]["chance"] < 0.6
    paper = rows[1]["paper"]
    assert paper["accuracies"]["alg"] == 71.8 and paper["average"] == 73.4
    assert rows[0]["paper"] is None and rows[5]["paper"] is None


def test_labels_drawn_anew_for_combinations_are_read_at_chance(planted, tmp_path):
    scaled = []
    runs = open_runs(make_config(planted, tmp_path, num_test=45))
    labels = runs.outputs._labels["alg"]
    for seed in range(NUM_SHUFFLES):
        runs.outputs._labels["alg"] = shuffle_labels(labels, runs.info.entries, seed)
        [run] = runs.train("test", [runs.make_config("kennen-o", seed)])
        rows = {row["name"]: row for row in run.document["attributes"]}
        scaled.append(rows["alg"]["normalized_accuracy"])
    # One alone tells little: its test classifiers come from fifteen combinations.
    assert np.std(scaled) > 0.05
    assert abs(np.mean(scaled)) < 0.15


def shuffle_labels(labels, entries, seed):
    """Gives each combination the label of one drawn at random.

    With replacement: of a permutation, what the training entries have is what the
    others do not have, and metamodels would be wrong more often than by chance.
    """
    combinations = [entry.combination_id for entry in entries]
    _, first, which = np.unique(combinations, return_index=True, return_inverse=True)
    drawn = np.random.default_rng(seed).integers(0, len(first), len(first))
    return labels[first][drawn][which]


def test_extrapolation_is_scaled_and_what_the_zoo_lacks_is_said(report):
    rows = {
        row["split"]: row for row in read_result(report, "table3")["result"]["rows"]
    }
    assert list(rows) == [
        *("R", "E-conv", "E-conv-fc", "E-alg", "E-alg-bs", "E-split", "E-size")
    ]
    for method in ("kennen-o", "kennen-io"):
        assert rows["R"][method]["normalized"]["mean"] == pytest.approx(1.0)
        assert "alg" not in rows["E-alg"][method]["over"]
        assert "alg" in rows["E-size"][method]["over"]
        # Two of five are left to train on.
        assert rows["E-size"][method]["scores"]["alg"]["scaled"]["mean"] > 0.4
        # All have two convolutions: nobody is left to test on.
        assert rows["E-conv"][method]["runs"] == []
        assert rows["E-conv"][method]["normalized"] is None
    [reason] = rows["E-conv"]["kennen-o"]["refused"]
    assert reason in (report / "README.md").read_text()
    assert rows["E-alg"]["kennen-io"]["paper"] == 88.5
    assert rows["E-split"]["kennen-io"]["paper"] is None
    assert rows["E-alg"]["kennen-o"]["paper"] is None


def test_training_sizes_share_the_test_classifiers(report):
    curves = read_result(report, "num-train")["result"]["curves"]
    tested = set()
    for points in curves.values():
        assert [point["num_train"][0] for point in points] == [p["x"] for p in points]
        assert points[0]["x"] == 30 < points[1]["x"]
        for point in points:
            split = report / "runs" / point["runs"][0] / "split.json"
            tested.add(tuple(json.loads(split.read_text())["test"]))
    assert len(tested) == 1


def test_the_papers_numbers_stand_beside_the_training_sizes(report):
    curves = read_result(report, "num-train")["result"]["curves"]
    ours, theirs = num_train._paper_points(curves, mnist_table.TABLE)
    assert (ours.method, theirs.method) == ("kennen-o", "kennen-io")
    assert ours.x == 5000
    # 71.8% of three values.
    assert ours.scaled["alg"] == pytest.approx((0.718 - 1 / 3) / (2 / 3))
    assert "act" not in ours.scaled
    page = (report / "README.md").read_text()
    assert "5,000 to train: kennen-o 73.4, kennen-io 80.1" in page


def test_query_draws_share_the_split_and_differ_in_queries(report):
    curves = read_result(report, "num-queries")["result"]["curves"]
    assert [p["x"] for p in curves["kennen-o"]] == [1, 6, 50]
    assert [p["x"] for p in curves["kennen-s"]] == [1, 6]
    assert [p["x"] for p in curves["kennen-io"]] == [1, 6]
    assert curves["kennen-o"][2]["runs"] == []  # 12 are stored.
    assert "at most the number of queries" in curves["kennen-o"][2]["refused"][0]
    folders = [report / "runs" / name for name in curves["kennen-o"][1]["runs"]]
    splits = [json.loads((folder / "split.json").read_text()) for folder in folders]
    assert len(splits) == 2
    assert splits[0]["test"] == splits[1]["test"]
    assert splits[0]["query_indices"] != splits[1]["query_indices"]


def test_a_method_joins_the_curves_by_its_name(planted, report, monkeypatch):
    monkeypatch.setattr(num_queries, "NUM_QUERIES_METHODS", ("kennen-o", "linear"))
    result = num_queries.NumQueries().measure(
        open_runs(make_config(planted, report, curve_draws=1, query_counts="6"))
    )
    assert len(result["curves"]["linear"][0]["runs"]) == 1


def test_readers_are_scored_on_the_same_classifiers(report):
    result = read_result(report, "readers")["result"]
    readers = result["readers"]
    assert list(readers) == [
        *("kennen-o", "kennen-o, kernel", "kennen-o, MLPs"),
        "kennen-o, paper's recipe",
        *("logistic regression", "support vector machine", "extra trees"),
    ]
    rows = read_result(report, "table2")["result"]["rows"]
    ours = rows[1]["scores"]["average"]["accuracy"]["mean"]
    assert readers["kennen-o"]["average"]["mean"] == ours
    chance = rows[1]["scores"]["average"]["chance"]
    assert result["chance"] == pytest.approx(chance)
    for name in ("support vector machine", "extra trees"):
        assert readers[name]["alg"]["mean"] > 0.9
        assert readers[name]["act"] is None


def test_rankings_run_from_one_label_to_all(report):
    [points] = read_result(report, "top-k")["result"]["curves"].values()
    assert [point["x"] for point in points] == list(range(1, 11))
    rows = read_result(report, "table2")["result"]["rows"]
    assert points[0]["runs"] == rows[5]["runs"]
    assert points[9]["runs"] == rows[3]["runs"]


def test_query_choice_has_as_many_draws_as_wanted(report):
    result = read_result(report, "query-choice")["result"]
    assert len(set(result["summary"]["runs"])) == 3
    assert len(result["summary"]["scores"]["alg"]["accuracy"]["values"]) == 3


def test_an_embedding_has_a_place_for_each_entry(report):
    result = read_result(report, "embedding")["result"]
    assert set(result["embeddings"]) == {"kennen-o", "kennen-io"}
    for places in result["embeddings"].values():
        assert len(places) == len(result["entries"]) == 90


def test_confusion_matrices_hold_all_test_entries(report):
    methods = read_result(report, "confusion")["result"]["methods"]
    assert list(methods) == ["kennen-o", "kennen-io"]
    for found in methods.values():
        matrix = found["attributes"]["alg"]["confusion"]
        assert sum(map(sum, matrix)) == found["num_test"]


def test_crafted_images_are_shown_with_their_accuracies(report):
    result = read_result(report, "crafted")["result"]
    image = result["images"]["alg"]
    assert image["train_accuracy"] > 0.95 and image["test_accuracy"] > 0.95
    assert result["images"]["act"]["test_accuracy"] is None


def test_attributes_are_counted(planted, tmp_path):
    zoo_dir = tmp_path / "zoo"
    shutil.copytree(planted / "zoo", zoo_dir)
    manifest = zoo_dir / "manifest.jsonl"
    row = json.loads(manifest.read_text().splitlines()[0])
    row["spec"]["seed"] += 5
    row["id"] = re.sub(r"s\d+$", f"s{row['spec']['seed']:03d}", row["id"])
    row.update(status="rejected", reason="too low", accuracy=0.5)
    with open(manifest, "a") as file:
        file.write(json.dumps(row) + "\n")
    config = make_config(planted, tmp_path / "r", experiment="attributes")
    reproduce(dataclasses.replace(config, zoo_dir=str(zoo_dir)))
    result = read_result(tmp_path / "r", "attributes")["result"]
    assert (result["num_accepted"], result["num_rejected"]) == (60, 1)
    rows = {(r["attribute"], r["value"]): r for r in result["rows"]}
    own = rows["alg", row["spec"]["alg"]]
    assert own["num_rejected"] == 1
    assert own["accuracy"]["mean"] == pytest.approx(0.98)
    lower, upper = own["accepted_interval"]
    assert lower < own["accepted_share"] < 1 and upper < 1
    assert rows["ens", "yes"]["num_entries"] == 30
    assert rows["act", "tanh"]["num_accepted"] == 0
    assert sum(rows["split", v]["num_accepted"] for a, v in rows if a == "split") == 60


def test_a_second_call_trains_nothing_and_finds_the_same(planted, report, monkeypatch):
    monkeypatch.setattr(making, "make", lambda job: pytest.fail(str(job.folder)))
    page = (report / "index.html").read_bytes()
    reproduce(make_config(planted, report))
    # Not ==, whose explanation takes minutes where megabytes differ.
    assert hash((report / "index.html").read_bytes()) == hash(page)
    # Nor does it if the numbers have to be found again.
    before = read_result(report, "top-k")
    (report / "top-k" / "result.json").unlink()
    reproduce(make_config(planted, report, experiment="top-k"))
    after = read_result(report, "top-k")
    assert after["num_trained"] == 0 < before["num_trained"]
    assert after["result"] == before["result"]


def test_runs_on_other_zoos_are_counted(planted, tmp_path):
    runs = open_runs(make_config(planted, tmp_path / "r"))
    other = runs.beside(*runs.config.others[0])
    for seed, own in enumerate((runs, other)):
        own.train("test", [own.make_config("kennen-o", seed, recipe="kernel")])
    assert runs.num_trained == 2


def test_reports_accumulate(planted, tmp_path):
    for name in ("query-choice", "attributes"):
        config = make_config(planted, tmp_path, experiment=name, query_draws=1)
        reproduce(config)
    links = Links()
    links.feed((tmp_path / "index.html").read_text())
    assert {x for x in links.found if x[0] == "#"} == {"#query-choice", "#attributes"}


def test_other_query_outputs_make_other_runs(planted, tmp_path):
    shutil.copytree(planted, tmp_path / "copy")
    config = make_config(
        tmp_path / "copy", tmp_path / "r", experiment="query-choice", query_draws=1
    )
    reproduce(config)
    before = read_result(tmp_path / "r", "query-choice")
    query_zoo(
        QueryConfig(
            zoo_dir=config.zoo_dir,
            query_dir=config.query_dir,
            num_queries=12,
            query_seed=1,
            overwrite=True,
        )
    )
    reproduce(config)
    after = read_result(tmp_path / "r", "query-choice")
    assert after["num_trained"] == 1
    assert after["result"]["summary"]["runs"] != before["result"]["summary"]["runs"]


def test_query_outputs_of_another_zoo_are_refused(planted, tmp_path):
    other = fakes.make_zoo(tmp_path / "zoo", fakes.make_small_specs(2, seed=5))
    config = make_config(planted, tmp_path / "r")
    with pytest.raises(UserError, match="must be of the zoo"):
        reproduce(dataclasses.replace(config, zoo_dir=str(other.zoo_dir)))


@pytest.mark.parametrize(
    ("method", "recipe"),
    [
        *(("kennen-o", "mlp"), ("kennen-o", "paper")),
        *(("kennen-o", "joined"), ("kennen-io", "joined")),
    ],
)
def test_a_run_is_the_metamodel_that_train_metamodel_makes(
    method, recipe, planted, tmp_path, monkeypatch
):
    joined = dataclasses.replace(RECIPES["mlp"], beside=RECIPES["kernel"])
    monkeypatch.setitem(RECIPES, "joined", joined)
    runs = open_runs(make_config(planted, tmp_path / "r", epochs=2))
    # The second has the compiled step of the first.
    first = runs.make_config("kennen-o", 0, recipe=recipe)
    configs = [first, runs.make_config(method, 1, recipe=recipe)]
    _, run = runs.train("test", configs)
    [_] = runs._compiled._models
    config = dataclasses.replace(configs[1], metamodel_dir=str(tmp_path / "m"))
    train_metamodel(config)
    model = Metamodel.load(tmp_path / "m").keras_model
    ours = run.document["fingerprints"]["metamodel"]
    if method == "kennen-io":  # That of its file, which has a date.
        ours = run_tasks.fingerprint(Metamodel.load(run.folder).keras_model)
    assert ours == run_tasks.fingerprint(model)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("method", ["kennen-o", "kennen-io"])
def test_a_run_that_was_stopped_goes_on_and_ends_the_same(
    method, planted, tmp_path, monkeypatch
):
    monkeypatch.setattr(kennen_o, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    config = make_config(planted, tmp_path / "r", epochs=10)
    settings = {"method": method, "seed": 0, "recipe": "mlp"}
    whole = open_runs(make_config(planted, tmp_path / "whole", epochs=10))
    [expected] = whole.train("test", [whole.make_config(**settings)])
    done = []
    save_checkpoint = checkpoints.save

    def save_and_stop(path, model, epoch):
        save_checkpoint(path, model, epoch)
        done.append(epoch)
        if epoch == 5:
            raise Stopped

    runs = open_runs(config)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", save_and_stop)
        with pytest.raises(Stopped):
            runs.train("test", [runs.make_config(**settings)])
    assert done[-1] == 5
    done.clear()
    monkeypatch.setattr(
        checkpoints,
        "save",
        lambda path, model, epoch: done.append(epoch),
    )
    runs = open_runs(config)
    [run] = runs.train("test", [runs.make_config(**settings)])
    assert min(done) > 5  # It did not begin anew.
    for key in ("attributes", "average", "num_train"):
        assert run.document[key] == expected.document[key]
    assert not (run.folder / "checkpoints").exists()


def test_experiments_before_a_stop_are_on_the_page(planted, tmp_path, monkeypatch):
    def stop(*_):
        raise Stopped

    monkeypatch.setattr(table2.Table2, "measure", stop)
    with pytest.raises(Stopped):
        reproduce(make_config(planted, tmp_path))
    assert 'id="attributes"' in (tmp_path / "index.html").read_text()


# What `small_networks` does for this process, and the binary.
SOLVED_AND_RUN = """
from kennen_tf.configs.recipes import RECIPES
RECIPES["joined"] = RECIPES["kernel"]
from kennen_tf import reproduce
reproduce.main()
"""


def test_a_killed_call_goes_on_and_ends_the_same(planted, report, tmp_path):
    config = make_config(planted, tmp_path, experiment="top-k")
    flags = config.command("top-k").split()[3:]
    process = subprocess.Popen(
        [sys.executable, "-c", SOLVED_AND_RUN, *flags], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("runs/*/results.json"))) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "top-k" / "result.json").exists()
    made = {p.parent.name: p.stat().st_mtime_ns for p in tmp_path.glob("runs/*/res*")}
    reproduce(config)
    ours, theirs = read_result(tmp_path, "top-k"), read_result(report, "top-k")
    assert 0 < ours["num_trained"] <= 10 - len(made)
    for name, time_ns in made.items():
        path = tmp_path / "runs" / name / "results.json"
        assert path.stat().st_mtime_ns == time_ns
    for own, expected in zip(
        *(d["result"]["curves"]["kennen-o"] for d in (ours, theirs)), strict=True
    ):
        assert own["scores"] == expected["scores"]


def test_without_a_query_seed_the_queries_are_those_of_the_seed():
    assert MetamodelConfig(seed=3).seed_of_queries == 3
    assert MetamodelConfig(seed=3, query_seed=0).seed_of_queries == 0
