"""Runs that workers train: the same as those of this process, wherever the folders are.

The workers are stand-ins: what is sent to them and comes back is copied as between
processes, and the last task is done first.
"""

import dataclasses
import io
import json
import pathlib
import shutil
import types
from multiprocessing.reduction import ForkingPickler

import commands
import pytest

from kennen_tf.configs import reproduction
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.recipes import EVERY, RECIPES
from kennen_tf.configs.reproduction import ReproductionConfig
from kennen_tf.designs import mnist_table
from kennen_tf.experiments.shared import run_tasks
from kennen_tf.experiments.shared import runs as runs_lib
from kennen_tf.machine.engines import engine, making, worker
from kennen_tf.metamodels import kennen_s
from kennen_tf.metamodels import making as metamodel_making
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.reproduce import reproduce
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo.store import Zoo

FILES = {
    *("config.json", "attributes.json", "queries.npz", "split.json", "results.json")
}


@pytest.fixture(scope="module", autouse=True)
def small_networks():
    """Has an MLP of few units for all attributes."""
    with pytest.MonkeyPatch.context() as patch:
        small = dataclasses.replace(
            RECIPES["mlp"], groups=((EVERY,),), hidden_units=(8,), members=1
        )
        patch.setitem(RECIPES, "mlp", small)
        yield


class WorkersApart(commands.EngineHere):
    """Does tasks here, as if it were elsewhere; memory is freed after each.

    Attributes:
        tasks: The names of the items of each task so far.
        works: What made the work, for each run.
    """

    num_workers = 4

    def __init__(self, **settings):
        super().__init__(**settings)
        self.tasks, self.works = [], []

    def run(self, tasks, make_work, name_of=str):
        self.works.append(make_work)
        work = copy(make_work)()
        for task in reversed(list(tasks)):
            self.tasks.append([name_of(item) for item in task])
            for message in work(copy(task)):
                done = not isinstance(message, engine.Progress)
                yield copy(message) if done else None
            worker.free_memory()


def copy(value):
    """Sends a value as between processes; arrays arrive in memory that is read-only."""
    stream, buffers = io.BytesIO(), []
    ForkingPickler(stream, 5, True, buffers.append).dump(value)
    sent = [bytes(buffer.raw()) for buffer in buffers]
    return ForkingPickler.loads(stream.getvalue(), buffers=sent)


def open_runs(folder, report_dir, workers=None, **settings):
    config = ReproductionConfig(
        zoo_dir=str(folder / "zoo"),
        query_dir=str(folder / "q"),
        report_dir=str(report_dir),
        num_queries=4,
        epochs=2,
        image_epochs=1,
        **settings,
    )
    info = QueryOutputsInfo.open(config.query_dir)
    return runs_lib.Runs(config, info, Zoo.open(config.zoo_dir), workers)


def plain(document):
    """Returns all of a document but when it was made, how long it took, and where."""
    skipped = ("seconds", "created", "metamodel_dir")
    if isinstance(document, dict):
        return {k: plain(v) for k, v in document.items() if k not in skipped}
    if isinstance(document, list | tuple):
        return [plain(value) for value in document]
    return document


def read_json(path):
    return json.loads(path.read_text())


@pytest.mark.long
def test_workers_make_what_this_process_makes(planted, tmp_path, monkeypatch):
    shutil.copytree(planted, tmp_path / "copy")
    here = open_runs(tmp_path / "copy", tmp_path / "here")
    workers = WorkersApart()
    away = open_runs(tmp_path / "copy", tmp_path / "away", workers)
    # Workers have no folder in common with the one who asks.
    shutil.rmtree(tmp_path / "copy")

    def make_configs(runs):
        settings = (
            {"method": "kennen-o", "recipe": "mlp", "seed": 0},
            {"method": "kennen-o", "seed": 0, "num_queries": 50},
            {"method": "kennen-o", "recipe": "mlp", "seed": 1},
            {"method": "kennen-s", "seed": 0},
            {"method": "linear", "seed": 0},
            {"method": "kennen-o", "recipe": "mlp", "seed": 0},
        )
        return [runs.make_config(**own) for own in settings]

    ours = here.train("here", make_configs(here))
    with monkeypatch.context() as patch:
        choose, num_chosen = kennen_s.choose, []
        patch.setattr(
            kennen_s,
            "choose",
            lambda *args: num_chosen.append(1) or choose(*args),
        )
        theirs = away.train("away", make_configs(away))
    assert len(num_chosen) == 1  # By the worker, since it takes minutes.
    assert workers.tasks == [
        ["linear-probabilities-4q-R-seed0"],
        ["kennen-s-probabilities-4q-R-seed0"],
        # The compiled step outlives a task.
        ["kennen-o-mlp-probabilities-4q-R-seed1"],
        ["kennen-o-mlp-probabilities-4q-R-seed0"],
    ]
    assert away.num_trained == here.num_trained == 4
    assert [r.config.method for r in theirs] == [r.config.method for r in ours]
    assert isinstance(theirs[1], runs_lib.Refused)
    assert theirs[1].reason == ours[1].reason
    for own, expected in zip(theirs, ours, strict=True):
        if isinstance(own, runs_lib.Refused):
            continue
        assert own.name == expected.name
        assert plain(own.document) == plain(expected.document)
        assert own.document["config"] == own.config.to_json()
        assert own.document["seconds"] > 0
        stored = read_json(own.folder / "results.json")
        assert stored == json.loads(json.dumps(own.document))
        assert {p.name for p in own.folder.iterdir()} == FILES
        for name in ("attributes.json", "queries.npz", "split.json"):
            both = [run.folder / name for run in (own, expected)]
            assert both[0].read_bytes() == both[1].read_bytes()
        described = read_json(own.folder / "config.json")
        assert plain(described) == plain(read_json(expected.folder / "config.json"))
        assert described["config"] == own.config.to_json()
    # What is there is not asked for again, by whomever.
    with monkeypatch.context() as patch:
        patch.setattr(metamodel_making, "make", lambda job: pytest.fail("trained"))
        again = away.train("again", make_configs(away))
    assert [plain(r.document) for r in again if isinstance(r, runs_lib.Run)] == [
        plain(r.document) for r in theirs if isinstance(r, runs_lib.Run)
    ]


@pytest.mark.long
def test_runs_that_ask_the_zoo_are_made_here_after_the_others(
    planted, tmp_path, monkeypatch
):
    order = []
    make = run_tasks.make

    def note(job):
        order.append((job.config.method, job.folder.parent.name))
        if job.config.is_crafted:
            return {"seconds": 1.0}
        return make(job)

    monkeypatch.setattr(run_tasks, "make", note)
    runs = open_runs(planted, tmp_path, WorkersApart())
    methods = ("kennen-i", "linear", "kennen-io")
    configs = [runs.make_config(method, 0) for method in methods]
    for config in configs:  # Here, they would make their folder.
        if config.is_crafted:
            pathlib.Path(config.metamodel_dir).mkdir(parents=True)
    results = runs.train("test", configs)
    assert [result.config.method for result in results] == list(methods)
    assert [method for method, _ in order] == ["linear", "kennen-i", "kennen-io"]
    assert [parent == "runs" for _, parent in order] == [False, True, True]


@pytest.mark.long
def test_what_is_raised_in_a_worker_comes_out_and_what_was_made_before_is_kept(
    planted, tmp_path, monkeypatch
):
    runs = open_runs(planted, tmp_path, WorkersApart())
    configs = [runs.make_config("linear", seed) for seed in range(3)]
    make = run_tasks.make

    def fail(job):
        if job.config.seed == 1:
            raise UserError("a batch must have more")
        return make(job)

    with monkeypatch.context() as patch:
        patch.setattr(run_tasks, "make", fail)
        with pytest.raises(UserError, match="a batch must have more"):
            runs.train("test", configs)
    # The last task came first.
    made = list((tmp_path / "runs").iterdir())
    assert [folder.name for folder in made] == [
        run_tasks.name(runs._make_job(configs[2]))
    ]
    # A kill between two files of a run leaves none: it is made again.
    (made[0] / "results.json").unlink()
    assert len(runs.train("test", configs)) == 3
    assert len(list((tmp_path / "runs").glob("*/results.json"))) == 3


@pytest.mark.long
def test_workers_with_other_recipes_make_nothing(planted, tmp_path):
    runs = open_runs(planted, tmp_path)
    config = runs.make_config("linear", 0)
    other = dataclasses.replace(config, metamodel_dir="runs/linear-other-01234567")
    work = run_tasks.make_work(runs.info, runs.outputs)
    with pytest.raises(
        UserError, match=r"linear-other-01234567. Received: .*-R-seed0-"
    ):
        list(work([other]))


@pytest.mark.long
def test_all_experiments_have_the_same_workers(planted, tmp_path, monkeypatch):
    opened = []

    def make_engine(**settings):
        opened.append((settings, WorkersApart()))
        return opened[-1][1]

    monkeypatch.setattr(making, "make_engine", make_engine)
    monkeypatch.setattr(reproduction, "EXPERIMENTS", ("query-choice", "top-k"))
    reproduce(
        ReproductionConfig(
            zoo_dir=str(planted / "zoo"),
            query_dir=str(planted / "q"),
            report_dir=str(tmp_path),
            num_seeds=1,
            query_draws=2,
            num_queries=2,
            engine="ray",
            ray_address="head:6379",
            gpus_per_worker=0.5,
        )
    )
    [(settings, workers)] = opened
    assert settings["name"] == "ray" and settings["address"] == "head:6379"
    assert settings["gpus"] == 0.5
    # Outputs are sent once.
    assert len(workers.works) == 2 and len(set(map(id, workers.works))) == 1
    result = read_json(tmp_path / "top-k" / "result.json")
    assert result["num_trained"] == 10
    assert "engine" not in result["provenance"]["command"]
    assert "ray" not in json.dumps(result["made_from"])


def make_job(name, num_train=500, **settings):
    """Makes what grouping looks at of a run; the name is its folder's."""
    config = MetamodelConfig(metamodel_dir=name, **settings)
    return types.SimpleNamespace(
        config=config,
        table=mnist_table.TABLE,
        folder=pathlib.Path(name),
        split=types.SimpleNamespace(train_ids=range(num_train)),
    )


def test_runs_are_grouped_by_their_step():
    def names(jobs, num_workers):
        groups = run_tasks.group(jobs, num_workers)
        return [[config.metamodel_dir for config in own] for own in groups]

    batch = RECIPES["mlp"].batch_size
    assert batch < 499
    jobs = [
        make_job("a", recipe="mlp"),
        make_job("solved", recipe="kernel"),
        make_job("b", recipe="mlp", seed=1, num_train=499),
        make_job("more queries", recipe="mlp", num_queries=7),
        make_job("more steps", recipe="mlp", num_train=500 + batch),
        make_job("too", recipe="kernel", seed=1),
        make_job("c", recipe="mlp", method="kennen-s", seed=2),
        make_job("linear", recipe="mlp", method="linear", seed=2),
        make_job("d", recipe="mlp", representation="top-1"),
        make_job("e", recipe="mlp", query_seed=7),
    ]
    others = [["solved"], ["more queries"], ["more steps"], ["too"], ["linear"]]
    assert names(jobs, 2) == [["a", "b", "c", "d", "e"], *others]
    # With more workers, each has something to do.
    assert names(jobs, 3) == [["a", "b", "c", "d"], *others, ["e"]]
    assert names(jobs[:3:2], 2) == [["a"], ["b"]]
    # With many runs, the last task is not waited for.
    many = [make_job(f"{seed}", recipe="mlp", seed=seed) for seed in range(20)]
    assert list(map(len, names(many, 2))) == [8, 8, 4]


def test_the_bar_says_who_works_at_what():
    assert run_tasks.say_crew({}) == ""
    crew = {1: engine.Worker()}
    assert run_tasks.say_crew(crew) == "1 worker"
    crew[2] = engine.Worker(node="a", progress="linear-seed0")
    assert run_tasks.say_crew(crew) == "2 workers, linear-seed0"
    crew[3] = engine.Worker(node="b", progress="linear-seed1")
    assert run_tasks.say_crew(crew) == "3 workers on 2 nodes, linear-seed0"
