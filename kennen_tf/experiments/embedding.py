"""embedding: t-SNE of what metamodels read, by attribute (appendix)."""

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
_PAIRS_IN_A_ROW = 2
_MARKERS = "osD^vP*X"
_LEGEND_SIZE = 14.0
_LEGEND_ROWS = 10


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


def _mark_size(num_entries: int) -> float:
    """Returns the area of a mark in points: many large ones would hide each other."""
    return float(np.clip(4000 / num_entries, 3, _LEGEND_SIZE))


def _draw_places(
    axes: Axes,
    places: npt.NDArray[np.float64],
    labels: npt.NDArray[np.integer],
    attribute: Attribute,
) -> None:
    colors = colormaps["viridis"](np.linspace(0, 0.95, len(attribute.values)))
    size = _mark_size(len(places))
    step = -(-len(attribute.values) // _LEGEND_ROWS)
    unknown = places[labels == MISSING]
    if len(unknown):
        axes.scatter(
            unknown[:, 0],
            unknown[:, 1],
            s=size,
            marker=".",
            color="0.8",
            label="not known",
        )
    for label, value in enumerate(attribute.values):
        own = places[labels == label]
        axes.scatter(
            own[:, 0],
            own[:, 1],
            s=size,
            marker=_MARKERS[label % len(_MARKERS)],
            color=colors[label],
            edgecolor="black",
            linewidth=0.02 * size,
            # What begins with _ is not in the legend, which has no room for many.
            label="_" if label % step else figures.shorten(value),
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("t-SNE 1", fontsize=7)
    axes.set_ylabel("t-SNE 2", fontsize=7)


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
        embeddings = result["embeddings"]
        if not embeddings:
            return {}
        pairs = min(_PAIRS_IN_A_ROW, len(table))
        columns, num_rows = pairs * len(embeddings), -(-len(table) // pairs)
        longest = max(len(figures.shorten(v)) for a in table for v in a.values)
        legend_width = 0.07 * max(longest - 8, 0)
        figure = figures.make_figure(
            2.7 * columns + legend_width * pairs, 2.5 * num_rows
        )
        place = 0
        for attribute in table:
            labels = np.array(result["labels"][attribute.name])
            for number, (method, places) in enumerate(embeddings.items()):
                place += 1
                axes = figure.add_subplot(num_rows, columns, place)
                _draw_places(axes, np.array(places), labels, attribute)
                code = figures.shorten(attribute.code)
                axes.set_title(f"{code}, {method}", fontsize=9)
                if number == len(embeddings) - 1:
                    axes.legend(
                        loc="center left",
                        bbox_to_anchor=(1.0, 0.5),
                        markerscale=(_LEGEND_SIZE / _mark_size(len(places))) ** 0.5,
                        fontsize=7,
                        frameon=False,
                        handletextpad=0.1,
                    )
        return {"embedding": figure}

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
                    stem="embedding",
                    caption="Each point is a classifier or an ensemble, its shade, and "
                    "where there is room its shape, the value of the attribute.",
                )
            ]
            if result["embeddings"]
            else [],
            notes=[f"{method}: {why}" for method, why in result["refused"].items()],
        )
