"""Engines by name."""

from typing import Any

from kennen_tf.machine.engines.local import LocalEngine
from kennen_tf.machine.engines.on_ray import RayEngine


def make_engine(
    *,
    name: str,
    address: str = "",
    gpus: float = 0.0,
    memory_mb: int = 0,
    **settings: Any,
) -> LocalEngine | RayEngine:
    """Makes an engine, to be used as a context manager.

    Args:
        name: "local" or "ray".
        address, gpus, memory_mb: See `RayEngine`; the local one has no use for them.
        **settings: What both take: see `LocalEngine`.
    """
    if name == "ray":
        return RayEngine(address=address, gpus=gpus, memory_mb=memory_mb, **settings)
    return LocalEngine(**settings)
