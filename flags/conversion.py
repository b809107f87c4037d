"""Flags of `convert_weights`."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import common
from kennen_tf.configs.conversion import ConversionConfig


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], ConversionConfig]:
    """Defines the flags; returns a function that makes the `ConversionConfig`."""
    flag = common.Definer(ConversionConfig, flag_values)
    flag.string(
        "classifier",
        "Which of the paper's 19 the weights are of, by torchvision's name: "
        "squeezenet1_0, vgg11, vgg11_bn, resnet18, densenet121, ...",
    )
    flag.string("state_dict", "Path of the file that torchvision publishes for it.")
    flag.string(
        "weights_dir",
        "Folder for the converted classifier; by default kennen_tf in Keras's own "
        "folder, where --classifiers=paper looks for it by default.",
    )
    return flag.make_config
