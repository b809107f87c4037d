"""Exports a metamodel as a SavedModel that needs nothing but TensorFlow.

    python -m kennen_tf.export_metamodel --metamodel_dir=runs/o --export_dir=exported/o

Writes exported/o with the signatures "queries", which tells what to send to a black
box; "reveal", from its outputs to a probability for every value of every attribute
that the metamodel names; and "values", which tells the values in that order. Run
evaluate_metamodel before, and the export also knows how often each attribute is named
rightly.
"""

import pathlib
from typing import Any

from flags import common
from kennen_tf.configs.exporting import ExportConfig


def export_metamodel(config: ExportConfig) -> None:
    """Exports a metamodel.

    Raises:
        UserError: If there is no whole metamodel, or `export_dir` holds something
            that is not to be replaced.
    """
    from absl import logging

    from kennen_tf.machine import startup

    startup.import_tensorflow()
    # TensorFlow tells in detail how it saves.
    logging.set_verbosity(logging.WARNING)

    from kennen_tf.attributes import AttributeTable
    from kennen_tf.evaluation import printing
    from kennen_tf.evaluation.results import read_results
    from kennen_tf.metamodels import folder as folder_lib
    from kennen_tf.metamodels.metamodel import Metamodel
    from kennen_tf.revealing import exporting
    from kennen_tf.vocabulary import artifacts

    metamodel = Metamodel.load(config.metamodel_dir)
    table_path = pathlib.Path(config.metamodel_dir) / folder_lib.ATTRIBUTES_NAME
    table = artifacts.read_json(
        table_path, wanted=folder_lib.KIND, make_with=folder_lib.MAKE_WITH
    )
    description: dict[str, Any] = {
        "config": metamodel.config.to_json(),
        "fingerprints": dict(metamodel.fingerprints),
        "labels": metamodel.query_inputs.labels.tolist(),
        "levels": len(metamodel.limits),
    }
    results = read_results(config.metamodel_dir)
    # Results of a metamodel that was trained anew since are not this one's.
    if results and results["fingerprints"] == metamodel.fingerprints:
        description["test_accuracy"] = {
            row["name"]: row["accuracy"]
            for row in results["attributes"]
            if row["name"] in metamodel.attribute_names
        }
    folder = exporting.export(
        metamodel.keras_model,
        table=AttributeTable.from_json(table, table_path),
        representation=metamodel.config.representation,
        top_k=metamodel.config.top_k,
        pixels=metamodel.query_inputs.pixels,
        description=description,
        export_dir=config.export_dir,
        overwrite=config.overwrite,
        coarse=metamodel.load_coarse(),
        limits=metamodel.limits,
    )
    count = printing.count_queries(len(metamodel.query_inputs))
    print(f"{folder}: {metamodel.config.method}, {count}.")


def main() -> None:
    """Runs `export_metamodel` with the flags of the command line."""
    common.run(export_metamodel, ExportConfig)


if __name__ == "__main__":
    main()
