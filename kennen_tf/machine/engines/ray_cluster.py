"""The Ray cluster that an engine works on: found or started, looked at, and left.

Nothing here is needed unless `--engine=ray` is asked for: Ray is an extra.
"""

import contextlib
import importlib.metadata
import math
import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

import kennen_tf
from kennen_tf.machine import processors
from kennen_tf.machine.cluster import split_address
from kennen_tf.machine.processors import Processor
from kennen_tf.vocabulary.errors import UserError

# What a node must have as the driver has it; weights depend on them.
_LIBRARIES = ("tensorflow", "keras")

# Set for a cluster of our own, before Ray is imported; the user's own settings win.
_OWN_CLUSTER = {
    # Ray listens on the loopback address only, as it does on Windows and macOS.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
# Pages of Ray's own on what is told in a line, or in an error.
_SKIPPED = "A worker died or was killed|Raylet is terminated|The node with node id"

_CONNECT_SECONDS = 5.0
_LOOK_SECONDS = 1.0
# How long the head may be silent: it may be started again.
_HEAD_SECONDS = 30.0
_PROBE_SECONDS = 120.0


@contextlib.contextmanager
def connect(address: str) -> Iterator[Any]:
    """Connects to a cluster, or starts one on this machine; yields the module `ray`.

    Args:
        address: "host:port" or "auto", as `ray.init` takes it; empty: that in the
            environment variable RAY_ADDRESS, else a cluster of our own.

    Raises:
        UserError: If Ray is not there, nobody listens, or it is another Ray.
    """
    address = address or os.environ.get("RAY_ADDRESS", "")
    if not address:
        for name, value in _OWN_CLUSTER.items():
            os.environ.setdefault(name, value)
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", _SKIPPED)
    try:
        import ray
    except ImportError as error:
        raise UserError(
            f"--engine=ray needs Ray: pip install 'kennen_tf[ray]'. Received: {error}."
        ) from error
    if ray.is_initialized():  # By the program that called us: it is theirs to end.
        yield ray
        return
    if address:
        _check_address(address)
    try:
        ray.init(**_init_settings(address))
    except Exception as error:  # Of many kinds, and none documented.
        raise UserError(_explain(address, error)) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _init_settings(address: str) -> dict[str, Any]:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address:
        return {**quiet, "address": address}
    return {
        **quiet,
        "address": "local",
        "num_cpus": processors.available_cores(),
        "include_dashboard": False,
    }


def _check_address(address: str) -> None:
    """Raises `UserError` if nobody listens there: Ray itself waits for long."""
    if "://" in address:
        raise UserError(
            "--ray_address must be host:port or auto, on a machine of the cluster. "
            f"Received: ray_address={address}, of Ray's client, which does not do. "
            "Give the command on a node, or send it there with `ray job submit`."
        )
    if ":" not in address:
        return
    try:
        socket.create_connection(split_address(address), _CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        port = address.rpartition(":")[2]
        raise UserError(
            f"A Ray cluster must listen at --ray_address. Received: {address} "
            f"({error}). Start one there: ray start --head --port={port}."
        ) from error


def _explain(address: str, error: Exception) -> str:
    """Says why there is no connection, and what to do."""
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        advice = "Install the cluster's versions here, or ours there."
    elif address:
        advice = (
            "Is it Ray, is this machine one of its nodes (`ray start`), and does it "
            "want a token (RAY_AUTH_MODE=token, with RAY_AUTH_TOKEN or "
            "RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token, as its head has it)?"
        )
    else:
        advice = "Is there memory and room in /tmp?"
    return (
        f"Ray must be reached {f'at {address}' if address else 'on this machine'}. "
        f"Received: {type(error).__name__}: {text[:400].rstrip('.')}. {advice}"
    )


def versions() -> dict[str, str]:
    """Returns the versions here of what must be equal on all nodes."""
    others = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"kennen_tf": kennen_tf.__version__, **others}


def check_versions(node: str, theirs: Mapping[str, str]) -> None:
    """Raises `UserError` if a node has other versions than this machine."""
    ours = versions()
    if dict(theirs) != ours:
        wanted = [f"{n} {v}" for n, v in ours.items() if theirs.get(n) != v]
        has = [f"{n} {theirs.get(n)}" for n in ours if theirs.get(n) != ours[n]]
        raise UserError(
            f"All nodes must have what this machine has: {', '.join(wanted)}. "
            f"Received: node {node} with {', '.join(has)}. Install the same there."
        )


def num_workers(ray: Any, cores: float, gpus: float, memory: float) -> int:
    """Returns how many workers the nodes that there are have room for.

    Args:
        ray: The module.
        cores, gpus: That a worker takes.
        memory: That it takes, in bytes.

    Raises:
        UserError: If no node has room for one.
    """
    wanted = {"CPU": cores, "GPU": gpus, "memory": memory}
    wanted = {name: amount for name, amount in wanted.items() if amount}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(
        # Of thirds of a GPU, three fit.
        int(min(own.get(name, 0.0) / amount for name, amount in wanted.items()) + 1e-9)
        for own in nodes
    )
    if not room:
        has = [
            f"{own.get('CPU', 0):g} cores, {own.get('GPU', 0):g} GPUs and "
            f"{own.get('memory', 0) / 1e6:,.0f} MB"
            for own in nodes
        ]
        raise UserError(
            f"A worker must find {cores:g} cores (--threads), {gpus:g} GPUs "
            f"(--gpus_per_worker) and {memory / 1e6:,.0f} MB (--worker_memory_mb) on "
            f"one node. Received: nodes with {'; '.join(has) or 'nothing'}."
        )
    return room


def find_processors(ray: Any) -> dict[str, Processor]:
    """Returns the processor of each node that has cores for workers, by its name.

    Raises:
        UserError: If a node lacks this package, or has another version of it.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    probe = ray.remote(num_cpus=0, max_retries=0)(_probe)
    answers = {}
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU"):
            where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            answers[node_name(node)] = probe.options(scheduling_strategy=where).remote()
    found = {}
    for name, answer in answers.items():
        try:
            found[name], theirs = ray.get(answer, timeout=_PROBE_SECONDS)
        except (
            ray.exceptions.NodeDiedError,
            ray.exceptions.TaskUnschedulableError,
            ray.exceptions.WorkerCrashedError,
        ):
            continue  # It has left, and Ray does not say so yet.
        except ray.exceptions.RayError as error:
            raise UserError(explain_failure(name, error)) from error
        check_versions(name, theirs)
    return found


def _probe() -> tuple[Processor, dict[str, str]]:
    """Runs on a node."""
    return processors.describe(), versions()


def node_name(node: Mapping[str, Any]) -> str:
    """Returns a name that tells a node from others of the same machine."""
    return f"{node['NodeManagerHostname']}-{node['NodeID'][:6]}"


def explain_failure(node: str, error: Exception) -> str:
    """Says why a task could not even begin."""
    text = " ".join(str(error).split())
    if "No module named" in text:
        return (
            f"Each node must have this package. Received: node {node} without it "
            f"({text[text.index('No module named') :][:80]}). Install it there, or "
            "send a checkout along: ray job submit --working-dir=. -- python -m ..."
        )
    return f"Node {node} must run tasks. Received: {type(error).__name__}: {text[:400]}"


class HeadWatch:
    """Watches over the head of a cluster: without it, Ray waits in silence.

    Args:
        ray: The module.
        again: What to do once it is gone; for the error.
    """

    def __init__(self, ray: Any, again: str):
        self._address = split_address(ray.get_runtime_context().gcs_address)
        self._again = again
        self._seen = time.monotonic()
        self._looked = -math.inf

    def check(self) -> None:
        """Looks, now and then. Raises `UserError` if it has long been silent."""
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        try:
            socket.create_connection(self._address, _CONNECT_SECONDS).close()
            self._seen = time.monotonic()
        except OSError as error:
            if time.monotonic() - self._seen > _HEAD_SECONDS:
                raise UserError(
                    f"The head of the Ray cluster must answer at {self._address[0]}:"
                    f"{self._address[1]}. Received: {error}. What is recorded is kept: "
                    f"start the cluster and {self._again}."
                ) from error
        self._looked = time.monotonic()
