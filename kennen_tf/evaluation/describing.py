"""What tables say of a metamodel in words, and of the paper's that stands beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.metamodels import ALL_ATTRIBUTES
from kennen_tf.evaluation import paper
from kennen_tf.evaluation.printing import NOTHING, count_queries
from kennen_tf.evaluation.results import Results


def describe(document: Mapping[str, Any]) -> str:
    """Returns a metamodel's settings in a few words."""
    method = document["method"]
    if method != "linear":
        method += f" ({document['recipe']} recipe)"
    representation = document["representation"]
    if representation == "top-k":
        representation = f"top-{document['top_k']}"
    # Metamodels of before there were crafted ones name all.
    attribute = document["config"].get("attribute", ALL_ATTRIBUTES)
    named = f"{name_attribute(attribute, read_table(document))}, "
    if attribute == ALL_ATTRIBUTES:
        named = ""
    queries = count_queries(document["num_queries"])
    return f"{method}, {named}{representation}, {queries}, split {document['split']}"


def read_table(document: Mapping[str, Any]) -> AttributeTable:
    """Returns the attribute table of results, or of a summary."""
    if "table" in document:
        return AttributeTable.from_json(document["table"], "A summary")
    return Results.from_json(document).table


def name_attribute(attribute: str, table: AttributeTable) -> str:
    """Returns what a setting `attribute` means, in two words."""
    if attribute == ALL_ATTRIBUTES:
        return "all attributes"
    return f"{table[attribute].code} only"


def paper_row(document: Mapping[str, Any]) -> paper.Row | None:
    """Returns the row of the paper's Table 2 that stands beside, if there is one."""
    return paper.table_2_row(
        document["method"],
        document["representation"],
        document["split"],
        read_table(document),
    )


def paper_heading(document: Mapping[str, Any], row: paper.Row | None) -> str:
    """Returns what the column of the paper's row is called."""
    if row is None or row.method == document["method"]:
        return "paper"
    return f"paper's {row.method}"


def paper_notes(document: Mapping[str, Any], averaged: Sequence[str]) -> list[str]:
    """Returns what should be known of the paper's numbers, if there are any.

    Args:
        document: Results, or a summary.
        averaged: The attributes that the average beside is over; none if no average is
            shown.
    """
    table = read_table(document)
    if not paper.is_papers(table):
        return []
    row = paper_row(document)
    score = paper.table_3_score(document["method"], document["split"], table)
    if score is not None:
        return [
            f"The paper's {document['method']} scores {score} on {document['split']} "
            f"(Table 3, {paper.SUBMISSION}), chance being 0 and the R split 100."
        ]
    if row is None:
        return [f"The paper has no row in Table 2 for {describe(document)}."]
    is_kennen_i = row.method == "kennen-i"
    queries = "one query for each attribute" if is_kennen_i else "100 queries"
    average = ""
    shared = [name for name in averaged if name in paper.NAMES]
    if len(shared) < len(averaged):
        others = [table[name].code for name in averaged if name not in shared]
        average = (
            f" Its average here is over {len(shared)} attributes, without "
            f"{', '.join(others)}, which it does not have."
        )
    elif shared and len(shared) < len(paper.NAMES):
        same = f"{len(shared)} attributes" if len(shared) > 1 else "attribute"
        average = (
            f" Its average here is over the same {same}; over all twelve it is "
            f"{row.average}."
        )
    return [
        f"The paper's {row.method} with output '{row.output}' (Table 2, {row.source}) "
        f"had {paper.NUM_TRAIN:,} training classifiers and {queries}.{average}"
    ]


def paper_cell(number: float | None) -> str:
    """Returns a number of the paper, which is in per cent, "-" if there is none."""
    return NOTHING if number is None else f"{number:.1f}"
