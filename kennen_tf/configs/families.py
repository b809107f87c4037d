"""Settings of `train_families`."""

import dataclasses

from kennen_tf.configs import base


@dataclasses.dataclass(frozen=True, kw_only=True)
class FamiliesConfig(base.Config):
    """Settings of `train_families`.

    Attributes:
        output_dir: Folder for the classifiers and their manifest.json.
        num_train: Digits to train on, drawn at random; the same for all classifiers.
        epochs: Passes over them.
        batch_size: Digits in each step.
        seed: Root seed of initial weights, dropout and the order of digits.
        workers: Processes that train one classifier each; 0: one per core.
        resume: Whether to go on in an `output_dir` that a run was stopped in.
    """

    output_dir: str = ""
    num_train: int = 10_000
    epochs: int = 4
    batch_size: int = 64
    seed: int = 0
    workers: int = 0
    resume: bool = False

    def __post_init__(self) -> None:
        base.check_given("output_dir", self.output_dir)
        base.check_range("num_train", self.num_train, 1)
        base.check_range("epochs", self.epochs, 1)
        base.check_range("batch_size", self.batch_size, 1, self.num_train)
        base.check_range("seed", self.seed, 0)
        base.check_range("workers", self.workers, 0)
