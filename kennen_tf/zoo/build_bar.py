"""The bar of a build: it lives before there is a result, and knows parts of results."""

import collections
import contextlib
import sys
import time
from collections.abc import Hashable, Iterable, Mapping
from typing import TextIO

import tqdm

from kennen_tf.machine.engines.engine import Worker
from kennen_tf.zoo import store

# A log should not be filled by a bar.
_SECONDS_ON_TERMINAL, _SECONDS_IN_LOG = 0.5, 30.0

# build_zoo 2/5 |##########          |  51% [00:32 so far, 00:31 left, accepted=2, ...]
_FORMAT = (
    "{desc} |{bar:20}| {percentage:3.0f}% [{elapsed} so far, {remaining} left{postfix}]"
)


class BuildBar(contextlib.AbstractContextManager["BuildBar"]):
    """Shows how many classifiers there are, what workers do, and how long it takes.

    A classifier that is trained counts by its share of epochs, so that the time that is
    left is estimated before the first is done.

    Args:
        total: Number of classifiers that the zoo is to have.
        there: Status of each of those that are there.
        file: Where to; by default the error output.
    """

    def __init__(self, total: int, there: Iterable[str], file: TextIO | None = None):
        counts = collections.Counter(there)
        self._counts = {store.ACCEPTED: 0, store.REJECTED: 0, **counts}
        self._crew: Mapping[Hashable, Worker] = {}
        file = file or sys.stderr
        self._wait = _SECONDS_ON_TERMINAL if file.isatty() else _SECONDS_IN_LOG
        self._shown = 0.0
        self._bar = tqdm.tqdm(
            desc=_title(counts.total(), total),
            total=total,
            initial=counts.total(),
            bar_format=_FORMAT,
            file=file,
            # It is drawn here only.
            miniters=float("inf"),
            mininterval=float("inf"),
        )
        self._draw()

    def __exit__(self, *error: object) -> None:
        self._crew = {}
        self._draw()
        self._bar.close()

    def count(self, status: str) -> None:
        """Counts a classifier that is done."""
        self._counts[status] = self._counts.get(status, 0) + 1

    def show(self, crew: Mapping[Hashable, Worker]) -> None:
        """Shows what workers do, unless the bar was drawn just now.

        Args:
            crew: Who is at work; their progress is a `training_tasks.Running`.
        """
        self._crew = crew
        if time.monotonic() - self._shown >= self._wait:
            self._draw()

    def _draw(self) -> None:
        self._shown = time.monotonic()
        num_done = sum(self._counts.values())
        running = [w.progress for w in self._crew.values() if w.progress]
        parts = [r.epoch / r.epochs for r in running]
        self._bar.n = num_done + sum(parts)
        self._bar.set_description_str(_title(num_done, self._bar.total), refresh=False)
        states = [f"{name}={count}" for name, count in self._counts.items()]
        text = ", ".join([*states, *_describe(self._crew)])
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.refresh()


def _title(num_done: int, total: int) -> str:
    return f"build_zoo {num_done}/{total}"


def _describe(crew: Mapping[Hashable, Worker]) -> list[str]:
    """Says in words what workers do, and on how many machines."""
    if not crew:
        return []
    words = [_count(len(crew), "worker")]
    nodes = {worker.node for worker in crew.values() if worker.node}
    if nodes:
        words = [f"{words[0]} on {_count(len(nodes), 'node')}"]
    running = [worker.progress for worker in crew.values() if worker.progress]
    if not running:
        return [*words, "starting"]
    epochs = sorted({min(r.epoch + 1, r.epochs) for r in running})
    most = max(r.epochs for r in running)
    span = f"{epochs[0]}-{epochs[-1]}" if len(epochs) > 1 else f"{epochs[0]}"
    return [*words, f"epoch {span} of {most}"]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
