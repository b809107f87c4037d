"""Flags of `build_zoo`."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import common
from kennen_tf.configs.zoo import COMPUTE_DTYPES, DESIGNS, ZooConfig


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], ZooConfig]:
    """Defines the flags; returns a function that makes the `ZooConfig`."""
    flag = common.Definer(ZooConfig, flag_values)
    flag.string(
        "design",
        f"What the classifiers differ in: {', '.join(DESIGNS)}, or module:NAME for a "
        "design of your own.",
    )
    flag.integer("num_models", "Number of classifiers to train, accepted or not.")
    flag.integer(
        "replicas",
        "Number of seeds drawn for each combination of attributes; with more than one, "
        "small zoos have ensembles too.",
    )
    flag.string(
        "specs",
        "Path of a JSON-lines file; exactly its specs are trained, and --num_models "
        "and --replicas are not used.",
    )
    flag.integer("seed", "Root seed of the draw and of all training.")
    flag.string(
        "dataset",
        "Images to train on: mnist (inside the package), digits (8x8, of "
        "scikit-learn), tfds:<name>, idx:<folder> with the four IDX files, or a .npz "
        "file with the arrays train_images, train_labels, test_images and test_labels. "
        "By default, those of the design; others have its shape and classes.",
    )
    flag.integer(
        "epochs",
        "Passes over a classifier's training data; 0 is what the design says: 100 for "
        "mnist_net.",
    )
    flag.number(
        "min_accuracy",
        "Validation accuracy, in [0, 1], below which a classifier is rejected; -1 is "
        "what the design says: 0.98 for mnist_net.",
    )
    flag.choice(
        "compute_dtype",
        COMPUTE_DTYPES,
        "Number format of the training arithmetic; auto takes bfloat16 where the "
        "processor has instructions for it. Weights are float32 always.",
    )
    flag.string("zoo_dir", "Folder of the zoo; if it holds one, it is continued.")
    flag.integer("workers", "Number of processes; 0 is one per core.")
    flag.integer(
        "threads", "Number of threads of each worker; weights depend on it, slightly."
    )
    flag.integer(
        "max_failures",
        "Number of classifiers whose training may raise an error before the build "
        "ends; they are recorded as failed.",
    )
    flag.boolean("retry_failed", "Train again what failed before.")
    return flag.make_config
