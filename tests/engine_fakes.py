"""Work that is done, or not, by workers that may die; and a cluster for them."""

import contextlib
import os
import signal
import time

from kennen_tf.machine.engines import engine
from kennen_tf.vocabulary.errors import UserError


def set_up_nothing(index, threads):
    """Stands in for what takes seconds in each worker."""


def make_work():
    """Runs in a worker: returns what says who does an item, and how far it is.

    An item is a number: what it takes, in seconds, if it is a float. Or a path: the
    first worker that meets it dies there. Who finds "always" dies, and "wrong" raises.
    """

    def work(items):
        for item in items:
            yield engine.Progress(f"at {item}")
            if item == "always" or (
                isinstance(item, os.PathLike) and not item.exists()
            ):
                if item != "always":
                    item.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if item == "wrong":
                raise UserError("a wrong item")
            time.sleep(item if isinstance(item, float) else 0.0)
            yield item, os.getpid()

    return work


@contextlib.contextmanager
def two_nodes(patch, **node):
    """Yields a Ray cluster of two nodes of a core, which are processes.

    Args:
        patch: Sets its environment.
        **node: More of what a node has.
    """
    from ray.cluster_utils import Cluster

    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # As other processes: where cores are scarce, those that are nice get none.
    patch.setenv("RAY_worker_niceness", "0")
    # Without, Ray writes a token into the home folder, and asks for it.
    patch.setenv("RAY_AUTH_MODE", "disabled")
    own = {"num_cpus": 1, **node}
    made = Cluster(initialize_head=True, head_node_args=own)
    made.add_node(**own)
    yield made
    made.shutdown()
