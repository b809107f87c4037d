"""Runs of attacks, read again: what was asked, and what is refused."""

import json
import shutil

import family_fakes
import image_fakes
import numpy as np
import pytest

from kennen_tf.attack_black_box import attack_black_box
from kennen_tf.audit_classifier import audit_classifier
from kennen_tf.configs.aips import AttackConfig
from kennen_tf.configs.auditing import AuditConfig
from kennen_tf.imagenet.aips import sheets
from kennen_tf.imagenet.aips.generator_sets import ONE_OF_EACH
from kennen_tf.imagenet.attacks import grading
from kennen_tf.imagenet.auditing import attack_folder, family_audit
from kennen_tf.vocabulary.errors import UserError

NUM_IMAGES = 7


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """The folder of a finished run with all families. Not to be written to."""
    folder = tmp_path_factory.mktemp("runs")
    family_fakes.write_manifest(folder / "families", a=2, b=2)
    model = family_fakes.make_classifier_model(1, 0)
    labels = model(image_fakes.make_images(NUM_IMAGES)).numpy().argmax(1)
    image_fakes.write_images(folder / "images", labels)
    config = AttackConfig(
        black_box=str(folder / "families" / "b0.keras"),
        classifiers=str(folder / "families"),
        images=str(folder / "images"),
        epsilon=8000.0,
        num_steps=3,
        num_queries=4,
        output_dir=str(folder / "run"),
        compare=True,
        every_family=True,
    )
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(sheets, "write_sheets", lambda *args: [])
        attack_black_box(config)
    return folder / "run"


def change(folder, name, **changes):
    """Changes fields of a JSON file of a run; None removes one."""
    document = json.loads((folder / name).read_text()) | changes
    left = {key: value for key, value in document.items() if value is not None}
    (folder / name).write_text(json.dumps(left))


@pytest.mark.long
def test_all_that_was_answered_is_read(run_dir):
    answers = attack_folder.open_answers(run_dir)
    assert {n: len(o) for n, o in answers.families.families.items()} == {"a": 2, "b": 1}
    assert answers.predicted_family == "b"
    assert answers.clean.shape == (NUM_IMAGES, image_fakes.NUM_CLASSES)
    model = family_fakes.make_classifier_model(1, 0)
    logits = model(image_fakes.make_images(NUM_IMAGES)).numpy()
    assert (answers.clean.argmax(1) == logits.argmax(1)).all()
    assert set(answers.outputs.probabilities) == {"a0", "a1", "b1"}
    assert answers.outputs.accuracy["b1"] > answers.outputs.accuracy["a0"]
    assert answers.generators["a"] == ("a0", "a1")
    assert set(answers.perturbed) == {"a", "b", ONE_OF_EACH}


@pytest.mark.long
def test_aips_are_graded_as_the_run_graded_them(run_dir):
    answers = attack_folder.open_answers(run_dir)
    results = json.loads((run_dir / "results.json").read_text())
    assert [p["generated_on"] for p in results["pairings"]] == ["b", "a", ONE_OF_EACH]
    for pairing in results["pairings"]:
        rows = answers.perturbed[pairing["generated_on"]]
        ranks = grading.rank_labels(rows, answers.labels)
        assert (ranks > 0).sum() == pairing["top1"]["all"]["wrong"]
    audit = family_audit.audit(answers, ["label"], family="b", num_draws=2)
    for pairing in results["pairings"]:
        rate = audit.defences[0].misclassified[pairing["generated_on"]]
        assert rate.rate == pairing["top1"]["right_before"]["rate"]
    assert audit.without_aips == []


@pytest.mark.long
def test_aips_that_a_run_never_made_are_not_there(run_dir, tmp_path):
    folder = shutil.copytree(run_dir, tmp_path / "run")
    shutil.rmtree(folder / "aips" / "a0+a1")
    with pytest.raises(UserError, match="not all of those made on a. Run"):
        attack_folder.open_answers(folder)
    pairings = json.loads((folder / "results.json").read_text())["pairings"]
    left = [pairing for pairing in pairings if pairing["generated_on"] != "a"]
    change(folder, "results.json", pairings=left)
    assert set(attack_folder.open_answers(folder).perturbed) == {"b", ONE_OF_EACH}


@pytest.mark.long
def test_lost_answers_are_named(run_dir, tmp_path):
    folder = shutil.copytree(run_dir, tmp_path / "run")
    (folder / "answers" / "000000.npz").unlink()
    with pytest.raises(UserError, match=f"all {NUM_IMAGES} clean images. Received"):
        attack_folder.open_answers(folder)


@pytest.mark.long
def test_another_classifier_than_took_part_is_named(run_dir, tmp_path):
    folder = shutil.copytree(run_dir, tmp_path / "run")
    made_from = json.loads((folder / "results.json").read_text())["made_from"]
    made_from["classifiers"]["a1"] = "another"
    change(folder, "results.json", made_from=made_from)
    with pytest.raises(UserError, match="answers of a1, who took part"):
        attack_folder.open_answers(folder)


# Folders that are no such run's.


@pytest.mark.long
def test_the_binary_reports_on_a_family(run_dir, tmp_path):
    audit_classifier(
        AuditConfig(
            attack_dir=str(run_dir),
            family="b",
            defences="label",
            report_dir=str(tmp_path / "audit"),
        )
    )
    document = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert document["family"]["family"] == "b"
    assert (tmp_path / "audit" / "family.png").exists()
    page = (tmp_path / "audit" / "index.html").read_text()
    assert "The family of an ImageNet classifier" in page
    assert not (tmp_path / "audit" / "defences.csv").exists()


@pytest.fixture
def folder(tmp_path):
    """What is looked at first in a finished run."""
    config = {"schema_version": 1, "kind": "attack_black_box"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    results = {"schema_version": 1, "config": {"compare": True}, "image_names": ["a"]}
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("config.json", {"kind": "predict_family"}, "of attack_black_box. Received"),
        ("config.json", {"schema_version": 9}, "schema version 1. Received: 9"),
        ("results.json", {"schema_version": 9}, "schema version 1. Received: 9"),
        ("results.json", {"config": {"compare": False}}, "without --compare"),
        ("results.json", {"image_names": None}, "an earlier version.*--resume"),
    ],
)
def test_what_does_not_do_is_refused_with_what_to_do(folder, name, changes, message):
    change(folder, name, **changes)
    with pytest.raises(UserError, match=message):
        attack_folder.open_answers(folder)


def test_a_run_that_is_not_finished_is_refused(folder):
    (folder / "results.json").unlink()
    with pytest.raises(UserError, match="finished attack.*--resume to its end"):
        attack_folder.open_answers(folder)


def test_a_folder_of_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="No attack at .*attack_black_box --compare"):
        attack_folder.open_answers(tmp_path / "nowhere")


def test_a_list_in_place_of_settings_is_refused(folder):
    (folder / "config.json").write_text(json.dumps(np.arange(3).tolist()))
    with pytest.raises(UserError, match="of something else"):
        attack_folder.open_answers(folder)
