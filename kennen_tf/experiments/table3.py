"""table3: training and test classifiers differ in attributes (Table 3)."""

import contextlib
import dataclasses
import textwrap
from typing import Any

from matplotlib.figure import Figure

from kennen_tf.attributes import AttributeTable
from kennen_tf.evaluation import figures, paper, splits
from kennen_tf.evaluation.results import Results
from kennen_tf.experiments.shared import summaries
from kennen_tf.experiments.shared.experiment import Experiment
from kennen_tf.experiments.shared.runs import Refused, Run, Runs
from kennen_tf.experiments.shared.sections import (
    Picture,
    Section,
    Table,
    explain_codes,
)
from kennen_tf.vocabulary.errors import UserError

METHODS = ("kennen-o", "kennen-io")
_LINE_CHARACTERS = 34
_STYLES: tuple[dict[str, Any], ...] = (
    {"color": "0.9", "hatch": ""},
    {"color": "0.6", "hatch": "//"},
)


def _list_splits(table: AttributeTable) -> list[str]:
    """Returns the E splits by attributes and values that a table has."""
    found = []
    for name in splits.EXTRAPOLATIONS:
        with contextlib.suppress(UserError):
            splits.parse_split(name, table)
            found.append(name)
    return found


def _normalize(
    results: list[Run | Refused], random: list[Run | Refused], table: AttributeTable
) -> dict[str, Any]:
    """Returns "normalized", a summary of fractions or None, and "over"."""
    scores, over = [], set()
    for own, reference in zip(results, random, strict=True):
        if isinstance(own, Run) and isinstance(reference, Run):
            score, names = normalized(
                Results.from_json(_results(own)), Results.from_json(_results(reference))
            )
            over.update(names)
            if score is not None:
                scores.append(score)
    return {
        "normalized": summaries.summarize(scores) if scores else None,
        "over": [name for name in table.names if name in over],
    }


def _results(run: Run) -> dict[str, Any]:
    keys = ("attributes", "num_entries", "num_combinations", "average")
    return {key: run.document[key] for key in keys}


def normalized(own: Results, random: Results) -> tuple[float | None, list[str]]:
    """Returns a score where chance is 0 and the R split is 1 (paper, Table 3).

    It is the mean above chance over the attributes that both score, which leaves out
    those that the split is made by, over the same of the R split.

    Returns:
        The score, None if the R split itself is not above chance, and the attributes.
    """
    names = [a.name for a in own.scored if random[a.name].accuracy is not None]

    def above_chance(results: Results) -> float:
        scores = [results[name] for name in names]
        return sum((s.accuracy or 0.0) - (s.chance or 0.0) for s in scores)

    reference = above_chance(random)
    return (above_chance(own) / reference if reference > 0 else None), names


def _describe(row: dict[str, Any], table: AttributeTable) -> str:
    """Says in a few lines what a split holds out."""
    if row["split"] == splits.RANDOM:
        return "R: held out at random"
    rules = splits.parse_split(row["rules"], table)
    names = " and ".join(rule.attribute.in_full.split(" (")[0] for rule in rules)
    sides = [
        " and ".join(", ".join(map(str, values)) for values in own)
        for own in (
            [rule.train_values for rule in rules],
            [rule.test_values for rule in rules],
        )
    ]
    lines = [
        f"{row['split']}: {names}",
        f"trained on {sides[0]},",
        f"tested on {sides[1]}",
    ]
    return "\n".join(textwrap.fill(line, _LINE_CHARACTERS) for line in lines)


def _say_runs(rows: list[dict[str, Any]]) -> str:
    counts = {m: max(len(row[m]["runs"]) for row in rows) for m in METHODS}
    return ", ".join(f"{count} of {method}" for method, count in counts.items())


def _row(row: dict[str, Any], table: AttributeTable) -> list[str]:
    first = row[METHODS[0]]
    codes = [a.code for a in table if a.name in first["over"]]
    is_all = len(codes) == len(table)
    cells = [
        row["split"],
        summaries.say_range(first["num_train"]),
        summaries.say_range(first["num_test"]),
        "all" if is_all else ", ".join(codes) or "-",
    ]
    for method in METHODS:
        average = row[method]["scores"][summaries.AVERAGE]
        cells += [
            summaries.say(average and average["accuracy"]),
            summaries.say(row[method]["normalized"]),
        ]
    if paper.is_papers(table):
        score = row[METHODS[1]]["paper"]
        cells.append("-" if score is None else f"{score:.1f}")
    return cells


class Table3(Experiment):
    """Every extrapolation split."""

    name = "table3"

    def measure(self, runs: Runs) -> dict[str, Any]:
        # Trains every method on every split; without an E split, none on R.
        table = runs.info.attributes
        names = _list_splits(table)
        names = [splits.RANDOM, *names] if names else []
        plan = {
            (method, split, seed): runs.make_config(method, seed, split=split)
            for method in METHODS
            for split in names
            for seed in runs.config.seeds(method)
        }
        results = dict(
            zip(plan, runs.train(self.name, list(plan.values())), strict=True)
        )
        rows = []
        for split in names:
            row: dict[str, Any] = {
                "split": split,
                "rules": splits.EXTRAPOLATIONS.get(split, ""),
            }
            for method in METHODS:
                seeds = runs.config.seeds(method)
                own = [results[method, split, seed] for seed in seeds]
                random = [results[method, splits.RANDOM, seed] for seed in seeds]
                row[method] = {
                    **summaries.summarize_runs(own, table),
                    **_normalize(own, random, table),
                    "paper": paper.table_3_score(method, split, table),
                }
            rows.append(row)
        return {"rows": rows}

    def draw(self, result: dict[str, Any], table: AttributeTable) -> dict[str, Figure]:
        if not result["rows"]:
            return {}
        rows = result["rows"]
        figure, axes = figures.make_bars([_describe(row, table) for row in rows])
        height = 0.8 / len(METHODS)
        handles: dict[str, Any] = {}
        for number, (method, style) in enumerate(zip(METHODS, _STYLES, strict=True)):
            for place, row in enumerate(rows):
                y = place + (number - (len(METHODS) - 1) / 2) * height
                score = row[method]["normalized"]
                if row[method]["paper"] is not None:
                    label = f"the paper's {method} (†)"
                    [handles[label]] = axes.plot(
                        row[method]["paper"], y, "kD", markerfacecolor="white"
                    )
                if score is None:
                    axes.text(2, y, "none", va="center", fontsize=7)
                    continue
                mean = 100 * score["mean"]
                reach = [
                    [mean - 100 * score["lowest"]],
                    [100 * score["highest"] - mean],
                ]
                handles[method] = axes.barh(y, mean, height, edgecolor="black", **style)
                bar = axes.errorbar(mean, y, xerr=reach, color="black", capsize=2)
                if len(score["values"]) > 1:
                    handles["lowest to highest seed"] = bar
        handles["chance"] = axes.axvline(0, color="black", linestyle=":", linewidth=2)
        label = "held out at random (R)"
        handles[label] = axes.axvline(100, color="black", linestyle="--", linewidth=0.8)
        # Below 0 there is chance to be seen, and room.
        axes.set_xlim(min(-4.0, axes.get_xlim()[0]), None)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("accuracy (%), scaled: chance is 0, R is 100", fontsize=9)
        figure.suptitle(
            "Test classifiers of values that none was trained on", fontsize=10
        )
        figures.add_legend(figure, handles, columns=2)
        return {"splits": figure}

    def show(self, result: dict[str, Any], table: AttributeTable) -> Section:
        section = Section(
            title="Extrapolation (Table 3)",
            about="Training and test classifiers differ in the values of one or two "
            "attributes. The score is the mean over the attributes that the split is "
            "not made by, scaled so that chance is 0 and the R split of the same seed "
            "is 100.",
        )
        shown = [row["split"] for row in result["rows"]]
        lacking = [name for name in splits.EXTRAPOLATIONS if name not in shown]
        notes = []
        if lacking:
            notes.append(
                f"Left out, as the zoo lacks the attributes: {', '.join(lacking)}."
            )
        if not shown:
            return dataclasses.replace(section, notes=notes)
        has_paper = paper.is_papers(table)
        columns = ["split", "to train", "to test", "scored on"]
        for method in METHODS:
            columns += [f"{method}: accuracy", "normalized"]
        if has_paper:
            columns.append("† kennen-io")
        rows = [_row(row, table) for row in result["rows"]]
        reasons = [
            r for row in result["rows"] for m in METHODS for r in row[m]["refused"]
        ]
        without = [
            f"{row['split']} of {method}"
            for row in result["rows"]
            for method in METHODS
            if row[method]["runs"] and row[method]["normalized"] is None
        ]
        notes += dict.fromkeys(reasons)
        if without:
            notes.append(
                "No normalized accuracy, as the R split is not above chance there: "
                f"{', '.join(without)}."
            )
        notes += explain_codes(table)
        rules = "; ".join(
            f"{row['split']}: {row['rules']}" for row in result["rows"] if row["rules"]
        )
        notes += [
            f"Training values > test values: {rules}.",
            f"Runs: {_say_runs(result['rows'])}. Where there are fewer, they are the "
            "first seeds only.",
            "An E split leaves fewer classifiers to train on than R, which lowers its "
            "score, too.",
        ]
        if has_paper:
            notes.append(
                f"† Table 3 of the paper ({paper.SUBMISSION}). E-split is in its final "
                "version only; which data is trained and tested on there is our choice."
            )
        return dataclasses.replace(
            section,
            tables=[
                Table(
                    caption="In %: mean (lowest-highest) over seeds. Accuracy is the "
                    "average over the attributes scored"
                    + ("; the column with † is the paper's." if has_paper else "."),
                    columns=columns,
                    rows=rows,
                )
            ],
            pictures=[
                Picture(
                    stem="splits",
                    caption="Normalized accuracy by split, and what each holds out.",
                )
            ],
            notes=notes,
        )
