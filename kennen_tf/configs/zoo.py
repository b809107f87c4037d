"""Settings of `build_zoo`."""

import dataclasses

from kennen_tf.configs import base

# Each in a module of its name, in `designs`.
DESIGNS = ("mnist_net", "digits_net", "wild_net")
COMPUTE_DTYPES = ("auto", "float32", "bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZooConfig(base.Config):
    """Settings of `build_zoo`.

    What to train:
        design: What is varied: one of `DESIGNS`, or "module:NAME".
        num_models: Classifiers to train, accepted or not.
        replicas: Seeds drawn for each combination of attributes, so that small zoos
            have ensembles too.
        specs: Path of a JSON-lines file; if given, exactly its specs are trained.
        seed: Root seed of the draw and of all training.

    How:
        dataset: Name of a dataset; "" is the design's images.
        epochs: Passes over a classifier's training data; 0 is what the design says.
        min_accuracy: Validation accuracy, in [0, 1], below which a classifier is
            rejected; -1 is what the design says.
        compute_dtype: One of `COMPUTE_DTYPES`; "auto" is bfloat16 where the
            processor has instructions for it. Weights are float32 always.

    Where:
        zoo_dir: Folder of the zoo.
        workers: Processes, each with `threads` threads; 0 is one per core.
        threads: Threads of a worker. Sums of more threads round differently, so that
            weights differ, too.
        max_failures: Classifiers whose training may raise an error before the build
            ends; each is recorded as failed.
        retry_failed: Whether what failed before is trained again.
    """

    design: str = "mnist_net"
    num_models: int = 10_000
    replicas: int = 1
    specs: str = ""
    seed: int = 0
    dataset: str = ""
    epochs: int = 0
    min_accuracy: float = -1.0
    compute_dtype: str = "auto"
    zoo_dir: str = "zoo"
    workers: int = 0
    threads: int = 1
    max_failures: int = 10
    retry_failed: bool = False

    def __post_init__(self) -> None:
        base.check_given("design", self.design)
        base.check_range("num_models", self.num_models, 1)
        base.check_range("replicas", self.replicas, 1, 1000)
        base.check_range("seed", self.seed, 0)
        base.check_range("epochs", self.epochs, 0)
        if self.min_accuracy != -1:
            base.check_range("min_accuracy", self.min_accuracy, 0.0, 1.0)
        base.check_choice("compute_dtype", self.compute_dtype, COMPUTE_DTYPES)
        base.check_given("zoo_dir", self.zoo_dir)
        base.check_range("workers", self.workers, 0)
        base.check_range("threads", self.threads, 1)
        base.check_range("max_failures", self.max_failures, 0)
