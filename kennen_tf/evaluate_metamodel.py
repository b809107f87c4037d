"""Scores a metamodel on the classifiers that were kept from its training.

    python -m kennen_tf.evaluate_metamodel --metamodel_dir=runs/o
    python -m kennen_tf.evaluate_metamodel --metamodel_dir=runs/o-0,runs/o-1,runs/o-2

Prints class-balanced accuracy with its 95% interval for each attribute, the paper's
numbers beside it, and writes runs/o/results.json and runs/o/figures/*.png. Of several
metamodels, it prints means and ranges over those that differ only in the seed. Crafted
queries of kennen-i and kennen-io are sent to the zoo's test classifiers.
"""

import pathlib
from typing import Any

from flags import common
from kennen_tf.configs.evaluation import EvaluationConfig


def evaluate_metamodel(config: EvaluationConfig) -> None:
    """Scores metamodels, writes their results and prints a table.

    Raises:
        UserError: If there is no whole metamodel, or the query outputs or the zoo are
            missing or not those that the metamodel was trained on.
    """
    from kennen_tf.evaluation import printing, seed_summaries
    from kennen_tf.evaluation.results_table import results_notes, results_table
    from kennen_tf.machine import startup
    from kennen_tf.vocabulary import artifacts

    startup.import_tensorflow()

    from kennen_tf.metamodels import scoring
    from kennen_tf.metamodels.metamodel import Metamodel
    from kennen_tf.queries.query_outputs import QueryOutputsInfo

    opened: dict[str, QueryOutputsInfo] = {}
    documents = []
    for metamodel_dir in config.metamodel_dirs:
        metamodel = Metamodel.load(metamodel_dir)
        query_dir = config.query_dir or metamodel.config.query_dir
        if query_dir not in opened:
            opened[query_dir] = QueryOutputsInfo.open(query_dir)
        document = scoring.score(metamodel, opened[query_dir], config.zoo_dir)
        _write(document, pathlib.Path(metamodel_dir))
        documents.append(document)
    summaries = seed_summaries.summarize(documents)
    if config.output:
        artifacts.make_folder(pathlib.Path(config.output).absolute().parent)
        artifacts.write_json(config.output, seed_summaries.summary_document(summaries))
    if len(documents) == 1:
        table = results_table(documents[0])
        notes = results_notes(documents[0])
    else:
        table = seed_summaries.summary_table(summaries)
        notes = seed_summaries.summary_notes(summaries)
    printing.print_table(table, notes)


def _write(document: dict[str, Any], metamodel_dir: pathlib.Path) -> None:
    """Writes the figures and then results.json."""
    from kennen_tf.evaluation import describing, figures, result_figures
    from kennen_tf.evaluation.calibration import Calibration
    from kennen_tf.evaluation.reliability_figure import reliability_figure
    from kennen_tf.evaluation.results import RESULTS_NAME, Results
    from kennen_tf.vocabulary import artifacts

    folder = artifacts.make_folder(metamodel_dir / "figures")
    results = Results.from_json(document)
    title = f"{describing.describe(document)}, seed {document['seed']}"
    for name, draw in (
        ("accuracy", result_figures.accuracy_figure),
        ("confusion", result_figures.confusion_sheet),
    ):
        figures.save_png(draw(results, title), folder / f"{name}.png")
    whole = document["calibration"]["all"]
    if whole:
        reliability = reliability_figure(Calibration.from_json(whole), title)
        figures.save_png(reliability, folder / "reliability.png")
    artifacts.write_json(metamodel_dir / RESULTS_NAME, document)


def main() -> None:
    """Runs `evaluate_metamodel` with the flags of the command line."""
    common.run(evaluate_metamodel, EvaluationConfig)


if __name__ == "__main__":
    main()
