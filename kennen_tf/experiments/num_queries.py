"""num-queries: accuracy against the number of queries (Figure 4 and appendix)."""

from typing import Any

from matplotlib.figure import Figure

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.reproduction import NUM_QUERIES_METHODS
from kennen_tf.evaluation import paper
from kennen_tf.experiments.shared import curve_figures, curves
from kennen_tf.experiments.shared.experiment import Experiment
from kennen_tf.experiments.shared.runs import Runs
from kennen_tf.experiments.shared.sections import Section

_SEED = 0  # Of the split, which stays the same while the queries change.
_LABEL = "queries"


def draw_queries(
    runs: Runs, method: str, draw: int, **settings: Any
) -> MetamodelConfig:
    """Returns a run with the split of the first seed and queries of their own.

    The first draw is that of all other experiments, so that they share runs.
    """
    query_seed = -1 if draw == _SEED else draw
    return runs.make_config(method, _SEED, query_seed=query_seed, **settings)


class NumQueries(Experiment):
    """Accuracy against the number of queries."""

    name = "num-queries"

    def measure(self, runs: Runs) -> dict[str, Any]:
        # Trains with more and more queries, in several draws.
        plan = {
            method: [
                (
                    count,
                    [
                        draw_queries(runs, method, draw, num_queries=count)
                        for draw in runs.config.draws(method)
                    ],
                )
                for count in runs.config.counts_of_queries(method)
            ]
            for method in NUM_QUERIES_METHODS
        }
        return {"curves": curves.measure(runs, self.name, plan)}

    def draw(self, result: dict[str, Any], table: AttributeTable) -> dict[str, Figure]:
        title = "Accuracy against the number of queries"
        return {"curves": curve_figures.draw(result["curves"], _LABEL, title, table)}

    def show(self, result: dict[str, Any], table: AttributeTable) -> Section:
        found = ""
        if paper.is_papers(table):
            found = (
                " In the paper, 100 queries already tell much, and accuracy saturates "
                "near 500."
            )
        return curves.section(
            result["curves"],
            _LABEL,
            table,
            title="Number of queries (Figure 4)",
            about="The same split of the zoo, read through more and more queries; "
            "several draws of them tell how much the choice matters (for kennen-io, "
            f"of the images that it begins with).{found}",
            runs="draw of queries",
        )
