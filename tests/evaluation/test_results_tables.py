"""Tables: our numbers, the paper's beside them, and what is said below."""

import json

import numpy as np
import pytest
import tables
from rich.console import Console
from tables import PAPERS

from kennen_tf.attributes import Attribute, AttributeTable
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.evaluation import describing, paper, printing, scores, seed_summaries
from kennen_tf.evaluation.results import read_results, results_document
from kennen_tf.evaluation.results_table import results_notes, results_table
from kennen_tf.evaluation.splits import EXTRAPOLATIONS
from kennen_tf.vocabulary.errors import UserError


def make_document(
    seed=0,
    skip=(),
    ensembles=True,
    table=PAPERS,
    names=None,
    missing_share=0.0,
    **settings,
):
    settings = {"recipe": "kernel", **settings}
    config = MetamodelConfig(seed=seed, **settings).for_zoo(table, 10)
    random = np.random.default_rng(seed)
    labels, probabilities = {}, {}
    for a in table:
        labels[a.name] = random.integers(0, len(a.values), 80)
        noise = random.dirichlet(np.ones(len(a.values)), 80)
        probabilities[a.name] = noise + 0.3 * np.eye(len(a.values))[labels[a.name]]
        labels[a.name][: int(80 * missing_share)] = -1
    if not ensembles:
        labels["ens"][:] = 0
    document = results_document(
        scores.evaluate(
            table,
            labels,
            {name: probabilities[name] for name in names or table.names},
            skip=skip,
        ),
        config=config.to_json(),
        fingerprints={"query_outputs": "q", "metamodel": f"m{seed}"},
        num_train=320,
    )
    return json.loads(json.dumps(document))


def make_kennen_i(seed=0, attribute="all", **settings):
    settings = {"method": "kennen-i", "zoo_dir": "zoo", **settings}
    names = None if attribute == "all" else [attribute]
    return make_document(seed, attribute=attribute, names=names, **settings)


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
    assert row.average_over(PAPERS.names) == row.average
    assert row.average_over(["act", "drop"]) == np.mean(row.accuracies[:2])


def test_the_papers_rows_are_found():
    row = paper.table_2_row("kennen-o", "probabilities", "R", PAPERS)
    assert (row.accuracy("act"), row.accuracy("split"), row.average) == (
        80.6,
        90.0,
        73.4,
    )
    assert paper.table_2_row("kennen-o", "bottom-1", "R", PAPERS).average == 54.4
    assert paper.table_2_row("linear", "probabilities", "R", PAPERS) is row
    assert paper.table_2_row("kennen-o", "top-1", "R", PAPERS) is None
    assert paper.table_2_row("kennen-o", "probabilities", "E-conv", PAPERS) is None
    assert row.accuracy("a thirteenth") is None


def test_table_3_has_no_number_that_is_not_sourced():
    assert set(EXTRAPOLATIONS) - set(paper.TABLE_3) == {"E-split"}
    assert paper.table_3_score("kennen-io", "E-alg", PAPERS) == 88.5
    assert paper.table_3_score("kennen-o", "E-alg", PAPERS) is None


def test_the_table_has_our_numbers_and_the_papers():
    document = make_document()
    text = rendered(results_table(document))
    act = document["attributes"][0]
    accuracy = f"{100 * act['accuracy']:.1f}"
    lower, upper = (f"{100 * end:.1f}" for end in act["interval"])
    normalized = f"{100 * act['normalized_accuracy']:.1f}"
    assert row_of(text, "act") == [
        *("act", accuracy, lower, "-", upper, "25.0", normalized, "80", "80.6")
    ]
    assert row_of(text, "average")[-1] == "73.4"
    assert "kennen-o (kernel recipe), probabilities, 100 queries, split R" in text
    assert "320 classifiers to train, 80 to test" in text


def test_what_is_not_scored_has_a_footnote_and_the_average_compares_like_with_like():
    document = make_document(ensembles=False)
    text = rendered(results_table(document))
    assert row_of(text, "ens") == ["ens", "[1]", *"----", "80", "54.0"]
    notes = "\n".join(results_notes(document))
    assert "[1] ens is not scored and not in the average: all test" in notes
    rest = [a for a in paper.TABLE_2[0].accuracies if a != 54.0]
    assert row_of(text, "average")[-1] == f"{np.mean(rest):.1f}"
    assert "over the same 11 attributes; over all twelve it is 73.4" in notes


def test_where_the_paper_has_no_row_that_is_said():
    document = make_document(split="E-alg", skip=("alg",))
    text = rendered(results_table(document))
    assert row_of(text, "act")[-1] == "-"
    notes = "\n".join(results_notes(document))
    assert "The paper has no row in Table 2 for kennen-o" in notes
    assert "alg is not scored and not in the average: the split is made by it" in notes


def test_linear_stands_beside_the_papers_kennen_o():
    text = rendered(results_table(make_document(method="linear")))
    assert "paper's kennen-o" in text
    assert "linear, probabilities, 100 queries" in text


def test_results_that_differ_in_the_seed_are_summarised_together():
    documents = [make_document(seed) for seed in range(3)]
    documents += [make_document(seed, recipe="paper") for seed in range(2)]
    documents += [make_document(5, method="linear")]
    summaries = seed_summaries.summarize(documents)
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
    json.dumps(seed_summaries.summary_document(summaries), allow_nan=False)

    text = rendered(seed_summaries.summary_table(summaries))
    for heading in ("kennen-o", "kernel", "paper", "linear", "3 seeds", "1 seed"):
        assert heading in text
    mean, lowest, highest = (
        f"{100 * average[key]:.1f}" for key in ("mean", "lowest", "highest")
    )
    assert row_of(text, "average")[2:4] == [mean, f"({lowest}-{highest})"]
    assert row_of(text, "act")[-1] == "80.6"
    assert len(seed_summaries.summary_notes(summaries)) == 1


def test_one_attribute_has_a_row_and_the_others_a_note_together():
    document = make_kennen_i(attribute="pool")
    text = rendered(results_table(document))
    assert "kennen-i (kernel recipe), pool only, top-1, 1 query, split R" in text
    assert row_of(text, "pool")[-1] == "94.8"
    codes = {line.split()[0] for line in text.splitlines() if line.split()}
    assert not codes & {"act", "ks", "split", "average", "[1]"}
    first, second, third = results_notes(document)
    assert first.startswith("Accuracy is class-balanced")
    assert second == "This metamodel does not name the attributes without a row."
    assert third.endswith("classifiers and one query for each attribute.")


def test_an_attribute_that_is_named_and_not_scored_keeps_its_footnote():
    document = make_kennen_i(attribute="ens", ensembles=False)
    text = rendered(results_table(document))
    assert row_of(text, "ens") == ["ens", "[1]", *"----", "80", "46.5"]
    notes = "\n".join(results_notes(document))
    assert notes.count("is not scored") == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"method": "kennen-i", "attribute": "conv"},
            "recipe), #conv only, top-1, 1 q",
        ),
        ({"method": "kennen-i"}, "kennen-i (kernel recipe), top-1, 12 queries, split"),
        ({"method": "kennen-io"}, "kennen-io (kernel recipe), probabilities, 100 que"),
        (
            {"method": "kennen-io", "representation": "top-k", "top_k": 3},
            "kennen-io (kernel recipe), top-3, 100 queries",
        ),
        ({"num_queries": 1}, "kennen-o (kernel recipe), probabilities, 1 query,"),
    ],
)
def test_a_metamodel_is_described_in_a_few_words(settings, words):
    assert words in describing.describe(make_document(zoo_dir="zoo", **settings))


def test_where_the_zoo_lies_and_how_much_memory_there_is_make_no_other_kind():
    documents = [
        make_kennen_i(0),
        make_kennen_i(1, zoo_dir="moved", max_memory_mb=1),
        make_kennen_i(0, attribute="pool"),
        make_kennen_i(1, attribute="pool"),
    ]
    summaries = seed_summaries.summarize(documents)
    assert [summary["seeds"] for summary in summaries] == [[0, 1], [0, 1]]
    assert summaries[0]["named"] == list(PAPERS.names)
    assert summaries[1]["named"] == ["pool"]
    text = rendered(seed_summaries.summary_table(summaries))
    assert "all attributes" in text and "pool only" in text
    json.dumps(seed_summaries.summary_document(summaries), allow_nan=False)


def test_a_summary_of_one_attribute_has_no_other_rows():
    documents = [make_kennen_i(seed, attribute="pool") for seed in range(3)]
    summaries = seed_summaries.summarize(documents)
    text = rendered(seed_summaries.summary_table(summaries))
    [row] = [line for line in text.splitlines() if line.startswith("  pool ")]
    assert row.split()[-1] == "94.8"
    assert "average" not in text and "\n  act " not in text
    [note] = seed_summaries.summary_notes(summaries)
    assert "average" not in note


def test_averages_over_different_attributes_are_not_passed_off_as_alike():
    documents = [make_document(), make_kennen_i(attribute="pool")]
    summaries = seed_summaries.summarize(documents)
    text = rendered(seed_summaries.summary_table(summaries))
    assert row_of(text, "act")[3:] == ["-", "80.6", "43.5"]
    average = row_of(text, "average")
    ours = [f"{100 * d['average']['accuracy']:.1f}" for d in documents]
    # No chance that is that of all; the paper's averages are each over our own's.
    assert average == ["average", "-", *ours, "73.4", "94.8"]
    notes = "\n".join(seed_summaries.summary_notes(summaries))
    assert "average is over the attributes that it has a score for, and these" in notes
    assert "over the same attribute; over all twelve it is 52.7" in notes

    documents += [make_kennen_i(1, attribute="ks")]
    text = rendered(seed_summaries.summary_table(seed_summaries.summarize(documents)))
    assert row_of(text, "average")[-2:] == ["73.4", "-"]

    alike = seed_summaries.summarize([make_document(), make_kennen_i()])
    assert row_of(rendered(seed_summaries.summary_table(alike)), "average")[1] == "34.9"
    assert "these differ" not in "\n".join(seed_summaries.summary_notes(alike))


def test_results_of_before_there_were_crafted_queries_are_read():
    new = make_document(1)
    old = make_document(0)
    for key in ("attribute", "zoo_dir", "max_memory_mb", "image_epochs"):
        del old["config"][key]
    assert "kennen-o (kernel recipe), probabilities, 100" in describing.describe(old)
    assert len(results_notes(old)) == 2
    assert row_of(rendered(results_table(old)), "act")[-1] == "80.6"
    for documents in ([old], [old, new], [new, old]):
        summaries = seed_summaries.summarize(documents)
        assert "act" in rendered(seed_summaries.summary_table(summaries))


def test_other_query_outputs_or_numbers_make_another_kind():
    documents = [make_document(0), make_document(1), make_document(2, num_train=50)]
    documents[1]["fingerprints"]["query_outputs"] = "other"
    assert len(seed_summaries.summarize(documents)) == 3


def test_seeds_without_a_score_do_not_count():
    documents = [make_document(0), make_document(1, ensembles=False)]
    [summary] = seed_summaries.summarize(documents)
    assert summary["attributes"]["ens"]["num_seeds"] == 1
    [nothing] = seed_summaries.summarize(documents[1:])
    assert nothing["attributes"]["ens"] is None
    assert row_of(rendered(seed_summaries.summary_table([nothing])), "ens")[1:3] == [
        "-",
        "-",
    ]


def test_outside_a_terminal_tables_are_as_wide_as_they_need(capsys):
    documents = [make_document(s, num_train=n) for s in (0, 1) for n in range(9)]
    summaries = seed_summaries.summarize(documents)
    printing.print_table(seed_summaries.summary_table(summaries), ["A [note]."])
    printed = capsys.readouterr().out
    assert "…" not in printed and "A [note]." in printed
    assert "\x1b" not in printed


def test_results_of_another_version_are_refused(tmp_path):
    assert read_results(tmp_path) is None
    (tmp_path / "results.json").write_text('{"schema_version": 99}')
    with pytest.raises(UserError, match="schema version 1. Received: 99"):
        read_results(tmp_path)


def change(table, of, **changes):
    """Returns a table of which one row is another."""
    return AttributeTable(
        Attribute(**{**a.to_json(), **changes}) if a.name == of else a for a in table
    )


@pytest.mark.parametrize(
    ("table", "is_papers"),
    [
        (PAPERS, True),
        (tables.THIRTEEN, True),
        (change(PAPERS, "act", code="activation"), True),
        (tables.SMALL, False),
        (PAPERS.select(PAPERS.names[:11]), False),
        (change(PAPERS, "ks", values=(3, 5, 7)), False),
        (change(PAPERS, "ks", name="kernel"), False),
        (AttributeTable(reversed(PAPERS.attributes)), False),
    ],
)
def test_the_papers_numbers_are_for_its_table_only(table, is_papers):
    assert paper.is_papers(table) == is_papers
    row = paper.table_2_row("kennen-o", "probabilities", "R", table)
    assert (row is not None) == is_papers
    score = paper.table_3_score("kennen-io", "E-conv", table)
    assert (score is not None) == is_papers


@pytest.mark.parametrize("table", [tables.SMALL, tables.EIGHTEEN], ids=len)
@pytest.mark.parametrize("split", ["R", "E-conv"])
def test_beside_another_table_nothing_is_said_of_the_paper(table, split):
    documents = [
        make_document(seed, table=table, missing_share=0.25, split=split)
        for seed in range(2)
    ]
    summaries = seed_summaries.summarize(documents)
    text = rendered(results_table(documents[0]), 160)
    text += "\n".join(results_notes(documents[0]))
    text += rendered(seed_summaries.summary_table(summaries), 160)
    text += "\n".join(seed_summaries.summary_notes(summaries))
    assert "paper" not in text and "twelve" not in text
    for a in table:
        assert text.count(f"\n  {a.code} ") == 2
    first = table.attributes[0].code
    assert row_of(text, first)[-1] == "60"
    assert "the value of the other test classifiers is not known" in text


def test_a_thirteenth_attribute_has_no_number_of_the_paper():
    document = make_document(table=tables.THIRTEEN)
    text = rendered(results_table(document))
    assert row_of(text, "act")[-1] == "80.6" and row_of(text, "split")[-1] == "90.0"
    assert row_of(text, "norm")[-1] == "-"
    assert row_of(text, "average")[-1] == "73.4"
    notes = "\n".join(results_notes(document))
    assert "over 12 attributes, without norm, which it does not have" in notes
    assert "over all twelve" not in notes
    summaries = seed_summaries.summarize([document])
    text = rendered(seed_summaries.summary_table(summaries))
    assert row_of(text, "norm")[-1] == "-" and row_of(text, "average")[-1] == "73.4"


def test_zoos_of_two_tables_stand_side_by_side():
    documents = [make_document(), make_document(table=tables.SMALL)]
    documents[1]["fingerprints"]["query_outputs"] = "other"
    summaries = seed_summaries.summarize(documents)
    text = rendered(seed_summaries.summary_table(summaries))
    act, stem = row_of(text, "act"), row_of(text, "#stem")
    assert act[3] == "-" and act[-1] == "80.6"
    assert stem[2] == "-" and stem[3] != "-" and stem[-1] == "-"
    notes = "\n".join(seed_summaries.summary_notes(summaries))
    assert "scores" not in notes.replace("score for", "") and "these differ" in notes


def test_results_and_summaries_print_alike_after_a_trip_through_files(tmp_path):
    summaries = seed_summaries.summarize([make_document(table=tables.SMALL)])
    read = json.loads(json.dumps(summaries, sort_keys=True))
    before, after = (
        rendered(seed_summaries.summary_table(s)) for s in (summaries, read)
    )
    assert before == after
    codes = [line.split()[0] for line in after.splitlines() if line.split()]
    assert codes.index("#stem") < codes.index("augmentation") < codes.index("license")


def test_results_of_before_they_carried_the_table_print_alike():
    new = make_document()
    old = make_document()
    for row in old["attributes"]:
        del row["code"], row["description"]
    for print_it in (
        results_table,
        lambda d: seed_summaries.summary_table(seed_summaries.summarize([d])),
    ):
        assert rendered(print_it(old)) == rendered(print_it(new))
    assert results_notes(old) == results_notes(new)
