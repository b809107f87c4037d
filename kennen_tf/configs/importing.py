"""Settings of `import_zoo` and `import_outputs`."""

import dataclasses

from kennen_tf.configs import base
from kennen_tf.configs.revealing import OUTPUTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportConfig(base.Config):
    """Settings of `import_zoo`."""

    classifiers: str = base.setting(
        "",
        "Path of a CSV with a line for each classifier: its file, relative to the CSV "
        "(.keras or .h5 file, SavedModel folder, or module:function of the current "
        "folder), and in each other column an attribute. Empty cells are unknown. The "
        "columns name, group, pixels (unit or byte) and outputs (probabilities, "
        "logits, log-probabilities or labels) are optional and no attributes.",
        required=True,
    )
    images: str = base.setting(
        "",
        "What they are asked about: a folder with a csv of labels or one folder per "
        "class; a .npz file with images and labels, or with the four arrays that "
        "build_zoo takes; tfds:<name>; digits; or mnist.",
        required=True,
    )
    image_size: int = base.setting(
        0,
        "Side of the square, in pixels, that images of several sizes are resized to; 0 "
        "is what the first classifier takes.",
        minimum=0,
    )
    num_images: int = base.setting(
        10_000, "Number of images to keep, drawn at random; 0 keeps all.", minimum=0
    )
    resize: bool = base.setting(
        False,
        "Resize images for classifiers that take squares of another size; the zoo "
        "records for which.",
    )
    zoo_dir: str = base.setting(
        "zoo",
        "Folder of the zoo; if it holds this one, it may grow.",
        required=True,
    )
    copy: bool = base.setting(
        False,
        "Copy the classifiers' files into the zoo instead of naming their place.",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportOutputsConfig(base.Config):
    """Settings of `import_outputs`."""

    outputs: str = base.setting(
        "",
        "Path of a .npz file with the array outputs (classifiers, queries, classes) "
        "and, if they are known, names (classifiers,), images (queries, height, width, "
        "channels) of bytes, and labels (queries,).",
        required=True,
    )
    attributes: str = base.setting(
        "",
        "Path of a CSV with a line for each classifier, in the order of the outputs or "
        "with its name in the column name; group is optional, too. Each other column "
        "is an attribute. Empty cells are unknown.",
        required=True,
    )
    outputs_kind: str = base.setting(
        "probabilities",
        "What the outputs are; of labels, one for each query: (classifiers, queries).",
        choices=OUTPUTS,
    )
    query_dir: str = base.setting(
        "queries",
        "Folder for the query outputs; new, empty, or theirs already.",
        required=True,
    )
    num_shards: int = base.setting(
        4,
        "Number of files that the outputs are divided among.",
        minimum=1,
        maximum=99_999,
    )
    overwrite: bool = base.setting(False, "Replace other query outputs in the folder.")
