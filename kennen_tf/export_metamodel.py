"""Exports a metamodel as a SavedModel that needs nothing but TensorFlow.

    python -m kennen_tf.export_metamodel --metamodel_dir=runs/o --export_dir=exported/o
    python -m kennen_tf.export_metamodel --metamodel_dir=mnist_net/kennen-s
        --export_dir=exported/s

Writes exported/o with the signatures "queries", which tells what to send to a black
box; "reveal", from its outputs to a probability for every value of every attribute
that the metamodel names; and "values", which tells the values in that order. Run
evaluate_metamodel before, and the export also knows how often each attribute is named
rightly.
"""

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

    from kennen_tf.evaluation import printing
    from kennen_tf.evaluation.results import read_results
    from kennen_tf.metamodels.metamodel import Metamodel
    from kennen_tf.revealing import exporting_trained, ready

    # Solved for anew, with all that it can read.
    if found := ready.find(config.metamodel_dir):
        folder = found.export(config.export_dir, overwrite=config.overwrite)
        print(f"{folder}: {found}.")
        return
    metamodel = Metamodel.load(config.metamodel_dir)
    folder = exporting_trained.export(
        metamodel,
        read_results(config.metamodel_dir),
        config.export_dir,
        overwrite=config.overwrite,
    )
    count = printing.count_queries(len(metamodel.query_inputs))
    print(f"{folder}: {metamodel.config.method}, {count}.")


def main() -> None:
    """Runs `export_metamodel` with the flags of the command line."""
    common.run(export_metamodel, ExportConfig)


if __name__ == "__main__":
    main()
