"""Tables, notes, figures and results.json of AIPs, from grades written by hand."""

import json
import types

import image_fakes
import numpy as np
import pytest
from family_fakes import find, make_registry
from rich.console import Console

from kennen_tf.configs.aips import AipConfig
from kennen_tf.imagenet.aips import (
    aip_figures,
    aip_reporting,
    generator_sets,
    results,
    sheets,
    transfer,
)
from kennen_tf.imagenet.aips.generator_sets import Pairing, make_set
from kennen_tf.imagenet.aips.transfer import Graded, Scenario
from kennen_tf.imagenet.attacks import grading
from kennen_tf.images.image_set import ImageSet

PNG = b"\x89PNG\r\n\x1a\n"


def make_config(**settings):
    return AipConfig(images="x", output_dir="x", generators="x", **settings)


def ranks(*values):
    return np.array(values, np.int32)


@pytest.fixture
def registry():
    return make_registry(a=2, b=3)


@pytest.fixture
def grey(registry):
    """Of 8 images, 6 were right; then 3 are, and one is not in the first 5."""
    generators = make_set(registry.families["b"][:2])
    return Graded(
        Pairing(find(registry, "a0"), "b0+b1", generators),
        clean_ranks=ranks(0, 0, 0, 0, 0, 0, 1, 7),
        ranks=ranks(0, 0, 0, 2, 2, 9, 1, 3),
        predicted=ranks(0, 1, 2, 5, 5, 5, 5, 5),
    )


@pytest.fixture
def white(registry):
    """A target that is among its generators, and never right."""
    return Graded(
        Pairing(find(registry, "b0"), "b0+b1", make_set(registry.families["b"][:2])),
        clean_ranks=ranks(*[1] * 8),
        ranks=ranks(*[1] * 8),
        predicted=ranks(*[1] * 8),
    )


@pytest.fixture
def sizes(grey):
    return {
        grey.pairing.generators: {
            "l2": np.array([1.0, 2.0, 3.25]),
            "linf": np.array([4.0, 4.0, 7.0]),
        }
    }


def cells(table, name):
    """The cells of the row that begins with a name."""
    columns = [list(column.cells) for column in table.columns]
    [row] = [row for row in zip(*columns, strict=True) if row[0] == name]
    return list(row)


def rows(table):
    return list(zip(*[list(column.cells) for column in table.columns], strict=True))


def rendered(table):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_an_attack_is_described_in_one_line():
    config = make_config(epsilon=1000)
    text = aip_reporting.describe_attack(config, config.make_budget(112), 200)
    assert text == "gaman, L2 norm at most 500 levels, 100 steps, 200 images"
    config = make_config(method="pgd", norm="linf", epsilon=2.5)
    text = aip_reporting.describe_attack(config, config.make_budget(112), 7)
    assert text == "pgd, L-infinity norm at most 2.5 levels, 100 steps, 7 images"


def test_grades_are_in_per_cent_and_say_of_how_many(grey):
    [row] = rows(aip_reporting.grades_table([grey], "a title"))
    assert row == (
        *("b0+b1", "a0", "a"),
        *("25.0", "62.5", "30.6 - 86.3", "50.0 of 6", "18.8 - 81.2"),
        *("12.5", "12.5", "14.3 of 7"),
    )


def test_a_white_box_has_a_star_and_a_note(grey, white):
    table = aip_reporting.grades_table([grey, white], "a title")
    assert [row[1] for row in rows(table)] == ["a0", "b0 *"]
    assert "white box" in " ".join(aip_reporting.grades_notes([grey, white]))
    assert "white box" not in " ".join(aip_reporting.grades_notes([grey]))


def test_of_no_images_there_is_no_rate(white):
    [row] = rows(aip_reporting.grades_table([white], "a title"))
    assert row[6:8] == ("- of 0", "-")


def test_tables_print_with_their_titles(grey, white):
    text = rendered(aip_reporting.grades_table([grey, white], "a title"))
    assert "a title" in text and "b0 *" in text and "62.5" in text


def test_norms_are_told_of_each_set(sizes):
    assert aip_reporting.sizes_notes(sizes) == [
        "Perturbations made on b0+b1: L2 2.1 on average, 3.2 at most; L-infinity 5.0 "
        "and 7."
    ]


def test_families_are_listed_by_score():
    table = aip_reporting.families_table({"a": -0.25, "b": 1.5, "c": 0.125}, "title")
    assert rows(table) == [("b", "1.500"), ("c", "0.125"), ("a", "-0.250")]
    config = make_config(metamodel="ridge", num_queries=100)
    [note] = aip_reporting.families_notes(config, num_images=40)
    assert "metamodel ridge" in note and " 40 images" in note


MATRIX = {
    "clean": {"a": 0.125, "b": 0.25},
    "a": {"a": None, "b": 0.5},
    "b": {"a": 0.75, "b": 1.0},
    "one of each": {"a": None, "b": None},
}


def test_the_transfer_table_has_means_and_marks_families_themselves():
    table = aip_reporting.transfer_table(MATRIX, "a title")
    assert [column.header for column in table.columns][1:] == ["a", "b", "mean"]
    assert rows(table) == [
        ("clean", "12.5", "25.0", "18.8"),
        ("a", "[bold]-[/bold]", "50.0", "50.0"),
        ("b", "75.0", "[bold]100.0[/bold]", "87.5"),
        ("one of each", "-", "-", "-"),
    ]
    assert "[bold]" not in rendered(table)


def test_the_papers_matrix_is_told_only_for_the_papers_classifiers():
    assert len(aip_reporting.transfer_notes("keras_applications")) == 1
    paper = aip_reporting.transfer_notes("paper")[1]
    assert "clean 38 32 28 30 29" in paper and "densenet 58 63 70 76 90" in paper


def test_scenarios_stand_beside_the_papers():
    scenarios = [
        Scenario("target known", 1.0, (1.0, 1.0), 5),
        Scenario("family known", 0.875, (0.8, 0.95), 5),
        Scenario("family predicted", 0.86, (0.75, 0.9), 5),
        Scenario("several families", None, None, 0),
    ]
    table = aip_reporting.scenarios_table(scenarios, "a title")
    assert rows(table) == [
        ("target known", "100.0", "100.0 - 100.0", "5", "100.0"),
        ("family known", "87.5", "80.0 - 95.0", "5", "86.2"),
        ("family predicted", "86.0", "75.0 - 90.0", "5", "85.7"),
        ("several families", "-", "-", "0", "82.2"),
    ]


def test_scenarios_say_how_often_the_family_was_named_rightly(registry):
    predicted = {find(registry, "a0"): ["a", "b", "a", "a"]}
    config = make_config(metamodel="ridge", num_queries=50)
    _, note = aip_reporting.scenarios_notes(predicted, config, num_images=1000)
    assert "ridge" in note and "75.0% of 4 cases: for each target, 4 diff" in note
    assert "different draws of 50 queries out of 1000 images." in note
    predicted = {find(registry, "a0"): ["a"], find(registry, "b0"): ["a"]}
    _, note = aip_reporting.scenarios_notes(predicted, config, num_images=12)
    assert "50.0% of 2 cases: for each target, one draw, as all 12 images are" in note
    assert len(aip_reporting.scenarios_notes({}, config, num_images=12)) == 1


def test_results_hold_every_number_in_full(grey, white, sizes):
    config = make_config(epsilon=1 / 3)
    budget = config.make_budget(100)
    document = results.make_document(
        config, budget, [grey, white], sizes, {"b0+b1": 20}, {"images": "f"}
    )
    read = json.loads(json.dumps(document, allow_nan=False))
    assert read["config"] == config.to_json()
    assert read["budget"]["epsilon"] == budget.epsilon == 1 / 3 * (100 / 224)
    assert read["made_from"] == {"images": "f"}
    assert read["generators"] == [
        {
            "name": "b0+b1",
            "members": ["b0", "b1"],
            "batch_size": 20,
            "norms": {
                "l2": {"mean": 6.25 / 3, "largest": 3.25},
                "linf": {"mean": 5.0, "largest": 7.0},
            },
        }
    ]
    first, second = read["pairings"]
    assert (first["target"], first["family"]) == ("a0", "a")
    assert (first["generated_on"], first["generators"]) == ("b0+b1", "b0+b1")
    assert (first["white_box"], second["white_box"]) == (False, True)
    interval = grading.make_rate(np.arange(8) < 5).interval
    assert first["top1"]["all"] == {
        "wrong": 5,
        "count": 8,
        "rate": 0.625,
        "interval": list(interval),
    }
    assert first["top5"]["right_before"]["rate"] == 1 / 7
    assert second["top1"]["right_before"]["rate"] is None


def texts(axes):
    return [text.get_text() for text in axes.texts]


def tick_labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def draw(figure, path):
    figure.savefig(path)
    assert path.read_bytes().startswith(PNG)


@pytest.mark.long
def test_the_transfer_figure_has_every_number_and_says_what_it_is(tmp_path):
    right_before = {name: MATRIX[name] for name in ("a", "b", "one of each")}
    figure = aip_figures.transfer_figure(
        {"all images": MATRIX, "images right before": right_before}, "a title"
    )
    draw(figure, tmp_path / "figure.png")
    first, second, bar = figure.axes
    assert texts(first) == ["12", "25", "-", "50", "75", "100", "-", "-"]
    assert texts(second) == ["-", "50", "75", "100", "-", "-"]
    assert first.get_title() == "all images; bold: within a family"
    assert first.get_ylabel() == second.get_ylabel() == "generated on"
    assert first.get_xlabel() == second.get_xlabel() == "family of the target"
    assert tick_labels(first.yaxis) == list(MATRIX)
    assert tick_labels(first.xaxis) == ["a", "b"]
    assert bar.get_ylabel() == "top-1 misclassification (%)"
    assert figure.get_suptitle() == "a title"
    # Within a family, numbers are bold.
    is_bold = [text.get_fontweight() == "bold" for text in first.texts]
    assert is_bold == [False, False, True, False, False, True, False, False]


@pytest.mark.long
@pytest.mark.parametrize("num_families", [1, 2, 13])
def test_transfer_figures_of_any_size_can_be_drawn(tmp_path, num_families):
    names = [f"a_family_with_a_long_name_{i}" for i in range(num_families)]
    matrix = {row: dict.fromkeys(names) for row in ("clean", *names, "one of each")}
    matrix["clean"][names[0]] = 0.5
    figure = aip_figures.transfer_figure({"all": matrix, "right before": matrix}, "t")
    draw(figure, tmp_path / "figure.png")


@pytest.mark.long
def test_a_sheet_shows_clean_image_perturbation_and_result(tmp_path):
    clean = image_fakes.make_images(2)
    perturbed = clean.copy()
    clean[0, 0, 0] = 100
    perturbed[0, 0, 0] = [110, 95, 100]
    captions = [("class 1", "perturbation", "named 2"), ("class 3", "", "named 3")]
    figure = aip_figures.sheet(clean, perturbed, captions, "a title")
    draw(figure, tmp_path / "sheet.png")
    pictures = [axes.get_images()[0].get_array() for axes in figure.axes]
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [text for row in captions for text in row]
    np.testing.assert_array_equal(pictures[0], clean[0])
    np.testing.assert_array_equal(pictures[2], perturbed[0])
    # The largest change, 10, becomes white; 5 down is half of that.
    np.testing.assert_array_equal(pictures[1][0, 0], [255, 64, 128])
    np.testing.assert_array_equal(pictures[4], 128)
    assert "a title" in figure.get_suptitle()
    assert "perturbation times 12.8" in figure.get_suptitle()


@pytest.mark.long
def test_a_sheet_of_unchanged_images_is_gray(tmp_path):
    clean = image_fakes.make_images(1)
    figure = aip_figures.sheet(clean, clean, [("", "", "")])
    draw(figure, tmp_path / "sheet.png")
    np.testing.assert_array_equal(figure.axes[1].get_images()[0].get_array(), 128)


class StandIn:
    """Stands for a run whose images are there."""

    def __init__(self, count=8):
        self.images = ImageSet(
            names=tuple(f"image{i}" for i in range(count)),
            labels=np.arange(count, dtype=np.int32),
            pixels=image_fakes.make_images(count),
            fingerprint="f",
        )
        self.budget = make_config().make_budget(image_fakes.IMAGE_SIZE)
        self.shown = []

    def aips(self, generators):
        def read_image(index):
            self.shown.append((generators.name, index))
            return 255 - self.images.pixels[index]

        return types.SimpleNamespace(read_image=read_image)


def write_sheets(graded, folder, monkeypatch):
    """Writes sheets; returns the run, the names of the files, and all captions."""
    run, captions = StandIn(), []
    sheet = aip_figures.sheet

    def remember(clean, perturbed, own, title):
        captions.extend(own)
        return sheet(clean, perturbed, own, title)

    monkeypatch.setattr(aip_figures, "sheet", remember)
    paths = sheets.write_sheets(run, graded, make_config(), folder)
    assert sorted(paths) == sorted(folder.iterdir())
    assert all(path.read_bytes().startswith(PNG) for path in paths)
    return run, [path.name for path in paths], captions


@pytest.mark.long
def test_sheets_show_first_what_was_right_before(grey, tmp_path, monkeypatch):
    grey.clean_ranks[1] = 3
    run, names, captions = write_sheets([grey], tmp_path / "figures", monkeypatch)
    assert names == ["sheet-l2-b0+b1-on-a0.png"]
    assert run.shown == [("b0+b1", index) for index in (0, 2, 3, 4, 5)]
    assert captions[0] == ("class 0", "perturbation", "named 0 (as before)")
    assert captions[2] == ("class 3", "perturbation", "named 5")


@pytest.mark.long
def test_sheets_of_pairings_that_are_wanted_no_more_go(grey, tmp_path, monkeypatch):
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "sheet-l2-c-on-a0.png").touch()
    _, names, _ = write_sheets([grey], folder, monkeypatch)
    assert names == ["sheet-l2-b0+b1-on-a0.png"]


@pytest.mark.long
def test_sheets_say_what_was_wrong_before(white, tmp_path, monkeypatch):
    _, _, captions = write_sheets([white], tmp_path / "figures", monkeypatch)
    assert captions[0] == ("class 0 (named wrongly)", "perturbation", "named 1")


@pytest.mark.long
def test_one_target_of_each_family_is_shown(registry, tmp_path, monkeypatch):
    generators = make_set([find(registry, "a0")])
    # Generators may bear the name of a family.
    graded = [
        Graded(Pairing(target, "a", generators), *[ranks(*[0] * 8)] * 3)
        for target in registry.classifiers
    ]
    _, names, _ = write_sheets(graded, tmp_path / "figures", monkeypatch)
    assert names == ["sheet-l2-a-on-a0.png", "sheet-l2-a-on-b0.png"]


@pytest.mark.long
def test_of_a_transfer_matrix_the_diagonal_is_shown(registry, tmp_path, monkeypatch):
    graded = [
        Graded(pairing, *[ranks(*[0] * 8)] * 3)
        for pairing in generator_sets.pair_all(registry, seed=0)
        if pairing.target.family == "b"
    ]
    assert transfer.transfer_matrix(graded, ["a", "b"], only_right_before=False)
    _, names, _ = write_sheets(graded, tmp_path / "figures", monkeypatch)
    assert names == ["sheet-l2-b-on-b0.png"]


@pytest.mark.long
def test_sheets_of_classifiers_of_any_name_stay_in_their_folder(tmp_path, monkeypatch):
    registry = make_registry(**{"of/mine": 2})
    generators = make_set(registry.classifiers[:1])
    pairing = Pairing(registry.classifiers[1], generators.name, generators)
    graded = [Graded(pairing, *[ranks(*[0] * 8)] * 3)]
    _, names, _ = write_sheets(graded, tmp_path / "figures", monkeypatch)
    assert names == ["sheet-l2-of%2Fmine0-on-of%2Fmine1.png"]
