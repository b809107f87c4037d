"""What the binaries of the ImageNet half share: classifiers, images, output."""

import dataclasses

from kennen_tf.configs import base

KERAS_APPLICATIONS, PAPER = "keras_applications", "paper"

# Side of the images that budgets are given for (paper, section 4).
PAPER_IMAGE_SIZE = 224


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImagenetConfig(base.Config):
    """Settings that predict_family, generate_aips and attack_black_box share."""

    classifiers: str = base.setting(
        KERAS_APPLICATIONS,
        "Classifiers whose families are known: keras_applications, paper (the paper's "
        "19), or the path of a manifest.json that names .keras files of your own.",
        required=True,
    )
    weights_dir: str = base.setting(
        "",
        "Folder that weights are looked for in; by default Keras's own cache, which "
        "Keras downloads into.",
    )
    images: str = base.setting(
        "",
        "Labelled images: a folder with a csv (columns file, label) or one folder per "
        "class, tfds:<name>, or mnist.",
        required=True,
    )
    num_images: int = base.setting(
        0, "Images to use, drawn at random if there are more; 0 for all.", minimum=0
    )
    image_size: int = base.setting(
        0,
        "Side, in pixels, that images are resized to; classifiers with another input "
        "size resize within. 0 for the largest input size among them.",
        minimum=0,
    )
    batch_size: int = base.setting(
        0,
        "Images at once; 0 for as many as memory allows and speed asks for. AIPs are "
        "made in batches of just this size, filled up if need be, and depend on it a "
        "little, so a run that is resumed keeps its own.",
        minimum=0,
    )
    output_dir: str = base.setting("", "Folder for all that is written.", required=True)
    seed: int = base.setting(0, "Root seed of every draw.", minimum=0)
    resume: bool = base.setting(
        False, "Go on in an --output_dir that a run was stopped in."
    )
