"""top-k: accuracy against how many labels of the ranking are read (Figure 4)."""

from typing import Any

from matplotlib.figure import Figure

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.evaluation import paper
from kennen_tf.experiments.shared import curve_figures, curves
from kennen_tf.experiments.shared.experiment import Experiment
from kennen_tf.experiments.shared.runs import Runs
from kennen_tf.experiments.shared.sections import Section

_METHOD = "kennen-o"
_LABEL = "labels of the ranking"


def _make_config(runs: Runs, seed: int, k: int) -> MetamodelConfig:
    # The ends have names of their own, and are rows of Table 2.
    ends = {1: "top-1", runs.info.num_classes: "ranking"}
    if k in ends:
        return runs.make_config(_METHOD, seed, representation=ends[k])
    return runs.make_config(_METHOD, seed, representation="top-k", top_k=k)


class TopK(Experiment):
    """Accuracy against k of the top-k ranking."""

    name = "top-k"

    def measure(self, runs: Runs) -> dict[str, Any]:
        # Trains kennen-o on one label, two, and so on to all.
        points = [
            (k, [_make_config(runs, seed, k) for seed in runs.config.seeds(_METHOD)])
            for k in range(1, runs.info.num_classes + 1)
        ]
        return {"curves": curves.measure(runs, self.name, {_METHOD: points})}

    def draw(self, result: dict[str, Any], table: AttributeTable) -> dict[str, Figure]:
        title = "Accuracy of kennen-o against k of the top-k ranking"
        figure = curve_figures.draw(result["curves"], _LABEL, title, table, log=False)
        return {"curves": figure}

    def show(self, result: dict[str, Any], table: AttributeTable) -> Section:
        found = ""
        if paper.is_papers(table):
            found = " In the paper, accuracy jumps at the second label."
        return curves.section(
            result["curves"],
            _LABEL,
            table,
            title="Top-k ranking (Figure 4)",
            about="kennen-o reads the first k labels of each output in their order, "
            f"and nothing else.{found}",
            runs="seed",
        )
