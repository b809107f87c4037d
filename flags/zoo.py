"""Flags of `build_zoo`."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import common
from kennen_tf.configs.zoo import COMPUTE_DTYPES, ZooConfig


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], ZooConfig]:
    """Defines the flags; returns a function that makes the `ZooConfig`."""
    flag = common.Definer(ZooConfig, flag_values)
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
        "Images to train on: mnist (inside the package), tfds:<name> (28x28, one "
        "channel, 10 classes), or idx:<folder> with the four IDX files.",
    )
    flag.integer("epochs", "Passes over a classifier's training data.")
    flag.number(
        "min_accuracy",
        "Validation accuracy, in [0, 1], below which a classifier is rejected.",
    )
    flag.choice(
        "compute_dtype",
        COMPUTE_DTYPES,
        "Number format of the training arithmetic; auto takes bfloat16 where the "
        "processor has instructions for it. Weights are float32 always.",
    )
    flag.string("zoo_dir", "Folder of the zoo; if it holds one, it is continued.")
    flag.integer("workers", "Number of processes; 0 is one per core.")
    flag.integer("threads", "Number of threads of each worker.")
    return flag.make_config
