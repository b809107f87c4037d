"""top-k: accuracy against how many labels of the ranking are read (Figure 4)."""

from typing import Any

from matplotlib.figure import Figure

from kennen_tf.configs.metamodels import NUM_CLASSES, MetamodelConfig
from kennen_tf.experiments import curves
from kennen_tf.experiments.experiment import Experiment
from kennen_tf.experiments.runs import Runs
from kennen_tf.experiments.sections import Section

_METHOD = "kennen-o"
_LABEL = "labels of the ranking"


def _make_config(runs: Runs, seed: int, k: int) -> MetamodelConfig:
    # The ends have names of their own, and are rows of Table 2.
    ends = {1: "top-1", NUM_CLASSES: "ranking"}
    if k in ends:
        return runs.make_config(_METHOD, seed, representation=ends[k])
    return runs.make_config(_METHOD, seed, representation="top-k", top_k=k)


class TopK(Experiment):
    """Accuracy against k of the top-k ranking."""

    name = "top-k"

    def measure(self, runs: Runs) -> dict[str, Any]:
        # Trains kennen-o on one label, two, and so on to all ten.
        points = [
            (k, [_make_config(runs, seed, k) for seed in runs.config.seeds(_METHOD)])
            for k in range(1, NUM_CLASSES + 1)
        ]
        return {"curves": curves.measure(runs, self.name, {_METHOD: points})}

    def draw(self, result: dict[str, Any]) -> dict[str, Figure]:
        title = "Accuracy of kennen-o against k of the top-k ranking"
        return {"curves": curves.draw(result["curves"], _LABEL, title, log=False)}

    def show(self, result: dict[str, Any]) -> Section:
        return curves.section(
            result["curves"],
            _LABEL,
            title="Top-k ranking (Figure 4)",
            about="kennen-o reads the first k labels of each output in their order, "
            "and nothing else. In the paper, accuracy jumps at the second label.",
            runs="seed",
        )
