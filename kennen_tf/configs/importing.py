"""Settings of `import_zoo` and `import_outputs`."""

import dataclasses

from kennen_tf.configs import base
from kennen_tf.configs.revealing import OUTPUTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportConfig(base.Config):
    """Settings of `import_zoo`.

    Attributes:
        classifiers: Path of a CSV with a line for each classifier.
        images: What they are asked about: a folder, a .npz file, "tfds:<name>",
            "digits" or "mnist".
        image_size: Side of the square, in pixels, that images of several sizes are
            resized to; 0: what the first classifier takes.
        num_images: Images to keep, drawn at random; all if there are no more, or for 0.
        resize: Whether images are resized for classifiers that take another size.
        zoo_dir: Folder of the zoo.
        copy: Whether files are copied into the zoo, and not referred to.
    """

    classifiers: str = ""
    images: str = ""
    image_size: int = 0
    num_images: int = 10_000
    resize: bool = False
    zoo_dir: str = "zoo"
    copy: bool = False

    def __post_init__(self) -> None:
        base.check_given("classifiers", self.classifiers)
        base.check_given("images", self.images)
        base.check_range("image_size", self.image_size, 0)
        base.check_range("num_images", self.num_images, 0)
        base.check_given("zoo_dir", self.zoo_dir)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportOutputsConfig(base.Config):
    """Settings of `import_outputs`.

    Attributes:
        outputs: Path of a .npz file with what classifiers answered.
        attributes: Path of a CSV with a line for each classifier.
        outputs_kind: One of `OUTPUTS`: what they answered.
        query_dir: Folder of the query outputs.
        num_shards: Files that the outputs are divided among.
        overwrite: Whether other query outputs in `query_dir` are replaced.
    """

    outputs: str = ""
    attributes: str = ""
    outputs_kind: str = "probabilities"
    query_dir: str = "queries"
    num_shards: int = 4
    overwrite: bool = False

    def __post_init__(self) -> None:
        base.check_given("outputs", self.outputs)
        base.check_given("attributes", self.attributes)
        base.check_choice("outputs_kind", self.outputs_kind, OUTPUTS)
        base.check_given("query_dir", self.query_dir)
        base.check_range("num_shards", self.num_shards, 1, 99_999)
