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

    Attributes:
        threads, tasks_per_worker, again: As given.

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
        self.threads = threads
        self.tasks_per_worker = tasks_per_worker
        self.again = again

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
        agenda = engine.Agenda(tasks, name_of, self.again)
        pool = _Pool(self, agenda, make_work)
        try:
            pool.start(min(self.num_workers, len(agenda)))
            yield None
            while pool.workers:
                for own in pool.find_ready():
                    result = pool.receive(own)
                    if result is not None:
                        yield result
                yield None
        finally:
            self.crew.clear()
            for own in pool.workers.values():
                own.process.kill()
                own.process.join()


class _Pool:
    """Worker processes, and what they are given.

    Attributes:
        workers: By the connections to them.
    """

    def __init__(
        self, own: LocalEngine, agenda: engine.Agenda, make_work: engine.MakeWork
    ):
        self.workers: dict[Any, _Worker] = {}
        self._engine = own
        self._agenda = agenda
        self._make_work = make_work
        self._threads = 0
        self._num_stillborn = 0

    def start(self, num_workers: int) -> None:
        """Starts the first workers."""
        cores = processors.available_cores()
        self._threads = self._engine.threads or max(1, cores // max(1, num_workers))
        for index in range(num_workers):
            self._start(index)

    def _start(self, index: int) -> None:
        new = _Worker(index, self._threads, self._make_work)
        self.workers[new.connection] = new
        self._engine.crew[index] = engine.Worker()

    def find_ready(self) -> "list[_Worker]":
        """Waits a little; returns the workers that have something to tell, or died."""
        ready = connection.wait(list(self.workers), _TICK_SECONDS)
        return [self.workers[connected] for connected in ready]

    def receive(self, own: "_Worker") -> Any:
        """Takes a message; returns it if it is a result, else None."""
        crew = self._engine.crew
        try:
            message = own.receive()
        except EOFError:
            self._bury(own)
            return None
        if isinstance(message, _Ready):
            self._go_on(own)
            return None
        if isinstance(message, engine.Progress):
            crew[own.index] = engine.Worker(progress=message.value)
            return None
        crew[own.index] = engine.Worker()
        own.end_item()
        return message

    def _go_on(self, own: "_Worker") -> None:
        """Gives a worker a task, or another one its place."""
        is_worn = 0 < self._engine.tasks_per_worker == own.num_tasks
        if self._agenda and not is_worn:
            own.send(self._agenda.take())
            self._num_stillborn = 0
        else:
            own.stop()
            self._replace(own)

    def _bury(self, own: "_Worker") -> None:
        """Takes back what a dead worker was at, and gives another one its place."""
        reason = own.bury()
        if own.task is not None:
            self._agenda.take_back(own.task, reason)
        else:
            self._num_stillborn += 1
            self._check_births(reason)
        self._replace(own)

    def _replace(self, own: "_Worker") -> None:
        del self.workers[own.connection], self._engine.crew[own.index]
        if self._agenda:
            self._start(own.index)

    def _check_births(self, reason: str) -> None:
        """Raises `UserError` if workers die before they begin, one after the other."""
        if self._num_stillborn > engine.NUM_RETRIES:
            raise UserError(
                f"Workers must live to begin. Received: {self._num_stillborn} that did "
                f"not, the last one so: {reason}. What is recorded is kept: "
                f"{self._engine.again}, with fewer workers if memory is short."
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
