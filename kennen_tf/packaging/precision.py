"""What half precision costs: metamodels of full and of halved answers, side by side."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tqdm

from kennen_tf.configs.recipes import KERNEL
from kennen_tf.evaluation import printing, scores, splits
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels import left_out
from kennen_tf.metamodels.recipes import heads, linear, solving
from kennen_tf.packaging import describing
from kennen_tf.queries import packages, representations
from kennen_tf.queries.packages import Package
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from pipelines import query_outputs


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Reading:
    """A metamodel: what it reads, and whether it is the linear one."""

    representation: str = "probabilities"
    num_queries: int = 100
    is_random: bool = False
    is_linear: bool = False


_READINGS = {
    "kennen-s": _Reading(),
    "kennen-o": _Reading(is_random=True),
    "linear": _Reading(is_linear=True),
    "ranking": _Reading(representation="ranking"),
    "top-1": _Reading(representation="top-1", num_queries=200),
}


def measure_and_note(package: Package, info: QueryOutputsInfo) -> None:
    """Measures what half precision costs, prints it, and adds it to a package.

    Args:
        package: It is whole.
        info: The query outputs that it was made from, in full precision.
    """
    rows = measure(package, info)
    table = printing.make_table("What half precision costs", "metamodel")
    for column in ("full", "half", "lost"):
        table.add_column(column, justify="right")
    for row in rows:
        full, half = row["full"], row["half"]
        cells = (printing.percent(own) for own in (full, half, full - half))
        table.add_row(row["reader"], *cells)
    printing.print_table(
        table, ["Class-balanced accuracy in %, average of all attributes."]
    )
    description = {**package.description, "half_precision": rows}
    describing.write(pathlib.Path(package.folder), description)


def measure(package: Package, info: QueryOutputsInfo) -> list[dict[str, Any]]:
    """Trains the same metamodels on full and on halved answers to natural queries.

    Args:
        package, info: As those of `measure_and_note`.

    Returns:
        For each metamodel, its name as "reader", and as "full" and "half" its average
        accuracy on the entries held out, in [0, 1].
    """
    config = package.description["config"]
    halved = QueryOutputsInfo.open(package.folder / packages.NATURAL)
    split = splits.make_split(
        info.entries, splits.RANDOM, info.attributes, config["seed"]
    )
    ids = [entry.id for entry in info.entries]
    places = package.description["chosen"]
    answers = {
        "full": query_outputs.load_arrays(info, ids, places, None)[0],
        "half": query_outputs.load_arrays(halved, ids, range(len(places)), None)[0],
    }
    is_train = np.isin(ids, split.train_ids)
    rows = []
    for name, reading in tqdm.tqdm(_READINGS.items(), "half precision", leave=False):
        count = min(reading.num_queries, len(places))
        queries: Sequence[int] = range(count)
        if reading.is_random:
            queries = folder_lib.draw_queries(halved, count, config["seed"])
        rows.append(
            {"reader": name}
            | {
                precision: _score(info, reading, own[:, queries], is_train)
                for precision, own in answers.items()
            }
        )
    return rows


def _score(
    info: QueryOutputsInfo,
    reading: _Reading,
    probabilities: np.ndarray,
    is_train: np.ndarray,
) -> float:
    """Returns the average accuracy of a metamodel on the entries held out."""
    table, labels = info.attributes, info.labels(info.entries)
    features = representations.represent(probabilities, reading.representation).numpy()
    train: heads.Labels = {name: own[is_train] for name, own in labels.items()}
    combinations = [entry.combination_id for entry in info.entries]
    if reading.is_linear:
        model, _ = linear.fit(
            table, features[is_train], train, is_balanced=True, divides=True
        )
    else:
        ids = [own for own, is_in in zip(combinations, is_train, strict=True) if is_in]
        model, _ = solving.fit(KERNEL, table, features[is_train], train, ids)
    results = scores.evaluate(
        table,
        {name: own[~is_train] for name, own in labels.items()},
        left_out.answer(model, features[~is_train]),
    )
    return float(results.average["accuracy"])
