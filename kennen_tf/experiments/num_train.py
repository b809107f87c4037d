"""num-train: accuracy against the number of training classifiers (Figure 4)."""

from typing import Any

from matplotlib.figure import Figure

from kennen_tf.errors import UserError
from kennen_tf.experiments import curves
from kennen_tf.experiments.experiment import Experiment
from kennen_tf.experiments.runs import Runs
from kennen_tf.experiments.sections import Section

METHODS = ("kennen-o", "kennen-io")
_LABEL = "training classifiers"


class NumTrain(Experiment):
    """Accuracy against the number of training classifiers."""

    name = "num-train"

    def measure(self, runs: Runs) -> dict[str, Any]:
        # Trains on more and more entries, with the same ones to test on.
        plan = {}
        for method in METHODS:
            seeds = runs.config.seeds(method)
            whole = [runs.make_config(method, seed) for seed in seeds]
            try:
                # Where seeds differ by an entry or two, the first stands for all.
                available = min(runs.split_sizes(config)[0] for config in whole)
            except UserError:
                available = 0
            plan[method] = [
                *(
                    (size, [runs.make_config(method, s, num_train=size) for s in seeds])
                    for size in runs.config.training_sizes
                    if size < available
                ),
                (available, whole),
            ]
        return {"curves": curves.measure(runs, self.name, plan)}

    def draw(self, result: dict[str, Any]) -> dict[str, Figure]:
        title = "Accuracy against the number of training classifiers"
        return {"curves": curves.draw(result["curves"], _LABEL, title)}

    def show(self, result: dict[str, Any]) -> Section:
        return curves.section(
            result["curves"],
            _LABEL,
            title="Number of training classifiers (Figure 4)",
            about="Metamodels are trained on fewer classifiers than there are, and "
            "tested on the same. In the paper, accuracy goes on rising up to 5,000.",
            runs="seed",
        )
