"""Settings of `reveal_black_box`."""

import dataclasses

from kennen_tf.configs import base

LABELS = "labels"
OUTPUTS = ("probabilities", "logits", "log-probabilities", LABELS)
PIXELS = ("unit", "byte")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RevealConfig(base.Config):
    """Settings of `reveal_black_box`."""

    metamodel: str = base.setting(
        "", "Folder that export_metamodel wrote.", required=True
    )
    black_box: str = base.setting(
        "",
        "What to reveal: a .keras file, a SavedModel folder, or module:function with a "
        "function from images, float32 (n, 28, 28, 1), to outputs (n, 10); several are "
        "separated by commas.",
    )
    outputs: str = base.setting(
        "probabilities",
        "What the black box answers for each image: ten numbers, or with labels only "
        "the digit that it sees, outputs (n,). Labels are enough for metamodels that "
        "read no more of an output (kennen-i).",
        choices=OUTPUTS,
    )
    pixels: str = base.setting(
        "unit",
        "Range of the pixels that the black box takes: unit is 0 to 1, byte 0 to 255.",
        choices=PIXELS,
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
        "", "Path of a file for the same JSON; by default none is written."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        base.check_given("black_box", ",".join(self.black_boxes))

    @property
    def black_boxes(self) -> tuple[str, ...]:
        """The black boxes, each by itself."""
        return tuple(part.strip() for part in self.black_box.split(",") if part.strip())
