"""Figures: drawn from any results, without a display, with what a reader needs."""

import numpy as np
import pytest
import tables
from figure_checks import assert_nothing_is_cut_off, overlapping
from tables import PAPERS

from kennen_tf.evaluation import figures, result_figures, scores, training_figures

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def results():
    random = np.random.default_rng(0)
    labels, probabilities = {}, {}
    for a in PAPERS:
        labels[a.name] = random.integers(0, len(a.values), 60)
        probabilities[a.name] = random.dirichlet(np.ones(len(a.values)), 60)
    labels["ens"][:] = 0
    return scores.evaluate(PAPERS, labels, probabilities, skip=("alg",))


@pytest.fixture(scope="module")
def results_of_one():
    """Results of a metamodel that names one attribute."""
    random = np.random.default_rng(0)
    labels = {a.name: random.integers(0, len(a.values), 60) for a in PAPERS}
    return scores.evaluate(PAPERS, labels, {"pool": random.dirichlet([1, 1], 60)})


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_the_accuracy_figure_names_axes_attributes_and_chance(results):
    figure = result_figures.accuracy_figure(results, "a title")
    [axes] = figure.axes
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels[:2] == ["activation (act)", "dropout (drop)"]
    assert labels[-1] == "average" and len(labels) == len(PAPERS) + 1
    for label, attribute in zip(labels, PAPERS, strict=False):
        assert label.endswith(f"({attribute.code})")
    assert axes.get_xlabel() == "class-balanced accuracy (%)"
    assert figure.get_suptitle() == "a title"
    [legend] = figure.legends
    assert {text.get_text() for text in legend.get_texts()} == {
        "chance",
        "95% interval",
    }
    assert texts(axes).count("not scored") == 2
    assert len(axes.patches) == len(PAPERS) + 1 - 2
    lengths = [bar.get_width() for bar in axes.patches]
    assert lengths[0] == pytest.approx(100 * results["act"].accuracy)
    assert lengths[-1] == pytest.approx(100 * results.average["accuracy"])


def test_attributes_that_are_not_named_are_left_out(results_of_one, tmp_path):
    title = "kennen-i (kernel recipe), pool only, top-1, 1 query, split R, seed 0"
    figure = result_figures.accuracy_figure(results_of_one, title)
    [axes] = figure.axes
    [label] = axes.get_yticklabels()
    assert label.get_text() == "max pooling (pool)"
    [bar] = axes.patches
    assert bar.get_width() == pytest.approx(100 * results_of_one["pool"].accuracy)
    sheet = result_figures.confusion_sheet(results_of_one, title)
    [axes] = sheet.axes
    assert axes.get_title().startswith("max pooling (pool):")
    for drawn in (figure, sheet):
        assert_nothing_is_cut_off(drawn)


@pytest.mark.filterwarnings("error")
def test_figures_of_results_without_scores_are_drawn(results, tmp_path):
    random = np.random.default_rng(0)
    labels = {name: np.zeros(5, int) for name in PAPERS.names}
    probabilities = {
        a.name: random.dirichlet(np.ones(len(a.values)), 5) for a in PAPERS
    }
    nothing = scores.evaluate(PAPERS, labels, probabilities)
    figures.save_png(result_figures.accuracy_figure(nothing), tmp_path / "accuracy.png")
    figures.save_png(
        result_figures.confusion_sheet(nothing), tmp_path / "confusion.png"
    )
    written = sorted(tmp_path.iterdir())
    assert [path.name for path in written] == ["accuracy.png", "confusion.png"]
    assert all(path.read_bytes().startswith(PNG) for path in written)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "table",
    [
        tables.SMALL,
        PAPERS,
        pytest.param(tables.EIGHTEEN, marks=pytest.mark.long),
        PAPERS.select(["pool"]),
    ],
    ids=len,
)
def test_figures_of_any_table_are_readable(table):
    labels = tables.make_labels(table, 200, missing_share=0.2)
    probabilities = tables.make_probabilities(table, labels)
    results = scores.evaluate(table, labels, probabilities)
    figure = result_figures.accuracy_figure(results, "kennen-o")
    assert_nothing_is_cut_off(figure)
    [axes] = figure.axes
    assert not overlapping(axes.get_yticklabels())
    sheet = result_figures.confusion_sheet(results, "kennen-o")
    assert_nothing_is_cut_off(sheet)
    for axes in sheet.axes:
        assert not overlapping(axes.get_xticklabels())
        assert not overlapping(axes.get_yticklabels())
    # Of those with as many values, whose names are alike in these tables, one.
    kinds = {len(result.values): result for result in results.attributes}
    for result in kinds.values():
        figure = result_figures.confusion_figure(result.confusion, result.attribute)
        assert_nothing_is_cut_off(figure)
        assert not overlapping(figure.axes[0].get_xticklabels())


@pytest.mark.parametrize("attribute", PAPERS, ids=lambda a: a.name)
def test_a_confusion_figure_shows_counts_and_values(results, attribute):
    matrix = results[attribute.name].confusion
    [axes] = result_figures.confusion_figure(matrix, attribute).axes
    counts = [str(n) for row in matrix for n in row if n]
    assert texts(axes) == counts
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [t.get_text() for t in ticks] == [str(v) for v in attribute.values]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("named", "true")


def test_the_sheet_has_one_matrix_for_each_attribute(results):
    sheet = result_figures.confusion_sheet(results, "kennen-o")
    assert len(sheet.axes) == len(PAPERS)
    titles = [axes.get_title() for axes in sheet.axes]
    assert titles[0].startswith("activation (act):") and titles[0].endswith("%")
    assert "ensemble (ens): not\nscored" in titles
    assert not overlapping([axes.title for axes in sheet.axes])
    assert sheet.get_size_inches()[0] == figures.WIDTH


def test_names_in_full_have_a_code_and_no_more_words_than_fit():
    names = {a.name: figures.name_in_full(a, 80) for a in (*PAPERS, *tables.SMALL)}
    assert names["pool"] == "max pooling (pool)"
    assert names["fc"] == "fully connected layers (#fc)"
    assert names["par"] == "parameters, floor of log2 (#par)"
    assert names["license"] == "license"


def test_a_key_says_which_class_stands_for_which_value():
    key = figures.class_key(PAPERS["pool"])
    assert key.replace("\N{NO-BREAK SPACE}", " ") == "0 = no, 1 = yes"
    lines = figures.class_key(PAPERS["split"]).splitlines()
    assert len(lines) == 3 and max(map(len, lines)) <= 32
    assert all(line.split("\N{NO-BREAK SPACE}")[0].isdecimal() for line in lines)


def make_pairs(num_images, shape=(28, 28, 1)):
    random = np.random.default_rng(0)
    images, starts = random.random((2, num_images, *shape), np.float32)
    return images, starts


@pytest.mark.parametrize(
    ("num_images", "columns"), [(1, 1), (3, 3), (12, 3), (13, 6), (100, 6)]
)
def test_a_contact_sheet_shows_each_image_beside_its_start(num_images, columns):
    images, starts = make_pairs(num_images)
    captions = [f"#{i}\n50% to 97%" for i in range(num_images)]
    sheet = training_figures.contact_sheet(
        images, starts, captions, "kennen-i, epoch 3", "below: what\nthat says"
    )
    [axes] = sheet.axes
    assert texts(axes) == captions
    [drawn] = axes.get_images()
    mosaic = np.asarray(drawn.get_array())
    step_y, step_x = mosaic.shape[0] // -(-num_images // columns), 2 * 28 + 2 + 8
    assert mosaic.shape[1] == columns * step_x - 8
    for place, (image, start) in enumerate(zip(images, starts, strict=True)):
        y, x = step_y * (place // columns), step_x * (place % columns)
        left, right = mosaic[y : y + 28, x : x + 28], mosaic[y : y + 28, x + 30 :]
        for channel in range(3):
            np.testing.assert_array_equal(left[..., channel], start[..., 0])
            np.testing.assert_array_equal(right[:, :28, channel], image[..., 0])
    # Nothing else is there.
    assert np.sum(mosaic[..., 3] == 1) == 2 * num_images * 28 * 28
    assert np.sum(mosaic[..., 3]) == 2 * num_images * 28 * 28
    assert len(axes.patches) == 2 * num_images
    title = sheet.get_suptitle()
    assert title == (
        "kennen-i, epoch 3\nleft: the start; right: the crafted image\n"
        "below: what\nthat says"
    )
    [above] = [text for text in sheet.texts if text.get_text() == title]
    assert above.get_window_extent().y0 > axes.get_window_extent().y1
    assert_nothing_is_cut_off(sheet)


@pytest.mark.parametrize(
    "shape", [(6, 5, 3), (20, 50, 2), (224, 160, 3), (1, 1, 1)], ids=str
)
@pytest.mark.parametrize("num_images", [2, 14])
def test_images_of_any_shape_are_shown_in_their_colours(shape, num_images):
    height, width, channels = shape
    images, starts = make_pairs(num_images, shape)
    sheet = training_figures.contact_sheet(images, starts, ["a\nb"] * num_images)
    [drawn] = sheet.axes[0].get_images()
    first = np.asarray(drawn.get_array())[:height, :width]
    colors = starts[0]
    if channels != 3:
        colors = np.repeat(colors.mean(axis=-1, keepdims=True), 3, axis=-1)
    np.testing.assert_allclose(first[..., :3], colors, rtol=1e-6)
    assert_nothing_is_cut_off(sheet)
    assert max(sheet.get_size_inches()) < 25


@pytest.mark.parametrize("shape", [(28, 28, 1), (6, 5, 3), (96, 96, 3)], ids=str)
def test_captions_do_not_run_into_images(shape):
    pairs = make_pairs(30, shape)
    sheet = training_figures.contact_sheet(*pairs, ["#conv\n33% to 100%"] * 30)
    [axes] = sheet.axes
    frames = [patch.get_window_extent() for patch in axes.patches]
    for text in axes.texts:
        box = text.get_window_extent()
        assert not any(box.overlaps(frame) for frame in frames)
        others = [other.get_window_extent() for other in axes.texts if other != text]
        assert not any(box.overlaps(other) for other in others)


def test_a_contact_sheet_is_drawn_without_captions_and_needs_one_for_each():
    images, starts = make_pairs(2)
    sheet = training_figures.contact_sheet(images, starts, ["", ""])
    assert sheet.get_suptitle() == "left: the start; right: the crafted image"
    assert figures.png_bytes(sheet).startswith(PNG)
    with pytest.raises(ValueError, match="zip"):
        training_figures.contact_sheet(images, starts, ["pool"])


def make_rows(epochs, average=0.5):
    return [
        {
            "epoch": epoch,
            "train": {"loss": 9.0 / (1 + epoch), "average": average},
            "test": {"loss": 10.0 / (1 + epoch), "average": average},
        }
        for epoch in epochs
    ]


def test_curves_show_sides_chance_and_phases():
    phases = [("metamodel", 0, 20), ("images", 20, 30), ("images", 40, 50)]
    figure = training_figures.curves_figure(
        make_rows(range(0, 51, 10)), phases, 0.25, "a title"
    )
    loss, accuracy = figure.axes
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == (
        "loss",
        "class-balanced accuracy (%)",
    )
    styles = [line.get_linestyle() for line in accuracy.lines]
    assert styles == ["--", "-", ":"]
    train, test, chance = accuracy.lines
    np.testing.assert_array_equal(train.get_ydata(), 6 * [50.0])
    np.testing.assert_array_equal(chance.get_ydata(), [25.0, 25.0])
    assert len(loss.lines) == 2
    np.testing.assert_array_equal(loss.lines[1].get_xdata(), range(0, 51, 10))
    for axes in (loss, accuracy):
        spans = [patch.get_extents().intervalx for patch in axes.patches]
        expected = axes.transData.transform([(20, 0), (30, 0), (40, 0), (50, 0)])[:, 0]
        np.testing.assert_allclose(np.ravel(spans), expected)
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("train", "test", "images are crafted", "chance")
    ]
    assert figure.get_suptitle() == "a title"
    assert_nothing_is_cut_off(figure)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("rows", "chance"), [([0], 0.5), ([0, 1], None), ([], None)], ids=str
)
def test_curves_of_next_to_nothing_are_drawn(rows, chance, tmp_path):
    figure = training_figures.curves_figure(
        make_rows(rows, average=None), [("images", 0, 1)], chance
    )
    figures.save_png(figure, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(PNG)


def test_png_bytes_are_a_png(results):
    attribute = PAPERS["act"]
    figure = result_figures.confusion_figure(results["act"].confusion, attribute)
    assert figures.png_bytes(figure).startswith(PNG)


def test_figures_leave_no_global_state(results):
    import matplotlib.pyplot

    result_figures.accuracy_figure(results)
    result_figures.confusion_sheet(results)
    training_figures.contact_sheet(*make_pairs(2), ["", ""])
    training_figures.curves_figure(make_rows([0, 1]), [], 0.5)
    assert matplotlib.pyplot.get_fignums() == []
