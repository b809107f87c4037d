"""`kennen_tf.reveal`: the same as the command, from Python."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from kennen_tf.black_boxes.forms import Form
from kennen_tf.configs.revealing import AUTO, DEFAULT_METAMODEL, RevealConfig
from kennen_tf.evaluation import printing
from kennen_tf.revealing import boxes, naming, ready, tables, truths
from kennen_tf.revealing.exported_metamodel import ExportedMetamodel
from kennen_tf.revealing.naming import Revelation
from kennen_tf.vocabulary.errors import UserError

if TYPE_CHECKING:
    import pandas


class Revealed:
    """What a metamodel says of a black box: prints as a table.

    Attributes:
        revelation: All of it.
    """

    def __init__(self, revelation: Revelation):
        self.revelation = revelation

    def __getitem__(self, attribute: str) -> Any:
        """Returns the likeliest value of an attribute."""
        for answer in self.revelation.answers:
            if attribute in (answer.name, answer.code):
                return answer.ranked()[0][0]
        raise KeyError(attribute)

    def __str__(self) -> str:
        return printing.to_text(
            tables.revelation_table(self.revelation),
            tables.revelation_notes(self.revelation),
        )

    __repr__ = __str__

    def to_frame(self) -> "pandas.DataFrame":
        """Returns a data frame with a row for each attribute.

        Raises:
            UserError: If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UserError(
                "A data frame needs pandas. Install it: pip install "
                "'kennen_tf[pandas]'."
            ) from error
        rows = [
            {
                "attribute": answer.name,
                "value": answer.ranked()[0][0],
                "probability": answer.ranked()[0][1],
                "not_ruled_out": answer.plausible,
                "test_accuracy": answer.test_accuracy,
                "p_value": self.revelation.p_value,
                "is_strange": self.revelation.is_strange,
            }
            for answer in self.revelation.answers
        ]
        return pandas.DataFrame(rows).set_index("attribute")


def reveal(
    black_box: "str | os.PathLike[str] | Callable[[np.ndarray], Any]",
    *,
    metamodel: "str | os.PathLike[str] | ExportedMetamodel" = DEFAULT_METAMODEL,
    outputs: str = AUTO,
    pixels: str = AUTO,
    **settings: Any,
) -> Revealed:
    """Names the insides of a black box.

    Args:
        black_box: A Keras model, any function from images, float32 `(n, height, width,
            channels)`, to outputs `(n, classes)`, or what `--black_box` takes: a path,
            a URL, "module:function".
        metamodel: Folder that export_metamodel wrote, the name of a ready one (see
            `--metamodel`), or what `ExportedMetamodel.load` returned.
        outputs: What it answers; see `--outputs`.
        pixels: Range of the pixels that it takes; see `--pixels`.
        settings: Other flags of reveal_black_box by their names, e.g. `answers`.

    Raises:
        UserError: If it cannot be asked, or does not answer what it should.
    """
    if not isinstance(metamodel, ExportedMetamodel):
        metamodel = ready.open_metamodel(metamodel)
    form = Form.of(metamodel.image_shape, metamodel.num_classes)
    if callable(black_box):
        name = getattr(black_box, "name", None) or getattr(black_box, "__name__", "")
        name = str(name or type(black_box).__name__)
    else:
        name = os.fspath(black_box)
    config = RevealConfig(
        metamodel=str(metamodel),
        black_box=name,
        outputs=outputs,
        pixels=pixels,
        **settings,
    )
    truth = None
    if callable(black_box):
        box = boxes.wrap_function(black_box, config, form)
    else:
        truth = truths.find_truth(config.zoo_dir, name, metamodel.table)
        box = boxes.open_box(config, form)
    return Revealed(naming.reveal(metamodel, box, truth, config.resolution))
