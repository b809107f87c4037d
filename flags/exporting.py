"""Flags of `export_metamodel`."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import common
from kennen_tf.configs.exporting import ExportConfig


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], ExportConfig]:
    """Defines the flags; returns a function that makes the `ExportConfig`."""
    flag = common.Definer(ExportConfig, flag_values)
    flag.string("metamodel_dir", "Folder that train_metamodel wrote.")
    flag.string("export_dir", "Folder of the SavedModel; made by this command.")
    flag.boolean(
        "overwrite", "Replace another metamodel that was exported to the same folder."
    )
    return flag.make_config
