"""Settings of `build_zoo`."""

import dataclasses

from kennen_tf.configs import base

COMPUTE_DTYPES = ("auto", "float32", "bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZooConfig(base.Config):
    """Settings of `build_zoo`.

    What to train:
        num_models: Classifiers to train, accepted or not.
        replicas: Seeds drawn for each combination of attributes, so that small zoos
            have ensembles too.
        specs: Path of a JSON-lines file; if given, exactly its specs are trained.
        seed: Root seed of the draw and of all training.

    How:
        dataset: "mnist", "tfds:<name>" or "idx:<folder>".
        epochs: Passes over a classifier's training data (100 in the paper).
        min_accuracy: Validation accuracy, in [0, 1], below which a classifier is
            rejected (0.98 in the paper).
        compute_dtype: One of `COMPUTE_DTYPES`; "auto" is bfloat16 where the
            processor has instructions for it. Weights are float32 always.

    Where:
        zoo_dir: Folder of the zoo.
        workers: Processes, each with `threads` threads; 0 is one per core.
        threads: Threads of a worker.
    """

    num_models: int = 10_000
    replicas: int = 1
    specs: str = ""
    seed: int = 0
    dataset: str = "mnist"
    epochs: int = 100
    min_accuracy: float = 0.98
    compute_dtype: str = "auto"
    zoo_dir: str = "zoo"
    workers: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        base.check_range("num_models", self.num_models, 1, 18_144_000)
        base.check_range("replicas", self.replicas, 1, 1000)
        base.check_range("seed", self.seed, 0)
        base.check_range("epochs", self.epochs, 1)
        base.check_range("min_accuracy", self.min_accuracy, 0.0, 1.0)
        base.check_choice("compute_dtype", self.compute_dtype, COMPUTE_DTYPES)
        base.check_given("zoo_dir", self.zoo_dir)
        base.check_range("workers", self.workers, 0)
        base.check_range("threads", self.threads, 1)
