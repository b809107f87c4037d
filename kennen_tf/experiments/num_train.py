"""num-train: accuracy against the number of training classifiers (Figure 4)."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from kennen_tf.attributes import AttributeTable
from kennen_tf.evaluation import paper, splits
from kennen_tf.evaluation.accuracy import normalized_accuracy
from kennen_tf.experiments.shared import curve_figures, curves, summaries
from kennen_tf.experiments.shared.experiment import Experiment
from kennen_tf.experiments.shared.runs import Runs
from kennen_tf.experiments.shared.sections import Section
from kennen_tf.vocabulary.errors import UserError

METHODS = ("kennen-o", "kennen-io")
_LABEL = "training classifiers"


class NumTrain(Experiment):
    """Accuracy against the number of training classifiers."""

    name = "num-train"

    def measure(self, runs: Runs) -> dict[str, Any]:
        # Trains on more and more entries, with the same ones to test on.
        seeds = {method: runs.config.seeds(method) for method in METHODS}
        whole = {m: [runs.make_config(m, seed) for seed in seeds[m]] for m in METHODS}
        try:
            # Where seeds differ by an entry or two, the least number stands for all.
            available = min(
                runs.split_sizes(config)[0] for own in whole.values() for config in own
            )
        except UserError:
            available = 0
        plan = {
            method: [
                *(
                    (
                        size,
                        [
                            runs.make_config(method, seed, num_train=size)
                            for seed in seeds[method]
                        ],
                    )
                    for size in runs.config.training_sizes
                    if size < available
                ),
                (available, whole[method]),
            ]
            for method in METHODS
        }
        return {"curves": curves.measure(runs, self.name, plan)}

    def draw(self, result: dict[str, Any], table: AttributeTable) -> dict[str, Figure]:
        title = "Accuracy against the number of training classifiers"
        own = result["curves"]
        beside = _paper_points(own, table)
        figure = curve_figures.draw(own, _LABEL, title, table, beside=beside)
        return {"curves": figure}

    def show(self, result: dict[str, Any], table: AttributeTable) -> Section:
        found = ""
        if paper.is_papers(table):
            found = " In the paper, accuracy goes on rising up to 5,000."
        section = curves.section(
            result["curves"],
            _LABEL,
            table,
            title="Number of training classifiers (Figure 4)",
            about="Metamodels are trained on fewer classifiers than there are, and "
            f"tested on the same.{found}",
            runs="seed",
        )
        rows = [row for method in METHODS if (row := _row(method, table))]
        if not rows:
            return section
        averages = ", ".join(f"{row.method} {row.average:.1f}" for row in rows)
        note = f"† Table 2 of the paper, {paper.NUM_TRAIN:,} to train: {averages}."
        return dataclasses.replace(section, notes=[*section.notes, note])


def _row(method: str, table: AttributeTable) -> paper.Row | None:
    return paper.table_2_row(method, "probabilities", splits.RANDOM, table)


def _paper_points(
    own: Mapping[str, Any], table: AttributeTable
) -> list[curve_figures.PaperPoint]:
    """Returns the paper's numbers, the average over what is scored here."""
    scored = {
        name
        for points in own.values()
        for point in points
        for name in summaries.scored(point)
    }
    found = []
    for method in own:
        row = _row(method, table)
        scaled = {}
        for name in scored:
            accuracy = row.accuracy(name) if row else None
            if accuracy is not None:
                scaled[name] = normalized_accuracy(accuracy / 100, table[name].chance)
        if scaled:
            scaled[summaries.AVERAGE] = sum(scaled.values()) / len(scaled)
            point = curve_figures.PaperPoint(
                method=method, x=paper.NUM_TRAIN, scaled=scaled
            )
            found.append(point)
    return found
