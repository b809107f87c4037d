"""Names the attributes of a black box with an exported metamodel, or a ready one.

    python -m kennen_tf.reveal_black_box --black_box=mnist.h5
    python -m kennen_tf.reveal_black_box --metamodel=wild_net/labels
        --black_box=my_module:classify
    python -m kennen_tf.reveal_black_box --metamodel=exported/o --black_box=some.keras
    python -m kennen_tf.reveal_black_box --metamodel=exported/o
        --black_box=my_module:predict --outputs=logits --json
    python -m kennen_tf.reveal_black_box --metamodel=exported/i
        --black_box=my_module:classify --outputs=labels

Sends the metamodel's query images to the black box and prints, for each attribute that
the metamodel names, the most likely value, its probability and the runner-up; with
--json, only JSON with the probability of every value. A black box that answers labels
and nothing else is revealed by wild_net/labels, and by metamodels of kennen-i.
"""

import contextlib
import json
import pathlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flags import common
from kennen_tf.configs.revealing import RevealConfig
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

if TYPE_CHECKING:
    from kennen_tf.revealing.exported_metamodel import ExportedMetamodel
    from kennen_tf.revealing.naming import Revelation


def reveal_black_box(config: RevealConfig) -> None:
    """Reveals black boxes and prints what was found.

    Raises:
        UserError: If the metamodel or a black box cannot be opened, or a black box
            does not answer what it should; of several, after the others.
    """
    _check_formats(config)
    from kennen_tf.evaluation import printing
    from kennen_tf.machine import startup

    startup.import_tensorflow()

    from kennen_tf.revealing import documents, query_files, ready, tables

    metamodel = ready.open_metamodel(config.metamodel)
    if not metamodel.queries.size:
        raise UserError(
            f"The metamodel in {config.metamodel} must have images to send. Received: "
            "one that was trained on recorded answers without them. Import the answers "
            "with their `images`, and train and export again."
        )
    if config.queries_only:
        path = query_files.write_queries(metamodel.queries, config.queries_only)
        count = printing.count_queries(len(metamodel.queries))
        print(f"{path}: {count}, and each as a PNG file beside it.")
        return
    revelations: list[Revelation] = []
    failures: list[tuple[str, str]] = []
    provenance = artifacts.provenance()

    def describe() -> dict[str, Any]:
        return documents.make_document(
            config, metamodel, revelations, failures, provenance
        )

    # What a black box prints itself would get between the lines of the JSON.
    with contextlib.redirect_stdout(sys.stderr):
        for found in _reveal_each(config, metamodel):
            if isinstance(found, tuple):
                failures.append(found)
            else:
                revelations.append(found)
            # After each, as the next may take long.
            if config.output:
                documents.write(config.output, describe())
    if config.json:
        print(json.dumps(describe(), indent=1))
    elif len(revelations) == 1:
        printing.print_table(
            tables.revelation_table(revelations[0]),
            tables.revelation_notes(revelations[0]),
        )
    elif revelations:
        printing.print_table(
            tables.revelations_table(revelations), tables.revelations_notes(revelations)
        )
    for _, reason in failures:
        print(f"not revealed: {reason}", file=sys.stderr)
    if failures:
        raise UserError(
            f"{len(failures)} of {len(failures) + len(revelations)} black boxes could "
            "not be revealed, for the reasons above."
        )


def _check_formats(config: RevealConfig) -> None:
    """Refuses a file that cannot be asked before anything large is loaded."""
    from kennen_tf.black_boxes.formats import detection

    # Of several, the others are revealed.
    if len(config.wheres) == 1:
        path = pathlib.Path(config.wheres[0])
        if path.exists() and path.suffix != ".npz":
            detection.find_format(path)


def _reveal_each(
    config: RevealConfig, metamodel: "ExportedMetamodel"
) -> "Iterator[Revelation | tuple[str, str]]":
    """Reveals each black box.

    Args:
        config: Which.
        metamodel: Who names what is inside.

    Yields:
        What was found of it, or its name and why it cannot be revealed.

    Raises:
        UserError: If it is the only one, and cannot be revealed.
    """
    import tqdm

    from kennen_tf.black_boxes.formats.opened import one_line
    from kennen_tf.black_boxes.forms import Form
    from kennen_tf.revealing import boxes, naming, truths

    form = Form.of(metamodel.image_shape, metamodel.num_classes)
    each = boxes.list_boxes(config)
    for own in tqdm.tqdm(each, "reveal", unit="black box", disable=len(each) == 1):
        found: Revelation | tuple[str, str]
        try:
            truth = truths.find_truth(own.zoo_dir, own.black_box, metamodel.table)
            box = boxes.open_box(own, form)
            found = naming.reveal(metamodel, box, truth, own.resolution)
        except Exception as error:  # Whatever it is, the others are not lost.
            if len(each) == 1:
                raise
            known = isinstance(error, UserError)
            said = str(error) if known else f"{own.black_box}: {one_line(error)}"
            found = (own.black_box, said)
        yield found


def main() -> None:
    """Runs `reveal_black_box` with the flags of the command line."""
    common.run(reveal_black_box, RevealConfig)


if __name__ == "__main__":
    main()
