"""Settings of `reveal_black_box`, and of all who ask a black box."""

import dataclasses

from kennen_tf.configs import base
from kennen_tf.vocabulary.errors import UserError

LABELS = "labels"
OUTPUTS = ("probabilities", "logits", "log-probabilities", LABELS)
# How pixels may be sent: from 0 to 1, from 0 to 255, inverted, from -1 to 1, or with
# the mean of MNIST's taken off and divided by their deviation.
PIXELS = ("unit", "byte", "inverted", "signed", "standardised", "inverted-byte")
AUTO = "auto"
DEFAULT_METAMODEL = "wild_net/kennen-io"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccessConfig(base.Config):
    """How a black box is asked: settings that all who ask one share."""

    outputs: str = base.setting(
        AUTO,
        "What the black box answers for each image: a number for each class, or with "
        "labels only the one that it sees, outputs (n,). Labels are enough for "
        "metamodels that read no more of an output (kennen-i). auto is told by the "
        "answers.",
        choices=(AUTO, *OUTPUTS),
    )
    pixels: str = base.setting(
        AUTO,
        "Range of the pixels that the black box takes: unit is 0 to 1, byte 0 to 255, "
        "signed -1 to 1, standardised less MNIST's mean and over its deviation, "
        "inverted black on white. auto finds out, by images whose classes are known.",
        choices=(AUTO, *PIXELS),
    )
    signature: str = base.setting(
        "",
        "Of a SavedModel or TF Serving, which to ask; in the protocol of version 2, "
        "which output to read; by default the one that fits.",
    )
    answers: str = base.setting(
        "",
        "Path of a file to keep the answers in: what is in it is not asked for again. "
        "By default, NAME.answers.npz in the current folder for a URL, and none for "
        "a file.",
    )
    headers: str = base.setting(
        "", "Path of a file with HTTP headers to send, a line each: `Name: value`."
    )
    token_variable: str = base.setting(
        "", "Name of an environment variable with a token to send (Bearer)."
    )
    timeout: float = base.setting(
        60.0, "Seconds that an answer over HTTP may take.", minimum=0.001
    )
    batch_size: int = base.setting(
        0, "Number of images to send at once; 0 is as many as it takes.", minimum=0
    )
    max_queries_per_second: float = base.setting(
        0.0, "Number of images to send in a second; 0 is any number.", minimum=0.0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RevealConfig(AccessConfig):
    """Settings of `reveal_black_box`."""

    metamodel: str = base.setting(
        DEFAULT_METAMODEL,
        "Folder that export_metamodel wrote; or a ready one, solved for when it is "
        "first asked for: wild_net/kennen-s, wild_net/kennen-io, wild_net/labels and "
        "wild_net/ranking for classifiers of 28x28 digits from anywhere, the same and "
        "kennen-i of mnist_net for those of the paper's design, and of a package in a "
        "folder that package_zoo wrote, e.g. mine/kennen-s.",
        required=True,
    )
    black_box: str = base.setting(
        "",
        "What to reveal; several are separated by commas: a file (.keras, .h5, TFLite, "
        "ONNX, TorchScript, a frozen graph), a SavedModel folder, the URL of a model "
        "on a server (http://HOST/v1/models/NAME of TF Serving, "
        "http://HOST/v2/models/NAME of the Open Inference Protocol), answers had "
        "before (NAME.answers.npz), or module:function with a function from images, "
        "float32 (n, 28, 28, 1), to outputs (n, 10).",
    )
    black_boxes: str = base.setting(
        "",
        "Path of a CSV with a line for each black box: a column black_box, and, if "
        "need be, columns named as these flags, whose values count for that line.",
    )
    resolution: float = base.setting(
        0.0,
        "Answers are read no finer than this, e.g. 1e-4 for 4 decimals, so that black "
        "boxes that round and others can be compared; 0 is as fine as they are.",
        minimum=0.0,
    )
    queries_only: str = base.setting(
        "",
        "Folder to write the images to send into, as PNG files and in queries.npz, for "
        "a black box that has to be sent them in another way; nothing is asked.",
    )
    zoo_dir: str = base.setting(
        "",
        "Folder of the zoo that the black boxes are classifiers of: then the true "
        "values are shown beside; by default they are from anywhere.",
    )
    json: bool = base.setting(
        False, "Print JSON with the probability of every value instead of a table."
    )
    output: str = base.setting(
        "",
        "Path of a file for the same as JSON, or as a table with a line for each black "
        "box if it ends in .csv; by default none is written.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted = [self.wheres, self.black_boxes, self.queries_only]
        if sum(map(bool, wanted)) != 1:
            raise UserError(
                "One of --black_box, --black_boxes and --queries_only must be given. "
                f"Received: {sum(map(bool, wanted))} of them."
            )

    @property
    def wheres(self) -> tuple[str, ...]:
        """The black boxes of --black_box, each by itself."""
        return tuple(part.strip() for part in self.black_box.split(",") if part.strip())
