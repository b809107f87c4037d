"""Figures: drawn from any results, without a display, with what a reader needs."""

import numpy as np
import pytest

from kennen_tf import attributes, evaluation, figures

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def results():
    random = np.random.default_rng(0)
    labels, probabilities = {}, {}
    for a in attributes.ATTRIBUTES:
        labels[a.name] = random.integers(0, len(a.values), 60)
        probabilities[a.name] = random.dirichlet(np.ones(len(a.values)), 60)
    labels["ens"][:] = 0
    return evaluation.evaluate(labels, probabilities, skip=("alg",))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_the_accuracy_figure_names_axes_attributes_and_chance(results):
    [axes] = figures.accuracy_figure(results, "a title").axes
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert labels == [a.code for a in attributes.ATTRIBUTES] + ["average"]
    assert axes.get_ylabel() == "class-balanced accuracy (%)"
    assert axes.get_xlabel() == "attribute"
    assert axes.get_title() == "a title"
    legend = {text.get_text() for text in axes.get_legend().get_texts()}
    assert legend == {"chance", "95% interval"}
    assert texts(axes).count("not\nscored") == 2
    assert len(axes.patches) == len(attributes.ATTRIBUTES) + 1 - 2
    heights = [bar.get_height() for bar in axes.patches]
    assert heights[0] == pytest.approx(100 * results["act"].accuracy)
    assert heights[-1] == pytest.approx(100 * results.average["accuracy"])


@pytest.mark.filterwarnings("error")
def test_figures_of_results_without_scores_are_drawn(results, tmp_path):
    random = np.random.default_rng(0)
    labels = {name: np.zeros(5, int) for name in attributes.NAMES}
    probabilities = {
        a.name: random.dirichlet(np.ones(len(a.values)), 5)
        for a in attributes.ATTRIBUTES
    }
    nothing = evaluation.evaluate(labels, probabilities)
    figures.save_png(figures.accuracy_figure(nothing), tmp_path / "accuracy.png")
    figures.save_png(figures.confusion_sheet(nothing), tmp_path / "confusion.png")
    assert (tmp_path / "accuracy.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("attribute", attributes.ATTRIBUTES, ids=lambda a: a.name)
def test_a_confusion_figure_shows_counts_and_values(results, attribute):
    matrix = results[attribute.name].confusion
    [axes] = figures.confusion_figure(matrix, attribute).axes
    counts = [str(n) for row in matrix for n in row if n]
    assert texts(axes) == counts
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [t.get_text() for t in ticks] == [str(v) for v in attribute.values]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("named", "true")


def test_the_sheet_has_one_matrix_for_each_attribute(results, tmp_path):
    sheet = figures.confusion_sheet(results, "kennen-o")
    assert len(sheet.axes) == len(attributes.ATTRIBUTES)
    titles = [axes.get_title() for axes in sheet.axes]
    assert titles[0].startswith("act  ") and titles[0].endswith("%")
    assert "ens (not scored)" in titles
    figures.save_png(sheet, tmp_path / "sheet.png")
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_png_bytes_are_a_png(results):
    attribute = attributes.by_name("act")
    figure = figures.confusion_figure(results["act"].confusion, attribute)
    assert figures.png_bytes(figure).startswith(PNG)


def test_figures_leave_no_global_state(results):
    import matplotlib.pyplot

    figures.accuracy_figure(results)
    figures.confusion_sheet(results)
    assert matplotlib.pyplot.get_fignums() == []
