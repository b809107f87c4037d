"""Scores a metamodel on the classifiers that were kept from its training.

    python -m kennen_tf.evaluate_metamodel --metamodel_dir=runs/o
    python -m kennen_tf.evaluate_metamodel --metamodel_dir=runs/o-0,runs/o-1,runs/o-2

Prints class-balanced accuracy with its 95% interval for each attribute, the paper's
numbers beside it, and writes runs/o/results.json and runs/o/figures/*.png. Of several
metamodels, it prints means and ranges over those that differ only in the seed.
"""

import pathlib
from typing import TYPE_CHECKING, Any

from flags import common
from flags import evaluation as evaluation_flags
from kennen_tf.configs.evaluation import EvaluationConfig

if TYPE_CHECKING:
    from kennen_tf.metamodels.metamodel import Metamodel
    from kennen_tf.query_outputs import QueryOutputsInfo


def evaluate_metamodel(config: EvaluationConfig) -> None:
    """Scores metamodels, writes their results and prints a table.

    Raises:
        UserError: If there is no whole metamodel, or the query outputs are missing or
            not those that the metamodel was trained on.
    """
    from kennen_tf import artifacts, quiet, reporting

    quiet.import_tensorflow()

    from kennen_tf.metamodels.metamodel import Metamodel
    from kennen_tf.query_outputs import QueryOutputsInfo

    opened: dict[str, QueryOutputsInfo] = {}
    documents = []
    for metamodel_dir in config.metamodel_dirs:
        metamodel = Metamodel.load(metamodel_dir)
        query_dir = config.query_dir or metamodel.config.query_dir
        if query_dir not in opened:
            opened[query_dir] = QueryOutputsInfo.open(query_dir)
        document = _evaluate(metamodel, metamodel_dir, opened[query_dir])
        _write(document, pathlib.Path(metamodel_dir))
        documents.append(document)
    summaries = reporting.summarize(documents)
    if config.output:
        artifacts.make_folder(pathlib.Path(config.output).absolute().parent)
        artifacts.write_json(config.output, reporting.summary_document(summaries))
    if len(documents) == 1:
        table = reporting.results_table(documents[0])
        notes = reporting.results_notes(documents[0])
    else:
        table = reporting.summary_table(summaries)
        notes = reporting.summary_notes(summaries)
    reporting.print_table(table, notes)


def _evaluate(
    metamodel: "Metamodel", metamodel_dir: str, info: "QueryOutputsInfo"
) -> dict[str, Any]:
    """Returns what results.json holds."""
    from kennen_tf import evaluation, reporting
    from kennen_tf.errors import UserError
    from kennen_tf.seeds import derive_seed
    from pipelines import query_outputs

    wanted = metamodel.fingerprints["query_outputs"]
    if info.fingerprint != wanted:
        raise UserError(
            f"The metamodel in {metamodel_dir} must be scored on the query outputs it "
            f"was trained on (fingerprint {wanted}). Received: {info.query_dir}, with "
            f"fingerprint {info.fingerprint}. Name the right ones with --query_dir, or "
            "train again."
        )
    # The arrays come sorted by id, whatever the order that is asked for.
    test_ids = sorted(metamodel.split.test_ids)
    probabilities, labels = query_outputs.load_arrays(
        info, test_ids, metamodel.query_indices, None
    )
    combination_of = {entry.id: entry.combination_id for entry in info.entries}
    results = evaluation.evaluate(
        labels,
        metamodel.predict(probabilities),
        skip=metamodel.split.split_attributes,
        combination_ids=[combination_of[entry_id] for entry_id in test_ids],
        seed=derive_seed(metamodel.config.seed, "bootstrap"),
    )
    return reporting.results_document(
        results,
        config=metamodel.config.to_json(),
        fingerprints=metamodel.fingerprints,
        num_train=len(metamodel.split.train_ids),
    )


def _write(document: dict[str, Any], metamodel_dir: pathlib.Path) -> None:
    """Writes the figures and then results.json."""
    from kennen_tf import artifacts, figures, reporting
    from kennen_tf.evaluation import Results

    folder = artifacts.make_folder(metamodel_dir / "figures")
    results = Results.from_json(document)
    title = f"{reporting.describe(document)}, seed {document['seed']}"
    figures.save_png(figures.accuracy_figure(results, title), folder / "accuracy.png")
    figures.save_png(figures.confusion_sheet(results, title), folder / "confusion.png")
    artifacts.write_json(metamodel_dir / reporting.RESULTS_NAME, document)


if __name__ == "__main__":
    common.run(evaluate_metamodel, evaluation_flags.define)
