"""Starting TensorFlow without start-up messages.

These come from native code before its log levels are read, and would stand above the
progress bar of every worker. What goes wrong later is still shown.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

from kennen_tf.machine import environment


def import_tensorflow() -> None:
    """Imports TensorFlow and looks for devices, with native messages silenced."""
    environment.set_environment()
    with _silent_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Sends file descriptor 2 to nowhere; exceptions still reach the caller."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
