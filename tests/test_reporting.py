"""Tables: our numbers, the paper's beside them, and what is said below."""

import json

import numpy as np
import pytest
from rich.console import Console

from kennen_tf import attributes, evaluation, paper, reporting
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.errors import UserError
from kennen_tf.splits import EXTRAPOLATIONS


def make_document(seed=0, skip=(), ensembles=True, **settings):
    random = np.random.default_rng(seed)
    labels, probabilities = {}, {}
    for a in attributes.ATTRIBUTES:
        labels[a.name] = random.integers(0, len(a.values), 80)
        noise = random.dirichlet(np.ones(len(a.values)), 80)
        probabilities[a.name] = noise + 0.3 * np.eye(len(a.values))[labels[a.name]]
    if not ensembles:
        labels["ens"][:] = 0
    document = reporting.results_document(
        evaluation.evaluate(labels, probabilities, skip=skip),
        config=MetamodelConfig(seed=seed, **settings).to_json(),
        fingerprints={"query_outputs": "q", "metamodel": f"m{seed}"},
        num_train=320,
    )
    return json.loads(json.dumps(document))


def rendered(table, width=120):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def row_of(text, name):
    lines = [line.split() for line in text.splitlines()]
    return next(line for line in lines if line and line[0] == name)


@pytest.mark.parametrize(
    "row", paper.TABLE_2, ids=lambda row: f"{row.method} {row.output}"
)
def test_the_papers_rows_agree_with_their_averages(row):
    assert len(row.accuracies) == 12
    assert np.mean(row.accuracies) == pytest.approx(row.average, abs=0.06)
    assert row.average_over(attributes.NAMES) == row.average
    assert row.average_over(["act", "drop"]) == np.mean(row.accuracies[:2])


def test_the_papers_rows_are_found():
    row = paper.table_2_row("kennen-o", "probabilities", "R")
    assert (row.accuracy("act"), row.accuracy("split"), row.average) == (
        80.6,
        90.0,
        73.4,
    )
    assert paper.table_2_row("kennen-o", "bottom-1", "R").average == 54.4
    assert paper.table_2_row("linear", "probabilities", "R") is row
    assert paper.table_2_row("kennen-o", "top-1", "R") is None
    assert paper.table_2_row("kennen-o", "probabilities", "E-conv") is None
    assert row.accuracy("a thirteenth") is None


def test_table_3_has_no_number_that_is_not_sourced():
    assert set(EXTRAPOLATIONS) - set(paper.TABLE_3) == {"E-split"}
    assert paper.table_3_score("kennen-io", "E-alg") == 88.5
    assert paper.table_3_score("kennen-o", "E-alg") is None


def test_the_table_has_our_numbers_and_the_papers():
    document = make_document()
    text = rendered(reporting.results_table(document))
    act = document["attributes"][0]
    accuracy = f"{100 * act['accuracy']:.1f}"
    lower, upper = (f"{100 * end:.1f}" for end in act["interval"])
    normalized = f"{100 * act['normalized_accuracy']:.1f}"
    assert row_of(text, "act") == [
        *("act", accuracy, lower, "-", upper, "25.0", normalized, "80", "80.6")
    ]
    assert row_of(text, "average")[-1] == "73.4"
    assert "kennen-o (default recipe), probabilities, 100 queries, split R" in text
    assert "320 classifiers to train, 80 to test" in text


def test_what_is_not_scored_has_a_footnote_and_the_average_compares_like_with_like():
    document = make_document(ensembles=False)
    text = rendered(reporting.results_table(document))
    assert row_of(text, "ens") == ["ens", "[1]", *"----", "80", "54.0"]
    notes = "\n".join(reporting.results_notes(document))
    assert "[1] ens is not scored and not in the average: all test" in notes
    rest = [a for a in paper.TABLE_2[0].accuracies if a != 54.0]
    assert row_of(text, "average")[-1] == f"{np.mean(rest):.1f}"
    assert "over the same 11 attributes; over all twelve it is 73.4" in notes


def test_where_the_paper_has_no_row_that_is_said():
    document = make_document(split="E-alg", skip=("alg",))
    text = rendered(reporting.results_table(document))
    assert row_of(text, "act")[-1] == "-"
    notes = "\n".join(reporting.results_notes(document))
    assert "The paper has no row in Table 2 for kennen-o" in notes
    assert "alg is not scored and not in the average: the split is made by it" in notes


def test_linear_stands_beside_the_papers_kennen_o():
    text = rendered(reporting.results_table(make_document(method="linear")))
    assert "paper's kennen-o" in text
    assert "linear, probabilities, 100 queries" in text


def test_results_that_differ_in_the_seed_are_summarised_together():
    documents = [make_document(seed) for seed in range(3)]
    documents += [make_document(seed, recipe="paper") for seed in range(2)]
    documents += [make_document(5, method="linear")]
    summaries = reporting.summarize(documents)
    assert [summary["seeds"] for summary in summaries] == [[0, 1, 2], [0, 1], [5]]
    accuracies = [d["average"]["accuracy"] for d in documents[:3]]
    average = summaries[0]["average"]
    assert average["mean"] == pytest.approx(np.mean(accuracies))
    assert average["std"] == pytest.approx(np.std(accuracies, ddof=1))
    assert (average["lowest"], average["highest"]) == (
        min(accuracies),
        max(accuracies),
    )
    assert average["num_seeds"] == 3
    assert summaries[2]["average"]["std"] is None
    json.dumps(reporting.summary_document(summaries), allow_nan=False)

    text = rendered(reporting.summary_table(summaries))
    for heading in ("kennen-o", "default", "paper", "linear", "3 seeds", "1 seed"):
        assert heading in text
    mean, lowest, highest = (
        f"{100 * average[key]:.1f}" for key in ("mean", "lowest", "highest")
    )
    assert row_of(text, "average")[2:4] == [mean, f"({lowest}-{highest})"]
    assert row_of(text, "act")[-1] == "80.6"
    assert len(reporting.summary_notes(summaries)) == 1


def test_other_query_outputs_or_numbers_make_another_kind():
    documents = [make_document(0), make_document(1), make_document(2, num_train=50)]
    documents[1]["fingerprints"]["query_outputs"] = "other"
    assert len(reporting.summarize(documents)) == 3


def test_seeds_without_a_score_do_not_count():
    documents = [make_document(0), make_document(1, ensembles=False)]
    [summary] = reporting.summarize(documents)
    assert summary["attributes"]["ens"]["num_seeds"] == 1
    [nothing] = reporting.summarize(documents[1:])
    assert nothing["attributes"]["ens"] is None
    assert row_of(rendered(reporting.summary_table([nothing])), "ens")[1:3] == [
        "-",
        "-",
    ]


def test_outside_a_terminal_tables_are_as_wide_as_they_need(capsys):
    documents = [make_document(s, num_train=n) for s in (0, 1) for n in range(9)]
    summaries = reporting.summarize(documents)
    reporting.print_table(reporting.summary_table(summaries), ["A [note]."])
    printed = capsys.readouterr().out
    assert "…" not in printed and "A [note]." in printed
    assert "\x1b" not in printed


def test_results_of_another_version_are_refused(tmp_path):
    assert reporting.read_results(tmp_path) is None
    (tmp_path / "results.json").write_text('{"schema_version": 99}')
    with pytest.raises(UserError, match="schema version 1. Received: 99"):
        reporting.read_results(tmp_path)
