"""Engines by name."""

from kennen_tf.machine.engines.local import LocalEngine
from kennen_tf.machine.engines.on_ray import RayEngine


def make_engine(
    *,
    name: str,
    address: str = "",
    gpus: float = 0.0,
    memory_mb: int = 0,
    num_workers: int = 0,
    threads: int = 1,
    tasks_per_worker: int = 0,
    again: str = "give the same command again",
) -> LocalEngine | RayEngine:
    """Makes an engine, to be used as a context manager.

    Args:
        name: "local" or "ray".
        address, gpus, memory_mb: See `RayEngine`; the local one has no use for them.
        num_workers, threads, tasks_per_worker, again: See `LocalEngine`.
    """
    if name == "ray":
        return RayEngine(
            address=address,
            gpus=gpus,
            memory_mb=memory_mb,
            num_workers=num_workers,
            threads=threads,
            tasks_per_worker=tasks_per_worker,
            again=again,
        )
    return LocalEngine(
        num_workers=num_workers,
        threads=threads,
        tasks_per_worker=tasks_per_worker,
        again=again,
    )
