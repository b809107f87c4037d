"""Flags of `import_outputs`."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import common
from kennen_tf.configs.importing import ImportOutputsConfig
from kennen_tf.configs.revealing import OUTPUTS


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], ImportOutputsConfig]:
    """Defines the flags; returns a function that makes the `ImportOutputsConfig`."""
    flag = common.Definer(ImportOutputsConfig, flag_values)
    flag.string(
        "outputs",
        "Path of a .npz file with the array outputs (classifiers, queries, classes) "
        "and, if they are known, names (classifiers,), images (queries, height, width, "
        "channels) of bytes, and labels (queries,).",
    )
    flag.string(
        "attributes",
        "Path of a CSV with a line for each classifier, in the order of the outputs or "
        "with its name in the column name; group is optional, too. Each other column "
        "is an attribute. Empty cells are unknown.",
    )
    flag.choice(
        "outputs_kind",
        OUTPUTS,
        "What the outputs are; of labels, one for each query: (classifiers, queries).",
    )
    flag.string(
        "query_dir", "Folder for the query outputs; new, empty, or theirs already."
    )
    flag.integer("num_shards", "Number of files that the outputs are divided among.")
    flag.boolean("overwrite", "Replace other query outputs in the folder.")
    return flag.make_config
