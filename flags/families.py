"""Flags of `train_families`."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import common
from kennen_tf.configs.families import FamiliesConfig


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], FamiliesConfig]:
    """Defines the flags; returns a function that makes the `FamiliesConfig`."""
    flag = common.Definer(FamiliesConfig, flag_values)
    flag.string("output_dir", "Folder for the classifiers and their manifest.json.")
    flag.integer("num_train", "Digits to train on, the same for all classifiers.")
    flag.integer("epochs", "Passes over these digits.")
    flag.integer("batch_size", "Digits in each training step.")
    flag.integer("seed", "Root seed of initial weights, dropout and order of digits.")
    flag.integer(
        "workers", "Processes that train one classifier each; 0 is one per core."
    )
    flag.boolean("resume", "Go on in an --output_dir that a run was stopped in.")
    return flag.make_config
