"""wild: metamodels on classifiers that other people trained and published.

Each metamodel is trained on the training side of the random split R, tested on the
entries held out, and then reads other people's files: those had no part in training.
"""

import pathlib
from typing import Any

from matplotlib.figure import Figure

from kennen_tf.attributes import AttributeTable
from kennen_tf.experiments.shared.experiment import Experiment
from kennen_tf.experiments.shared.runs import Runs
from kennen_tf.experiments.shared.sections import Section
from kennen_tf.experiments.wild import page
from kennen_tf.experiments.wild.asked import Asked
from kennen_tf.experiments.wild.measuring import Measuring

ANSWERS = "answers"


class Wild(Experiment):
    """Metamodels on held-out entries of the zoo, and on other people's files."""

    name = "wild"

    def measure(self, runs: Runs) -> dict[str, Any]:
        folder = pathlib.Path(runs.config.report_dir) / self.name / ANSWERS
        measuring = Measuring(
            runs.info, runs.outputs, runs.config.query_dir, runs.config.num_queries
        )
        asked = Asked.of(runs, measuring.queries, folder)
        return measuring.measure(asked)

    def draw(self, result: dict[str, Any], table: AttributeTable) -> dict[str, Figure]:
        return page.draw(result)

    def show(self, result: dict[str, Any], table: AttributeTable) -> Section:
        return page.show(result, table)
