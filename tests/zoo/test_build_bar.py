"""The bar of a build says what happens before there is a result."""

import io
import re

import pytest

from kennen_tf.machine.engines.engine import Worker
from kennen_tf.zoo import build_bar, store
from kennen_tf.zoo.build_bar import BuildBar
from kennen_tf.zoo.training_tasks import Running


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a second whenever it is asked."""
    seconds = iter(range(1000))
    monkeypatch.setattr(build_bar.time, "monotonic", lambda: next(seconds))


def last(file):
    """Returns what a line shows at last, without the blanks that overwrite."""
    return file.getvalue().split("\r")[-1].rstrip()


def test_it_tells_workers_and_epochs_before_the_first_result(clock):
    file = Terminal()
    with BuildBar(4, [], file) as bar:
        assert last(file).startswith("build_zoo 0/4 |")
        bar.show({0: Worker(), 1: Worker()})
        assert last(file).endswith(
            "? left, accepted=0, rejected=0, 2 workers, starting]"
        )
        bar.show({0: Worker(progress=Running(epoch=50, epochs=100)), 1: Worker()})
        assert last(file).endswith("2 workers, epoch 51 of 100]")
        # An eighth of the whole: there is an estimate.
        assert "|  12% [" in last(file)
        assert re.search(r"so far, \d+:\d+ left", last(file))
        bar.show(
            {
                0: Worker(progress=Running(epoch=100, epochs=100)),
                1: Worker(progress=Running(epoch=2, epochs=100)),
            }
        )
        assert last(file).endswith("2 workers, epoch 3-100 of 100]")


def test_it_tells_on_how_many_nodes_they_are(clock):
    file = Terminal()
    with BuildBar(4, [], file) as bar:
        bar.show({0: Worker("a"), 1: Worker("b"), 2: Worker("b")})
        assert last(file).endswith("3 workers on 2 nodes, starting]")
        bar.show({0: Worker("a", Running(epoch=1, epochs=5))})
        assert last(file).endswith("1 worker on 1 node, epoch 2 of 5]")


def test_it_counts_what_was_there_and_what_comes(clock):
    file = Terminal()
    with BuildBar(4, [store.ACCEPTED, store.FAILED], file) as bar:
        assert "build_zoo 2/4" in last(file)
        bar.count(store.REJECTED)
        bar.show({0: Worker()})
        assert "build_zoo 3/4" in last(file) and "|  75% [" in last(file)
        assert "accepted=1, rejected=1, failed=1, 1 worker, starting]" in last(file)
    assert file.getvalue().endswith("accepted=1, rejected=1, failed=1]\n")


def test_a_log_is_not_filled(clock):
    log = io.StringIO()
    with BuildBar(4, [], log) as bar:
        for _ in range(25):
            bar.show({0: Worker(progress=Running(epoch=1, epochs=9))})
        assert "epoch" not in log.getvalue()
        for _ in range(25):
            bar.show({0: Worker(progress=Running(epoch=1, epochs=9))})
        assert log.getvalue().count("epoch") == 1
