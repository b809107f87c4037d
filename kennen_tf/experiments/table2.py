"""table2: every method and output representation on the R split (Table 2)."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from kennen_tf.attributes import AttributeTable
from kennen_tf.evaluation import figures, paper, splits
from kennen_tf.experiments.shared import summaries
from kennen_tf.experiments.shared.experiment import Experiment
from kennen_tf.experiments.shared.runs import Runs
from kennen_tf.experiments.shared.sections import (
    Picture,
    Section,
    Table,
    explain_codes,
)

# Settings of the rows.
_ROWS: tuple[dict[str, str], ...] = (
    {"method": "linear"},
    {"method": "kennen-o"},
    {"method": "kennen-o", "recipe": "paper"},
    {"method": "kennen-o", "representation": "ranking"},
    {"method": "kennen-o", "representation": "bottom-1"},
    {"method": "kennen-o", "representation": "top-1"},
    {"method": "kennen-s"},
    {"method": "kennen-i"},
    {"method": "kennen-io"},
)


def _paper_scores(row: paper.Row, summary: dict[str, Any]) -> dict[str, Any]:
    """Returns the paper's numbers in per cent, their average over what is scored."""
    return {
        "output": row.output,
        "source": row.source,
        "accuracies": {name: row.accuracy(name) for name in paper.NAMES},
        "average": row.average,
        "average_over_scored": row.average_over(summaries.scored(summary)),
    }


def _paper_chance(table: AttributeTable) -> dict[str, float]:
    """Returns 1 / number of values in per cent, which is the paper's chance."""
    chances = {a.name: 100 * a.chance for a in table if a.name in paper.NAMES}
    return {**chances, summaries.AVERAGE: sum(chances.values()) / len(chances)}


_BARS = "95% interval over test classifiers"


def _label(row: dict[str, Any]) -> str:
    recipe = " (paper's recipe)" if row["recipe"] == "paper" else ""
    return f"{row['method']}{recipe}, {row['representation']}"


def _bar_name(row: dict[str, Any]) -> str:
    recipe = ", paper's recipe" if row["recipe"] == "paper" else ""
    return f"{row['method']}{recipe}\n(reads {row['representation']})"


def _row(row: dict[str, Any], names: Sequence[str]) -> list[str]:
    scores = row["scores"]
    average = scores[summaries.AVERAGE]
    own = average["accuracy"] if average else None
    extent = "-"
    if own and len(own["values"]) > 1:
        extent = summaries.say_extent(own)
    return [
        row["method"] + (", paper's recipe" if row["recipe"] == "paper" else ""),
        row["representation"],
        summaries.say_range(row["num_train"]),
        str(len(row["runs"])),
        *(summaries.say_mean(scores[n] and scores[n]["accuracy"]) for n in names),
        summaries.say_mean(own),
        extent,
    ]


def _paper_row(row: dict[str, Any], names: Sequence[str]) -> list[str]:
    beside = row["paper"]
    numbers = [beside["accuracies"].get(name) for name in names]
    average = beside["average_over_scored"]
    cells = ["-" if n is None else f"{n:.1f}" for n in [*numbers, average]]
    return [
        f"† {row['method']}",
        beside["output"],
        f"{paper.NUM_TRAIN:,}",
        "",
        *cells,
        "",
    ]


def _notes_on_seeds(rows: list[dict[str, Any]]) -> list[str]:
    """Returns what kennen-o has on the seeds of the rows that have fewer."""
    [reference] = [row for row in rows if _label(row) == "kennen-o, probabilities"]
    score = reference["scores"][summaries.AVERAGE]
    fewest = min((len(row["runs"]) for row in rows if row["runs"]), default=0)
    if score is None or not 0 < fewest < len(score["accuracy"]["values"]):
        return []
    mean = 100 * sum(score["accuracy"]["values"][:fewest]) / fewest
    return [
        "Rows with fewer runs have the first seeds only, which may have easier "
        f"splits. On the first {fewest}, kennen-o with probabilities has {mean:.1f} on "
        "average."
    ]


def _notes(result: dict[str, Any], table: AttributeTable) -> list[str]:
    notes = list(dict.fromkeys(r for row in result["rows"] for r in row["refused"]))
    scored = {len(summaries.scored(row)) for row in result["rows"] if row["runs"]}
    if scored and min(scored) < len(table):
        notes.append(
            "An attribute without a number has no two known values among the test "
            "classifiers of any seed. Averages are over the others."
        )
    notes += _notes_on_seeds(result["rows"])
    sources = dict.fromkeys(
        f"{row['paper']['output']}: {row['paper']['source']}"
        for row in result["rows"]
        if row["paper"]
    )
    notes += [
        "Chance is 1 / number of values among the test classifiers.",
        "kennen-i reads one label of one image for each attribute; all others read "
        f"{result['rows'][0]['num_queries']} queries.",
    ]
    if not sources:
        return notes
    lacking = [a.code for a in table if a.name not in paper.NAMES]
    if lacking:
        notes.append(f"The paper does not have {', '.join(lacking)}.")
    return [
        *notes,
        "The paper's averages are over those of its attributes that are scored here; "
        "its chance is 1 / number of all values.",
        f"† Table 2 of the paper ({'; '.join(sources)}): 5,000 classifiers of 100 "
        f"epochs to train, 1,000 to test, split {splits.RANDOM}, 100 queries.",
    ]


class Table2(Experiment):
    """Every method and output representation on the R split."""

    name = "table2"

    def measure(self, runs: Runs) -> dict[str, Any]:
        # Trains every row's metamodel once for each seed.
        plan = [
            [
                runs.make_config(seed=seed, **row)
                for seed in runs.config.seeds(row["method"])
            ]
            for row in _ROWS
        ]
        results = iter(
            runs.train(self.name, [config for own in plan for config in own])
        )
        rows = []
        for own in plan:
            config = own[0]
            summary = summaries.summarize_runs(
                [next(results) for _ in own], runs.info.attributes
            )
            beside = paper.table_2_row(
                config.method,
                config.representation,
                config.split,
                runs.info.attributes,
            )
            # A linear metamodel has none; the paper's kennen-o stands one row below.
            is_own = beside is not None and beside.method == config.method
            rows.append(
                {
                    "method": config.method,
                    "recipe": None if config.method == "linear" else config.recipe,
                    "representation": config.representation,
                    "num_queries": config.num_queries,
                    **summary,
                    "paper": _paper_scores(beside, summary)
                    if beside and is_own
                    else None,
                }
            )
        table = runs.info.attributes
        chance = _paper_chance(table) if paper.is_papers(table) else None
        return {"rows": rows, "paper_chance": chance}

    def draw(self, result: dict[str, Any], table: AttributeTable) -> dict[str, Figure]:
        rows = [row for row in result["rows"] if row["scores"][summaries.AVERAGE]]
        if not rows:
            return {}
        figure, axes = figures.make_bars([_bar_name(row) for row in rows])
        handles: dict[str, Any] = {}
        for place, row in enumerate(rows):
            score = row["scores"][summaries.AVERAGE]
            mean = 100 * score["accuracy"]["mean"]
            lower = min(interval[0] for interval in score["test_intervals"])
            upper = max(interval[1] for interval in score["test_intervals"])
            reach = [[max(mean - 100 * lower, 0)], [max(100 * upper - mean, 0)]]
            axes.barh(place, mean, height=0.6, color="0.8", edgecolor="black")
            handles[_BARS] = axes.errorbar(
                mean, place, xerr=reach, color="black", capsize=3
            )
            handles["chance"] = axes.vlines(
                100 * score["chance"], place - 0.4, place + 0.4, "black", ":"
            )
            if row["paper"] and row["paper"]["average_over_scored"] is not None:
                value = row["paper"]["average_over_scored"]
                [handles["the paper (†)"]] = axes.plot(
                    value, place, "kD", markerfacecolor="white"
                )
        axes.set_xlim(0, 100)
        axes.set_xlabel(
            "class-balanced accuracy, average over attributes (%)", fontsize=9
        )
        figure.suptitle(
            "How well each metamodel names the attributes of test classifiers",
            fontsize=10,
        )
        figures.add_legend(figure, handles)
        return {"averages": figure}

    def show(self, result: dict[str, Any], table: AttributeTable) -> Section:
        columns = [
            "method",
            "output",
            "to train",
            "runs",
            *(attribute.code for attribute in table),
            "avg",
            "lowest-highest",
        ]
        first = next((row for row in result["rows"] if row["runs"]), None)
        chances = (
            {n: s and s["chance"] for n, s in first["scores"].items()} if first else {}
        )
        rows, paper_rows = [], []
        chance_rows = {"chance": {n: c and 100 * c for n, c in chances.items()}}
        beside = result["paper_chance"]
        if beside:
            paper_rows.append(len(chance_rows))
            chance_rows["† chance"] = beside
        for label, numbers in chance_rows.items():
            found = [numbers.get(name) for name in (*table.names, summaries.AVERAGE)]
            cells = ["-" if n is None else f"{n:.1f}" for n in found]
            rows.append([label, "", "", "", *cells, ""])
        for row in result["rows"]:
            rows.append(_row(row, table.names))
            if row["paper"]:
                paper_rows.append(len(rows))
                rows.append(_paper_row(row, table.names))
        return Section(
            title="Methods and outputs (Table 2)",
            about="Every metamodel on the R split: whole combinations of attribute "
            "values are held out at random.",
            tables=[
                Table(
                    caption="Class-balanced accuracy in %, mean over seeds; lowest "
                    "and highest average of a seed."
                    + (" Rows with † are the paper's." if beside else ""),
                    columns=columns,
                    rows=rows,
                    paper_rows=paper_rows,
                )
            ],
            pictures=[
                Picture(
                    stem="averages",
                    caption="Averages over the attributes that are scored"
                    + (", the paper's over the same." if beside else "."),
                )
            ],
            notes=[*explain_codes(table), *_notes(result, table)],
        )
