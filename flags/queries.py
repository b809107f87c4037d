"""Flags of `query_zoo`."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import common
from kennen_tf.configs.queries import QueryConfig


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], QueryConfig]:
    """Defines the flags; returns a function that makes the `QueryConfig`."""
    flag = common.Definer(QueryConfig, flag_values)
    flag.string("zoo_dir", "Folder of the zoo, as build_zoo made it.")
    flag.string(
        "query_dir", "Folder for the query outputs; new, empty, or theirs already."
    )
    flag.integer(
        "num_queries", "Number of validation images that every classifier is sent."
    )
    flag.integer("query_seed", "Root seed of the draw of these images.")
    flag.number(
        "min_accuracy",
        "Validation accuracy, in [0, 1], below which an accepted classifier is left "
        "out.",
    )
    flag.integer("num_shards", "Number of files that the outputs are divided among.")
    flag.boolean("overwrite", "Replace other query outputs in the folder.")
    return flag.make_config
