"""Starting TensorFlow: what it reads at its import, and no start-up messages.

These come from native code before its log levels are read, and would stand above the
progress bar of every worker. What goes wrong later is still shown.
"""

import contextlib
import os
import sys
from collections.abc import Iterator


def set_environment() -> None:
    """Sets what TensorFlow and Keras read when they are imported; children inherit it.

    The user's own settings win, but for the backend: there is only this one.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow's own choice is off for processors without AVX-512: half as fast.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ["KERAS_BACKEND"] = "tensorflow"


def import_tensorflow() -> None:
    """Imports TensorFlow and looks for devices, with native messages silenced."""
    set_environment()
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
