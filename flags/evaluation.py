"""Flags of `evaluate_metamodel`."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import common
from kennen_tf.configs.evaluation import EvaluationConfig


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], EvaluationConfig]:
    """Defines the flags; returns a function that makes the `EvaluationConfig`."""
    flag = common.Definer(EvaluationConfig, flag_values)
    flag.string(
        "metamodel_dir",
        "Folder that train_metamodel wrote; several, separated by commas, are "
        "compared, and those that differ only in the seed are summarised together.",
    )
    flag.string(
        "query_dir",
        "Folder of the query outputs, if they were moved; by default the one recorded "
        "in training.",
    )
    flag.string(
        "zoo_dir",
        "Folder of the zoo, if it was moved; only metamodels with crafted queries need "
        "it. By default the one recorded in training.",
    )
    flag.string(
        "output",
        "Path of a JSON file for the comparison (means and spreads over seeds); by "
        "default none is written.",
    )
    return flag.make_config
