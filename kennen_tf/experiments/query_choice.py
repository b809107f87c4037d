"""query-choice: how much it matters which queries are sent (appendix)."""

from typing import Any

from matplotlib.figure import Figure

from kennen_tf.attributes import AttributeTable
from kennen_tf.evaluation import figures
from kennen_tf.experiments import num_queries
from kennen_tf.experiments.shared import curve_figures, summaries
from kennen_tf.experiments.shared.experiment import Experiment
from kennen_tf.experiments.shared.runs import Runs
from kennen_tf.experiments.shared.sections import Picture, Section, Table

_METHOD = "kennen-o"


class QueryChoice(Experiment):
    """Spread over draws of queries."""

    name = "query-choice"

    def measure(self, runs: Runs) -> dict[str, Any]:
        # Trains kennen-o on many draws of queries; the split and the seed stay.
        configs = [
            num_queries.draw_queries(runs, _METHOD, draw)
            for draw in range(runs.config.query_draws)
        ]
        results = runs.train(self.name, configs)
        summary = summaries.summarize_runs(results, runs.info.attributes)
        return {"summary": summary, "num_queries": runs.config.num_queries}

    def draw(self, result: dict[str, Any], table: AttributeTable) -> dict[str, Figure]:
        scores = result["summary"]["scores"]
        names = [n for n in (*table.names, summaries.AVERAGE) if scores[n]]
        if not names:
            return {}
        figure, axes = figures.make_bars(
            [curve_figures.name_in_full(name, table) for name in names]
        )
        axes.boxplot(
            [[100 * v for v in scores[name]["accuracy"]["values"]] for name in names],
            positions=range(len(names)),
            orientation="horizontal",
            manage_ticks=False,
            whis=(0, 100),
            widths=0.6,
            medianprops={"color": "black", "linewidth": 2},
        )
        for place, name in enumerate(names):
            chance = 100 * scores[name]["chance"]
            line = axes.vlines(chance, place - 0.45, place + 0.45, "black", ":")
        axes.set_xlabel("class-balanced accuracy (%)", fontsize=9)
        axes.set_xlim(0, 102)
        legend = {**figures.box_legend("draws"), "chance": line}
        figures.add_legend(figure, legend, columns=2)
        count = len(result["summary"]["runs"])
        figure.suptitle(
            f"kennen-o with {count} draws of {result['num_queries']} queries",
            fontsize=10,
        )
        return {"spread": figure}

    def show(self, result: dict[str, Any], table: AttributeTable) -> Section:
        summary = result["summary"]
        rows = []
        for name in (*table.names, summaries.AVERAGE):
            score = summary["scores"][name]
            label = name if name == summaries.AVERAGE else table[name].in_full
            if score is None:
                rows.append([label, *["-"] * 5])
                continue
            own = score["accuracy"]
            numbers = [own["mean"], own["std"], own["lowest"], own["highest"]]
            cells = ["-" if n is None else f"{100 * n:.1f}" for n in numbers]
            rows.append([label, f"{100 * score['chance']:.1f}", *cells])
        return Section(
            title="Choice of queries (appendix)",
            about=f"kennen-o with {len(summary['runs'])} draws of "
            f"{result['num_queries']} queries. Split and seed of the training stay the "
            "same, so that what differs is due to the queries.",
            tables=[
                Table(
                    caption="Accuracy in % over the draws.",
                    columns=["", "chance", "mean", "deviation", "lowest", "highest"],
                    rows=rows,
                )
            ],
            pictures=[
                Picture(
                    stem="spread",
                    caption="Each box holds half of the draws, its line is the "
                    "median, and the whiskers reach to the lowest and the highest.",
                )
            ],
            notes=summary["refused"],
        )
