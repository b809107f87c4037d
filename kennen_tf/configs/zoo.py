"""Settings of `build_zoo`."""

import dataclasses

from kennen_tf.configs import base
from kennen_tf.configs.engines import EngineConfig
from kennen_tf.vocabulary.errors import UserError

# Each in a module of its name, in `designs`.
DESIGNS = ("mnist_net", "digits_net", "wild_net")
COMPUTE_DTYPES = ("auto", "float32", "bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZooConfig(EngineConfig):
    """Settings of `build_zoo`."""

    design: str = base.setting(
        "mnist_net",
        f"What the classifiers differ in: {', '.join(DESIGNS)}, or module:NAME for a "
        "design of your own.",
        required=True,
    )
    num_models: int = base.setting(
        0,
        "Number of classifiers to train, accepted or not; needed unless --specs is "
        "given.",
    )
    replicas: int = base.setting(
        1,
        "Number of seeds drawn for each combination of attributes; with more than one, "
        "small zoos have ensembles too.",
        minimum=1,
        maximum=1000,
    )
    specs: str = base.setting(
        "",
        "Path of a JSON-lines file; exactly its specs are trained, and --num_models "
        "and --replicas are not used.",
    )
    seed: int = base.setting(0, "Root seed of the draw and of all training.", minimum=0)
    dataset: str = base.setting(
        "",
        "Images to train on: mnist (inside the package), digits (8x8, of "
        "scikit-learn), tfds:<name>, idx:<folder> with the four IDX files, or a .npz "
        "file with the arrays train_images, train_labels, test_images and test_labels. "
        "By default, those of the design; others have its shape and classes.",
    )
    epochs: int = base.setting(
        0,
        "Passes over a classifier's training data; 0 is what the design says: 100 for "
        "mnist_net.",
        minimum=0,
    )
    min_accuracy: float = base.setting(
        -1.0,
        "Validation accuracy, in [0, 1], below which a classifier is rejected; -1 is "
        "what the design says: 0.98 for mnist_net.",
    )
    compute_dtype: str = base.setting(
        "auto",
        "Number format of the training arithmetic; auto takes bfloat16 where the "
        "processor has instructions for it. Weights are float32 always.",
        choices=COMPUTE_DTYPES,
    )
    zoo_dir: str = base.setting(
        "zoo", "Folder of the zoo; if it holds one, it is continued.", required=True
    )
    workers: int = base.setting(
        0,
        "Number of processes; 0 is one per core, and with --engine=ray as many as the "
        "nodes have room for.",
        minimum=0,
    )
    # Sums of more threads round differently.
    threads: int = base.setting(
        1,
        "Number of threads of each worker; weights depend on it, slightly.",
        minimum=1,
    )
    max_failures: int = base.setting(
        10,
        "Number of classifiers whose training may raise an error before the build "
        "ends; they are recorded as failed.",
        minimum=0,
    )
    retry_failed: bool = base.setting(False, "Train again what failed before.")
    estimate: bool = base.setting(
        False,
        "Train a few classifiers only, keep none, and say how long the zoo would take "
        "here and on more machines like this.",
        stored=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_accuracy != -1:
            base.check_range("min_accuracy", self.min_accuracy, 0.0, 1.0)
        if self.num_models < 1 and not self.specs:
            raise UserError(
                "--num_models must be at least 1, or --specs given. For a first zoo: "
                "--num_models=100 --epochs=1 --min_accuracy=0.8, five to ten minutes "
                "on two cores (or --design=digits_net --num_models=100, two). The "
                "paper has --num_models=10000, of 100 epochs each: weeks on two cores. "
                f"Received: num_models={self.num_models}."
            )
