"""The binary that predicts families: what it leaves, and runs that were stopped."""

import json
import shutil

import family_fakes
import image_fakes
import numpy as np
import pytest
from image_fakes import Killed, die_in_call

from kennen_tf.configs.family_prediction import METAMODELS, FamilyPredictionConfig
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.evaluation import figures
from kennen_tf.imagenet.classifiers import batches
from kennen_tf.imagenet.families import prediction
from kennen_tf.metamodels.metamodel import Metamodel
from kennen_tf.predict_family import predict_family
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.train_metamodel import train_metamodel
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from pipelines.query_outputs import load_arrays

NUM_IMAGES = 12
NAMES = ("a0", "a1", "b0", "b1", "c0")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with three families, each of similar classifiers, and images.

    Labels are what the classifier a0 says.
    """
    folder = tmp_path_factory.mktemp("inputs")
    family_fakes.write_manifest(folder / "families", a=2, b=2, c=1)
    pixels = image_fakes.make_images(NUM_IMAGES)
    labels = family_fakes.make_classifier_model(0, 0)(pixels).numpy().argmax(1)
    image_fakes.write_images(folder / "images", labels)
    return folder


def make_config(inputs, output_dir, **settings):
    return FamilyPredictionConfig(
        **{
            "classifiers": str(inputs / "families"),
            "images": str(inputs / "images"),
            "num_queries": 6,
            "curve": "2,13,1000",
            "num_folds": 2,
            "num_draws": 2,
            "output_dir": str(output_dir),
            **settings,
        }
    )


@pytest.fixture(scope="module")
def run_dir(inputs, tmp_path_factory):
    """The folder of a finished run with all metamodels. Not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    predict_family(make_config(inputs, folder, metamodel="all"))
    return folder


@pytest.fixture
def no_drawing(monkeypatch):
    """Has figures be files without a picture: one test looks at those of a run."""
    monkeypatch.setattr(figures, "save_png", lambda figure, path: path.touch())


def files_of(folder):
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"]
    return sorted(p.relative_to(folder).as_posix() for p in files)


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


def without_provenance(results):
    """The part of results.json that the same settings decide."""
    results = {key: value for key, value in results.items() if key != "provenance"}
    free = ("output_dir", "resume", "batch_size")
    config = {k: v for k, v in results["config"].items() if k not in free}
    return {**results, "config": config}


@pytest.mark.long
def test_a_run_leaves_outputs_figures_and_results(run_dir):
    assert files_of(run_dir) == sorted(
        [
            "config.json",
            "figures/curve.png",
            *(f"figures/confusion-{metamodel}.png" for metamodel in METAMODELS),
            *family_fakes.output_files(len(NAMES)),
            "results.json",
        ]
    )
    for path in run_dir.glob("figures/*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_results_hold_scores_of_every_metamodel_and_number_of_queries(run_dir):
    results = results_of(run_dir)
    # There are not 13 images, nor 1,000.
    assert [(s["metamodel"], s["num_queries"]) for s in results["scores"]] == [
        (metamodel, count) for metamodel in METAMODELS for count in (2, 6)
    ]
    for score in results["scores"]:
        assert score["accuracy"] == 1, score
        assert score["interval"][0] < 1 == score["interval"][1]
        assert score["chance"] == 1 / 3
        # Folds x draws x the two families that have somebody to hold out.
        assert score["count"] == 2 * 2 * 2
        assert score["confusion"] == [[4, 0, 0], [0, 4, 0], [0, 0, 0]]
        assert set(score["per_member"]) == {"a0", "a1", "b0", "b1"}
    assert results["schema_version"] == 1
    assert results["families"] == {"a": ["a0", "a1"], "b": ["b0", "b1"], "c": ["c0"]}
    assert set(results["made_from"]["classifiers"]) == set(NAMES)
    assert results["config"]["curve"] == "2,13,1000"
    assert results["provenance"]["versions"]["tensorflow"]


@pytest.mark.long
def test_results_hold_the_classifiers_accuracy(run_dir):
    accuracy = results_of(run_dir)["classifier_accuracy"]
    pixels = image_fakes.make_images(NUM_IMAGES)
    labels, named = (
        family_fakes.make_classifier_model(*which)(pixels).numpy().argmax(1)
        for which in ((0, 0), (1, 1))
    )
    assert accuracy["top1"]["a0"] == accuracy["top5"]["a0"] == 1
    assert accuracy["top1"]["b1"] == pytest.approx(np.mean(named == labels))
    assert all(accuracy["top5"][name] >= accuracy["top1"][name] for name in NAMES)


@pytest.mark.long
def test_tables_are_printed(run_dir, inputs, tmp_path, capsys, no_drawing):
    folder = shutil.copytree(run_dir, tmp_path / "run")
    predict_family(make_config(inputs, folder, metamodel="all", resume=True))
    printed = capsys.readouterr().out
    assert "5 classifiers in 3 families, 12 images, seed 0" in printed
    assert "the classifiers, named by svm from 6 queries" in printed
    assert "Never held out, as nobody else could teach their family: c." in printed
    assert "figures in figures, numbers in results.json" in printed


@pytest.mark.long
def test_the_metamodel_asked_for_is_the_only_one(run_dir, inputs, tmp_path, no_drawing):
    predict_family(make_config(inputs, tmp_path / "run", metamodel="mlp"))
    names = {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert names == {"curve.png", "confusion-mlp.png"}
    of_all = [s for s in results_of(run_dir)["scores"] if s["metamodel"] == "mlp"]
    assert results_of(tmp_path / "run")["scores"] == of_all


@pytest.mark.long
def test_a_run_killed_between_classifiers_goes_on(
    run_dir, inputs, tmp_path, monkeypatch, no_drawing
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patches, pytest.raises(Killed):
        dying = die_in_call(4, batches.predict_logits)
        patches.setattr(batches, "predict_logits", dying)
        predict_family(make_config(inputs, folder, metamodel="all"))
    assert len(list(folder.glob("outputs-unfinished/*.npy"))) == 3
    with monkeypatch.context() as patches:
        # Two are missing; a third would be one too many.
        dying = die_in_call(3, batches.predict_logits)
        patches.setattr(batches, "predict_logits", dying)
        predict_family(make_config(inputs, folder, metamodel="all", resume=True))
    assert files_of(folder) == files_of(run_dir)
    assert without_provenance(results_of(folder)) == without_provenance(
        results_of(run_dir)
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "name", "number"),
    [
        (prediction, "draw_queries", 6),
        (figures, "save_png", 3),
        (artifacts, "write_json", 1),  # results.json.
    ],
    ids=["guessing", "drawing", "reporting"],
)
def test_a_run_killed_after_all_outputs_goes_on(
    run_dir, inputs, tmp_path, monkeypatch, no_drawing, module, name, number
):
    folder = shutil.copytree(run_dir, tmp_path / "run")
    shutil.rmtree(folder / "figures")
    (folder / "results.json").unlink()
    config = make_config(inputs, folder, metamodel="all", resume=True)
    with monkeypatch.context() as patches, pytest.raises(Killed):
        patches.setattr(module, name, die_in_call(number, getattr(module, name)))
        predict_family(config)
    assert not (folder / "results.json").exists()
    predict_family(config)
    assert files_of(folder) == files_of(run_dir)
    assert without_provenance(results_of(folder)) == without_provenance(
        results_of(run_dir)
    )


@pytest.mark.long
def test_metamodels_of_any_zoo_read_the_outputs(run_dir, tmp_path):
    """Of each family that has two, one is held out, and named rightly."""
    config = MetamodelConfig(
        query_dir=str(run_dir / "outputs"),
        recipe="svm",
        split="leave-one-out:family",
        num_queries=6,
        metamodel_dir=str(tmp_path / "metamodel"),
    )
    train_metamodel(config)
    metamodel = Metamodel.load(tmp_path / "metamodel")
    split = metamodel.split
    assert [name[0] for name in split.test_ids] == ["a", "b"]
    assert {*split.train_ids, *split.test_ids} == set(NAMES)
    info = QueryOutputsInfo.open(run_dir / "outputs")
    answers, labels = load_arrays(info, split.test_ids, metamodel.query_indices, None)
    named = metamodel.predict(answers)["family"].argmax(axis=1)
    np.testing.assert_array_equal(named, labels["family"])


@pytest.mark.long
def test_outputs_are_not_computed_twice(
    run_dir, inputs, tmp_path, monkeypatch, no_drawing
):
    folder = shutil.copytree(run_dir, tmp_path / "run")

    def refuse(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(batches, "predict_logits", refuse)
    # How many images are sent at once changes nothing, so it may be another number.
    predict_family(
        make_config(inputs, folder, metamodel="all", resume=True, batch_size=3)
    )
    assert without_provenance(results_of(folder)) == without_provenance(
        results_of(run_dir)
    )


@pytest.mark.long
def test_outputs_are_read_in_another_way_but_not_computed_again(
    run_dir, inputs, tmp_path, monkeypatch, no_drawing
):
    reading = {"metamodel": "ridge", "num_queries": 3, "curve": "5", "num_draws": 2}
    fresh = tmp_path / "fresh"
    predict_family(make_config(inputs, fresh, **reading))
    folder = shutil.copytree(run_dir, tmp_path / "run")
    monkeypatch.setattr(batches, "predict_logits", None)
    predict_family(make_config(inputs, folder, resume=True, **reading))
    found = results_of(folder)
    assert {k: found["config"][k] for k in reading} == reading
    assert {s["metamodel"] for s in found["scores"]} == {"ridge"}
    assert [s["num_queries"] for s in found["scores"]] == [3, 5]
    assert found["scores"] == results_of(fresh)["scores"]
    assert files_of(folder) == files_of(fresh)


@pytest.mark.long
def test_the_same_folder_without_resume_is_refused(run_dir, inputs):
    with pytest.raises(UserError, match="holds the same run, finished. Say --resume"):
        predict_family(make_config(inputs, run_dir, metamodel="all"))


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"num_images": 8}, "num_images 2000, not 8.*images '"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(
    run_dir, inputs, settings, message
):
    config = make_config(
        inputs, run_dir, **{"metamodel": "all", "resume": True, **settings}
    )
    with pytest.raises(UserError, match=f"run of other settings: .*{message}"):
        predict_family(config)


@pytest.fixture
def nobody_is_asked(monkeypatch):
    """Has a test fail in which a classifier is asked."""

    def refuse(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(batches, "predict_logits", refuse)


@pytest.mark.usefixtures("nobody_is_asked")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_queries": 13}, "number of images, 12. Received: num_queries=13"),
        ({"classifiers": "nowhere.json"}, "--classifiers must be.*nowhere.json"),
        ({"images": "nowhere"}, "--images must be a folder.*'nowhere'"),
    ],
)
def test_what_cannot_be_is_told_before_anybody_is_asked(
    inputs, tmp_path, settings, message
):
    with pytest.raises(UserError, match=message):
        predict_family(make_config(inputs, tmp_path / "run", **settings))
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("nobody_is_asked")
def test_labels_must_be_those_of_the_classifiers(inputs, tmp_path):
    image_fakes.write_images(tmp_path / "images", [0, 1, 6])
    config = make_config(
        *(inputs, tmp_path / "run"), images=str(tmp_path / "images"), num_queries=1
    )
    with pytest.raises(UserError, match="0 to 5. Received: labels 0 to 6"):
        predict_family(config)


@pytest.mark.usefixtures("nobody_is_asked")
def test_there_must_be_somebody_to_hold_out(inputs, tmp_path):
    family_fakes.write_manifest(tmp_path / "families", a=1, b=1)
    config = make_config(
        *(inputs, tmp_path / "run"), classifiers=str(tmp_path / "families")
    )
    with pytest.raises(UserError, match="two families or more.*'a': 1, 'b': 1"):
        predict_family(config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metamodel": "tree"}, "--metamodel must be one of .*'mlp', 'all'"),
        ({"num_queries": 0}, "--num_queries must be at least 1"),
        ({"num_queries": 6, "num_images": 5}, "at most 5. Received: num_queries=6"),
        ({"num_folds": 1}, "--num_folds must be at least 2"),
        ({"num_draws": 0}, "--num_draws must be at least 1"),
        ({"curve": "1,x"}, "--curve must be whole numbers.*curve='1,x'"),
        ({"curve": "0,10"}, "--curve must be whole numbers from 1"),
        ({"images": ""}, "--images must be given"),
    ],
)
def test_settings_are_checked(inputs, tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        make_config(inputs, tmp_path, **settings)


def test_the_curve_has_the_tables_number_of_queries_too(inputs, tmp_path):
    config = make_config(inputs, tmp_path, curve=" 100, 2,2,", num_queries=6)
    assert config.curve_counts == (2, 6, 100)
    assert make_config(inputs, tmp_path, curve="").curve_counts == (6,)
