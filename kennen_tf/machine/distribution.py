"""Strategies of `tf.distribute` by name, and what holds under each of them.

Batch sizes are global: a step sees that many entries over all replicas and workers.
"""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from kennen_tf.machine.cluster import Cluster
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Makes a strategy. Call it before TensorFlow has done anything else.

    Args:
        name: "one_device" (the first GPU or the CPU), "mirrored" (all GPUs, or all
            logical CPUs), "multi_worker" (the cluster in TF_CONFIG, whose processes are
            waited for), or "auto" ("mirrored" with several GPUs, else "one_device").

    Raises:
        UserError: If the name is unknown, or there is no cluster, or not all of it.
    """
    if name == "auto":
        name = "mirrored" if len(_logical_devices("GPU")) > 1 else "one_device"
    if name == "one_device":
        device = (_logical_devices("GPU") or _logical_devices("CPU"))[0]
        return tf.distribute.OneDeviceStrategy(device)
    if name == "mirrored":
        if gpus := _logical_devices("GPU"):
            return tf.distribute.MirroredStrategy(gpus)
        # Without collective operations: those of a second strategy in the process
        # would meet those of the first.
        return tf.distribute.MirroredStrategy(
            _logical_devices("CPU"),
            cross_device_ops=tf.distribute.ReductionToOneDevice(),
        )
    if name == "multi_worker":
        Cluster.from_environment().meet()
        return tf.distribute.MultiWorkerMirroredStrategy()
    raise UserError(
        "--strategy must be one of auto, one_device, mirrored, multi_worker. "
        f"Received: strategy={name!r}."
    )


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Says whether several processes train together."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Says whether this process is the one that writes files."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec().jobs:
        return True
    # Without a job named "chief", the first worker is the chief.
    return resolver.task_type == "chief" or (
        resolver.task_type == "worker"
        and resolver.task_id == 0
        and "chief" not in resolver.cluster_spec().jobs
    )


def first_replica(strategy: tf.distribute.Strategy) -> int:
    """Returns the number of this process's first replica, among all processes'."""
    if not is_multi_worker(strategy):
        return 0
    cluster = Cluster.from_environment()
    place = list(cluster.addresses).index(cluster.own)
    return place * len(strategy.extended.worker_devices)


def names(strategy: tf.distribute.Strategy) -> tuple[str, str]:
    """Returns the names of this process and of the chief, e.g. "worker 1 of 2"."""
    resolver = strategy.cluster_resolver
    cluster = resolver.cluster_spec()
    own = f"{resolver.task_type} {resolver.task_id}"
    chief = "chief" if "chief" in cluster.jobs else "worker"
    return f"{own} of {cluster.num_tasks(resolver.task_type)}", f"{chief} 0"


def check_same(strategy: tf.distribute.Strategy, value: object, wanted: str) -> None:
    """Checks that all processes of a strategy have the same; all of them call this.

    So none goes on while another does something else, and waits for it in vain.

    Args:
        strategy: With one process, nothing happens.
        value: What is compared, by its JSON.
        wanted: For the error: what has to be the same.

    Raises:
        UserError: In every process, if they differ.
    """
    if not is_multi_worker(strategy):
        return
    number = int(artifacts.fingerprint(value)[:15], 16)

    @tf.function
    def gather() -> tf.Tensor:
        mine = strategy.run(lambda: tf.constant([number], tf.int64))
        return strategy.gather(mine, axis=0)

    if len(set(gather().numpy().tolist())) > 1:
        raise UserError(
            f"All workers must have the same {wanted}. Received: different ones."
        )


def see_off(strategy: tf.distribute.Strategy) -> None:
    """Has the chief end after the others, if there are any."""
    if is_multi_worker(strategy):
        Cluster.from_environment().see_off()


@contextlib.contextmanager
def naming_lost_workers(name: str) -> Iterator[None]:
    """Turns what TensorFlow raises when a process is gone into a `UserError`.

    It is found out within some ten seconds.

    Args:
        name: Of the strategy.
    """
    try:
        yield
    except (
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.FailedPreconditionError,
        tf.errors.InternalError,
        tf.errors.UnavailableError,
    ) as error:
        if name != "multi_worker":
            raise
        own = Cluster.from_environment().own
        # What stands before tells where, at length.
        reason = str(error.message).rpartition("aborted by: ")[2].partition("\n")[0]
        raise UserError(
            f"This is {own}: another worker has ended before the training had. See "
            "what it says, and start all of them again, with --resume. TensorFlow "
            f"says: {reason.strip()[:300]}"
        ) from error


def _logical_devices(kind: str) -> list[str]:
    return [device.name for device in tf.config.list_logical_devices(kind)]
