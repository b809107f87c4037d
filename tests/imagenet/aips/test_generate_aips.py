"""The binary that makes AIPs: what it leaves, resumed runs, and laws of its numbers."""

import json
import shutil

import family_fakes
import image_fakes
import keras
import numpy as np
import pytest
import tensorflow as tf
from image_fakes import Killed, die_in_call

from kennen_tf.configs.aips import METHODS, NORMS, AipConfig
from kennen_tf.evaluation import figures
from kennen_tf.generate_aips import generate_aips
from kennen_tf.imagenet.aips import sheets
from kennen_tf.imagenet.aips.aip_folder import AipFolder
from kennen_tf.imagenet.attacks import grading
from kennen_tf.imagenet.classifiers import batches, manifest
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

NUM_IMAGES = 10
# For 8x8 images: the same root mean square as the budgets at 224x224.
EPSILONS = {"l2": 8000.0, "linf": 20.0}


@pytest.fixture(scope="module")
def pixels():
    return image_fakes.make_images(NUM_IMAGES)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, pixels):
    """A folder with two families, a linear classifier alone, and images.

    Labels are what the classifier a0 says.
    """
    folder = tmp_path_factory.mktemp("inputs")
    image_fakes.write_manifest(folder / "families", {"a": 2, "b": 2})
    labels = image_fakes.make_model(0)(pixels).numpy().argmax(1)
    image_fakes.write_images(folder / "images", labels)
    (folder / "linear").mkdir()
    model = image_fakes.make_linear()
    model.save(folder / "linear" / "linear.keras")
    row = {"name": "linear", "family": "linear", "file": "linear.keras"}
    manifest.write_manifest(folder / "linear" / "manifest.json", [row])
    linear_labels = model(pixels.astype(np.float32)).numpy().argmax(1)
    image_fakes.write_images(folder / "linear_images", linear_labels)
    return folder


def make_config(inputs, output_dir, **settings):
    return AipConfig(
        **{
            "classifiers": str(inputs / "families"),
            "images": str(inputs / "images"),
            "generators": "a0,b",
            "targets": "a,b1",
            "num_steps": 3,
            "epsilon": EPSILONS["l2"],
            "output_dir": str(output_dir),
            **settings,
        }
    )


@pytest.fixture(scope="module")
def run_dir(inputs, tmp_path_factory):
    """The folder of a finished run. Not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    generate_aips(make_config(inputs, folder, method="pgd"))
    return folder


def contents(folder):
    """The bytes of all files below a folder, by their names."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


def read_aips(folder):
    """The AIPs of the only set of generators."""
    [generators] = (folder / "aips").iterdir()
    return np.stack(
        [
            tf.io.decode_image((generators / f"image{i:03d}.png").read_bytes())
            for i in range(NUM_IMAGES)
        ]
    )


@pytest.mark.long
def test_a_run_leaves_images_figures_and_results(run_dir):
    assert sorted(contents(run_dir)) == sorted(
        [
            *(f"aips/a0+b0+b1/image{i:03d}.png" for i in range(NUM_IMAGES)),
            "batch_sizes.json",
            "config.json",
            "figures/sheet-l2-a0+b0+b1-on-a0.png",
            "figures/sheet-l2-a0+b0+b1-on-b1.png",
            *(f"grades/{name}.json" for name in ("a0", "a1", "b1")),
            *family_fakes.output_files(4),
            "results.json",
        ]
    )


@pytest.mark.long
def test_results_say_who_generated_against_whom(run_dir):
    results = results_of(run_dir)
    assert [pairing["target"] for pairing in results["pairings"]] == ["a0", "a1", "b1"]
    assert [pairing["white_box"] for pairing in results["pairings"]] == [
        *(True, False, True)
    ]
    [generators] = results["generators"]
    assert generators["members"] == ["a0", "b0", "b1"]
    assert set(results["made_from"]["classifiers"]) == {"a0", "a1", "b0", "b1"}
    assert results["config"]["method"] == "pgd"


@pytest.mark.long
def test_results_are_those_of_the_stored_images(run_dir, inputs, pixels):
    aips = read_aips(run_dir).astype(np.float32)
    results = results_of(run_dir)
    labels = image_fakes.make_model(0)(pixels.astype(np.float32)).numpy().argmax(1)
    for pairing in results["pairings"]:
        path = inputs / "families" / f"{pairing['target']}.keras"
        model = keras.models.load_model(path, compile=False)
        right = model(pixels.astype(np.float32)).numpy().argmax(1) == labels
        wrong = model(aips).numpy().argmax(1) != labels
        top1 = pairing["top1"]
        assert top1["clean"]["wrong"] == NUM_IMAGES - right.sum()
        assert top1["all"]["wrong"] == wrong.sum()
        assert top1["right_before"]["wrong"] == wrong[right].sum()
        assert top1["right_before"]["count"] == right.sum()
    [generators] = results["generators"]
    for norm, sizes in grading.measure(pixels, aips).items():
        assert generators["norms"][norm]["mean"] == sizes.mean()
        assert generators["norms"][norm]["largest"] == sizes.max()


@pytest.fixture
def no_sheets(monkeypatch):
    """Has no sheets drawn, which takes longer than all else."""
    monkeypatch.setattr(sheets, "write_sheets", lambda *args: [])


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "name", "number"),
    [
        (batches, "predict_logits", 2),  # Of the clean images.
        (AipFolder, "_write", 5),
        (batches, "predict_logits", 5),  # Of the perturbed ones.
        (artifacts, "write_json", 8),  # The last: results.json.
    ],
    ids=["asking", "generating", "grading", "reporting"],
)
def test_a_killed_run_resumed_leaves_the_same(
    run_dir, inputs, tmp_path, monkeypatch, no_sheets, module, name, number
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patches, pytest.raises(Killed):
        patches.setattr(module, name, die_in_call(number, getattr(module, name)))
        generate_aips(make_config(inputs, folder, method="pgd"))
    assert not (folder / "results.json").exists()
    generate_aips(make_config(inputs, folder, method="pgd", resume=True))
    found, wanted = contents(folder), contents(run_dir)
    for path in wanted:
        if path.startswith(("aips/", "grades/")):
            assert found[path] == wanted[path], path
    assert set(wanted) - set(found) == {p for p in wanted if p.startswith("figures/")}
    found, wanted = results_of(folder), results_of(run_dir)
    for results in (found, wanted):
        del results["config"]["output_dir"], results["config"]["resume"]
    assert found == wanted


@pytest.mark.long
def test_a_finished_run_resumed_does_nothing_again(
    run_dir, inputs, tmp_path, monkeypatch, no_sheets
):
    folder = shutil.copytree(run_dir, tmp_path / "run")

    def refuse(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(AipFolder, "_write", refuse)
    monkeypatch.setattr(batches, "predict_logits", refuse)
    # How many images are sent at once changes nothing, so it may be another number.
    generate_aips(make_config(inputs, folder, method="pgd", resume=True, batch_size=3))
    assert results_of(folder)["pairings"] == results_of(run_dir)["pairings"]


@pytest.mark.long
def test_the_same_folder_without_resume_is_refused(run_dir, inputs):
    with pytest.raises(UserError, match="holds the same run, finished. Say --resume"):
        generate_aips(make_config(inputs, run_dir, method="pgd"))


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epsilon": 100.0}, r"epsilon 8000\.0, not 100\.0"),
        ({"method": "gaman"}, "method 'pgd', not 'gaman'"),
        ({"generators": "a0"}, "generators 'a0,b', not 'a0'"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(
    run_dir, inputs, settings, message
):
    config = make_config(
        inputs, run_dir, **{"method": "pgd", "resume": True, **settings}
    )
    with pytest.raises(UserError, match=f"run of other settings: .*{message}"):
        generate_aips(config)


@pytest.mark.long
def test_other_targets_are_sent_the_aips_that_are_there(
    run_dir, inputs, tmp_path, monkeypatch, no_sheets
):
    folder = shutil.copytree(run_dir, tmp_path / "run")

    def refuse(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(AipFolder, "_write", refuse)
    settings = {"method": "pgd", "resume": True}
    generate_aips(make_config(inputs, folder, targets="b", **settings))
    results = results_of(folder)
    assert [one["target"] for one in results["pairings"]] == ["b0", "b1"]
    assert results["pairings"][1] == results_of(run_dir)["pairings"][2]
    # And back: what was graded is not sent again.
    monkeypatch.setattr(batches, "predict_logits", refuse)
    generate_aips(make_config(inputs, folder, **settings))
    assert results_of(folder)["pairings"] == results_of(run_dir)["pairings"]


@pytest.fixture
def matrix(inputs, tmp_path, capsys, monkeypatch, no_sheets):
    """A function that has all families attack each other on 4 images.

    It returns results.json and what was printed.
    """

    monkeypatch.setattr(figures, "save_png", lambda *args: None)

    def run(**settings):
        config = make_config(
            *(inputs, tmp_path / "run"),
            **{"generators": "families", "targets": "", "num_images": 4, **settings},
        )
        generate_aips(config)
        printed = " ".join(capsys.readouterr().out.split())
        return results_of(tmp_path / "run"), printed

    return run


@pytest.mark.long
def test_families_are_predicted_from_more_images_than_are_perturbed(matrix, tmp_path):
    results, printed = matrix(num_queries=5)
    assert results["num_query_images"] == NUM_IMAGES
    assert set(results["predicted_families"]) == {"a0", "a1", "b0", "b1"}
    assert {len(named) for named in results["predicted_families"].values()} == {10}
    assert "of 40 cases: for each target, 10 different draws of 5 queries" in printed
    assert len([*(tmp_path / "run" / "aips" / "a0").iterdir()]) == 4


@pytest.mark.long
def test_of_all_images_there_is_one_draw_of_queries(matrix, tmp_path, monkeypatch):
    results, printed = matrix(num_images=0, num_queries=100)
    assert results["num_query_images"] == NUM_IMAGES
    assert {len(named) for named in results["predicted_families"].values()} == {1}
    assert "of 4 cases: for each target, one draw, as all 10 images are" in printed
    assert not (tmp_path / "run" / "query_outputs").exists()
    # Fewer queries of the same images: nothing is asked or made.
    monkeypatch.setattr(batches, "predict_logits", None)
    monkeypatch.setattr(AipFolder, "_write", None)
    results, printed = matrix(num_images=0, num_queries=5, resume=True)
    assert {len(named) for named in results["predicted_families"].values()} == {10}
    assert "10 different draws of 5 queries out of 10 images" in printed


def test_a_folder_of_something_else_is_refused(inputs, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="new or empty folder.*notes.txt"):
        generate_aips(make_config(inputs, tmp_path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generators": "a0,c7"}, "classifier or a family must be.*Received: 'c7'"),
        ({"targets": "b11"}, "must be named.*Received: 'b11'.*Did you mean b1"),
        ({"classifiers": "nowhere.json"}, "--classifiers must be.*nowhere.json"),
        ({"images": "nowhere"}, "--images must be a folder.*'nowhere'"),
    ],
)
def test_what_there_is_not_is_told_in_a_sentence(inputs, tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        generate_aips(make_config(inputs, tmp_path / "run", **settings))
    assert not (tmp_path / "run").exists()


def test_a_target_saved_again_is_no_other_classifier(inputs, tmp_path):
    """As a generator, its twin would make a white box look like a black one."""
    families = shutil.copytree(inputs / "families", tmp_path / "families")
    image_fakes.save_again(families / "a0.keras", families / "c0.keras")
    document = json.loads((families / "manifest.json").read_text())
    document["classifiers"].append({"name": "c0", "family": "c", "file": "c0.keras"})
    (families / "manifest.json").write_text(json.dumps(document))
    settings = {"classifiers": str(families), "generators": "c0", "targets": "a0"}
    with pytest.raises(UserError, match="different ones. Received: a0 and c0"):
        generate_aips(make_config(inputs, tmp_path / "run", **settings))
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_without_targets_the_generators_are_attacked(
    inputs, tmp_path, capsys, no_sheets
):
    generate_aips(make_config(inputs, tmp_path / "run", targets="", num_images=4))
    pairings = results_of(tmp_path / "run")["pairings"]
    assert [one["target"] for one in pairings] == ["a0", "b0", "b1"]
    assert all(one["white_box"] for one in pairings)
    printed = capsys.readouterr().out
    assert "a0 *" in printed and "4 images" in printed
    assert "numbers in results.json" in printed


@pytest.fixture
def attack_linear(inputs, tmp_path, no_sheets):
    """A function that attacks the linear classifier.

    It returns the number of images misclassified, and all AIPs.
    """

    def attack(**settings):
        folder = tmp_path / "_".join(map(str, ["run", *settings.values()]))
        settings = {
            "classifiers": str(inputs / "linear"),
            "images": str(inputs / "linear_images"),
            "generators": "linear",
            "targets": "",
            **settings,
        }
        generate_aips(make_config(inputs, folder, **settings))
        [pairing] = results_of(folder)["pairings"]
        return pairing["top1"]["all"]["wrong"], read_aips(folder)

    return attack


@pytest.mark.long
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("method", METHODS)
def test_aips_are_within_bounds_and_budget_and_leave_the_images_alone(
    inputs, pixels, attack_linear, method, norm
):
    before = contents(inputs / "linear_images")
    wrong, aips = attack_linear(method=method, norm=norm, epsilon=EPSILONS[norm])
    assert wrong == NUM_IMAGES
    # PNG files of bytes cannot leave 0 to 255, but they could wrap around there: a
    # white pixel that turns black would break the budget.
    assert aips.dtype == np.uint8
    sizes = grading.measure(pixels, aips)[norm]
    epsilon = EPSILONS[norm] * (8 / 224 if norm == "l2" else 1)
    assert (sizes <= epsilon).all() and (sizes > 0.5 * epsilon).all()
    assert contents(inputs / "linear_images") == before


@pytest.mark.long
def test_a_larger_epsilon_never_helps_the_target(pixels, attack_linear):
    wrong = {}
    for epsilon in (0, 60, 200, 1000, 8000):
        wrong[epsilon], aips = attack_linear(epsilon=epsilon)
        if epsilon == 0:
            np.testing.assert_array_equal(aips, pixels)
    assert list(wrong.values()) == sorted(wrong.values())
    assert wrong[0] == 0 and 0 < wrong[1000] and wrong[8000] == NUM_IMAGES
