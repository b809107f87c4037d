"""Settings of `reveal_black_box`."""

import dataclasses

from kennen_tf.configs import base

LABELS = "labels"
OUTPUTS = ("probabilities", "logits", "log-probabilities", LABELS)
# How pixels may be sent: from 0 to 1, from 0 to 255, inverted, from -1 to 1, or with
# the mean of MNIST's taken off and divided by their deviation.
PIXELS = ("unit", "byte", "inverted", "signed", "standardised", "inverted-byte")
AUTO = "auto"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RevealConfig(base.Config):
    """Settings of `reveal_black_box`.

    What to ask and with what:
        metamodel: Folder that `export_metamodel` wrote.
        black_box: `.keras` file, SavedModel folder or "module:function"; several are
            separated by commas.
        outputs: One of `OUTPUTS`: what the black box answers. `LABELS` are enough for
            metamodels that read one label, as kennen-i does.
        pixels: One of `PIXELS`: pixels from 0 to 1 or from 0 to 255.

    What to write:
        zoo_dir: Folder of the zoo that the black boxes are from, so that the truth
            is shown beside; "" if they are from anywhere.
        json: Print JSON with all probabilities instead of a table.
        output: Path of a file for the same JSON; "" writes none.
    """

    metamodel: str = ""
    black_box: str = ""
    outputs: str = AUTO
    pixels: str = AUTO
    zoo_dir: str = ""
    json: bool = False
    output: str = ""

    def __post_init__(self) -> None:
        base.check_given("metamodel", self.metamodel)
        base.check_given("black_box", ",".join(self.black_boxes))
        base.check_choice("outputs", self.outputs, (AUTO, *OUTPUTS))
        base.check_choice("pixels", self.pixels, (AUTO, *PIXELS))

    @property
    def black_boxes(self) -> tuple[str, ...]:
        """The black boxes, each by itself."""
        return tuple(part.strip() for part in self.black_box.split(",") if part.strip())
