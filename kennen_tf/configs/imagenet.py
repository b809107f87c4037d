"""What the binaries of the ImageNet half share: classifiers, images, output."""

import dataclasses

from kennen_tf.configs import base

KERAS_APPLICATIONS, PAPER = "keras_applications", "paper"

# Side of the images that budgets are given for (paper, section 4).
PAPER_IMAGE_SIZE = 224


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImagenetConfig(base.Config):
    """Settings that predict_family, generate_aips and attack_black_box share.

    Attributes:
        classifiers: `KERAS_APPLICATIONS`, `PAPER`, or the path of a manifest.json.
        weights_dir: Folder that weights are looked for in first, and converted weights
            of `PAPER` always; "" for Keras's own cache.
        images: Folder with a csv of labels or with one folder per class,
            "tfds:<name>", or "mnist".
        num_images: Images to use, drawn at random; all if there are no more, or for 0.
        image_size: Side in pixels that images are resized to, once; classifiers with
            another input size resize within. 0: the largest input size among them.
        batch_size: Images at once; 0: as many as memory allows and speed asks for. AIPs
            depend on it in the last digits of floats, and so in some pixels.
        output_dir: Folder for all that is written.
        seed: Root seed.
        resume: Whether to go on in an `output_dir` that a run was stopped in.
    """

    classifiers: str = KERAS_APPLICATIONS
    weights_dir: str = ""
    images: str = ""
    num_images: int = 0
    image_size: int = 0
    batch_size: int = 0
    output_dir: str = ""
    seed: int = 0
    resume: bool = False

    def __post_init__(self) -> None:
        base.check_given("classifiers", self.classifiers)
        base.check_given("images", self.images)
        base.check_given("output_dir", self.output_dir)
        base.check_range("num_images", self.num_images, 0)
        base.check_range("image_size", self.image_size, 0)
        base.check_range("batch_size", self.batch_size, 0)
        base.check_range("seed", self.seed, 0)
