"""Settings of `train_families`."""

import dataclasses

from kennen_tf.configs import base
from kennen_tf.configs.engines import EngineConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class FamiliesConfig(EngineConfig):
    """Settings of `train_families`."""

    output_dir: str = base.setting(
        "", "Folder for the classifiers and their manifest.json.", required=True
    )
    num_train: int = base.setting(
        10_000,
        "Digits to train on, drawn at random, the same for all classifiers.",
        minimum=1,
    )
    epochs: int = base.setting(4, "Passes over these digits.", minimum=1)
    batch_size: int = base.setting(64, "Digits in each training step.", minimum=1)
    seed: int = base.setting(
        0, "Root seed of initial weights, dropout and order of digits.", minimum=0
    )
    workers: int = base.setting(
        0,
        "Processes that train one classifier each; 0 is one per core, and with "
        "--engine=ray as many as the nodes have room for.",
        minimum=0,
    )
    resume: bool = base.setting(
        False, "Go on in an --output_dir that a run was stopped in."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        base.check_range("batch_size", self.batch_size, 1, self.num_train)
