"""epochs: what is told of classifiers that were trained for longer (not in the paper).

Who is trained for longer is surer of his answers, and there is less in them to be read;
but what there is has settled.
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kennen_tf.attributes import AttributeTable
from kennen_tf.evaluation import figures
from kennen_tf.experiments.shared import curve_figures, summaries
from kennen_tf.experiments.shared.experiment import Experiment
from kennen_tf.experiments.shared.runs import Runs
from kennen_tf.experiments.shared.sections import (
    Picture,
    Section,
    Table,
    explain_codes,
)
from kennen_tf.vocabulary.errors import UserError

METHODS = ("kennen-o", "kennen-s")
_MARKERS = "os^Dv*"


class TrainingEpochs(Experiment):
    """Zoos of classifiers trained for fewer and more epochs, equally many of each."""

    name = "epochs"

    def measure(self, runs: Runs) -> dict[str, Any]:
        # As many entries to train and to test on, of each zoo.
        each = [runs, *(runs.beside(*folders) for folders in runs.config.others)]
        for own in each:
            if own.info.attributes.fingerprint != runs.info.attributes.fingerprint:
                raise UserError(
                    "--other_zoos must have the attributes of the zoo in "
                    f"{runs.config.zoo_dir}. Received: {own.config.zoo_dir} with "
                    f"{', '.join(own.info.attributes.names)}."
                )
            if getattr(own.zoo.config, "epochs", None) is None:
                raise UserError(
                    "The experiment epochs compares zoos that build_zoo made. "
                    f"Received: {own.config.zoo_dir}, which was imported."
                )
        seeds = runs.config.seeds(METHODS[0])
        sizes = np.array(
            [
                own.split_sizes(own.make_config(METHODS[0], seed))
                for own in each
                for seed in seeds
            ]
        )
        num_train, num_test = map(int, sizes.min(axis=0))
        rows = []
        for own in each:
            plan = [
                own.make_config(method, seed, num_train=num_train, num_test=num_test)
                for method in METHODS
                for seed in seeds
            ]
            results = iter(own.train(self.name, plan))
            built: Any = own.zoo.config
            accuracies = [e.accuracy for e in own.info.entries if len(e.members) == 1]
            for method in METHODS:
                found = [next(results) for _ in seeds]
                rows.append(
                    {
                        "epochs": built.epochs,
                        "min_accuracy": built.min_accuracy,
                        "method": method,
                        "num_classifiers": len(accuracies),
                        "accuracy": float(np.mean(accuracies)),
                        **summaries.summarize_runs(found, own.info.attributes),
                    }
                )
        rows.sort(key=lambda row: (METHODS.index(row["method"]), row["epochs"]))
        return {"rows": rows}

    def draw(self, result: dict[str, Any], table: AttributeTable) -> dict[str, Figure]:
        rows = [row for row in result["rows"] if row["method"] == METHODS[0]]
        names = [
            name
            for name in (*table.names, summaries.AVERAGE)
            if all(row["scores"][name] for row in rows)
        ]
        if not rows or not names:
            return {}
        figure, axes = figures.make_bars(
            [curve_figures.name_in_full(name, table) for name in names]
        )
        width = 0.7 / len(rows)
        handles: dict[str, Any] = {}
        for number, row in enumerate(rows):
            places = np.arange(len(names)) + (number - (len(rows) - 1) / 2) * width
            scores = [row["scores"][name]["accuracy"] for name in names]
            means = np.array([score["mean"] for score in scores])
            reach = [
                means - [score["lowest"] for score in scores],
                [score["highest"] for score in scores] - means,
            ]
            epochs = row["epochs"]
            handles[f"{epochs} epoch{'s' if epochs > 1 else ''}"] = axes.errorbar(
                100 * means,
                places,
                xerr=100 * np.clip(reach, 0, None),
                fmt=_MARKERS[number % len(_MARKERS)],
                color="black",
                markerfacecolor=str(1 - (number + 1) / len(rows)),
                capsize=2,
            )
        for place, name in enumerate(names):
            chance = 100 * rows[0]["scores"][name]["chance"]
            handles["chance"] = axes.vlines(
                chance, place - 0.45, place + 0.45, "black", ":"
            )
        axes.set_xlabel("class-balanced accuracy (%)", fontsize=9)
        axes.set_xlim(0, 102)
        figures.add_legend(figure, handles, columns=len(handles))
        figure.suptitle(
            f"{METHODS[0]} on classifiers trained for fewer and more epochs",
            fontsize=10,
        )
        return {"epochs": figure}

    def show(self, result: dict[str, Any], table: AttributeTable) -> Section:
        names = (*table.names, summaries.AVERAGE)
        rows = [
            [
                row["method"],
                str(row["epochs"]),
                f"{100 * row['min_accuracy']:g}",
                f"{100 * row['accuracy']:.1f}",
                summaries.say_range(row["num_train"]),
                str(len(row["runs"])),
                *(
                    summaries.say_mean(score and score["accuracy"])
                    for score in map(row["scores"].get, names)
                ),
            ]
            for row in result["rows"]
        ]
        refused = dict.fromkeys(r for row in result["rows"] for r in row["refused"])
        return Section(
            title="Epochs of the zoo's classifiers (not in the paper)",
            about="The same metamodels on zoos whose classifiers were trained for "
            "fewer and more epochs, with equally many entries to train and to test on.",
            tables=[
                Table(
                    caption="Class-balanced accuracy in %, mean over seeds; the "
                    "threshold below which classifiers were rejected and their mean "
                    "validation accuracy, in %, too.",
                    columns=[
                        *("method", "epochs", "threshold", "accuracy", "to train"),
                        "runs",
                        *(_code(name, table) for name in names),
                    ],
                    rows=rows,
                )
            ],
            pictures=[
                Picture(
                    stem="epochs",
                    caption="Mean over seeds, and bars to the lowest and the highest.",
                )
            ],
            notes=[*explain_codes(table), *refused],
        )


def _code(name: str, table: AttributeTable) -> str:
    return name if name == summaries.AVERAGE else table[name].code
