"""Scores of a metamodel on the entries that were kept from its training."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kennen_tf.attributes import MISSING
from kennen_tf.evaluation import limit_scores, scores
from kennen_tf.evaluation.results import results_document
from kennen_tf.metamodels.jobs import QueryOutputs
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.seeds import derive_seed
from kennen_tf.zoo import asking
from kennen_tf.zoo.entries import QueriedEntry
from kennen_tf.zoo.store import Zoo
from pipelines import query_outputs


def score(
    metamodel: Metamodel,
    info: QueryOutputsInfo,
    zoo_dir: str = "",
    outputs: QueryOutputs = query_outputs,
) -> dict[str, Any]:
    """Scores a metamodel; crafted queries are sent to the zoo's test classifiers.

    Args:
        metamodel: It is finished.
        info: The query outputs that it was trained on.
        zoo_dir: Folder of the zoo; "" is the one used in training.
        outputs: What reads the query outputs.

    Returns:
        What results.json holds.

    Raises:
        UserError: If the query outputs or the zoo are not those of the training.
    """
    wanted = metamodel.fingerprints["query_outputs"]
    if info.fingerprint != wanted:
        raise UserError(
            f"The metamodel in {metamodel.config.metamodel_dir} must be scored on the "
            f"query outputs it was trained on (fingerprint {wanted}). Received: "
            f"{info.query_dir}, with fingerprint {info.fingerprint}. Name the right "
            "ones with --query_dir, or train again."
        )
    test_ids = set(metamodel.split.test_ids)
    entries = [entry for entry in info.entries if entry.id in test_ids]
    probabilities, labels = _answers(metamodel, info, entries, zoo_dir, outputs)
    answers = metamodel.predict(probabilities)
    combination_ids = [entry.combination_id for entry in entries]
    results = scores.evaluate(
        info.attributes,
        labels,
        answers,
        skip=metamodel.split.split_attributes,
        untrained=_untrained(metamodel, info),
        combination_ids=combination_ids,
        seed=derive_seed(metamodel.config.seed, "bootstrap"),
    )
    document = results_document(
        results,
        config=metamodel.config.to_json(),
        fingerprints=metamodel.fingerprints,
        num_train=len(metamodel.split.train_ids),
    )
    kept = limit_scores.score(
        labels,
        # What the split is made by is another thing in testing.
        {n: p for n, p in answers.items() if n not in metamodel.split.split_attributes},
        combination_ids,
        metamodel.limits[0] if metamodel.limits else None,
        metamodel.represent(probabilities),
    )
    return {**document, **kept}


def _untrained(metamodel: Metamodel, info: QueryOutputsInfo) -> list[str]:
    """Returns the attributes of which training entries have no two values."""
    train_ids = set(metamodel.split.train_ids)
    labels = info.labels([entry for entry in info.entries if entry.id in train_ids])
    return [n for n, own in labels.items() if len(set(own.tolist()) - {MISSING}) < 2]


def _answers(
    metamodel: Metamodel,
    info: QueryOutputsInfo,
    entries: Sequence[QueriedEntry],
    zoo_dir: str,
    outputs: QueryOutputs,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns probabilities `(entries, n, classes)` and labels, sorted by entry id."""
    if not metamodel.config.is_crafted:
        ids = [entry.id for entry in entries]
        return outputs.load_arrays(info, ids, metamodel.query_indices, None)
    try:
        zoo = Zoo.open(zoo_dir or metamodel.config.zoo_dir)
        info.check_zoo(zoo)
    except UserError as error:
        raise UserError(
            f"{metamodel.config.method} sends its queries to the zoo. {error} If the "
            "zoo was moved, say where to with --zoo_dir."
        ) from error
    answers = asking.ask(zoo, entries, metamodel.query_inputs.pixels)
    return answers, info.labels(entries)
