"""Workers on the nodes of a Ray cluster, which may come and go.

A task is a streaming one: each result comes as soon as it is there. It is not Ray that
retries, since it would begin a task anew: what is left of it is sent again.
"""

import contextlib
import dataclasses
import functools
import platform
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from kennen_tf.machine import processors
from kennen_tf.machine.engines import engine, ray_cluster, worker
from kennen_tf.machine.processors import Processor
from kennen_tf.vocabulary.errors import UserError

_TICK_SECONDS = 0.5
# In flight for each worker: one that works and one that waits.
_TASKS_PER_WORKER = 2
# Messages a second that one driver takes without effort.
_PROGRESS_PER_SECOND = 50
# Nodes that join or leave are seen so often.
_LOOK_SECONDS = 5.0
# How long a result may take from a node to here.
_FETCH_SECONDS = 300.0


class RayEngine(contextlib.AbstractContextManager["RayEngine"]):
    """An `Engine` on a Ray cluster; see there. It is left as a context manager.

    Attributes:
        most_workers, again: As given.
        resources: What a task takes of its node, as Ray names it.

    Args:
        address: See `ray_cluster.connect`. It is connected to at the first need.
        num_workers: At most so many side by side; 0: as many as there is room for.
        threads: Of each worker, and cores that it takes.
        gpus: Of each worker; may be a fraction.
        memory_mb: That each worker takes of its node, in MB.
        tasks_per_worker: After so many, a worker is replaced; 0: never.
        again: What to do after too many workers died; for the error.
    """

    def __init__(
        self,
        *,
        address: str = "",
        num_workers: int = 0,
        threads: int = 1,
        gpus: float = 0.0,
        memory_mb: int = 0,
        tasks_per_worker: int = 0,
        again: str = "give the same command again",
    ):
        self.crew: dict[Hashable, engine.Worker] = {}
        self._address = address
        self.most_workers = num_workers
        self.resources: dict[str, Any] = {
            "num_cpus": threads,
            "num_gpus": gpus,
            "memory": memory_mb * 1_000_000,
            "max_calls": tasks_per_worker,
        }
        self.again = again
        self._stack = contextlib.ExitStack()
        self._connected: Any = None
        self._processors: dict[str, Processor] = {}
        self._sent: tuple[engine.MakeWork, list[Any]] | None = None

    def __exit__(self, *error: object) -> None:
        self._connected = self._sent = None
        self._stack.close()

    def _ray(self) -> Any:
        """Returns the module, connected."""
        if self._connected is None:
            self._connected = self._stack.enter_context(
                ray_cluster.connect(self._address)
            )
        return self._connected

    @property
    def num_workers(self) -> int:
        room = ray_cluster.num_workers(
            self._ray(),
            self.resources["num_cpus"],
            self.resources["num_gpus"],
            self.resources["memory"],
        )
        return min(room, self.most_workers or room)

    @property
    def processors(self) -> Mapping[str, Processor]:
        if not self._processors:
            self._processors = ray_cluster.find_processors(self._ray())
        return self._processors

    def check(self) -> None:
        _ = self.processors, self.num_workers

    def send(self, make_work: engine.MakeWork) -> list[Any]:
        """Returns a list with a reference to what makes the work.

        It is sent once to each node, and not again for further runs with the same one:
        workers go on with the work that they have.
        """
        if self._sent is None or self._sent[0] is not make_work:
            self._sent = make_work, [self._ray().put(make_work)]
        return self._sent[1]

    def meet(self, hello: "_Hello") -> None:
        """Notes the node of a task that begins.

        Raises:
            UserError: If it has other versions than this machine.
        """
        ray_cluster.check_versions(hello.node, hello.versions)
        self._processors[hello.node] = hello.processor

    def run(
        self,
        tasks: Iterable[Sequence[Any]],
        make_work: engine.MakeWork,
        name_of: Callable[[Any], str] = str,
    ) -> Iterator[Any]:
        ray = self._ray()
        agenda = engine.Agenda(tasks, name_of, self.again)
        self.check()
        flight = _Flight(self, ray, make_work)
        head = ray_cluster.HeadWatch(ray, self.again)
        try:
            while agenda or flight.tasks:
                head.check()
                flight.fill(agenda)
                for stream in flight.find_ready():
                    result = flight.receive(stream, agenda)
                    if result is not None:
                        yield result
                yield None
        finally:
            flight.landed.set()
            self.crew.clear()


class _Flight:
    """Tasks that were sent to the cluster.

    Attributes:
        tasks: By the streams of what they yield.
        landed: Set when all is over.
    """

    def __init__(self, own: RayEngine, ray: Any, make_work: engine.MakeWork):
        self.tasks: dict[Any, engine.Task] = {}
        self._engine = own
        self._ray = ray
        self._box = own.send(make_work)
        self._remote = ray.remote(
            num_returns="streaming", max_retries=0, **own.resources
        )(_do)
        self._num_workers = own.num_workers
        self.landed = threading.Event()
        threading.Thread(target=self._look_around, daemon=True).start()

    def _look_around(self) -> None:
        """Counts, now and then, for how many workers there is room.

        In a thread of its own: without a head, it waits until Ray ends the process.
        """
        while not self.landed.wait(_LOOK_SECONDS):
            # All may be gone; others may come.
            with contextlib.suppress(UserError):
                self._num_workers = self._engine.num_workers

    def fill(self, agenda: engine.Agenda) -> None:
        """Sends tasks, for the nodes that there are."""
        num_workers = self._num_workers
        seconds = max(
            worker.SECONDS_BETWEEN_PROGRESS, num_workers / _PROGRESS_PER_SECOND
        )
        # One that ends is at once followed by one that waited.
        most = self._engine.most_workers or num_workers * _TASKS_PER_WORKER
        while agenda and len(self.tasks) < most:
            task = agenda.take()
            threads = self._engine.resources["num_cpus"]
            stream = self._remote.remote(
                self._box,
                functools.partial(worker.set_up_tensorflow, threads=threads),
                seconds,
                [*task.items],
            )
            self.tasks[stream] = task

    def find_ready(self) -> list[Any]:
        """Waits a little; returns the streams that have something to tell."""
        streams = list(self.tasks)
        first, _ = self._ray.wait(streams, num_returns=1, timeout=_TICK_SECONDS)
        if not first:
            return []
        ready, _ = self._ray.wait(streams, num_returns=len(streams), timeout=0)
        return ready or first

    def receive(self, stream: Any, agenda: engine.Agenda) -> Any:
        """Takes a message; returns it if it is a result, else None."""
        errors, crew = self._ray.exceptions, self._engine.crew
        try:
            message = self._ray.get(next(stream), timeout=_FETCH_SECONDS)
        except StopIteration:
            self._forget(stream)
            return None
        except errors.RayTaskError as error:
            raise _find_cause(error, self._where(stream)) from error
        except (errors.RuntimeEnvSetupError, errors.TaskUnschedulableError) as error:
            text = ray_cluster.explain_failure(self._where(stream), error)
            raise UserError(text) from error
        except errors.LocalRayletDiedError as error:
            # Ray is about to end this process, without a word.
            raise UserError(
                "Ray must run on this machine. Received: it has ended (`ray stop`, or "
                "killed). What is recorded is kept: start the cluster and "
                f"{self._engine.again}."
            ) from error
        except errors.RayError as error:
            task = self._forget(stream)
            agenda.take_back(task, _say(error))
            return None
        if isinstance(message, _Hello):
            self._engine.meet(message)
            crew[stream] = engine.Worker(node=message.node)
            return None
        node = self._where(stream)
        if isinstance(message, engine.Progress):
            crew[stream] = engine.Worker(node, message.value)
            return None
        crew[stream] = engine.Worker(node)
        self.tasks[stream].end_item()
        return message

    def _where(self, stream: Any) -> str:
        """Returns the node's name; empty before it is known."""
        found = self._engine.crew.get(stream)
        return found.node if found else ""

    def _forget(self, stream: Any) -> engine.Task:
        self._engine.crew.pop(stream, None)
        return self.tasks.pop(stream)


@dataclasses.dataclass(frozen=True)
class _Hello:
    """What a task says first.

    Attributes:
        node: Name of the node that it is on.
        processor: Of the node.
        versions: See `ray_cluster.versions`.
    """

    node: str
    processor: Processor
    versions: Mapping[str, str]


def _do(
    box: Sequence[Any],
    set_up: Callable[[int], None],
    seconds: float,
    items: Sequence[Any],
) -> Iterator[Any]:
    """Runs in a worker of the cluster: does one task.

    Args:
        box: Reference to what makes the work.
        set_up: Sets up TensorFlow; it is given which GPU to take.
        seconds: Between two `Progress`.
        items: Of the task.
    """
    import ray

    node = ray.get_runtime_context().get_node_id()
    yield _Hello(
        node=ray_cluster.node_name(
            {"NodeManagerHostname": platform.node(), "NodeID": node}
        ),
        processor=processors.describe(),
        versions=ray_cluster.versions(),
    )
    try:
        work = _find_work(box[0], set_up)
        yield from worker.thin(work(items), seconds)
    except Exception as error:  # It is raised again in the driver.
        raise worker.portable(error) from None


# Of this worker: what the driver had made, made once.
_works: dict[str, engine.Work] = {}


def _find_work(reference: Any, set_up: Callable[[int], None]) -> engine.Work:
    import ray

    key = reference.hex()
    if key not in _works:
        if not _works:
            # Ray shows a worker its own GPU and no other.
            set_up(0)
        _works.clear()
        _works[key] = ray.get(reference)()
    return _works[key]


def _find_cause(error: Any, node: str) -> Exception:
    """Returns what a worker raised."""
    cause = error.cause
    if isinstance(cause, UserError | OSError):
        return cause
    if "No module named" in str(cause):
        return UserError(ray_cluster.explain_failure(node, cause))
    return RuntimeError(f"On node {node}: {cause}")


def _say(error: Exception) -> str:
    """Says in a line why a task was lost."""
    first = str(error).strip().partition("\n")[0].partition(". ")[0]
    return f"{type(error).__name__}: {first}"
