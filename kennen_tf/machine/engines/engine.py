"""What engines have in common: tasks go in, results come out, and workers may die.

A task is a list of items that share what is costly, e.g. a compiled training step. What
does a task (`Work`) yields a result for each item, in their order, and between them how
far it is. So an engine knows which items are done: if their worker dies, the others are
tried again elsewhere. The one who asks alone writes files.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from absl import logging

from kennen_tf.machine.processors import Processor
from kennen_tf.vocabulary.errors import UserError

# So often an item is tried again whose worker died.
NUM_RETRIES = 2

Work = Callable[[Sequence[Any]], Iterator[Any]]
# Picklable; a worker calls it once, when TensorFlow is set up.
MakeWork = Callable[[], Work]


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far an item is, where a result is not there yet; `value` is the caller's."""

    value: Any


@dataclasses.dataclass(frozen=True)
class Worker:
    """A worker, as the bar shows it.

    Attributes:
        node: Name of its machine; empty if there is but this one.
        progress: The value of its last `Progress`; None: it starts.
    """

    node: str = ""
    progress: Any = None


class Engine(Protocol):
    """Has workers do tasks."""

    @property
    def crew(self) -> Mapping[Hashable, Worker]:
        """Who is at work now, each by a key of its own."""
        ...

    @property
    def num_workers(self) -> int:
        """How many work side by side, as far as is known."""
        ...

    @property
    def processors(self) -> Mapping[str, Processor]:
        """The processors that were seen so far, by the name of their machine."""
        ...

    def check(self) -> None:
        """Raises `UserError` if it cannot work at all, before anything is begun."""
        ...

    def run(
        self,
        tasks: Iterable[Sequence[Any]],
        make_work: MakeWork,
        name_of: Callable[[Any], str] = str,
    ) -> Iterator[Any]:
        """Does tasks; yields each result as it comes, and None now and then.

        Args:
            tasks: Lists of picklable items. Their classes may be of modules that load
                TensorFlow: a worker sees them once it is set up.
            make_work: Returns what does a task.
            name_of: What an item is called, in errors.

        Raises:
            UserError: If a worker raised one, or an item's worker died three times.
            OSError: If a worker did, e.g. on a full disk.
            RuntimeError: If a worker raised anything else; with its text.
        """
        ...


class Task:
    """Items that are left of a task, and how often the first one's worker died."""

    def __init__(self, items: Iterable[Any]):
        self.items = deque(items)
        self._num_lost = 0

    def end_item(self) -> None:
        """Notes that there is a result of the first item."""
        self.items.popleft()
        self._num_lost = 0

    def lose(self) -> int:
        """Notes that the worker died; returns how often, with the first item."""
        self._num_lost += 1
        return self._num_lost


class Agenda:
    """The tasks that nobody is at.

    Args:
        tasks: All of them, in the order in which they are begun.
        name_of: What an item is called.
        again: What to do once it is given up; for the error.
    """

    def __init__(
        self,
        tasks: Iterable[Sequence[Any]],
        name_of: Callable[[Any], str],
        again: str,
    ):
        self._tasks = deque(Task(items) for items in tasks)
        self._name_of = name_of
        self._again = again

    def __len__(self) -> int:
        return len(self._tasks)

    def take(self) -> Task:
        return self._tasks.popleft()

    def take_back(self, task: Task, reason: str) -> None:
        """Takes back a task whose worker died: it comes last.

        Raises:
            UserError: If that happened too often at one item.
        """
        if not task.items:
            return
        names = [self._name_of(item) for item in task.items]
        others = f" and {len(names) - 1} after it" if names[1:] else ""
        if task.lose() > NUM_RETRIES:
            raise UserError(
                f"{names[0]} was given up: {1 + NUM_RETRIES} workers died of it, the "
                f"last one so: {reason}. Not done: {', '.join(names)}. What is "
                f"recorded is kept: {self._again}, with fewer workers if memory is "
                "short."
            )
        logging.warning(
            "A worker was lost (%s); %s%s will be tried again.",
            *(reason, names[0], others),
        )
        self._tasks.append(task)
