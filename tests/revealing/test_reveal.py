"""From a trained metamodel to a named black box: three binaries and their messages."""

import dataclasses
import json
import subprocess
import sys

import fakes
import numpy as np
import pytest
import stand_ins
import tables
from tables import PAPERS

from kennen_tf.attributes import AttributeTable
from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.black_boxes.forms import Form
from kennen_tf.configs.evaluation import EvaluationConfig
from kennen_tf.configs.exporting import ExportConfig
from kennen_tf.configs.revealing import RevealConfig
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs import design, mnist_net, mnist_table
from kennen_tf.evaluate_metamodel import evaluate_metamodel
from kennen_tf.evaluation import figures, result_figures
from kennen_tf.export_metamodel import export_metamodel
from kennen_tf.keras_models import saving
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.reveal_black_box import reveal_black_box
from kennen_tf.revealing import naming, truths
from kennen_tf.revealing import tables as revealed_tables
from kennen_tf.revealing.exported_metamodel import ExportedMetamodel
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import store

DIGITS = Form.of((28, 28, 1), 10)
NUM_QUERIES = 24
NUM_ENTRIES = 120

VALUES = {
    "act": "elu",
    "drop": "yes",
    "pool": "no",
    "ks": 5,
    "conv": 3,
    "fc": 4,
    "par": 17,
    "ens": "no",
    "alg": "rmsprop",
    "bs": 256,
    "size": "half",
    "split": "half1",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Query outputs that betray all, two metamodels that read them, an export."""
    folder = tmp_path_factory.mktemp("reveal")
    queries = folder / "queries"
    fakes.write_query_outputs(queries, NUM_ENTRIES, 30, planted=True)
    for seed in (0, 1):
        stand_ins.write_metamodel(
            folder / f"o{seed}", queries, num_queries=30, seed=seed
        )
    return folder


@pytest.fixture(scope="module")
def exported(folder):
    path = folder / "exported"
    export_metamodel(
        ExportConfig(metamodel_dir=str(folder / "o0"), export_dir=str(path))
    )
    return path


@pytest.fixture(scope="module")
def black_box(folder, exported):
    """A classifier that answers the queries as one with `VALUES` would."""
    pixels = ExportedMetamodel.load(exported).queries
    order = json.loads((folder / "o0" / "split.json").read_text())["query_indices"]
    labels = list(PAPERS.labels(VALUES).values())
    planted = {i: labels[place % len(labels)] for i, place in enumerate(order)}
    path = folder / "some_classifier.keras"
    stand_ins.write_planted_classifier(path, len(pixels), pixels, planted)
    return path


def notes_of(revelation):
    return revealed_tables.revelation_notes(revelation)


@pytest.fixture
def no_figures(monkeypatch):
    """Leaves out the figures of an evaluation, which one test looks at."""
    for name in ("accuracy_figure", "confusion_sheet"):
        monkeypatch.setattr(result_figures, name, lambda *_: None)
    monkeypatch.setattr(figures, "save_png", lambda *_: None)


def test_a_metamodel_that_reads_all_is_scored_100_percent(folder, capsys):
    evaluate_metamodel(EvaluationConfig(metamodel_dir=str(folder / "o0")))
    printed = capsys.readouterr().out
    document = json.loads((folder / "o0" / "results.json").read_text())
    assert document["average"]["accuracy"] == 1
    assert [a["name"] for a in document["attributes"]] == list(PAPERS.names)
    split = json.loads((folder / "o0" / "split.json").read_text())
    assert document["num_test"] == len(split["test"])
    assert document["num_train"] == len(split["train"])
    assert document["schema_version"] == 1
    assert {"metamodel", "query_outputs", "zoo"} <= set(document["fingerprints"])
    assert {
        "method",
        "recipe",
        "representation",
        "num_queries",
        "split",
        "seed",
    } <= set(document)
    assert document["provenance"]["versions"]["tensorflow"]
    for name in ("accuracy.png", "confusion.png"):
        content = (folder / "o0" / "figures" / name).read_bytes()
        assert content.startswith(b"\x89PNG")
    for code in (a.code for a in PAPERS):
        assert f"\n  {code} " in printed
    assert "100.0" in printed and "73.4" in printed


@pytest.mark.usefixtures("no_figures")
def test_evaluating_again_gives_the_same_numbers(folder):
    config = EvaluationConfig(metamodel_dir=str(folder / "o0"))
    documents = []
    for _ in range(2):
        evaluate_metamodel(config)
        document = json.loads((folder / "o0" / "results.json").read_text())
        del document["provenance"]
        documents.append(document)
    assert documents[0] == documents[1]


@pytest.mark.usefixtures("no_figures")
def test_several_seeds_are_summarised(folder, tmp_path, capsys):
    output = tmp_path / "deep" / "summary.json"
    evaluate_metamodel(
        EvaluationConfig(
            metamodel_dir=f"{folder / 'o0'}, {folder / 'o1'},", output=str(output)
        )
    )
    assert "2 seeds" in capsys.readouterr().out
    [summary] = json.loads(output.read_text())["summaries"]
    assert summary["seeds"] == [0, 1]
    assert summary["average"]["mean"] == 1
    assert (folder / "o1" / "results.json").exists()


def test_query_outputs_of_others_are_refused(folder, tmp_path):
    fakes.write_query_outputs(tmp_path / "other", 30, 30, planted=True, seed=9)
    with pytest.raises(UserError, match="must be scored on the query outputs.*other"):
        evaluate_metamodel(
            EvaluationConfig(
                metamodel_dir=str(folder / "o0"), query_dir=str(tmp_path / "other")
            )
        )


@pytest.mark.usefixtures("no_figures")
def test_query_outputs_that_were_moved_are_named(folder, tmp_path, capsys):
    (tmp_path / "moved").symlink_to(folder / "queries")
    evaluate_metamodel(
        EvaluationConfig(
            metamodel_dir=str(folder / "o0"), query_dir=str(tmp_path / "moved")
        )
    )
    assert "100.0" in capsys.readouterr().out


@pytest.mark.usefixtures("no_figures")
def test_splitting_attributes_are_not_scored(folder, tmp_path, capsys):
    stand_ins.write_metamodel(
        tmp_path / "e", folder / "queries", num_queries=30, split="E-alg"
    )
    evaluate_metamodel(EvaluationConfig(metamodel_dir=str(tmp_path / "e")))
    document = json.loads((tmp_path / "e" / "results.json").read_text())
    scores = {a["name"]: a["accuracy"] for a in document["attributes"]}
    assert scores["alg"] is None and scores["act"] == 1
    assert "the split is made by it" in capsys.readouterr().out


def test_a_missing_metamodel_is_refused(tmp_path):
    with pytest.raises(UserError, match="No metamodel at .*none"):
        evaluate_metamodel(EvaluationConfig(metamodel_dir=str(tmp_path / "none")))


def test_a_black_box_is_revealed(exported, black_box, capsys):
    reveal_black_box(
        RevealConfig(metamodel=str(exported), black_box=str(black_box), pixels="unit")
    )
    printed = capsys.readouterr().out
    for attribute in PAPERS:
        line = next(x for x in printed.splitlines() if f"  {attribute.code} " in x)
        assert f" {VALUES[attribute.name]} " in line
    assert "probability" in printed and "runner-up" in printed


@pytest.mark.long
def test_json_is_all_that_is_printed(exported, black_box, tmp_path):
    command = [sys.executable, "-m", "kennen_tf.reveal_black_box", "--json"]
    command.append("--pixels=unit")
    flags = [f"--metamodel={exported}", f"--black_box={black_box}"]
    result = subprocess.run(
        [*command, *flags, f"--output={tmp_path / 'deep' / 'revealed.json'}"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document == json.loads((tmp_path / "deep" / "revealed.json").read_text())
    [revealed] = document["black_boxes"]
    assert revealed["black_box"] == str(black_box)
    assert revealed["num_queries"] == 30
    for attribute in PAPERS:
        answer = revealed["attributes"][attribute.name]
        assert answer["value"] == VALUES[attribute.name]
        probabilities = answer["probabilities"]
        assert set(probabilities) == {str(value) for value in attribute.values}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-4)
        assert probabilities[str(answer["value"])] == max(probabilities.values())


def test_what_a_black_box_prints_is_not_among_the_json(
    exported, tmp_path, monkeypatch, capsys
):
    (tmp_path / "talker.py").write_text(
        "import numpy as np\n"
        "def predict(images):\n"
        "    print('hello')\n"
        "    return np.full((len(images), 10), 0.1)\n"
    )
    monkeypatch.chdir(tmp_path)
    reveal_black_box(
        RevealConfig(
            metamodel=str(exported),
            black_box="talker:predict",
            pixels="unit",
            json=True,
        )
    )
    printed = capsys.readouterr()
    assert json.loads(printed.out)["black_boxes"] and "hello" in printed.err


def test_several_black_boxes_have_a_row_each(exported, black_box, capsys):
    reveal_black_box(
        RevealConfig(
            metamodel=str(exported),
            black_box=f"{black_box},{black_box}",
            pixels="unit",
        )
    )
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if "some_classifier.keras " in line]
    assert len(rows) == 2 and all(" elu " in row for row in rows)
    assert printed.count("rmsprop") == 2


@pytest.fixture
def zoo_dir(tmp_path):
    """A zoo of one classifier, not trained."""
    zoo_dir = tmp_path / "zoo"
    (zoo_dir / store.CLASSIFIERS_FOLDER).mkdir(parents=True)
    config = ZooConfig(num_models=1, zoo_dir=str(zoo_dir), compute_dtype="float32")
    store.prepare(fakes.make_header(config))
    spec = fakes.read_spec(
        {a.name: VALUES[a.name] for a in PAPERS.chosen} | {"seed": 3}
    )
    model = fakes.build_classifier(spec)
    path = store.classifier_path(zoo_dir, spec)
    saving.save_model(model, path)
    store.add_record(
        zoo_dir,
        store.ClassifierRecord(
            spec=spec,
            status=store.ACCEPTED,
            reason="",
            accuracy=0.99,
            num_params=model.count_params(),
            epochs=1,
            seconds=1.0,
            num_bytes=path.stat().st_size,
            sha256=artifacts.sha256_of_file(path),
        ),
    )
    return zoo_dir


def test_the_truth_about_a_classifier_of_a_zoo_stands_beside(exported, zoo_dir, capsys):
    [path] = (zoo_dir / store.CLASSIFIERS_FOLDER).iterdir()
    # It is not trained, and names no digit.
    config = {
        "metamodel": str(exported),
        "zoo_dir": str(zoo_dir),
        "pixels": "unit",
    }
    reveal_black_box(RevealConfig(black_box=str(path), json=True, **config))
    [revealed] = json.loads(capsys.readouterr().out)["black_boxes"]
    truth = {name: row["truth"] for name, row in revealed["attributes"].items()}
    assert {**truth, "par": 17} == VALUES
    reveal_black_box(RevealConfig(black_box=str(path), **config))
    printed = capsys.readouterr().out
    right = sum(r["truth"] == r["value"] for r in revealed["attributes"].values())
    assert f"{right} of 12 attributes are named rightly" in printed
    assert printed.count("(!)") == 12 - right + 1


def test_the_truth_is_known_of_the_zoos_classifiers_only(exported, zoo_dir, black_box):
    with pytest.raises(UserError, match="must be a classifier of the zoo in .*zoo"):
        reveal_black_box(
            RevealConfig(
                metamodel=str(exported), black_box=str(black_box), zoo_dir=str(zoo_dir)
            )
        )


@pytest.mark.usefixtures("no_figures")
def test_what_was_made_before_an_attribute_was_appended_is_read_as_it_was(
    folder, exported, black_box, monkeypatch, capsys
):
    grown = dataclasses.replace(mnist_net.DESIGN, attributes=tables.THIRTEEN)
    monkeypatch.setattr(mnist_net, "DESIGN", grown)
    for module in (mnist_net, mnist_table):
        monkeypatch.setattr(module, "TABLE", tables.THIRTEEN)
    assert design.load_design("mnist_net").attributes == tables.THIRTEEN
    info = QueryOutputsInfo.open(folder / "queries")
    metamodel = Metamodel.load(folder / "o0")
    assert info.attributes == metamodel.attributes == PAPERS
    evaluate_metamodel(EvaluationConfig(metamodel_dir=str(folder / "o0")))
    document = json.loads((folder / "o0" / "results.json").read_text())
    assert document["average"]["accuracy"] == 1
    assert [row["name"] for row in document["attributes"]] == list(PAPERS.names)
    # The same metamodel: --overwrite would be needed for another one.
    export_metamodel(
        ExportConfig(metamodel_dir=str(folder / "o0"), export_dir=str(exported))
    )
    capsys.readouterr()
    reveal_black_box(
        RevealConfig(
            metamodel=str(exported),
            black_box=str(black_box),
            pixels="unit",
            json=True,
        )
    )
    [revealed] = json.loads(capsys.readouterr().out)["black_boxes"]
    named = {name: row["value"] for name, row in revealed["attributes"].items()}
    assert named == VALUES


def test_a_metamodel_of_other_attributes_is_read_by_its_own_table(exported):
    loaded = ExportedMetamodel.load(exported)
    act = dataclasses.replace(PAPERS["act"], values=("a", "b", "c", "d"))
    other = dataclasses.replace(
        loaded,
        description={**loaded.description, "test_accuracy": {"act": 0.75}},
        table=AttributeTable([act]),
    )
    box = BlackBox("box", lambda images: np.full((len(images), 10), 0.1), form=DIGITS)
    revelation = naming.reveal(other, box)
    [answer] = revelation.answers
    assert answer.values == ("a", "b", "c", "d")
    assert answer.test_accuracy == 0.75
    assert revelation.num_queries == 30


def test_a_truth_that_is_not_known_is_not_counted(exported):
    loaded = ExportedMetamodel.load(exported)
    box = BlackBox("box", lambda images: np.full((len(images), 10), 0.1), form=DIGITS)
    guess = naming.reveal(loaded, box)
    named = {a.name: a.ranked()[0][0] for a in guess.answers}
    wrong = next(v for v in PAPERS["act"].values if v != named["act"])
    truth = {**dict.fromkeys(PAPERS.names), "act": wrong, "bs": named["bs"]}
    revelation = naming.reveal(loaded, box, truth)
    note = next(n for n in notes_of(revelation) if "named rightly" in n)
    assert note.startswith("1 of 2 attributes whose value is known are named rightly")
    table = revealed_tables.revelation_table(revelation)
    [cells] = [list(c.cells) for c in table.columns if c.header == "truth"]
    assert dict(zip(PAPERS.names, cells, strict=True)) == {
        **dict.fromkeys(PAPERS.names, "-"),
        "act": f"{wrong} (!)",
        "bs": str(named["bs"]),
    }
    answers = revelation.to_json()["attributes"]
    assert answers["pool"]["truth"] is None and answers["act"]["truth"] == wrong


def test_an_attribute_of_one_value_has_no_runner_up(exported):
    loaded = ExportedMetamodel.load(exported)
    answer = naming.AttributeAnswer(
        name="a", code="a", description="", values=("x",), probabilities=(1.0,)
    )
    revelation = naming.Revelation(
        black_box="box",
        metamodel="",
        num_queries=len(loaded.queries),
        answers=(answer,),
    )
    [cells] = [
        list(c.cells)
        for c in revealed_tables.revelation_table(revelation).columns
        if c.header == "runner-up"
    ]
    assert cells == ["-"]


def test_a_classifier_saved_again_is_recognised(zoo_dir, tmp_path):
    zoo = store.Zoo.open(zoo_dir)
    [record] = zoo.accepted
    model = zoo.load_classifier(record)
    twin = tmp_path / "twin.keras"
    model.save(twin)  # With a date, which the zoo's file has not.
    assert artifacts.sha256_of_file(twin) != record.sha256
    assert truths.true_values(zoo, str(twin))["act"] == VALUES["act"]
    model.set_weights([w + 1e-3 for w in model.get_weights()])
    model.save(twin)
    with pytest.raises(UserError, match="must be a classifier of the zoo"):
        truths.true_values(zoo, str(twin))


BAD_BLACK_BOXES = """
import numpy as np

def logits(images):
    return np.random.default_rng(0).normal(size=(len(images), 10), scale=9)

def nan(images):
    return np.full((len(images), 10), np.nan)

def five(images):
    return np.full((len(images), 5), 0.2)

def fails(images):
    raise RuntimeError("out of cheese")
"""


@pytest.mark.parametrize(
    ("black_box", "message"),
    [
        ("bad_boxes:logits", "% of 30 images rightly, asked in the best of"),
        ("bad_boxes:nan", "NaN"),
        ("bad_boxes:five", "(30, 10)"),
        ("bad_boxes:fails", "RuntimeError: out of cheese"),
        ("bad_boxes:nothing", "'nothing'"),
        ("bad_boxes.keras", "no such file"),
    ],
)
def test_a_bad_black_box_gets_one_line(
    exported, tmp_path, monkeypatch, black_box, message
):
    (tmp_path / "bad_boxes.py").write_text(BAD_BLACK_BOXES)
    monkeypatch.chdir(tmp_path)
    config = RevealConfig(metamodel=str(exported), black_box=black_box)
    with pytest.raises(UserError) as caught:
        reveal_black_box(config)
    assert message in str(caught.value)
    assert black_box in str(caught.value)


@pytest.mark.long
def test_an_error_of_the_binary_is_one_line_and_status_1(exported, tmp_path):
    (tmp_path / "bad_boxes.py").write_text(BAD_BLACK_BOXES)
    command = [sys.executable, "-m", "kennen_tf.reveal_black_box"]
    flags = [f"--metamodel={exported}", "--black_box=bad_boxes:logits"]
    result = subprocess.run(
        [*command, *flags], capture_output=True, text=True, cwd=tmp_path
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: bad_boxes:logits names ")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metamodel": "", "black_box": "a:b"}, "--metamodel must be given"),
        ({"metamodel": "m"}, "One of --black_box.* must be given. Received: 0"),
        ({"metamodel": "m", "black_box": " , "}, "must be given. Received: 0"),
        (
            {"metamodel": "m", "black_box": "a", "black_boxes": "b"},
            "must be given. Received: 2",
        ),
        ({"metamodel": "m", "black_box": "a", "outputs": "score"}, "--outputs must be"),
        ({"metamodel": "m", "black_box": "a", "pixels": "bits"}, "--pixels must be"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        RevealConfig(**settings)


def test_a_missing_export_is_refused_with_what_makes_one(tmp_path):
    config = RevealConfig(metamodel=str(tmp_path / "none"), black_box="a:b")
    with pytest.raises(UserError, match="No exported metamodel.*export_metamodel"):
        reveal_black_box(config)
