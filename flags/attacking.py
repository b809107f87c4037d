"""Flags of `attack_black_box`."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import aips, common
from kennen_tf.configs.aips import BOX_OUTPUTS, AttackConfig
from kennen_tf.configs.revealing import PIXELS


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], AttackConfig]:
    """Defines the flags; returns a function that makes the `AttackConfig`."""
    flag = common.Definer(AttackConfig, flag_values)
    flag.string(
        "black_box",
        "What to attack: a .keras file, a SavedModel folder, or module:function with a "
        "function from images, float32 (n, size, size, 3), to outputs (n, classes).",
    )
    flag.choice("outputs", BOX_OUTPUTS, "What the black box answers for each image.")
    flag.choice(
        "pixels",
        PIXELS,
        "Range of the pixels that the black box takes: unit is 0 to 1, byte 0 to 255.",
    )
    flag.boolean(
        "compare",
        "Try AIPs of one member of each family as well, as who does not know the "
        "family would.",
    )
    aips.define_perturbation(flag)
    return flag.make_config
