"""The experiment on a zoo with a planted answer and files of another one like it."""

import csv
import json
import pathlib
import shutil

import fakes
import numpy as np
import pytest
from figure_checks import assert_nothing_is_cut_off, smallest_letters
from sklearn.naive_bayes import BernoulliNB

from kennen_tf.configs.reproduction import ReproductionConfig
from kennen_tf.evaluation.results import Results
from kennen_tf.experiments.wild import answers as answers_lib
from kennen_tf.experiments.wild import page, strangers
from kennen_tf.images import datasets
from kennen_tf.reproduce import reproduce

pytestmark = pytest.mark.long

NUM_FILES = 18
COLUMNS = ("id", "file", "alg", "conv", "pool", "act", "drop", "same_as", "trained_on")


@pytest.fixture(scope="module", autouse=True)
def few_strangers():
    """One that is trained in no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strangers, "_MADE", {"naive Bayes": BernoulliNB(binarize=0.3)})
        patch.setattr(strangers, "_NUM_IMAGES", 300)
        yield


@pytest.fixture(scope="module")
def other_zoo(tmp_path_factory):
    """Classifiers that betray their optimizer as the planted zoo's do."""
    specs = fakes.make_small_specs(60, seed=5)
    chosen, seen = [], {}
    for spec in specs[::2]:  # As many of each optimizer.
        seen.setdefault(spec["alg"], []).append(spec)
    for same in seen.values():
        chosen += same[: NUM_FILES // 3]
    alg = fakes.TABLE["alg"]
    biases = {own: 2.0 * np.eye(10)[4 + alg.label(own["alg"])] for own in chosen}
    return fakes.make_zoo(
        tmp_path_factory.mktemp("other") / "zoo", chosen, "mnist", biases
    )


@pytest.fixture(scope="module")
def folder(other_zoo, tmp_path_factory):
    """Their files, one of them twice, and one that is there as answers alone."""
    return write_files(tmp_path_factory.mktemp("files"), other_zoo)


def write_files(folder, zoo, turned=False):
    """Writes files and a truth.csv; turned, it says another optimizer of each."""
    alg = fakes.TABLE["alg"].values
    records = zoo.accepted
    rows = []
    for place, record in enumerate(records):
        truth = record.spec
        said = alg[(alg.index(truth["alg"]) + turned) % len(alg)]
        name = f"{record.id}.keras"
        shutil.copy(zoo.classifier_path(record), folder / name)
        rows.append(
            {
                **{"id": f"f{place}", "file": name, "alg": said, "conv": 2},
                **{"pool": "yes: max 2", "act": "relu", "drop": truth["drop"]},
            }
        )
    shutil.copy(folder / rows[0]["file"], folder / "again.keras")
    rows.append({"id": "again", "file": "again.keras", "same_as": "f0"})
    images = datasets.load_images("mnist").test_images.astype(np.float32) / 255
    model = zoo.load_classifier(records[1])
    np.savez(folder / "outputs.npz", f1=model.predict(images, verbose=0))
    (folder / rows[1]["file"]).unlink()
    rows[1]["file"] = ""
    rows.append({"id": "lost", "alg": "adam"})
    rows.append({"id": "g", "file": rows[2]["file"], "trained_on": "fashion"})
    with open(folder / "truth.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return folder


def run(planted, report_dir, files_dir):
    reproduce(
        ReproductionConfig(
            experiment="wild",
            zoo_dir=str(planted / "zoo"),
            query_dir=str(planted / "q"),
            files_dir=str(files_dir),
            report_dir=str(report_dir),
            num_queries=8,
        )
    )
    return json.loads((report_dir / "wild" / "result.json").read_text())["result"]


@pytest.fixture(scope="module")
def report_dir(planted, folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("wild-report")
    run(planted, place, folder)
    return place


@pytest.fixture(scope="module")
def result(report_dir):
    return json.loads((report_dir / "wild" / "result.json").read_text())["result"]


def score(result, label, side, name):
    row = next(own for own in result["rows"] if own["label"] == label)
    return Results.from_json(row[side]["questions"])[name]


def test_what_is_planted_is_found_in_files(result):
    for label in ("kennen-o", "kennen-s", "kennen-o, undivided", "linear"):
        found = score(result, label, "files", "adam")
        assert found.accuracy > 0.9, label
        assert found.interval[0] <= found.accuracy <= found.interval[1]
    assert score(result, "kennen-s", "held_out", "adam").accuracy > 0.9


def test_networks_count_once_and_what_is_not_known_nowhere(result):
    assert (result["num_files"], result["num_networks"]) == (NUM_FILES + 3, NUM_FILES)
    assert score(result, "kennen-s", "files", "adam").count == NUM_FILES
    # All have two convolutions: there is nothing to tell apart.
    assert score(result, "kennen-s", "files", "pooling").count == NUM_FILES


def test_who_cannot_be_asked_is_named(result):
    assert list(result["failed"]) == ["lost"]
    assert "neither its file" in result["failed"]["lost"]


def test_all_kinds_are_asked_how_strange_they_are(result):
    found = result["strange"]["kennen-s"]
    sizes = {kind: len(own["p_values"]) for kind, own in found.items()}
    assert sizes == {
        **{"held out": sizes["held out"], "networks": NUM_FILES},
        **{"of other images": 1, "no networks": 1},
    }
    assert found["no networks"]["flagged"] == 1  # It knows the digits.


def test_pages_say_it(report_dir):
    text = (report_dir / "README.md").read_text()
    for words in (
        "Other people's files",
        "adam?",
        "the same answer to all",
        "lost could not",
    ):
        assert words in text
    assert (report_dir / "wild" / "questions.png").stat().st_size > 5000


def test_its_figure_is_read_on_a_small_screen(result):
    [figure] = page.draw(result).values()
    assert_nothing_is_cut_off(figure)
    assert smallest_letters(figure) > 6.4
    assert figure.get_suptitle()


def test_truths_that_are_none_are_not_found(planted, other_zoo, tmp_path):
    (tmp_path / "files").mkdir()
    files = write_files(tmp_path / "files", other_zoo, turned=True)
    result = run(planted, tmp_path / "report", files)
    assert score(result, "kennen-s", "files", "adam").accuracy < 0.5
    assert score(result, "kennen-s", "held_out", "adam").accuracy > 0.9


def test_nobody_is_asked_twice(planted, folder, report_dir, tmp_path, monkeypatch):
    copy = tmp_path / "report"
    shutil.copytree(report_dir, copy)
    (copy / "wild" / "result.json").unlink()
    num_asked = 0
    open_box = answers_lib.boxes.open_box

    def count(config, form):
        box = open_box(config, form)
        answer = box._answer

        def counted(images):
            nonlocal num_asked
            num_asked += len(images)
            return answer(images)

        monkeypatch.setattr(box, "_answer", counted)
        return box

    monkeypatch.setattr(answers_lib.boxes, "open_box", count)
    again = run(planted, copy, folder)
    assert num_asked == 0
    before = json.loads((report_dir / "wild" / "result.json").read_text())["result"]
    assert again["rows"] == before["rows"]


def test_without_files_it_is_on_entries_held_out(planted, tmp_path):
    result = run(planted, tmp_path, "")
    assert result["num_files"] == 0
    assert all(row["files"] is None for row in result["rows"])
    assert score(result, "kennen-o", "held_out", "adam").accuracy > 0.9
    assert "held out" in pathlib.Path(tmp_path / "README.md").read_text()
