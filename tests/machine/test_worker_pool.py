"""The pool of workers: who does what, who takes whose place, and what ends it."""

import os

import pytest

from kennen_tf.machine import worker_pool
from kennen_tf.vocabulary.errors import UserError


def make_work():
    """Runs in a worker: returns what says who does a task, and then more."""
    import tensorflow as tf

    threads = tf.config.threading.get_intra_op_parallelism_threads()

    def work(task, send):
        if task == "killed":
            os._exit(3)
        send((task, threads, os.getpid()))
        send("half done")

    return work


@pytest.mark.long
def test_workers_are_replaced_and_a_killed_one_ends_the_run():
    results = worker_pool.run_tasks(
        [1, 2, "killed", 4],
        make_work,
        num_workers=1,
        threads=3,
        tasks_per_worker=2,
        again="type it again",
    )
    sent = []
    message = r"from outside \(exit code 3\).*type it again, with fewer --workers"
    with pytest.raises(UserError, match=message):
        for index, result in results:
            if result is not None:
                assert index == 0
                sent.append(result)
            else:
                assert index == -1
    first, half, second, _ = sent
    assert half == "half done"
    assert (first[0], second[0]) == (1, 2)
    assert first[1] == 3
    # Both by the first worker; the one that was killed had taken its place.
    assert first[2] == second[2] != os.getpid()


def test_without_tasks_there_are_no_workers():
    pool = worker_pool.run_tasks([], make_work, num_workers=2, threads=1)
    assert list(pool) == []


def test_errors_of_workers_keep_their_meaning():
    error = worker_pool.portable(UserError("one sentence"))
    assert type(error) is UserError and str(error) == "one sentence"
    disk = worker_pool.portable(OSError(28, "No space left on device", "zoo/a.keras"))
    assert isinstance(disk, OSError) and disk.errno == 28
    other = worker_pool.portable(KeyError("x"))
    assert type(other) is RuntimeError and "KeyError('x')" in str(other)
