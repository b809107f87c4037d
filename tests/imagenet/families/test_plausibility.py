"""Results that cannot be right are called out before anything costly."""

import family_fakes
import image_fakes
import numpy as np
import pytest
from family_fakes import make_registry

from kennen_tf.attack_black_box import attack_black_box
from kennen_tf.configs.aips import AipConfig, AttackConfig
from kennen_tf.configs.family_prediction import FamilyPredictionConfig
from kennen_tf.generate_aips import generate_aips
from kennen_tf.imagenet.aips import sheets
from kennen_tf.imagenet.aips.aip_run import AipRun
from kennen_tf.imagenet.classifiers import manifest
from kennen_tf.imagenet.families import plausibility
from kennen_tf.predict_family import predict_family
from kennen_tf.vocabulary import artifacts

NUM_IMAGES = 30
NAMES = ("a0", "a1", "b0", "b1")


@pytest.mark.parametrize(
    ("num_right", "count", "num_classes", "is_near"),
    [
        # Labels off by one: 40 times chance, but neighbours are alike.
        (8, 200, 1000, True),
        # Weak classifiers, or hard images.
        (24, 200, 1000, False),
        (60, 200, 10, False),
        (20, 200, 10, True),
        (104, 200, 2, True),
        (120, 200, 2, False),
        # Few images.
        (0, 4, 1000, True),
        (0, 3, 1000, False),
        (1, 5, 1000, False),
        (0, 0, 1000, False),
    ],
)
def test_near_chance_by_hand(num_right, count, num_classes, is_near):
    accuracy = num_right / max(count, 1)
    assert plausibility.is_near_chance(accuracy, count, num_classes) == is_near


@pytest.mark.long
@pytest.mark.parametrize("num_classes", [2, 10, 1000])
def test_guesses_are_called_out_and_good_answers_are_not(num_classes):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, num_classes, (1000, 100))
    guesses = rng.integers(0, num_classes, (1000, 100))
    good = np.where(rng.random((1000, 100)) < 0.75, labels, guesses)
    for answers, wanted in ((guesses, 0.75), (good, 0.0)):
        found = [
            plausibility.is_near_chance(accuracy, 100, num_classes)
            for accuracy in (answers == labels).mean(axis=1)
        ]
        # Of two classes, a hundred guesses may do better than a tenth of the way.
        assert np.mean(found) >= wanted if wanted else not any(found)


def make_outputs(accuracies):
    """Makes outputs for 20 images of classifiers with these accuracies."""
    return family_fakes.make_outputs(
        {
            name: np.eye(6)[(np.arange(20) >= round(20 * share)).astype(int)]
            for name, share in accuracies.items()
        }
    )


def test_one_classifier_among_good_ones_is_named():
    classifiers = make_registry(a=2, b=1).classifiers
    outputs = make_outputs({"a0": 0.9, "a1": 0.1, "b0": 0.8})
    [note] = plausibility.check_classifiers(classifiers, outputs)
    assert "90.0% of 20 images for a1, not for the others" in note
    assert "manifest" in note
    outputs = make_outputs({"a0": 0.9, "a1": 0.7, "b0": 0.8})
    assert plausibility.check_classifiers(classifiers, outputs) == []


# The binaries.


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Two families of which all classifiers are mostly right, and images.

    Beside them, the same images with labels that are one more, and the same classifiers
    of which it is said that they take pixels from 0 to 1.
    """
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "right").mkdir()
    (folder / "unit").mkdir()
    rows = []
    for index, name in enumerate(NAMES):
        model = family_fakes.make_classifier_model(0, index)
        for place in ("right", "unit"):
            model.save(folder / place / f"{name}.keras")
        rows.append({"name": name, "family": name[0], "file": f"{name}.keras"})
    manifest.write_manifest(folder / "right" / "manifest.json", rows)
    unit = [{**row, "pixels": "unit"} for row in rows]
    manifest.write_manifest(folder / "unit" / "manifest.json", unit)
    model = family_fakes.make_classifier_model(0, 0)
    labels = model(image_fakes.make_images(NUM_IMAGES)).numpy().argmax(1)
    image_fakes.write_images(folder / "images", labels)
    image_fakes.write_images(folder / "shifted", (labels + 1) % image_fakes.NUM_CLASSES)
    return folder


@pytest.fixture(params=[predict_family, generate_aips, attack_black_box])
def run(request, inputs, tmp_path, monkeypatch, caplog, capsys):
    """Runs a binary; returns what it warned of before AIPs, printed and wrote."""
    own = {
        predict_family: (
            FamilyPredictionConfig,
            {"num_queries": 5, "curve": "5", "num_folds": 2, "num_draws": 1},
        ),
        generate_aips: (AipConfig, {"generators": "a0", "targets": "b"}),
        attack_black_box: (
            AttackConfig,
            {"black_box": str(inputs / "right" / "b1.keras"), "num_queries": 5},
        ),
    }

    def run(binary=request.param, classifiers="right", images="images", **more):
        config_class, settings = own[binary]
        if binary is not predict_family:
            settings = {**settings, "num_steps": 1}
        binary(
            config_class(
                classifiers=str(inputs / classifiers),
                images=str(inputs / images),
                output_dir=str(tmp_path / "run"),
                **settings,
                **more,
            )
        )
        results = artifacts.read_json(
            tmp_path / "run" / "results.json", wanted="results", make_with="it"
        )
        warned = early if binary is not predict_family else warnings()
        printed = " ".join(capsys.readouterr().out.split())  # Lines were broken.
        return warned, printed, results["warnings"]

    def warnings():
        records = [r for r in caplog.records if r.name == "absl"]
        return [r.getMessage() for r in records if r.levelname == "WARNING"]

    def generate(self, sets):
        early.extend(warnings())
        generate_whole(self, sets)

    early = []
    generate_whole = AipRun.generate
    monkeypatch.setattr(AipRun, "generate", generate)
    monkeypatch.setattr(sheets, "write_sheets", lambda *args: [])
    return run


@pytest.mark.long
def test_labels_off_by_one_are_called_out(run):
    warned, printed, written = run(images="shifted")
    assert written and set(written) <= set(warned)
    for note in written:
        assert "Near chance: clean error is " in note and f"{NUM_IMAGES} images" in note
        assert "numbered from 1" in note and "With labels one less, it is" in note
        assert note in printed
    assert any("all that were asked" in note for note in written)


@pytest.mark.long
def test_wrong_pixels_in_a_manifest_are_called_out(run):
    warned, printed, written = run(classifiers="unit")
    [note] = written
    assert note in warned and note in printed
    assert "all that were asked" in note and "pixels in the manifest" in note
    assert "With labels" not in note


@pytest.mark.long
@pytest.mark.parametrize("run", [attack_black_box], indirect=True)
def test_wrong_pixels_of_the_black_box_alone_are_called_out(run):
    warned, printed, written = run(pixels="unit")
    [note] = written
    assert note in warned and note in printed
    assert "for the black box. " in note and "(--pixels)" in note


@pytest.mark.long
def test_plausible_classifiers_are_not_called_out(run):
    warned, printed, written = run()
    assert warned == written == []
    assert "Near chance" not in printed


@pytest.mark.long
def test_what_is_wrong_with_the_first_is_known_before_the_others_are_asked(
    inputs, tmp_path, monkeypatch, caplog
):
    def check(classifiers, outputs):
        checked.append([classifier.name for classifier in classifiers])
        return []

    checked = []
    monkeypatch.setattr(plausibility, "check_classifiers", check)
    predict_family(
        FamilyPredictionConfig(
            classifiers=str(inputs / "right"),
            images=str(inputs / "images"),
            output_dir=str(tmp_path / "run"),
            **{"num_queries": 5, "curve": "5", "num_folds": 2, "num_draws": 1},
        )
    )
    assert checked == [["a0"], list(NAMES)]
