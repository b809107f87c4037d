"""Names the attributes of a black box with an exported metamodel.

    python -m kennen_tf.reveal_black_box --metamodel=exported/o --black_box=some.keras
    python -m kennen_tf.reveal_black_box --metamodel=exported/o
        --black_box=my_module:predict --outputs=logits --json
    python -m kennen_tf.reveal_black_box --metamodel=exported/i
        --black_box=my_module:classify --outputs=labels

Sends the metamodel's query images to the black box and prints, for each attribute that
the metamodel names, the most likely value, its probability and the runner-up; with
--json, only JSON with the probability of every value. A black box that answers labels
and nothing else is revealed by metamodels of kennen-i.
"""

import contextlib
import json
import pathlib
import sys

from flags import common
from kennen_tf.configs.revealing import RevealConfig
from kennen_tf.vocabulary.errors import UserError

SCHEMA_VERSION = 1


def reveal_black_box(config: RevealConfig) -> None:
    """Reveals black boxes and prints what was found.

    Raises:
        UserError: If the metamodel or a black box cannot be opened, or a black box
            does not answer what it should.
    """
    from kennen_tf.evaluation import printing
    from kennen_tf.machine import startup
    from kennen_tf.vocabulary import artifacts

    startup.import_tensorflow()

    from kennen_tf.black_boxes.forms import Form
    from kennen_tf.black_boxes.opening import open_black_box
    from kennen_tf.revealing import naming
    from kennen_tf.revealing.exported_metamodel import ExportedMetamodel
    from kennen_tf.zoo.store import Zoo

    metamodel = ExportedMetamodel.load(config.metamodel)
    if not metamodel.queries.size:
        raise UserError(
            f"The metamodel in {config.metamodel} must have images to send. Received: "
            "one that was trained on recorded answers without them. Import the answers "
            "with their `images`, and train and export again."
        )
    truths = []
    if config.zoo_dir:
        zoo = Zoo.open(config.zoo_dir)
        truths = [naming.true_values(zoo, where) for where in config.black_boxes]
    form = Form.of(metamodel.image_shape, metamodel.num_classes)
    # What a black box prints itself would get between the lines of the JSON.
    with contextlib.redirect_stdout(sys.stderr):
        boxes = [
            open_black_box(
                where, outputs_kind=config.outputs, pixels=config.pixels, form=form
            )
            for where in config.black_boxes
        ]
        revelations = naming.reveal(metamodel, boxes, truths)
    document = {
        "kind": "revelations",
        "schema_version": SCHEMA_VERSION,
        "metamodel": config.metamodel,
        "fingerprints": metamodel.description["fingerprints"],
        "black_boxes": [revelation.to_json() for revelation in revelations],
        "provenance": artifacts.provenance(),
    }
    if config.output:
        artifacts.make_folder(pathlib.Path(config.output).absolute().parent)
        artifacts.write_json(config.output, document)
    if config.json:
        print(json.dumps(document, indent=1))
    elif len(revelations) == 1:
        printing.print_table(
            naming.revelation_table(revelations[0]),
            naming.revelation_notes(revelations[0]),
        )
    else:
        printing.print_table(naming.revelations_table(revelations), [])


def main() -> None:
    """Runs `reveal_black_box` with the flags of the command line."""
    common.run(reveal_black_box, RevealConfig)


if __name__ == "__main__":
    main()
