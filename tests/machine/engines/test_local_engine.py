"""Worker processes: who does what, who takes whose place, and what is tried again."""

import os

import engine_fakes
import pytest
from engine_fakes import make_work

from kennen_tf.machine.engines import engine, worker
from kennen_tf.machine.engines.local import LocalEngine
from kennen_tf.vocabulary.errors import UserError

AGAIN = "type it again"


def make_work_of_tensorflow():
    import tensorflow as tf

    return lambda items: iter([tf.config.threading.get_intra_op_parallelism_threads()])


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(worker, "set_up_tensorflow", engine_fakes.set_up_nothing)


def make_work_of_the_dead():
    os._exit(3)


def make_work_that_raises():
    def work(items):
        raise UserError(f"{items} are not for me")
        yield

    return work


@pytest.mark.long
def test_workers_have_their_threads():
    own = LocalEngine(num_workers=1, threads=3)
    results = own.run([[0]], make_work_of_tensorflow)
    assert [result for result in results if result is not None] == [3]


def test_workers_are_replaced_and_what_a_dead_one_left_is_tried_again(
    quick, tmp_path, caplog
):
    deadly = tmp_path / "deadly"
    own = LocalEngine(num_workers=1, tasks_per_worker=2)
    results, seen = [], set()
    tasks = [[1], [2], [3, deadly, 5], [6]]
    for result in own.run(tasks, make_work, lambda item: f"item {item}"):
        seen |= {crew.progress for crew in own.crew.values()}
        if result is not None:
            results.append(result)
    items, pids = zip(*results, strict=True)
    # What was done is not done again; what was left comes last.
    assert items == (1, 2, 3, 6, deadly, 5)
    # Two tasks each; the second died at its first.
    assert pids[0] == pids[1] != os.getpid()
    assert len(set(pids)) == 3 and pids[3] == pids[4] == pids[5]
    assert None in seen and "at 3" in seen
    assert "exit code -9" in caplog.text
    assert f"item {deadly} and 1 after it will be tried again" in caplog.text
    assert not own.crew


def test_an_item_that_kills_three_workers_ends_the_run_and_is_named(quick):
    own = LocalEngine(num_workers=1, again=AGAIN)
    got = []
    message = (
        r"item always was given up: 3 workers died of it.*\(exit code -9\).*"
        rf"Not done: item always, item 2\..*{AGAIN}, with fewer workers"
    )
    with pytest.raises(UserError, match=message):
        for result in own.run([["always", 2], [3]], make_work, "item {}".format):
            got.append(result)
    # Others had their turn.
    assert [result[0] for result in got if result] == [3]


def test_workers_that_die_before_they_begin_end_the_run(quick):
    own = LocalEngine(num_workers=1, again=AGAIN)
    message = rf"3 that did not.*\(exit code 3\).*{AGAIN}"
    with pytest.raises(UserError, match=message):
        list(own.run([[1]], make_work_of_the_dead))


def test_what_a_worker_raises_comes_out(quick):
    with pytest.raises(UserError, match=r"\[1, 2\] are not for me"):
        list(LocalEngine(num_workers=1).run([[1, 2]], make_work_that_raises))


def test_without_tasks_there_are_no_workers():
    results = LocalEngine(num_workers=2).run([], make_work)
    assert [result for result in results if result is not None] == []


def test_progress_is_thinned_but_results_are_not(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(worker.time, "monotonic", lambda: now[0])
    at = [engine.Progress(i) for i in range(5)]

    def send():
        for seconds, message in (
            *((0.0, at[0]), (0.2, at[1]), (0.7, at[2])),
            *((0.8, "result"), (0.9, at[3]), (1.0, at[4])),
        ):
            now[0] = seconds
            yield message

    messages = send()
    assert list(worker.thin(messages, 0.5)) == [at[0], at[2], "result", at[3]]


def test_errors_of_workers_keep_their_meaning():
    error = worker.portable(UserError("one sentence"))
    assert type(error) is UserError and str(error) == "one sentence"
    disk = worker.portable(OSError(28, "No space left on device", "zoo/a.keras"))
    assert isinstance(disk, OSError) and disk.errno == 28
    other = worker.portable(KeyError("x"))
    assert type(other) is RuntimeError and "KeyError('x')" in str(other)
