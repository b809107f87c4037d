"""Exports: whole or not there, and at work in a process that has only TensorFlow."""

import json
import shutil
import subprocess
import sys

import fakes
import keras
import numpy as np
import pytest
import stand_ins
import tensorflow as tf
from tables import PAPERS, SMALL

from kennen_tf.configs.evaluation import EvaluationConfig
from kennen_tf.configs.exporting import ExportConfig
from kennen_tf.evaluate_metamodel import evaluate_metamodel
from kennen_tf.evaluation import figures, result_figures
from kennen_tf.evaluation.results import RESULTS_NAME
from kennen_tf.export_metamodel import export_metamodel
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.queries import representations
from kennen_tf.revealing import exporting
from kennen_tf.revealing.exported_metamodel import ExportedMetamodel
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

NUM_QUERIES = 12


@pytest.fixture(scope="module")
def probabilities():
    random = np.random.default_rng(0)
    return random.dirichlet(np.ones(10), (5, NUM_QUERIES)).astype(np.float32)


SOME = ("pool", "split")


def export(
    export_dir,
    representation="probabilities",
    name="m1",
    names=PAPERS.names,
    **arguments,
):
    return exporting.export(
        stand_ins.make_reader(NUM_QUERIES, names=names),
        table=PAPERS,
        representation=representation,
        top_k=3,
        pixels=fakes.make_query_inputs(NUM_QUERIES).pixels,
        description={"fingerprints": {"metamodel": name}},
        export_dir=export_dir,
        **arguments,
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(tmp_path_factory.mktemp("exported") / "o")


@pytest.fixture
def copied(exported, tmp_path):
    """An export that a test may change."""
    return shutil.copytree(exported, tmp_path / "o")


ONLY_TENSORFLOW = """
import json, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("kennen_tf", "flags", "pipelines"):
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
import numpy as np
import tensorflow as tf

answers_path, *folders = sys.argv[1:]
probabilities = tf.constant(np.load(answers_path))
facts = []
for folder in folders:
    loaded = tf.saved_model.load(folder)
    name = "reveal"
    assert sorted(loaded.signatures) == ["queries", name, "values"]
    answers = loaded.signatures[name](probabilities=probabilities)
    np.savez(
        folder + ".npz",
        images=loaded.queries().numpy(),
        **{key: value.numpy() for key, value in answers.items()},
    )
    table = json.loads(loaded.table().numpy())
    with open(folder + "/assets/attributes.json") as file:
        facts.append([name, table, json.load(file) == table])
try:
    import kennen_tf
except ImportError:
    print(json.dumps(facts))
"""


@pytest.mark.long
def test_exports_work_where_there_is_only_tensorflow(tmp_path, probabilities):
    folders = [
        export(tmp_path / name, name) for name in representations.REPRESENTATIONS
    ]
    folders.append(export(tmp_path / "some", names=SOME))
    np.save(tmp_path / "probabilities.npy", probabilities)
    (tmp_path / "script.py").write_text(ONLY_TENSORFLOW)
    result = subprocess.run(
        [sys.executable, "-I", "script.py", "probabilities.npy", *folders],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts == [
        *([["reveal", PAPERS.to_json(), True]] * len(representations.REPRESENTATIONS)),
        ["reveal", PAPERS.select(SOME).to_json(), True],
    ]
    with np.load(tmp_path / "some.npz") as answers:
        assert set(answers) == {"images", *SOME}
    for name in representations.REPRESENTATIONS:
        answers = np.load(tmp_path / f"{name}.npz")
        expected = stand_ins.make_reader(NUM_QUERIES)(
            representations.represent(probabilities, name, 3)
        )
        for attribute in PAPERS:
            received = answers[attribute.name]
            assert received.shape == (5, len(attribute.values))
            np.testing.assert_allclose(received, expected[attribute.name], rtol=1e-5)
        pixels = fakes.make_query_inputs(NUM_QUERIES).pixels
        np.testing.assert_array_equal(answers["images"], pixels)


def test_an_export_tells_what_to_send_and_what_its_answers_mean(exported):
    signatures = tf.saved_model.load(str(exported)).signatures
    [given] = signatures["reveal"].structured_input_signature[1].values()
    assert (given.name, given.shape.as_list()) == ("probabilities", [None, None, 10])
    outputs = signatures["reveal"].structured_outputs
    assert {n: o.shape.as_list() for n, o in outputs.items()} == {
        a.name: [None, len(a.values)] for a in PAPERS
    }
    values = signatures["values"]()
    assert {n: [v.decode() for v in own.numpy()] for n, own in values.items()} == {
        a.name: [str(v) for v in a.values] for a in PAPERS
    }
    sent = signatures["queries"]()
    np.testing.assert_array_equal(
        sent["images"], fakes.make_query_inputs(NUM_QUERIES).pixels
    )
    assert sent["pixel_range"].numpy().tolist() == [0, 1]
    assert (int(sent["num_queries"]), int(sent["num_classes"])) == (NUM_QUERIES, 10)


def cut_off(probabilities):
    return probabilities[:, :-1]


def make_logits(probabilities):
    return np.log(probabilities) + 5


def make_negative(probabilities):
    return np.concatenate(
        [
            probabilities[..., :1] - 1,
            probabilities[..., 1:2] + 1,
            probabilities[..., 2:],
        ],
        axis=-1,
    )


def make_nan(probabilities):
    return np.where(np.arange(10) == 3, np.nan, probabilities)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut_off, "must hold the answers to all 12 queries"),
        (make_logits, "must be probabilities: .* If they are logits"),
        (make_negative, "must be probabilities"),
        (make_nan, "must be probabilities"),
    ],
)
def test_the_saved_model_says_what_is_wrong(exported, probabilities, spoil, message):
    loaded = tf.saved_model.load(str(exported))
    reveal = loaded.signatures["reveal"]
    wrong = tf.constant(spoil(probabilities), tf.float32)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        reveal(probabilities=wrong)
    # A black box may round to two decimals, and be sure of a label.
    reveal(probabilities=tf.constant(np.round(probabilities, 2)))
    reveal(probabilities=tf.one_hot(tf.zeros((1, NUM_QUERIES), tf.int32), 10))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut_off, r"12 queries, 10 probabilities. Received: shape \(5, 11, 10\)"),
        (lambda p: p[0], r"\(black boxes, 12, 10\).* Received: shape \(12, 10\)"),
        (lambda p: p[..., :-1], r"Received: shape \(5, 12, 9\)"),
        (make_logits, "12 of 12 rows that are none, .* say --outputs=logits"),
        (make_nan, "must return finite numbers"),
    ],
)
def test_a_loaded_export_says_what_is_wrong(exported, probabilities, spoil, message):
    with pytest.raises(UserError, match=message):
        ExportedMetamodel.load(exported).reveal(spoil(probabilities))


def test_a_loaded_export_gives_what_went_in(exported, probabilities):
    loaded = ExportedMetamodel.load(exported)
    np.testing.assert_array_equal(
        loaded.queries, fakes.make_query_inputs(NUM_QUERIES).pixels
    )
    assert loaded.table == PAPERS
    assert (loaded.image_shape, loaded.num_classes) == ((28, 28, 1), 10)
    assert loaded.description["image_shape"] == [28, 28, 1]
    assert loaded.description["num_classes"] == 10
    answers = loaded.reveal(probabilities)
    for attribute in PAPERS:
        np.testing.assert_allclose(answers[attribute.name].sum(axis=1), 1, rtol=1e-5)


def test_an_export_has_the_attributes_that_the_metamodel_names(
    exported, tmp_path, probabilities
):
    whole = ExportedMetamodel.load(exported)
    loaded = ExportedMetamodel.load(export(tmp_path / "some", names=SOME))
    assert loaded.table == PAPERS.select(SOME)
    assert loaded.description["attributes"] == loaded.table.to_json()
    answers = loaded.reveal(probabilities)
    assert list(answers) == list(SOME)
    for name in SOME:
        expected = whole.reveal(probabilities)[name]
        np.testing.assert_allclose(answers[name], expected, rtol=1e-5)


class FormerModule(tf.Module):
    """What was saved before there were signatures but one."""

    def __init__(self, model, pixels, path):
        super().__init__()
        self.weights = [variable.value for variable in model.variables]
        self.pixels = tf.Variable(pixels, trainable=False)
        self.attributes_file = tf.saved_model.Asset(str(path))
        text = path.read_text()

        def reveal(probabilities):
            features = representations.represent(probabilities, "probabilities", 0)
            answers = model(features, training=False)
            return {name: tf.identity(answers[name]) for name in answers}

        spec = tf.TensorSpec((None, NUM_QUERIES, 10), tf.float32, "probabilities")
        self.reveal = tf.function(reveal, input_signature=[spec])
        self.queries = tf.function(lambda: tf.identity(self.pixels), input_signature=[])
        self.table = tf.function(lambda: tf.constant(text), input_signature=[])

    @property
    def signatures(self):
        return {"reveal": self.reveal}


def test_an_export_of_before_it_had_other_signatures_is_loaded(
    tmp_path, probabilities, exported, monkeypatch
):
    def make(model, representation, top_k, pixels, path, coarse):
        return FormerModule(model, pixels, path)

    with monkeypatch.context() as patch:
        patch.setattr(exporting, "SavedModule", make)
        folder = export(tmp_path / "former")
    loaded = ExportedMetamodel.load(folder)
    assert loaded.table == PAPERS and loaded.num_classes == 10
    expected = ExportedMetamodel.load(exported).reveal(probabilities)
    for name, answers in loaded.reveal(probabilities).items():
        np.testing.assert_array_equal(answers, expected[name])
    with pytest.raises(UserError, match=r"Received: shape \(5, 11, 10\)"):
        loaded.reveal(probabilities[:, :-1])
    # What it does not know, it does not say, whatever the answers' resolution.
    assert loaded.labels.tolist() == [-1] * NUM_QUERIES
    for assessment in loaded.assess(probabilities, [1e-4] * 5):
        assert assessment.plausible is assessment.p_value is None
        assert assessment.sharpness_rank is None and assessment.resolution == 0.0


def test_an_export_of_before_it_told_its_shapes_is_loaded(copied, probabilities):
    folder = copied
    path = folder / "export.json"
    old = json.loads(path.read_text())
    del old["image_shape"], old["num_classes"]
    path.write_text(json.dumps(old))
    loaded = ExportedMetamodel.load(folder)
    assert (loaded.image_shape, loaded.num_classes) == ((28, 28, 1), 10)
    assert set(loaded.reveal(probabilities)) == set(PAPERS.names)


def test_an_export_of_other_attributes_images_and_classes(tmp_path):
    """Three attributes, read from two answers of three classes to images of 6 x 5."""
    pixels = np.random.default_rng(0).random((2, 6, 5, 3), np.float32)
    features = keras.Input((2, 3))
    flat = keras.layers.Flatten()(features)
    model = keras.Model(
        features,
        {
            a.name: keras.layers.Dense(len(a.values), "softmax", name=a.name)(flat)
            for a in SMALL
        },
    )
    folder = exporting.export(
        model,
        table=SMALL,
        representation="probabilities",
        top_k=1,
        pixels=pixels,
        description={"fingerprints": {"metamodel": "m"}},
        export_dir=tmp_path / "small",
    )
    loaded = ExportedMetamodel.load(folder)
    assert loaded.table == SMALL
    assert (loaded.image_shape, loaded.num_classes) == ((6, 5, 3), 3)
    np.testing.assert_array_equal(loaded.queries, pixels)
    answers = loaded.reveal(np.full((4, 2, 3), 1 / 3, np.float32))
    assert {n: a.shape for n, a in answers.items()} == {
        a.name: (4, len(a.values)) for a in SMALL
    }


def test_any_number_of_black_boxes_is_read(exported, probabilities):
    loaded = ExportedMetamodel.load(exported)
    one = loaded.reveal(probabilities[:1])
    for name, answers in loaded.reveal(probabilities).items():
        np.testing.assert_allclose(answers[:1], one[name], rtol=1e-5)


def test_an_export_holds_nothing_of_keras(exported):
    """What Keras hangs on a model would be looked for when it is loaded."""
    assert sorted(p.name for p in exported.rglob("*") if p.is_file()) == [
        "attributes.json",
        "export.json",
        "fingerprint.pb",
        "saved_model.pb",
        "variables.data-00000-of-00001",
        "variables.index",
    ]
    assert b"_tf_keras" not in (exported / "saved_model.pb").read_bytes()


def test_the_same_export_is_left_alone_and_another_is_refused(copied, tmp_path):
    folder = copied
    before = (folder / "export.json").read_bytes()
    export(folder)
    assert (folder / "export.json").read_bytes() == before
    with pytest.raises(UserError, match="another exported metamodel.*--overwrite"):
        export(folder, name="m2")
    assert (folder / "export.json").read_bytes() == before
    export(folder, name="m2", overwrite=True)
    assert ExportedMetamodel.load(folder).description["fingerprints"] == {
        "metamodel": "m2"
    }
    assert [path.name for path in tmp_path.iterdir()] == ["o"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "o").mkdir()
    assert ExportedMetamodel.load(export(tmp_path / "o")).queries.any()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_something_else_is_never_replaced(tmp_path, overwrite):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="holds something else"):
        export(tmp_path, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_failed_export_leaves_what_was_there(copied, tmp_path, monkeypatch):
    folder = copied
    before = (folder / "export.json").read_bytes()
    left = tmp_path / f"o{artifacts.TEMPORARY_MARK}12345678"
    left.mkdir()

    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(artifacts, "write_json", fail)
    with pytest.raises(OSError, match="No space"):
        export(folder, name="m2", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["o"]
    assert (folder / "export.json").read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "export.json").unlink(), "No exported metamodel"),
        (lambda folder: (folder / "saved_model.pb").write_text("x"), "is damaged"),
        (lambda folder: (folder / "export.json").write_text("[]"), "must be of an exp"),
        (
            lambda folder: (folder / "export.json").write_text(
                '{"kind": "exported metamodel", "schema_version": 99}'
            ),
            "schema version 1. Received: 99",
        ),
    ],
)
def test_what_is_no_export_is_refused(copied, spoil, message):
    spoil(copied)
    with pytest.raises(UserError, match=message):
        ExportedMetamodel.load(copied)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Query outputs that betray all, and a metamodel that reads them."""
    folder = tmp_path_factory.mktemp("runs")
    fakes.write_query_outputs(folder / "queries", 120, 30, planted=True)
    stand_ins.write_metamodel(folder / "o", folder / "queries", num_queries=30)
    return folder


def test_the_binary_exports_what_the_metamodel_says(runs, tmp_path, probabilities):
    config = ExportConfig(
        metamodel_dir=str(runs / "o"), export_dir=str(tmp_path / "deep" / "o")
    )
    export_metamodel(config)
    metamodel = Metamodel.load(runs / "o")
    loaded = ExportedMetamodel.load(config.export_dir)
    np.testing.assert_array_equal(loaded.queries, metamodel.query_inputs.pixels)
    random = np.random.default_rng(0)
    answers = random.dirichlet(np.ones(10), (5, 30)).astype(np.float32)
    for name, expected in metamodel.predict(answers).items():
        np.testing.assert_allclose(loaded.reveal(answers)[name], expected, rtol=1e-5)
    assert loaded.description["config"] == metamodel.config.to_json()
    assert loaded.description["fingerprints"] == metamodel.fingerprints
    assert "test_accuracy" not in loaded.description


def test_an_export_after_the_evaluation_knows_the_test_accuracy(
    runs, tmp_path, monkeypatch
):
    # Figures are not the point.
    for name in ("accuracy_figure", "confusion_sheet"):
        monkeypatch.setattr(result_figures, name, lambda *_: None)
    monkeypatch.setattr(figures, "save_png", lambda *_: None)
    config = ExportConfig(metamodel_dir=str(runs / "o"), export_dir=str(tmp_path / "o"))
    export_metamodel(config)
    evaluate_metamodel(EvaluationConfig(metamodel_dir=str(runs / "o")))
    export_metamodel(config)  # The same metamodel: no --overwrite is needed.
    accuracies = ExportedMetamodel.load(tmp_path / "o").description["test_accuracy"]
    assert accuracies == dict.fromkeys(PAPERS.names, 1.0)
    # Results of another metamodel are not taken for this one's.
    path = runs / "o" / RESULTS_NAME
    results = json.loads(path.read_text())
    results["fingerprints"]["metamodel"] = "another"
    path.write_text(json.dumps(results))
    export_metamodel(
        ExportConfig(metamodel_dir=str(runs / "o"), export_dir=str(tmp_path / "p"))
    )
    assert "test_accuracy" not in ExportedMetamodel.load(tmp_path / "p").description


def test_a_missing_metamodel_is_refused(tmp_path):
    config = ExportConfig(
        metamodel_dir=str(tmp_path / "none"), export_dir=str(tmp_path / "o")
    )
    with pytest.raises(UserError, match="No metamodel at .*none"):
        export_metamodel(config)
    assert list(tmp_path.iterdir()) == []
