"""confusion: which values are taken for which (appendix)."""

from typing import Any

from matplotlib.figure import Figure

from kennen_tf.attributes import AttributeTable
from kennen_tf.evaluation import paper, result_figures
from kennen_tf.experiments.shared.experiment import Experiment
from kennen_tf.experiments.shared.runs import Refused, Runs
from kennen_tf.experiments.shared.sections import Picture, Section

METHODS = ("kennen-o", "kennen-io")
_SEED = 0


class Confusion(Experiment):
    """Confusion matrices of two metamodels side by side."""

    name = "confusion"

    def measure(self, runs: Runs) -> dict[str, Any]:
        # Takes the confusion matrices of both metamodels, of the first seed.
        configs = [runs.make_config(method, _SEED) for method in METHODS]
        results = dict(zip(METHODS, runs.train(self.name, configs), strict=True))
        methods = {}
        for method, run in results.items():
            if isinstance(run, Refused):
                continue
            keys = ("accuracy", "interval", "chance", "confusion", "not_scored")
            methods[method] = {
                "run": run.name,
                "num_train": run.document["num_train"],
                "num_test": run.document["num_test"],
                "attributes": {
                    a["name"]: {key: a[key] for key in keys}
                    for a in run.document["attributes"]
                },
            }
        reasons = [run.reason for run in results.values() if isinstance(run, Refused)]
        return {"methods": methods, "refused": sorted(set(reasons))}

    def draw(self, result: dict[str, Any], table: AttributeTable) -> dict[str, Figure]:
        return {
            method: result_figures.confusion_panels(
                [
                    (a, own["confusion"], own["accuracy"])
                    for a in table
                    for own in [found["attributes"][a.name]]
                ],
                f"What {method} takes test classifiers for",
            )
            for method, found in result["methods"].items()
        }

    def show(self, result: dict[str, Any], table: AttributeTable) -> Section:
        found = ""
        if paper.is_papers(table):
            found = " In the paper, values that are alike are confused most."
        methods = result["methods"]
        count = next((found["num_test"] for found in methods.values()), 0)
        return Section(
            title="Confusion matrices (appendix)",
            about=f"What kennen-o and kennen-io take {count:,} test classifiers for, "
            f"on the R split, seed 0.{found}",
            pictures=[
                Picture(
                    stem=method,
                    caption=f"{method}: true value by row, named value by column.",
                )
                for method in methods
            ],
            notes=result["refused"],
        )
