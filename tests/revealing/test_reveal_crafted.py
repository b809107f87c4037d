"""What comes after crafting: metamodels that name some attributes and read labels."""

import dataclasses
import json

import fakes
import numpy as np
import pytest
import stand_ins
from tables import PAPERS

from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.black_boxes.forms import Form
from kennen_tf.configs.evaluation import EvaluationConfig
from kennen_tf.configs.exporting import ExportConfig
from kennen_tf.configs.queries import QueryConfig
from kennen_tf.configs.revealing import RevealConfig
from kennen_tf.evaluate_metamodel import evaluate_metamodel
from kennen_tf.export_metamodel import export_metamodel
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.query_zoo import query_zoo
from kennen_tf.reveal_black_box import reveal_black_box
from kennen_tf.revealing import exporting, naming
from kennen_tf.revealing.exported_metamodel import ExportedMetamodel
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import asking, store

ALG = PAPERS["alg"]
DIGITS = Form.of((28, 28, 1), 10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A zoo where black images betray the optimizer, and a metamodel that knows."""
    folder = tmp_path_factory.mktemp("crafted")
    specs = fakes.make_small_specs(8)
    biases = {spec: 2.0 * np.eye(10)[ALG.label(spec["alg"])] for spec in specs}
    fakes.make_zoo(folder / "zoo", specs, biases=biases)
    query_zoo(
        QueryConfig(
            zoo_dir=str(folder / "zoo"), query_dir=str(folder / "q"), num_queries=12
        )
    )
    write_metamodel(folder / "i", folder)
    return folder


def write_metamodel(metamodel_dir, folder, **settings):
    return stand_ins.write_metamodel(
        metamodel_dir,
        folder / "q",
        **{
            "method": "kennen-i",
            "attribute": "alg",
            "zoo_dir": str(folder / "zoo"),
            "num_test": 12,
            **settings,
        },
    )


def evaluate(metamodel_dir, **settings):
    evaluate_metamodel(EvaluationConfig(metamodel_dir=str(metamodel_dir), **settings))
    return json.loads((metamodel_dir / "results.json").read_text())


def test_a_metamodel_knows_what_it_names(folder):
    metamodel = Metamodel.load(folder / "i")
    assert metamodel.attribute_names == ("alg",)
    [(name, answers)] = metamodel.predict(np.full((3, 1, 10), 0.1, np.float32)).items()
    assert name == "alg" and answers.shape == (3, 3)


def test_it_is_scored_by_what_the_zoo_answers_to_its_queries(folder, capsys):
    document = evaluate(folder / "i")
    scores = {row["name"]: row["accuracy"] for row in document["attributes"]}
    assert scores == {**dict.fromkeys(PAPERS.names), "alg": 1.0}
    assert document["num_test"] == 12
    printed = capsys.readouterr().out
    assert "kennen-i (kernel recipe), alg only, top-1, 1 query, split R" in printed
    assert "\n  alg " in printed and "\n  pool " not in printed
    for name in ("accuracy.png", "confusion.png"):
        assert (folder / "i" / "figures" / name).exists()


def test_it_sends_its_own_queries_to_test_entries_and_to_no_others(folder, monkeypatch):
    asked = []
    ask = asking.ask

    def note(zoo, entries, pixels):
        asked.append(([entry.id for entry in entries], pixels))
        return ask(zoo, entries, pixels)

    monkeypatch.setattr(asking, "ask", note)
    evaluate(folder / "i")
    [(ids, pixels)] = asked
    metamodel = Metamodel.load(folder / "i")
    assert ids == sorted(metamodel.split.test_ids)
    np.testing.assert_array_equal(pixels, metamodel.query_inputs.pixels)


def test_a_zoo_that_was_moved_is_named(folder, tmp_path):
    write_metamodel(tmp_path / "i", folder, zoo_dir=str(tmp_path / "old"))
    with pytest.raises(UserError, match="No zoo at .*old.*with --zoo_dir"):
        evaluate(tmp_path / "i")
    document = evaluate(tmp_path / "i", zoo_dir=str(folder / "zoo"))
    assert document["average"]["accuracy"] == 1


def test_another_zoo_is_refused(folder, tmp_path):
    fakes.make_zoo(tmp_path / "other", fakes.make_small_specs(1, seed=1))
    with pytest.raises(UserError, match="kennen-i sends.*another zoo.*--zoo_dir"):
        evaluate(folder / "i", zoo_dir=str(tmp_path / "other"))


def test_its_export_has_what_it_names_and_nothing_else(folder, tmp_path, capsys):
    evaluate(folder / "i")
    export_metamodel(
        ExportConfig(metamodel_dir=str(folder / "i"), export_dir=str(tmp_path / "i"))
    )
    assert "kennen-i, 1 query." in capsys.readouterr().out
    loaded = ExportedMetamodel.load(tmp_path / "i")
    assert loaded.table.names == ("alg",)
    assert loaded.description["attributes"] == PAPERS.select(["alg"]).to_json()
    assert loaded.description["test_accuracy"] == {"alg": 1.0}
    assert loaded.queries.shape == (1, 28, 28, 1) and not loaded.queries.any()
    assert list(loaded.reveal(np.full((2, 1, 10), 0.1))) == ["alg"]

    path = min((folder / "zoo" / store.CLASSIFIERS_FOLDER).iterdir())
    config = {"metamodel": str(tmp_path / "i"), "zoo_dir": str(folder / "zoo")}
    reveal_black_box(RevealConfig(black_box=str(path), **config))
    printed = capsys.readouterr().out
    assert "(1 query)" in printed and "(!) marks an attribute" in printed
    [row] = [line for line in printed.splitlines() if line.startswith("  alg ")]
    assert "(!)" not in row and "100.0%" in row
    reveal_black_box(RevealConfig(black_box=f"{path},{path}", **config))
    # In the table, and before the note that nobody knows what a black image shows.
    assert capsys.readouterr().out.count(path.name) == 4


@pytest.fixture(scope="module")
def read_by_label(tmp_path_factory):
    """An exported metamodel that reads an attribute from the label of each query."""
    folder = exporting.export(
        stand_ins.make_reader(12),
        table=PAPERS,
        representation="top-1",
        top_k=10,
        pixels=fakes.make_query_inputs(12).pixels,
        description={"fingerprints": {"metamodel": "m"}},
        export_dir=tmp_path_factory.mktemp("exported") / "i",
    )
    return ExportedMetamodel.load(folder)


def test_one_hot_answers_and_labels_reveal_what_probabilities_do(read_by_label):
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(10), 12)
    labels = probabilities.argmax(axis=1)
    boxes = [
        BlackBox("box", lambda _, a=answers: a, outputs_kind=kind, form=DIGITS)
        for answers, kind in (
            (probabilities, "probabilities"),
            (np.eye(10)[labels], "probabilities"),
            (np.eye(10, dtype=int)[labels], "probabilities"),
            (labels, "labels"),
        )
    ]
    first, *others = (naming.reveal(read_by_label, box) for box in boxes)
    assert len(first.answers) == 12
    assert all(other.answers == first.answers for other in others)
    for answer, label in zip(first.answers, labels, strict=True):
        if label < len(answer.values):
            assert answer.ranked()[0][0] == answer.values[label]


@pytest.mark.parametrize(
    ("representation", "top_k", "is_enough"),
    [
        ("top-1", 10, True),
        ("top-k", 1, True),
        ("top-k", 2, False),
        ("ranking", 1, False),
        ("bottom-1", 10, False),
        ("probabilities", 10, False),
    ],
)
def test_labels_are_for_metamodels_that_read_no_more(
    representation, top_k, is_enough, read_by_label
):
    metamodel = dataclasses.replace(
        read_by_label, description={"representation": representation, "top_k": top_k}
    )
    box = BlackBox(
        "box", lambda images: np.arange(12) % 10, outputs_kind="labels", form=DIGITS
    )
    if is_enough:
        naming.reveal(metamodel, box)
        assert box.num_queries == 12
    else:
        with pytest.raises(UserError, match=f"--outputs=labels.*{representation}"):
            naming.reveal(metamodel, box)
        assert box.num_queries == 0


def test_a_black_box_of_labels_is_revealed(
    read_by_label, tmp_path, monkeypatch, capsys
):
    (tmp_path / "my_labels.py").write_text(
        "import numpy as np\n"
        "def classify(images):\n"
        "    return np.ones(len(images), np.int64)\n"
    )
    monkeypatch.chdir(tmp_path)
    config = {
        "metamodel": str(read_by_label.path),
        "black_box": "my_labels:classify",
        "json": True,
    }
    with pytest.raises(UserError, match="say --outputs=labels"):
        reveal_black_box(RevealConfig(outputs="probabilities", **config))
    for outputs in ("auto", "labels"):
        reveal_black_box(RevealConfig(outputs=outputs, **config))
        [revealed] = json.loads(capsys.readouterr().out)["black_boxes"]
        assert revealed["outputs"] == "labels"
        named = {name: row["value"] for name, row in revealed["attributes"].items()}
        assert named == {a.name: a.values[1] for a in PAPERS}
