"""Several black boxes: settings of each; one that fails does not lose the others."""

import csv
import json
import sys

import bars
import numpy as np
import pytest

from kennen_tf.black_boxes.kept_answers import KeptAnswers, name_images
from kennen_tf.configs.revealing import RevealConfig
from kennen_tf.reveal_black_box import reveal_black_box
from kennen_tf.revealing import boxes
from kennen_tf.vocabulary.errors import UserError

MODULE = """
import bars
import numpy as np

plain = bars.Classifier()
flat = bars.Classifier(sharpness=0.7)
bytes_ = bars.Classifier("byte")
logits = bars.Classifier(change=lambda rows: np.log(rows) + 2)

def fails(images):
    raise RuntimeError("out of cheese")

def nonsense(images):
    return np.full((len(images), 10), 0.1)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with some black boxes in a module."""
    (tmp_path / "some_boxes.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "some_boxes", raising=False)
    return tmp_path


def write(folder, *lines):
    folder.mkdir(exist_ok=True)
    path = folder / "boxes.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def list_boxes(path, **settings):
    return boxes.list_boxes(
        RevealConfig(metamodel="m", black_boxes=str(path), **settings)
    )


def test_a_line_has_settings_of_its_own(folder):
    path = write(
        folder,
        "black_box, pixels ,batch_size,timeout,answers",
        "some_boxes:plain,,,,",
        "http://localhost/v1/models/m,byte,16,2.5,m.npz",
        '"a,b.keras",inverted,,,',
    )
    first, second, third = list_boxes(path, pixels="signed", timeout=9.0)
    assert (first.black_box, first.pixels) == ("some_boxes:plain", "signed")
    assert (first.batch_size, first.timeout, first.answers) == (0, 9.0, "")
    assert second.black_box == "http://localhost/v1/models/m"
    assert (second.pixels, second.batch_size) == ("byte", 16)
    assert (second.timeout, second.answers) == (2.5, "m.npz")
    assert (third.black_box, third.pixels) == ("a,b.keras", "inverted")
    assert {own.black_boxes for own in (first, second, third)} == {""}


def test_files_are_looked_for_beside_the_csv(folder):
    path = write(folder / "deep", "black_box", "mine.npz", "there.npz", "some_boxes:f")
    (folder / "deep" / "mine.npz").touch()
    (folder / "there.npz").touch()
    found = [own.black_box for own in list_boxes(path)]
    assert found == [str(folder / "deep" / "mine.npz"), "there.npz", "some_boxes:f"]


def test_a_csv_of_a_spreadsheet_is_read(folder):
    path = folder / "boxes.csv"
    path.write_bytes(b"\xef\xbb\xbfblack_box,pixels\r\na:b,byte\r\n\r\nc:d,\r\n")
    found = [(own.black_box, own.pixels) for own in list_boxes(path)]
    assert found == [("a:b", "byte"), ("c:d", "auto")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "a line for each black box.*Received: 0 lines"),
        (["black_box,pixels"], "Received: 0 lines"),
        (["file,pixels", "a:b,byte"], r"a column black_box.*\['file', 'pixels'\]"),
        (["black_box,pixel", "a:b,byte"], r"Received: 1 lines.*'pixel'\]"),
        (["black_box,json", "a:b,1"], "may have outputs, pixels.*'json'"),
        (["black_box,pixels", "a:b,byte", "c:d,bits"], "line 3: --pixels must be"),
        (["black_box,batch_size", "a:b,some"], "line 2: batch_size must be a whole"),
        (["black_box,timeout", "a:b,soon"], "line 2: timeout must be a number"),
        (["black_box,batch_size", "a:b,-1"], "line 2: --batch_size must be"),
        (["black_box,pixels", ",byte"], "line 2: One of --black_box"),
        (["black_box,pixels", "a:b,byte,c:d"], "line 2.*Received: 1 more.*in quotes"),
    ],
)
def test_a_broken_csv_is_refused_with_its_line(folder, lines, message):
    path = write(folder, *lines)
    with pytest.raises(UserError, match=message) as caught:
        list_boxes(path)
    assert "boxes.csv" in str(caught.value)


def test_what_is_no_csv_is_refused(folder):
    (folder / "model.keras").write_bytes(bytes(range(256)))
    for path in (folder / "none.csv", folder, folder / "model.keras"):
        with pytest.raises(UserError, match="must be a CSV. Received: "):
            list_boxes(path)


@pytest.fixture
def config(folder, bars_path):
    path = write(
        folder,
        "black_box,pixels",
        "some_boxes:plain,",
        "some_boxes:fails,",
        "some_boxes:bytes_,byte",
        "some_boxes:nonsense,",
        "none.keras,",
        "some_boxes:flat,",
    )
    return {"metamodel": bars_path, "black_boxes": path}


def reveal_most(config, capsys, **settings):
    with pytest.raises(UserError, match="3 of 6 black boxes could not") as caught:
        reveal_black_box(RevealConfig(**config, **settings))
    return str(caught.value), capsys.readouterr()


def test_one_that_fails_does_not_lose_the_others(config, folder, capsys):
    message, printed = reveal_most(config, capsys, output="deep/table.json")
    assert message.startswith("3 of 6 black boxes")
    told = [line for line in printed.err.splitlines() if "not revealed: " in line]
    for words in ("RuntimeError: out of cheese", "none.keras", "something else"):
        assert sum(words in line for line in told) == 1
    for name in ("plain", "bytes_", "flat"):
        [row] = [x for x in printed.out.splitlines() if f" some_boxes:{name} " in x]
    assert "some_boxes:fails" not in printed.out
    assert "6/6" in printed.err and "black box" in printed.err  # The progress bar.
    document = json.loads((folder / "deep" / "table.json").read_text())
    named = [own["black_box"] for own in document["black_boxes"]]
    assert named == ["some_boxes:plain", "some_boxes:bytes_", "some_boxes:flat"]
    assert [own["pixels"] for own in document["black_boxes"]] == [
        "unit",
        "byte",
        "unit",
    ]
    assert set(document["failures"]) == {
        *("some_boxes:fails", "some_boxes:nonsense", "none.keras"),
    }
    assert "out of cheese" in document["failures"]["some_boxes:fails"]


def test_a_table_has_a_line_for_each(config, folder, capsys):
    reveal_most(config, capsys, output="table.csv")
    with open(folder / "table.csv", newline="") as file:
        rows = {row["black_box"]: row for row in csv.DictReader(file)}
    assert len(rows) == 6
    row = rows["some_boxes:bytes_"]
    assert (row["pixels"], row["outputs"], row["accuracy"]) == (
        *("byte", "probabilities", "1.0"),
    )
    assert row["num_queries"] == "40" and row["error"] == ""
    assert row["is_strange"] in ("True", "False") and 0 <= float(row["p_value"]) <= 1
    assert row["act"] and 0 < float(row["act probability"]) <= 1
    assert len(row["act not ruled out"].split()) == 4
    assert row["pool not ruled out"] == ""
    row = rows["some_boxes:fails"]
    assert "out of cheese" in row["error"] and row["act"] == ""


def test_json_is_printed_whole_though_one_fails(config, capsys):
    _, printed = reveal_most(config, capsys, json=True)
    document = json.loads(printed.out)
    assert len(document["black_boxes"]) == len(document["failures"]) == 3


def test_a_failure_of_any_kind_does_not_lose_the_others(
    config, capsys, monkeypatch, folder
):
    open_box = boxes.open_box

    def open_some(own, form):
        if own.black_box == "none.keras":
            raise MemoryError("too large\nfor this machine")
        return open_box(own, form)

    monkeypatch.setattr(boxes, "open_box", open_some)
    _, printed = reveal_most(config, capsys)
    assert "none.keras: MemoryError: too large" in printed.err


def test_a_list_of_names_is_as_good(folder, bars_path, capsys):
    config = {"metamodel": bars_path, "json": True}
    names = "some_boxes:plain, some_boxes:flat ,,some_boxes:logits"
    reveal_black_box(RevealConfig(black_box=names, **config))
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    named = [own["black_box"] for own in document["black_boxes"]]
    assert named == ["some_boxes:plain", "some_boxes:flat", "some_boxes:logits"]
    assert [own["outputs"] for own in document["black_boxes"]][1:] == [
        *("probabilities", "logits"),
    ]
    assert "3/3" in printed.err
    with pytest.raises(UserError, match="^1 of 2 black boxes"):
        reveal_black_box(
            RevealConfig(black_box="some_boxes:fails,some_boxes:plain", **config)
        )
    printed = capsys.readouterr()
    assert "out of cheese" in printed.err
    assert len(json.loads(printed.out)["black_boxes"]) == 1


def test_what_was_found_is_written_before_the_next_is_asked(config, folder, capsys):
    seen = []

    def look(own, form):
        path = folder / "table.json"
        seen.append(len(json.loads(path.read_text())["black_boxes"]) if seen else 0)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return open_box(own, form)

    open_box = boxes.open_box
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boxes, "open_box", look)
        with pytest.raises(KeyboardInterrupt):
            reveal_black_box(
                RevealConfig(
                    metamodel=config["metamodel"],
                    black_box="some_boxes:plain,some_boxes:flat,some_boxes:logits",
                    output="table.json",
                )
            )
    assert seen == [0, 1, 2]


def test_a_box_that_fails_twice_is_told_of_twice(folder, bars_path, capsys):
    path = write(
        folder,
        "black_box,pixels,outputs",
        "some_boxes:plain,,",
        "some_boxes:plain,,logits",
        "some_boxes:plain,,labels",
    )
    with pytest.raises(UserError, match="2 of 3 black boxes"):
        reveal_black_box(RevealConfig(metamodel=bars_path, black_boxes=path))
    told = capsys.readouterr().err
    assert "--outputs=probabilities" in told and "answers labels" in told


def test_a_single_box_needs_no_progress_bar(folder, bars_path, capsys):
    reveal_black_box(RevealConfig(metamodel=bars_path, black_box="some_boxes:plain"))
    printed = capsys.readouterr()
    assert "1/1" not in printed.err and "some_boxes:plain" in printed.out
    with pytest.raises(UserError, match="^some_boxes:fails failed"):
        reveal_black_box(
            RevealConfig(metamodel=bars_path, black_box="some_boxes:fails")
        )


def test_answers_of_a_file_are_not_taken_for_those_of_its_successor(folder):
    (folder / "model.h5").write_bytes(b"one")
    config = RevealConfig(metamodel="m", black_box="model.h5", answers="a.npz")
    kept = boxes.open_kept(config)
    kept.note_sent(1)
    kept.add(name_images(bars.IMAGES[:1]), np.full((1, 10), 0.1))
    assert len(boxes.open_kept(config)) == 1
    (folder / "model.h5").write_bytes(b"another")
    with pytest.raises(UserError, match="a.npz holds answers of model.h5 .sha256"):
        boxes.open_kept(config)
    assert len(KeptAnswers("a.npz")) == 1


def test_a_url_has_a_file_of_answers_of_its_own():
    url = "http://localhost:8080/v2/models/mnist"
    assert boxes.default_answers(url) == "localhost-8080-v2-models-mnist.answers.npz"
    kept = boxes.open_kept(RevealConfig(metamodel="m", black_box=url))
    assert kept.path.name == boxes.default_answers(url)
    assert kept.description == {"black_box": url}
    assert boxes.open_kept(RevealConfig(metamodel="m", black_box="a:b")) is None
