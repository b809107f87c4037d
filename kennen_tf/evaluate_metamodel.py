"""Scores a metamodel on the classifiers that were kept from its training.

    python -m kennen_tf.evaluate_metamodel --metamodel_dir=runs/o
    python -m kennen_tf.evaluate_metamodel --metamodel_dir=runs/o-0,runs/o-1,runs/o-2

Prints class-balanced accuracy with its 95% interval for each attribute, the paper's
numbers beside it, and writes runs/o/results.json and runs/o/figures/*.png. Of several
metamodels, it prints means and ranges over those that differ only in the seed. Crafted
queries of kennen-i and kennen-io are sent to the zoo's test classifiers.
"""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flags import common
from flags import evaluation as evaluation_flags
from kennen_tf.configs.evaluation import EvaluationConfig

if TYPE_CHECKING:
    import numpy as np

    from kennen_tf.metamodels.metamodel import Metamodel
    from kennen_tf.query_outputs import QueryOutputsInfo
    from kennen_tf.records import QueriedEntry


def evaluate_metamodel(config: EvaluationConfig) -> None:
    """Scores metamodels, writes their results and prints a table.

    Raises:
        UserError: If there is no whole metamodel, or the query outputs or the zoo are
            missing or not those that the metamodel was trained on.
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
        document = _evaluate(
            metamodel, metamodel_dir, opened[query_dir], config.zoo_dir
        )
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
    metamodel: "Metamodel", metamodel_dir: str, info: "QueryOutputsInfo", zoo_dir: str
) -> dict[str, Any]:
    """Returns what results.json holds."""
    from kennen_tf import evaluation, reporting
    from kennen_tf.errors import UserError
    from kennen_tf.seeds import derive_seed

    wanted = metamodel.fingerprints["query_outputs"]
    if info.fingerprint != wanted:
        raise UserError(
            f"The metamodel in {metamodel_dir} must be scored on the query outputs it "
            f"was trained on (fingerprint {wanted}). Received: {info.query_dir}, with "
            f"fingerprint {info.fingerprint}. Name the right ones with --query_dir, or "
            "train again."
        )
    test_ids = set(metamodel.split.test_ids)
    entries = [entry for entry in info.entries if entry.id in test_ids]
    probabilities, labels = _answers(metamodel, info, entries, zoo_dir)
    results = evaluation.evaluate(
        labels,
        metamodel.predict(probabilities),
        skip=metamodel.split.split_attributes,
        combination_ids=[entry.combination_id for entry in entries],
        seed=derive_seed(metamodel.config.seed, "bootstrap"),
    )
    return reporting.results_document(
        results,
        config=metamodel.config.to_json(),
        fingerprints=metamodel.fingerprints,
        num_train=len(metamodel.split.train_ids),
    )


def _answers(
    metamodel: "Metamodel",
    info: "QueryOutputsInfo",
    entries: "Sequence[QueriedEntry]",
    zoo_dir: str,
) -> "tuple[np.ndarray, dict[str, np.ndarray]]":
    """Returns probabilities `(entries, n, 10)` and labels of entries, sorted by id."""
    import numpy as np

    from kennen_tf import attributes
    from kennen_tf.errors import UserError
    from kennen_tf.zoo import black_boxes
    from kennen_tf.zoo.store import Zoo
    from pipelines import query_outputs

    if not metamodel.config.is_crafted:
        ids = [entry.id for entry in entries]
        return query_outputs.load_arrays(info, ids, metamodel.query_indices, None)
    try:
        zoo = Zoo.open(zoo_dir or metamodel.config.zoo_dir)
        info.check_zoo(zoo)
    except UserError as error:
        raise UserError(
            f"{metamodel.config.method} sends its queries to the zoo. {error} If the "
            "zoo was moved, say where to with --zoo_dir."
        ) from error
    labels = {n: np.array([e.labels[n] for e in entries]) for n in attributes.NAMES}
    return black_boxes.ask(zoo, entries, metamodel.query_inputs.pixels), labels


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
