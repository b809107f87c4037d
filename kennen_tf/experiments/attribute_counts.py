"""attributes: what the zoo is made of, and how good its classifiers are (appendix)."""

import dataclasses
from typing import Any

import numpy as np
import scipy.stats
from matplotlib.figure import Figure

from kennen_tf.attributes import Attribute, AttributeTable
from kennen_tf.evaluation import figures
from kennen_tf.experiments.shared import summaries
from kennen_tf.experiments.shared.experiment import Experiment
from kennen_tf.experiments.shared.runs import Runs
from kennen_tf.experiments.shared.sections import Picture, Section, Table
from kennen_tf.zoo.store import ACCEPTED, FAILED, ClassifierRecord

_QUARTILES = (0, 0.25, 0.5, 0.75, 1)


def _count(records: list[ClassifierRecord]) -> dict[str, Any]:
    """Counts the accepted and the rejected, and summarises accuracies in [0, 1]."""
    accepted = [r.accuracy for r in records if r.status == ACCEPTED]
    result: dict[str, Any] = {
        "num_accepted": len(accepted),
        "num_rejected": len(records) - len(accepted),
        "accepted_share": None,
        "accepted_interval": None,
        "accuracy": None,
        "quartiles": None,
        "accuracy_of_all": None,
    }
    if records:
        test = scipy.stats.binomtest(len(accepted), len(records))
        interval = test.proportion_ci(method="wilson")
        result["accepted_share"] = len(accepted) / len(records)
        result["accepted_interval"] = [float(interval.low), float(interval.high)]
        result["accuracy_of_all"] = float(np.mean([r.accuracy for r in records]))
    if accepted:
        summary = summaries.summarize(accepted)
        del summary["values"]  # They are in the zoo's manifest.
        result["accuracy"] = summary
        result["quartiles"] = np.quantile(accepted, _QUARTILES).tolist()
    return result


def _cells(row: dict[str, Any]) -> list[str]:
    share, accuracy = "-", "-"
    if row["accepted_interval"]:
        lower, upper = row["accepted_interval"]
        share = (
            f"{100 * row['accepted_share']:.0f} ({100 * lower:.0f}-{100 * upper:.0f})"
        )
    if row["accuracy"]:
        own = row["accuracy"]
        accuracy = f"{summaries.say_mean(own)} ({summaries.say_extent(own)})"
    of_all = row["accuracy_of_all"]
    return [
        f"{row['num_accepted']:,}",
        f"{row['num_rejected']:,}",
        share,
        accuracy,
        "-" if of_all is None else f"{100 * of_all:.1f}",
        f"{row['num_entries']:,}",
    ]


def _describe(result: dict[str, Any]) -> str:
    """Returns what the zoo is made of, in a sentence or two."""
    accepted, epochs = f"{result['num_accepted']:,} classifiers", result["epochs"]
    if epochs:
        accepted += f" of {epochs} epoch{'s' if epochs > 1 else ''}"
    if result["min_accuracy"] is None:
        accepted += " were imported."
    else:
        accepted += (
            f" were accepted and {result['num_rejected']:,} rejected, the threshold "
            f"being {100 * result['min_accuracy']:.0f}% validation accuracy."
        )
    return (
        f"{accepted} With their ensembles, if there are any, these make the "
        f"{result['num_entries']:,} entries that metamodels learn from and are tested "
        "on."
    )


def _trained_rows(result: dict[str, Any], attribute: Attribute) -> list[dict[str, Any]]:
    """Returns the rows of those values of an attribute that any classifier has."""
    return [
        row
        for row in result["rows"]
        if row["attribute"] == attribute.name
        and row["value"] is not None
        and row["num_accepted"] + row["num_rejected"]
    ]


class AttributeCounts(Experiment):
    """The zoo's attributes: distribution and accuracy by value."""

    name = "attributes"

    def measure(self, runs: Runs) -> dict[str, Any]:
        # Counts classifiers and entries by value, and summarises accuracies.
        records = [r for r in runs.zoo.records if r.status != FAILED]
        values = [runs.zoo.values_of([record]) for record in records]
        rows = []
        for attribute in runs.info.attributes:
            for value in (*attribute.values, None):
                own = [
                    record
                    for record, found in zip(records, values, strict=True)
                    if found.get(attribute.name) == value
                ]
                entries = [
                    e
                    for e in runs.info.entries
                    if e.values.get(attribute.name) == value
                ]
                if value is None and not (own or entries):
                    continue
                rows.append(
                    {
                        "attribute": attribute.name,
                        "value": value,
                        "num_entries": len(entries),
                        **_count(own),
                    }
                )
        return {
            "rows": rows,
            "num_entries": len(runs.info.entries),
            # What was imported, others trained.
            "min_accuracy": getattr(runs.zoo.config, "min_accuracy", None),
            "epochs": getattr(runs.zoo.config, "epochs", None),
            **_count(records),
        }

    def draw(self, result: dict[str, Any], table: AttributeTable) -> dict[str, Figure]:
        # What none has would be half an axis of nothing.
        by_attribute = {a: _trained_rows(result, a) for a in table}
        by_attribute = {a: rows for a, rows in by_attribute.items() if len(rows) > 1}
        if not by_attribute:
            return {}
        columns = min(figures.COLUMNS, len(by_attribute))
        num_rows = -(-len(by_attribute) // columns)
        longest = max(
            len(figures.shorten(row["value"]))
            for rows in by_attribute.values()
            for row in rows
        )
        height = 1.9 + 0.06 * max(longest - 9, 0)
        size = (figures.WIDTH, height * num_rows + 1.0)
        counts, accuracies = figures.make_figure(*size), figures.make_figure(*size)
        shared: Any = None
        bars: dict[str, Any] = {}
        for place, (attribute, rows) in enumerate(by_attribute.items(), start=1):
            axes = counts.add_subplot(num_rows, columns, place)
            beside = accuracies.add_subplot(num_rows, columns, place, sharey=shared)
            shared = shared or beside
            accepted = [row["num_accepted"] for row in rows]
            rejected = [row["num_rejected"] for row in rows]
            places = range(len(rows))
            bars["accepted"] = axes.bar(
                places, accepted, color="0.75", edgecolor="black"
            )
            if result["num_rejected"]:
                bars["rejected: below the threshold"] = axes.bar(
                    places,
                    rejected,
                    bottom=accepted,
                    color="white",
                    edgecolor="black",
                    hatch="///",
                )
            keys = ("whislo", "q1", "med", "q3", "whishi")
            shown = [i for i in places if rows[i]["quartiles"]]
            beside.bxp(
                [
                    {
                        k: 100 * q
                        for k, q in zip(keys, rows[i]["quartiles"], strict=True)
                    }
                    for i in shown
                ],
                positions=shown,
                showfliers=False,
                widths=0.6,
                medianprops={"color": "black", "linewidth": 2},
            )
            # Only of values that are there.
            values = tuple(row["value"] for row in rows)
            known = dataclasses.replace(attribute, values=values)
            for panel in (axes, beside):
                panel.set_title(figures.name_in_full(attribute), fontsize=8)
                figures.label_values(panel, known)
                panel.set_xlim(-0.6, len(places) - 0.4)
                panel.tick_params(axis="y", labelsize=7)
                panel.spines[["top", "right"]].set_visible(False)
            beside.tick_params(labelleft=place % columns == 1 or columns == 1)
        counts.supylabel("classifiers", fontsize=9)
        counts.suptitle("Classifiers of the zoo, by the values they have", fontsize=10)
        figures.add_legend(counts, bars)
        accuracies.supylabel("validation accuracy (%)", fontsize=9)
        accuracies.suptitle(
            "Accuracy of the accepted classifiers, by the values they have", fontsize=10
        )
        figures.add_legend(accuracies, figures.box_legend("classifiers"))
        return {"counts": counts, "accuracies": accuracies}

    def show(self, result: dict[str, Any], table: AttributeTable) -> Section:
        rows = [
            [
                table[row["attribute"]].in_full,
                "not known" if row["value"] is None else str(row["value"]),
                *_cells(row),
            ]
            for row in result["rows"]
        ]
        return Section(
            title="The zoo's attributes (appendix)",
            about=_describe(result),
            tables=[
                Table(
                    caption="Classifiers by value, the accepted in % with 95% "
                    "interval; validation accuracy in %: mean of the accepted "
                    "(lowest-highest), and mean of all that were trained.",
                    columns=[
                        *("attribute", "value", "accepted", "rejected", "accepted %"),
                        *("accuracy", "of all", "entries"),
                    ],
                    rows=[*rows, ["all", "", *_cells(result)]],
                )
            ],
            pictures=[
                Picture(
                    stem="counts",
                    caption="Accepted and rejected classifiers by value; of attributes "
                    "and values of which there is more than one.",
                ),
                Picture(
                    stem="accuracies",
                    caption="Accuracy of the accepted by value: quartiles, and "
                    "whiskers to the lowest and the highest.",
                ),
            ],
            notes=[
                "Ensembles are put together of accepted classifiers: for ens, see the "
                "entries."
            ]
            if "ens" in table
            else [],
        )
