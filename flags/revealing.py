"""Flags of `reveal_black_box`."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import common
from kennen_tf.configs.revealing import OUTPUTS, PIXELS, RevealConfig


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], RevealConfig]:
    """Defines the flags; returns a function that makes the `RevealConfig`."""
    flag = common.Definer(RevealConfig, flag_values)
    flag.string("metamodel", "Folder that export_metamodel wrote.")
    flag.string(
        "black_box",
        "What to reveal: a .keras file, a SavedModel folder, or module:function with a "
        "function from images, float32 (n, 28, 28, 1), to outputs (n, 10); several are "
        "separated by commas.",
    )
    flag.choice(
        "outputs",
        OUTPUTS,
        "What the black box answers for each image: ten numbers, or with labels only "
        "the digit that it sees, outputs (n,). Labels are enough for metamodels that "
        "read no more of an output (kennen-i).",
    )
    flag.choice(
        "pixels",
        PIXELS,
        "Range of the pixels that the black box takes: unit is 0 to 1, byte 0 to 255.",
    )
    flag.string(
        "zoo_dir",
        "Folder of the zoo that the black boxes are classifiers of: then the true "
        "values are shown beside; by default they are from anywhere.",
    )
    flag.boolean(
        "json", "Print JSON with the probability of every value instead of a table."
    )
    flag.string(
        "output", "Path of a file for the same JSON; by default none is written."
    )
    return flag.make_config
