"""Flags of `reproduce`."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import common
from kennen_tf.configs.reproduction import ALL, EXPERIMENTS, ReproductionConfig


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], ReproductionConfig]:
    """Defines the flags; returns a function that makes the `ReproductionConfig`."""
    flag = common.Definer(ReproductionConfig, flag_values)
    flag.choice(
        "experiment",
        (*EXPERIMENTS, ALL),
        "Which of the paper's tables and figures.",
    )
    flag.string("zoo_dir", "Folder of the zoo that build_zoo made.")
    flag.string("query_dir", "Folder of the query outputs that query_zoo wrote.")
    flag.string(
        "report_dir",
        "Folder of the report and of the runs; runs that are there are used again.",
    )
    flag.integer(
        "num_seeds",
        "Number of seeds of split, queries and training, for metamodels that read "
        "stored outputs.",
    )
    flag.integer(
        "num_crafted_seeds",
        "Number of seeds for kennen-i and kennen-io, which take far longer.",
    )
    flag.integer("query_draws", "Number of draws of queries of query-choice.")
    flag.integer(
        "curve_draws", "Number of draws of queries at each point of num-queries."
    )
    flag.integer(
        "curve_crafted_draws",
        "Number of draws at each point of num-queries of metamodels that choose or "
        "craft queries.",
    )
    flag.integer("num_queries", "Number of queries of all experiments but num-queries.")
    flag.integer(
        "num_train", "Number of entries to train on; 0 is all that the test leaves."
    )
    flag.integer("num_test", "Number of entries to test on; 0 is a fifth.")
    flag.string(
        "train_sizes",
        "Points of num-train, separated by commas; all training entries are one more.",
    )
    flag.string("query_counts", "Points of num-queries, separated by commas.")
    flag.string(
        "crafted_query_counts",
        "Points of num-queries of metamodels that choose or craft queries, separated "
        "by commas.",
    )
    flag.integer(
        "epochs",
        "Passes over the training entries, in each phase that trains an MLP; 0 is the "
        "recipe's number.",
    )
    flag.integer(
        "image_epochs",
        "Passes over the training entries in each phase that crafts images; 0 is the "
        "recipe's number.",
    )
    flag.integer(
        "max_memory_mb",
        "Bound, in MB, on what crafting keeps of the zoo's classifiers in memory.",
    )
    return flag.make_config
