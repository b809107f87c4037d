"""Settings of engines: who does the work of binaries whose work can be shared out."""

import dataclasses
from typing import Any

from kennen_tf.configs import base
from kennen_tf.vocabulary.errors import UserError

LOCAL, RAY = "local", "ray"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineConfig(base.Config):
    """Base of the configs of such binaries.

    What is made does not depend on these fields, so they are not stored.
    """

    engine: str = base.setting(
        LOCAL,
        "Who does the work: local (this machine) or ray (workers of a Ray cluster; "
        "pip install 'kennen_tf[ray]').",
        choices=(LOCAL, RAY),
        stored=False,
    )
    ray_address: str = base.setting(
        "",
        "With --engine=ray: host:port of the cluster's head, or auto, on one of its "
        "machines. By default what RAY_ADDRESS says, else a cluster of its own on this "
        "machine, which ends with the command.",
        stored=False,
    )
    gpus_per_worker: float = base.setting(
        0.0,
        "With --engine=ray: GPUs that each worker takes; may be a fraction.",
        minimum=0.0,
        stored=False,
    )
    worker_memory_mb: int = base.setting(
        2000,
        "With --engine=ray: memory that a worker takes of its node, in MB, so that no "
        "node has more workers than it has memory for; 0 does not look at it.",
        minimum=0,
        stored=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("ray_address", "gpus_per_worker"):
            value = getattr(self, name)
            if value and self.engine != RAY:
                raise UserError(
                    f"--{name} needs --engine=ray. Received: {name}={value}, "
                    f"engine={self.engine}."
                )

    def engine_settings(self) -> dict[str, Any]:
        """Returns the arguments of `engines.making.make_engine` that these are."""
        return {
            "name": self.engine,
            "address": self.ray_address,
            "gpus": self.gpus_per_worker,
            "memory_mb": self.worker_memory_mb,
        }
