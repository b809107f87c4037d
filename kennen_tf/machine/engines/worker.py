"""What a worker does, whichever engine it belongs to."""

import gc
import math
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from kennen_tf.machine import startup
from kennen_tf.machine.engines.engine import Progress
from kennen_tf.vocabulary.errors import UserError

# A worker says how far it is no more often than this.
SECONDS_BETWEEN_PROGRESS = 0.5


def set_up_tensorflow(index: int, threads: int) -> None:
    """Gives this worker its threads and, where there are GPUs, one of them.

    Args:
        index: Which of the GPUs that it sees, if there are as many.
        threads: How many.
    """
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
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
        gc.collect()


def thin(
    messages: Iterable[Any], seconds: float = SECONDS_BETWEEN_PROGRESS
) -> Iterator[Any]:
    """Leaves out `Progress` that comes too soon after another of the same item."""
    last = -math.inf
    for message in messages:
        if not isinstance(message, Progress):
            last = -math.inf
        elif time.monotonic() - last < seconds:
            continue
        else:
            last = time.monotonic()
        yield message


def portable(error: Exception) -> Exception:
    """Returns an exception that survives the way to the parent, with its meaning."""
    if isinstance(error, OSError):
        return OSError(error.errno, error.strerror, error.filename)
    if isinstance(error, UserError):
        return UserError(str(error))
    return RuntimeError(f"{error!r}; cause: {error.__cause__!r}")
