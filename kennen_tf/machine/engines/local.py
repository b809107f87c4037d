"""Worker processes of this machine.

A worker has its threads and, where there are GPUs, one of them. It ends with the
parent, however that ends, and leaves Ctrl-C to it. TensorFlow never gives back the
memory of a trace: after `tasks_per_worker` tasks, a new worker takes its place. Another
takes the place of one that dies.
"""

import contextlib
import dataclasses
import functools
import multiprocessing
import os
import platform
import signal
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from multiprocessing import connection
from typing import Any

from kennen_tf.machine import processors
from kennen_tf.machine.engines import engine, worker
from kennen_tf.machine.processors import Processor
from kennen_tf.vocabulary.errors import UserError

# Of the parent, when no worker has said anything.
_TICK_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class _Ready:
    """A worker wants a task."""


class LocalEngine(contextlib.AbstractContextManager["LocalEngine"]):
    """An `Engine` of processes on this machine; see there.

    Args:
        num_workers: At most so many; 0: as many as there are cores.
        threads: Of each worker; 0: what is left to each, if there are more cores than
            tasks.
        tasks_per_worker: After so many, a worker is replaced; 0: never.
        again: What to do after too many workers died; for the error.
    """

    def __init__(
        self,
        *,
        num_workers: int = 0,
        threads: int = 1,
        tasks_per_worker: int = 0,
        again: str = "give the same command again",
    ):
        self.crew: dict[Hashable, engine.Worker] = {}
        self.num_workers = num_workers or processors.available_cores()
        self._threads = threads
        self._tasks_per_worker = tasks_per_worker
        self._again = again

    def __exit__(self, *error: object) -> None:
        """There is nothing to leave."""

    def check(self) -> None:
        """There is always this machine."""

    @functools.cached_property
    def processors(self) -> Mapping[str, Processor]:
        return {platform.node(): processors.describe()}

    def run(
        self,
        tasks: Iterable[Sequence[Any]],
        make_work: engine.MakeWork,
        name_of: Callable[[Any], str] = str,
    ) -> Iterator[Any]:
        agenda = engine.Agenda(tasks, name_of, self._again)
        num_workers = min(self.num_workers, len(agenda))
        threads = self._threads or max(
            1, processors.available_cores() // max(1, num_workers)
        )
        workers: dict[Any, _Worker] = {}
        num_stillborn = 0

        def start(index: int) -> None:
            new = _Worker(index, threads, make_work)
            workers[new.connection] = new
            self.crew[index] = engine.Worker()

        try:
            for index in range(num_workers):
                start(index)
            yield None
            while workers:
                ready = connection.wait(list(workers), _TICK_SECONDS)
                for own in [workers[connected] for connected in ready]:
                    try:
                        message = own.receive()
                    except EOFError:
                        message, reason = None, own.bury()
                        if own.task is None:
                            num_stillborn += 1
                            self._check_births(num_stillborn, reason)
                        else:
                            agenda.take_back(own.task, reason)
                    if isinstance(message, engine.Progress):
                        self.crew[own.index] = engine.Worker(progress=message.value)
                    elif not isinstance(message, _Ready | None):
                        own.end_item()
                        self.crew[own.index] = engine.Worker()
                        yield message
                    elif message and agenda and not self._is_worn(own):
                        own.send(agenda.take())
                        num_stillborn = 0
                    else:
                        if message:
                            own.stop()
                        del workers[own.connection], self.crew[own.index]
                        if agenda:
                            start(own.index)
                yield None
        finally:
            self.crew.clear()
            for own in workers.values():
                own.process.kill()
                own.process.join()

    def _is_worn(self, own: "_Worker") -> bool:
        """Says whether a worker has done all that it may."""
        return 0 < self._tasks_per_worker == own.num_tasks

    def _check_births(self, num_stillborn: int, reason: str) -> None:
        """Raises `UserError` if workers die before they begin, one after the other."""
        if num_stillborn > engine.NUM_RETRIES:
            raise UserError(
                f"Workers must live to begin. Received: {num_stillborn} that did not, "
                f"the last one so: {reason}. What is recorded is kept: {self._again}, "
                "with fewer workers if memory is short."
            )


class _Worker:
    """The parent's side of a worker process.

    Attributes:
        task: What it is at.
        num_tasks: How many it was given.
    """

    def __init__(self, index: int, threads: int, make_work: engine.MakeWork):
        context = multiprocessing.get_context("spawn")
        self.index = index
        self.num_tasks = 0
        self.task: engine.Task | None = None
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_work,
            args=(theirs, index, threads, worker.set_up_tensorflow, make_work),
            daemon=True,
        )
        self.process.start()
        theirs.close()

    def receive(self) -> Any:
        """Returns what was sent. Raises `EOFError` if it died, or what it raised."""
        try:
            message = self.connection.recv()
        except ConnectionError as error:  # It died in the middle of a message.
            raise EOFError from error
        if isinstance(message, Exception):
            raise message
        return message

    def send(self, task: engine.Task) -> None:
        self.num_tasks += 1
        self.task = task
        # If it has died just now, that is what is received next.
        with contextlib.suppress(ConnectionError):
            self.connection.send(list(task.items))

    def end_item(self) -> None:
        if self.task is None:
            raise ValueError("A worker sent a result without a task.")
        self.task.end_item()

    def bury(self) -> str:
        """Returns why it is dead."""
        self.process.join()
        return (
            f"ended from outside (exit code {self.process.exitcode}), perhaps for want "
            "of memory"
        )

    def stop(self) -> None:
        with contextlib.suppress(ConnectionError):
            self.connection.send(None)
        self.process.join()


def _work(
    parent: connection.Connection,
    index: int,
    threads: int,
    set_up: Callable[[int, int], None],
    make_work: engine.MakeWork,
) -> None:
    """Runs in the worker: does the tasks that the parent sends, until None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle.
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        set_up(index, threads)
        work = make_work()
        parent.send(_Ready())
        while (items := parent.recv()) is not None:
            for message in worker.thin(work(items)):
                parent.send(message)
            parent.send(_Ready())
    except Exception as error:  # It is raised again in the parent.
        parent.send(worker.portable(error))


def _die_with_parent() -> None:
    """Ends this process when its parent is gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
