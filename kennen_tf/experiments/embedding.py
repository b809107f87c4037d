"""embedding: t-SNE of what metamodels read, by attribute (appendix)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler

from kennen_tf.attributes import MISSING, Attribute, AttributeTable
from kennen_tf.evaluation import figures
from kennen_tf.experiments.shared.experiment import Experiment
from kennen_tf.experiments.shared.runs import Refused, Runs
from kennen_tf.experiments.shared.sections import Picture, Section
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.queries import representations
from kennen_tf.vocabulary.seeds import derive_seed
from kennen_tf.zoo import asking

METHODS = ("kennen-o", "kennen-io")
_SEED = 0
_MOST_COMPONENTS = 50  # Before t-SNE, as is usual.
_PERPLEXITY = 30.0
_LEAST_ENTRIES = 5
_COLUMNS = 2
# More marks would cover each other.
_MOST_MARKS, _MARK_SIZE = 300, 16.0
_MARKERS = "os^DvPX*"
_LEGEND_ROWS = 9
_TURNS = 10


def _embed(probabilities: npt.NDArray[np.float32]) -> list[list[float]]:
    """Returns a place in the plane for each entry, from `(entries, n, classes)`."""
    features = np.log(np.maximum(probabilities, representations.PROBABILITY_FLOOR))
    features = StandardScaler().fit_transform(features.reshape(len(features), -1))
    num_components = min(_MOST_COMPONENTS, *features.shape)
    reduced = PCA(num_components, random_state=_SEED).fit_transform(features)
    places = TSNE(
        perplexity=min(_PERPLEXITY, (len(reduced) - 1) / 3),
        init="pca",
        random_state=derive_seed(_SEED, "t-SNE"),
    ).fit_transform(reduced)
    return places.tolist()


def _draw_places(
    axes: Axes,
    places: npt.NDArray[np.float64],
    labels: npt.NDArray[np.integer],
    attribute: Attribute,
) -> None:
    """Draws classifiers; values differ in shape and from dark to light."""
    found = np.unique(labels[labels != MISSING])
    colors = colormaps["viridis"](np.linspace(0.0, 1.0, len(found)))
    step = -(-len(found) // _LEGEND_ROWS)
    unknown = places[labels == MISSING]
    if len(unknown):
        axes.scatter(
            unknown[:, 0],
            unknown[:, 1],
            s=8,
            marker=".",
            color="0.8",
            label="not known",
        )
    # A few of each in turn, so that no value covers all others.
    for turn in range(_TURNS):
        for number, label in enumerate(found):
            own = places[labels == label][turn::_TURNS]
            # What begins with _ is not in the legend, which has no room for many.
            is_named = turn == 0 and number % step == 0
            axes.scatter(
                own[:, 0],
                own[:, 1],
                s=_MARK_SIZE,
                marker=_MARKERS[number % len(_MARKERS)],
                color=colors[number],
                edgecolor="black",
                linewidth=0.5,
                zorder=2 + turn,
                label=figures.shorten(attribute.values[label]) if is_named else "_",
            )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(figures.name_in_full(attribute), fontsize=9)
    axes.legend(
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        fontsize=8,
        frameon=False,
        handletextpad=0.1,
    )


def _draw(
    method: str,
    places: npt.NDArray[np.float64],
    labels: Mapping[str, npt.NDArray[np.integer]],
    table: AttributeTable,
) -> Figure:
    """Draws a panel for each attribute."""
    columns = min(_COLUMNS, len(table))
    num_rows = -(-len(table) // columns)
    longest = max(len(figures.shorten(v)) for a in table for v in a.values)
    legend_width = 0.07 * max(longest - 8, 0)
    width = max(3.0 * columns, 4.5) + legend_width * columns
    figure = figures.make_figure(width, 2.4 * num_rows + 0.8)
    # So many that marks can be told apart, evenly chosen.
    shown = np.unique(np.linspace(0, len(places) - 1, _MOST_MARKS).astype(int))
    for place, attribute in enumerate(table, start=1):
        axes = figure.add_subplot(num_rows, columns, place)
        _draw_places(axes, places[shown], labels[attribute.name][shown], attribute)
    count = f"{len(places):,}"
    if len(shown) < len(places):
        count = f"{len(shown):,} of {count}"
    figure.suptitle(
        f"What {method} reads of {count} classifiers, by t-SNE:\n"
        "those that lie together answer alike",
        fontsize=10,
    )
    return figure


class Embedding(Experiment):
    """t-SNE of the inputs of metamodels."""

    name = "embedding"

    def measure(self, runs: Runs) -> dict[str, Any]:
        # The outputs of all entries, for the queries of both metamodels.
        configs = [runs.make_config(method, _SEED) for method in METHODS]
        results = dict(zip(METHODS, runs.train(self.name, configs), strict=True))
        entries = runs.info.entries
        found = runs.info.labels(entries)
        embeddings: dict[str, Any] = {}
        refused = {}
        for method, run in results.items():
            if isinstance(run, Refused):
                refused[method] = run.reason
            elif len(entries) < _LEAST_ENTRIES:
                refused[method] = f"t-SNE needs at least {_LEAST_ENTRIES} entries."
            elif run.config.is_crafted:
                queries = Metamodel.load(run.folder).query_inputs
                answers = asking.ask(runs.zoo, entries, queries.pixels)
                embeddings[method] = _embed(answers)
            else:
                ids = [entry.id for entry in entries]
                indices = runs.query_indices(run.config)
                answers, _ = runs.outputs.load_arrays(runs.info, ids, indices, None)
                embeddings[method] = _embed(answers)
        return {
            "entries": [entry.id for entry in entries],
            "labels": {name: own.tolist() for name, own in found.items()},
            "embeddings": embeddings,
            "refused": refused,
            "num_queries": configs[0].num_queries,
            "runs": [
                run.name for run in results.values() if not isinstance(run, Refused)
            ],
        }

    def draw(self, result: dict[str, Any], table: AttributeTable) -> dict[str, Figure]:
        labels = {name: np.array(own) for name, own in result["labels"].items()}
        return {
            method: _draw(method, np.array(places), labels, table)
            for method, places in result["embeddings"].items()
        }

    def show(self, result: dict[str, Any], table: AttributeTable) -> Section:
        return Section(
            title="Embedding of the metamodels' inputs (appendix)",
            about="t-SNE of what kennen-o and kennen-io read: the log-probabilities "
            f"that {len(result['entries']):,} classifiers and ensembles, those to "
            f"train on and those to test on, answer to {result['num_queries']:,} "
            "queries. Classifiers that lie together answer alike; the axes mean "
            "nothing.",
            pictures=[
                Picture(
                    stem=method,
                    caption=f"{method}: each mark is a classifier or an ensemble, its "
                    "shape and shade the value of the attribute.",
                )
                for method in result["embeddings"]
            ],
            notes=[f"{method}: {why}" for method, why in result["refused"].items()],
        )
