"""Strategies of `tf.distribute` by name, and what holds under each of them.

Batch sizes are global: a step sees that many entries over all replicas and workers.
"""

import json
import os

import tensorflow as tf

from kennen_tf.vocabulary.errors import UserError

_EXAMPLE = (
    '{"cluster": {"worker": ["a:2222", "b:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Makes a strategy. Call it before TensorFlow has done anything else.

    Args:
        name: "one_device" (the first GPU or the CPU), "mirrored" (all GPUs, or all
            logical CPUs), "multi_worker" (the cluster in TF_CONFIG), or "auto"
            ("mirrored" with several GPUs, else "one_device").

    Raises:
        UserError: If the name is unknown, or there is no cluster.
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
        _check_cluster()
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


def check_batch_size(batch_size: int, strategy: tf.distribute.Strategy) -> None:
    """Raises `UserError` if a batch has less than one entry for each replica."""
    replicas = strategy.num_replicas_in_sync
    if batch_size < replicas:
        raise UserError(
            f"A batch must have at least one entry for each of {replicas} replicas. "
            f"Received: batch_size={batch_size}. Take fewer devices, or more entries."
        )


def _logical_devices(kind: str) -> list[str]:
    return [device.name for device in tf.config.list_logical_devices(kind)]


def _check_cluster() -> None:
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        is_whole = bool(config["cluster"]) and {"type", "index"} <= set(config["task"])
    except (ValueError, KeyError, TypeError):
        is_whole = False
    if not is_whole:
        raise UserError(
            "--strategy=multi_worker needs the environment variable TF_CONFIG, with "
            f"the addresses of the cluster and this task, e.g. {_EXAMPLE}. Received: "
            f"{text!r}."
        )
