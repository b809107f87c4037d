"""Flags that the binaries of the ImageNet half share."""

from flags import common


def define_shared(flag: common.Definer) -> None:
    """Defines the flags of the fields of `ImagenetConfig`."""
    flag.string(
        "classifiers",
        "Classifiers whose families are known: keras_applications, paper (the paper's "
        "19), or the path of a manifest.json that names .keras files of your own.",
    )
    flag.string(
        "weights_dir",
        "Folder that weights are looked for in; by default Keras's own cache, which "
        "Keras downloads into.",
    )
    flag.string(
        "images",
        "Labelled images: a folder with a csv (columns file, label) or one folder per "
        "class, tfds:<name>, or mnist.",
    )
    flag.integer(
        "num_images", "Images to use, drawn at random if there are more; 0 for all."
    )
    flag.integer(
        "image_size",
        "Side, in pixels, that images are resized to; classifiers with another input "
        "size resize within. 0 for the largest input size among them.",
    )
    flag.integer(
        "batch_size",
        "Images at once; 0 for as many as memory allows and speed asks for. AIPs are "
        "made in batches of just this size, filled up if need be, and depend on it a "
        "little, so a run that is resumed keeps its own.",
    )
    flag.string("output_dir", "Folder for all that is written.")
    flag.integer("seed", "Root seed of every draw.")
    flag.boolean("resume", "Go on in an --output_dir that a run was stopped in.")
