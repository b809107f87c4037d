"""Flags of `import_zoo`."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import common
from kennen_tf.configs.importing import ImportConfig


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], ImportConfig]:
    """Defines the flags; returns a function that makes the `ImportConfig`."""
    flag = common.Definer(ImportConfig, flag_values)
    flag.string(
        "classifiers",
        "Path of a CSV with a line for each classifier: its file, relative to the CSV "
        "(.keras or .h5 file, SavedModel folder, or module:function of the current "
        "folder), and in each other column an attribute. Empty cells are unknown. The "
        "columns name, group, pixels (unit or byte) and outputs (probabilities, "
        "logits, log-probabilities or labels) are optional and no attributes.",
    )
    flag.string(
        "images",
        "What they are asked about: a folder with a csv of labels or one folder per "
        "class; a .npz file with images and labels, or with the four arrays that "
        "build_zoo takes; tfds:<name>; digits; or mnist.",
    )
    flag.integer(
        "image_size",
        "Side of the square, in pixels, that images of several sizes are resized to; 0 "
        "is what the first classifier takes.",
    )
    flag.integer(
        "num_images", "Number of images to keep, drawn at random; 0 keeps all."
    )
    flag.boolean(
        "resize",
        "Resize images for classifiers that take squares of another size; the zoo "
        "records for which.",
    )
    flag.string("zoo_dir", "Folder of the zoo; if it holds this one, it may grow.")
    flag.boolean(
        "copy",
        "Copy the classifiers' files into the zoo instead of naming their place.",
    )
    return flag.make_config
