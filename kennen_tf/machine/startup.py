"""Starting TensorFlow without start-up messages.

These come from native code before its log levels are read, and would stand above the
progress bar of every worker. What goes wrong later is still shown.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

from kennen_tf.machine import environment
from kennen_tf.vocabulary.errors import UserError


def import_tensorflow(logical_cpus: int = 1) -> None:
    """Imports TensorFlow and looks for devices, with native messages silenced.

    Args:
        logical_cpus: Above 1, that many devices are made of the CPU, for strategies
            that take all CPUs where there is no GPU.

    Raises:
        UserError: If they cannot be made, or there are GPUs, which would be taken.
    """
    environment.set_environment()
    with _silent_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()
    tf.get_logger().setLevel("WARNING")  # Else, strategies tell of each reduction.
    if logical_cpus > 1:
        _divide_cpu(logical_cpus)


def _divide_cpu(count: int) -> None:
    import tensorflow as tf

    if gpus := tf.config.list_physical_devices("GPU"):
        raise UserError(
            f"--logical_cpus is for machines without a GPU: the {len(gpus)} here would "
            f"be taken. Received: logical_cpus={count}. Leave it out, or hide GPUs by "
            "CUDA_VISIBLE_DEVICES=-1."
        )
    [cpu] = tf.config.list_physical_devices("CPU")
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError as error:  # Devices are what they are from their first use on.
        found = len(tf.config.list_logical_devices("CPU"))
        if found != count:
            raise UserError(
                "--logical_cpus must be given before TensorFlow is first used in a "
                f"process. Received: logical_cpus={count}, where there are {found} "
                "already."
            ) from error


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
