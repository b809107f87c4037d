"""Worker processes that train: one task at a time, handed out by the parent.

A worker has its threads and, where there are GPUs, one of them. It ends with the
parent, however that ends, and leaves Ctrl-C to it. TensorFlow never gives back the
memory of a trace: after `tasks_per_worker` tasks, a new worker takes its place.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection
from typing import Any

from kennen_tf.machine import startup
from kennen_tf.vocabulary.errors import UserError

Send = Callable[[Any], None]
Work = Callable[[Any, Send], None]

# Of the parent, when no worker has said anything.
_TICK_SECONDS = 0.5


def run_tasks(
    tasks: Iterable[Any],
    make_work: Callable[[], Work],
    *,
    num_workers: int,
    threads: int,
    tasks_per_worker: int | None = None,
    again: str = "give the same command again",
) -> Iterator[tuple[int, Any]]:
    """Has worker processes do tasks; yields what they send as it comes.

    Args:
        tasks: Picklable; none of them None. Their classes may be of modules that load
            TensorFlow: a worker sees them once it is set up.
        make_work: Picklable function that a worker calls once, when TensorFlow is set
            up. It returns what does a task: it is given the task and a function that
            sends a picklable object, not None and no exception, to the parent.
        num_workers: At most so many; no more than there are tasks.
        threads: Of each worker.
        tasks_per_worker: After so many, a worker is replaced.
        again: What to do after a worker was ended from outside; for the error.

    Yields:
        Number of the worker and what it sent; or (-1, None), now and then, while none
        sends anything.

    Raises:
        UserError: If a worker was killed, or raised one.
        OSError: If a worker did, e.g. on a full disk.
        RuntimeError: If a worker raised anything else; with its text.
    """
    left = deque(tasks)
    context = multiprocessing.get_context("spawn")
    workers: dict[Any, _Worker] = {}

    def start(index: int) -> None:
        worker = _Worker(context, index, threads, make_work)
        workers[worker.connection] = worker

    try:
        for index in range(min(num_workers, len(left))):
            start(index)
        while workers:
            ready = connection.wait(list(workers), _TICK_SECONDS)
            if not ready:
                yield -1, None
            for worker in [workers[connected] for connected in ready]:
                message = worker.receive(again)
                if message is not None:
                    yield worker.index, message
                elif left and worker.num_tasks != tasks_per_worker:
                    worker.send(left.popleft())
                else:
                    worker.stop()
                    del workers[worker.connection]
                    if left:
                        start(worker.index)
    finally:
        for worker in workers.values():
            worker.process.kill()
            worker.process.join()


class _Worker:
    """The parent's side of a worker process."""

    def __init__(
        self, context: Any, index: int, threads: int, make_work: Callable[[], Work]
    ):
        self.index = index
        self.num_tasks = 0
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_work, args=(theirs, index, threads, make_work), daemon=True
        )
        self.process.start()
        theirs.close()

    def receive(self, again: str) -> Any:
        """Returns what was sent, or None if the worker wants a task."""
        try:
            message = self.connection.recv()
        except EOFError:
            self.process.join()
            raise UserError(
                f"A worker was ended from outside (exit code {self.process.exitcode}), "
                f"perhaps for want of memory. What is recorded is kept: {again}, with "
                "fewer --workers if memory is short."
            ) from None
        if isinstance(message, Exception):
            raise message
        return message

    def send(self, task: Any) -> None:
        self.num_tasks += 1
        self.connection.send(task)

    def stop(self) -> None:
        self.connection.send(None)
        self.process.join()


def _work(
    parent: connection.Connection,
    index: int,
    threads: int,
    make_work: Callable[[], Work],
) -> None:
    """Runs in the worker: does the tasks that the parent sends, until None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle.
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        set_up_tensorflow(index, threads)
        work = make_work()
        parent.send(None)
        while (task := parent.recv()) is not None:
            work(task, parent.send)
            free_memory()
            parent.send(None)
    except Exception as error:  # It is raised again in the parent.
        parent.send(portable(error))


def set_up_tensorflow(index: int, threads: int) -> None:
    """Gives this worker its threads and, where there are GPUs, one of them."""
    startup.import_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        gpu = gpus[index % len(gpus)]
        tf.config.set_visible_devices([gpu], "GPU")
        tf.config.experimental.set_memory_growth(gpu, True)


def free_memory() -> None:
    """Lets go of what Keras keeps of models that are no longer there."""
    import gc

    import keras

    keras.backend.clear_session()
    gc.collect()


def portable(error: Exception) -> Exception:
    """Returns an exception that survives the way to the parent, with its meaning."""
    if isinstance(error, OSError):
        return OSError(error.errno, error.strerror, error.filename)
    if isinstance(error, UserError):
        return UserError(str(error))
    return RuntimeError(f"{error!r}; cause: {error.__cause__!r}")


def _die_with_parent() -> None:
    """Ends this process when its parent is gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
