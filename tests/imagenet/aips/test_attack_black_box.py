"""The attack on a black box: asked, named, attacked, and asked nothing twice."""

import json
import shutil
import sys

import family_fakes
import image_fakes
import keras
import numpy as np
import pytest
import tensorflow as tf
from family_fakes import make_registry
from image_fakes import Killed, die_in_call

from kennen_tf.attack_black_box import attack_black_box
from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.black_boxes.forms import Form
from kennen_tf.configs.aips import AttackConfig
from kennen_tf.imagenet.aips import attacked_box, box_answers, sheets
from kennen_tf.imagenet.aips.aip_folder import AipFolder
from kennen_tf.imagenet.classifiers import batches
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

NUM_IMAGES = 7
SIZE = image_fakes.IMAGE_SIZE
FORM = Form(
    noun="images", shapes=((None, None, 3),), num_classes=image_fakes.NUM_CLASSES
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with two families, each of similar classifiers, and images.

    Labels are what b0, the black box, says.
    """
    folder = tmp_path_factory.mktemp("inputs")
    family_fakes.write_manifest(folder / "families", a=2, b=2)
    pixels = image_fakes.make_images(NUM_IMAGES)
    model = family_fakes.make_classifier_model(1, 0)
    image_fakes.write_images(folder / "images", model(pixels).numpy().argmax(1))
    return folder


def make_config(inputs, output_dir, **settings):
    return AttackConfig(
        **{
            "black_box": str(inputs / "families" / "b0.keras"),
            "classifiers": str(inputs / "families"),
            "images": str(inputs / "images"),
            "epsilon": 8000.0,
            "num_steps": 3,
            "num_queries": 6,
            "output_dir": str(output_dir),
            **settings,
        }
    )


@pytest.fixture(scope="module")
def run_dir(inputs, tmp_path_factory):
    """The folder of a finished run. Not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    attack_black_box(make_config(inputs, folder, compare=True))
    return folder


@pytest.fixture
def no_sheets(monkeypatch):
    """Has no sheets drawn, which takes longer than all else."""
    monkeypatch.setattr(sheets, "write_sheets", lambda *args: [])


def files_of(folder):
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"]
    return {p.relative_to(folder).as_posix() for p in files}


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


def without_folder(results):
    """The part of results.json that the same settings decide."""
    config = {
        key: value
        for key, value in results["config"].items()
        if key not in ("output_dir", "resume")
    }
    return {**results, "config": config}


class Box:
    """A function that answers as b0 does, and counts the images it is sent."""

    def __init__(self, change=lambda answers: answers, scale=1.0):
        self.model = family_fakes.make_classifier_model(1, 0)
        self.change, self.scale = change, scale
        self.images = []

    def __call__(self, images):
        assert images.dtype == np.float32
        self.images += list(images)
        return self.change(self.model(self.scale * images).numpy())


@pytest.fixture
def serve(monkeypatch):
    """Makes a function the black box "served:answer"."""

    def serve(answer):
        module = type(sys)("served")
        module.answer = answer
        monkeypatch.setitem(sys.modules, "served", module)
        return "served:answer"

    return serve


# What a run leaves.


@pytest.mark.long
def test_a_run_leaves_answers_images_figures_and_results(run_dir):
    found = files_of(run_dir)
    generators = {p.name for p in (run_dir / "aips").iterdir()}
    [each] = generators - {"b1"}
    assert {name[0] for name in each.split("+")} == {"a", "b"} and "b0" not in each
    assert found == {
        *(f"answers/{count:06d}.npz" for count in (0, NUM_IMAGES, 2 * NUM_IMAGES)),
        *(
            f"aips/{name}/image{i:03d}.png"
            for name in generators
            for i in range(NUM_IMAGES)
        ),
        "batch_sizes.json",
        "config.json",
        "figures/sheet-l2-b-on-black-box.png",
        "grades/black box.json",
        *family_fakes.output_files(3),
        "results.json",
    }


@pytest.mark.long
def test_results_hold_the_family_and_what_became_of_the_images(run_dir):
    results = results_of(run_dir)
    assert results["predicted_family"] == "b"
    assert results["family_scores"]["b"] > results["family_scores"]["a"]
    own, each = results["pairings"]
    assert own["target"] == each["target"] == "black box"
    assert own["family"] == "b (predicted)"
    assert (own["generated_on"], own["generators"]) == ("b", "b1")
    assert each["generated_on"] == "one of each"
    assert not own["white_box"] and not each["white_box"]
    assert set(results["made_from"]["classifiers"]) == {"a0", "a1", "b1"}
    # Clean, and perturbed on each of the two sets.
    assert results["num_images_answered"] == 3 * NUM_IMAGES


@pytest.mark.long
def test_grades_are_what_the_black_box_makes_of_the_stored_images(run_dir, inputs):
    model = keras.models.load_model(inputs / "families" / "b0.keras", compile=False)
    pixels = image_fakes.make_images(NUM_IMAGES).astype(np.float32)
    labels = model(pixels).numpy().argmax(1)
    for pairing in results_of(run_dir)["pairings"]:
        folder = run_dir / "aips" / pairing["generators"]
        files = [folder / f"image{i:03d}.png" for i in range(NUM_IMAGES)]
        aips = np.stack([tf.io.decode_image(f.read_bytes()).numpy() for f in files])
        wrong = model(aips.astype(np.float32)).numpy().argmax(1) != labels
        top1 = pairing["top1"]
        assert top1["clean"]["wrong"] == 0
        assert top1["all"]["wrong"] == top1["right_before"]["wrong"] == wrong.sum()
        # Its family's classifiers are like it.
        assert wrong.all()


@pytest.mark.long
def test_tables_are_printed_and_the_black_box_itself_is_left_out(
    run_dir, inputs, tmp_path, capsys, caplog, no_sheets
):
    folder = shutil.copytree(run_dir, tmp_path / "run")
    with caplog.at_level("INFO", logger="absl"):
        attack_black_box(make_config(inputs, folder, compare=True, resume=True))
    assert "b0 is the black box itself and takes no part." in caplog.messages
    printed = capsys.readouterr().out
    assert "The family predicted is b, for " in printed and "b (predicted)" in printed
    assert "By the metamodel svm, from the outputs for 6 images." in printed
    assert "The black box answered 21 images, 0 of them in this run." in printed


@pytest.fixture
def attacked(monkeypatch):
    """A function that returns the families that would name and attack a black box."""

    def families_of(config):
        found = []
        module = sys.modules[attack_black_box.__module__]
        with monkeypatch.context() as patches:
            patches.setattr(module, "_attack", lambda *args: found.append(args[2]))
            attack_black_box(config)
        return [[c.name for c in own] for own in found[0].families.values()]

    return families_of


def test_the_black_box_itself_is_known_however_it_was_saved(inputs, tmp_path, attacked):
    twin, stranger = tmp_path / "twin.keras", tmp_path / "stranger.keras"
    image_fakes.save_again(inputs / "families" / "b0.keras", twin)
    family_fakes.make_classifier_model(1, 7).save(stranger)
    config = make_config(inputs, tmp_path / "run", black_box=str(twin))
    assert attacked(config) == [["a0", "a1"], ["b1"]]
    config = make_config(inputs, tmp_path / "other", black_box=str(stranger))
    assert attacked(config) == [["a0", "a1"], ["b0", "b1"]]


# Kinds of black boxes.


@pytest.mark.long
def test_a_saved_model_is_attacked(inputs, tmp_path, no_sheets):
    model = family_fakes.make_classifier_model(0, 7)
    model.export(str(tmp_path / "saved"), verbose=False)
    config = make_config(
        *(inputs, tmp_path / "run"), black_box=str(tmp_path / "saved"), num_images=6
    )
    attack_black_box(config)
    results = results_of(tmp_path / "run")
    assert results["predicted_family"] == "a"
    # It is nobody at hand, so all of its family generate, and no others are compared.
    [pairing] = results["pairings"]
    assert pairing["generators"] == "a0+a1"
    assert results["num_images_answered"] == 2 * 6


def softmax(logits):
    return tf.nn.softmax(logits).numpy()


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "change", "scale"),
    [
        ({"outputs": "probabilities"}, lambda x: softmax(x).round(4), 1.0),
        ({"outputs": "log-probabilities", "pixels": "unit"}, tf.nn.log_softmax, 255.0),
    ],
    ids=["rounded probabilities", "unit pixels"],
)
def test_a_function_is_used_by_its_answers_alone(
    inputs, tmp_path, serve, no_sheets, settings, change, scale
):
    box = Box(change, scale)
    attack_black_box(
        make_config(inputs, tmp_path / "run", black_box=serve(box), **settings)
    )
    results = results_of(tmp_path / "run")
    assert results["predicted_family"] == "b"
    # Nobody knows that it is b0, which generates, too.
    [pairing] = results["pairings"]
    assert pairing["generators"] == "b0+b1" and not pairing["white_box"]
    assert len(box.images) == results["num_images_answered"] == 2 * NUM_IMAGES
    sent = np.stack(box.images)
    assert sent.shape[1:] == (SIZE, SIZE, 3)
    assert (sent.min(), sent.max()) == (0, 255 / scale)
    clean = image_fakes.make_images(NUM_IMAGES)
    np.testing.assert_allclose(sent[:NUM_IMAGES], clean / scale, rtol=1e-6)


# Runs that were stopped.


class DyingBox(Box):
    """Dies when it is sent the image of that number, before it answers."""

    def __init__(self, number, images_at_once):
        super().__init__()
        self.number, self.images_at_once = number, images_at_once

    def __call__(self, images):
        assert len(images) <= self.images_at_once
        if len(self.images) < self.number <= len(self.images) + len(images):
            self.number = 0
            raise Killed
        return super().__call__(images)


@pytest.mark.long
@pytest.mark.parametrize("number", [6, 19], ids=lambda n: f"image {n}")
def test_a_black_box_is_sent_nothing_that_it_answered(
    run_dir, inputs, tmp_path, serve, no_sheets, monkeypatch, number
):
    monkeypatch.setattr(box_answers, "_IMAGES_AT_ONCE", 4)
    box = DyingBox(number, images_at_once=4)
    settings = {"black_box": serve(box), "compare": True}
    with pytest.raises(Killed):
        attack_black_box(make_config(inputs, tmp_path / "run", **settings))
    assert not (tmp_path / "run" / "results.json").exists()
    attack_black_box(make_config(inputs, tmp_path / "run", resume=True, **settings))
    assert len(box.images) == 3 * NUM_IMAGES
    assert len({image.tobytes() for image in box.images}) == 3 * NUM_IMAGES
    assert results_of(tmp_path / "run")["num_images_answered"] == 3 * NUM_IMAGES


def test_a_lost_file_of_answers_is_asked_again_and_no_other_is_written_over(tmp_path):
    box = Box()

    def open_again():
        black = BlackBox("box", box, outputs_kind="logits", pixels="byte", form=FORM)
        return box_answers.BoxAnswers(black, tmp_path)

    pixels = image_fakes.make_images(3 * NUM_IMAGES)
    first = open_again()
    for start in range(0, 3 * NUM_IMAGES, NUM_IMAGES):
        first.probabilities(pixels[start : start + NUM_IMAGES])
    kept = [tmp_path / f"{count:06d}.npz" for count in (NUM_IMAGES, 2 * NUM_IMAGES)]
    before = [path.read_bytes() for path in kept]
    (tmp_path / "000000.npz").unlink()
    open_again().probabilities(pixels)
    assert len(box.images) == 4 * NUM_IMAGES
    assert [path.read_bytes() for path in kept] == before
    assert open_again().num_images == 3 * NUM_IMAGES


@pytest.mark.parametrize("content", [b"", b"no answers", "cut"])
def test_a_damaged_file_of_answers_is_named(tmp_path, content):
    black_box = BlackBox("box", Box(), outputs_kind="logits", pixels="byte", form=FORM)
    answers = box_answers.BoxAnswers(black_box, tmp_path)
    answers.probabilities(image_fakes.make_images(NUM_IMAGES))
    path = tmp_path / "000000.npz"
    path.write_bytes(path.read_bytes()[:-30] if content == "cut" else content)
    with pytest.raises(UserError, match="000000.npz must hold answers.*sent again"):
        box_answers.BoxAnswers(black_box, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize(
    ("removed", "module", "name", "number"),
    [
        (("outputs", "aips", "grades"), batches, "predict_logits", 2),
        (("aips", "grades"), AipFolder, "_write", 5),
        ((), artifacts, "write_json", 1),
    ],
    ids=["asking classifiers", "generating", "reporting"],
)
def test_a_killed_run_resumed_ends_with_the_same_results(
    run_dir, inputs, tmp_path, monkeypatch, no_sheets, removed, module, name, number
):
    folder = shutil.copytree(run_dir, tmp_path / "run")
    (folder / "results.json").unlink()
    for done_later in removed:
        shutil.rmtree(folder / done_later)
    config = make_config(inputs, folder, compare=True, resume=True)
    with monkeypatch.context() as patches, pytest.raises(Killed):
        patches.setattr(module, name, die_in_call(number, getattr(module, name)))
        attack_black_box(config)
    assert not (folder / "results.json").exists()
    attack_black_box(config)
    assert without_folder(results_of(folder)) == without_folder(results_of(run_dir))


@pytest.mark.long
def test_a_finished_run_resumed_asks_nobody(
    run_dir, inputs, tmp_path, monkeypatch, no_sheets
):
    folder = shutil.copytree(run_dir, tmp_path / "run")

    def refuse(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(batches, "predict_logits", refuse)
    monkeypatch.setattr(BlackBox, "probabilities", refuse)
    monkeypatch.setattr(AipFolder, "_write", refuse)
    attack_black_box(make_config(inputs, folder, compare=True, resume=True))
    assert without_folder(results_of(folder)) == without_folder(results_of(run_dir))


@pytest.mark.long
def test_what_to_compare_may_be_left_out_and_asked_for_later(
    run_dir, inputs, tmp_path, serve, no_sheets
):
    box = Box()
    settings = {"black_box": serve(box)}
    folder = tmp_path / "run"
    attack_black_box(make_config(inputs, folder, **settings))
    before = {name: (folder / name).read_bytes() for name in paid_for(folder)}
    assert len(box.images) == 2 * NUM_IMAGES
    # Asked for: the AIPs of one classifier of each family are made and sent, no others.
    settings["resume"] = True
    attack_black_box(make_config(inputs, folder, compare=True, **settings))
    assert len(box.images) == 3 * NUM_IMAGES
    attack_black_box(make_config(inputs, tmp_path / "fresh", compare=True, **settings))
    wanted = without_folder(results_of(tmp_path / "fresh"))
    assert without_folder(results_of(folder)) == wanted
    # Left out: nothing is sent, and nothing is lost.
    num_images = len(box.images)
    attack_black_box(make_config(inputs, folder, **settings))
    assert len(box.images) == num_images
    assert [one["generated_on"] for one in results_of(folder)["pairings"]] == ["b"]
    assert {n: (folder / n).read_bytes() for n in before} == before
    assert paid_for(folder) == paid_for(tmp_path / "fresh")


def paid_for(folder):
    """Names of the files of AIPs and answers."""
    return {n for n in files_of(folder) if n.startswith(("aips/", "answers/"))}


@pytest.mark.long
def test_another_metamodel_makes_only_what_is_missing(
    run_dir, inputs, tmp_path, monkeypatch, no_sheets
):
    folder = shutil.copytree(run_dir, tmp_path / "run")

    def refuse(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(BlackBox, "probabilities", refuse)
    monkeypatch.setattr(AipFolder, "_write", refuse)
    reading = {"metamodel": "ridge", "num_queries": 7}
    attack_black_box(make_config(inputs, folder, compare=True, resume=True, **reading))
    results = results_of(folder)
    assert {name: results["config"][name] for name in reading} == reading
    assert results["family_scores"] != results_of(run_dir)["family_scores"]
    assert results["pairings"] == results_of(run_dir)["pairings"]


@pytest.mark.long
def test_another_black_box_in_the_same_folder_is_refused(run_dir, inputs, tmp_path):
    with pytest.raises(UserError, match="holds the same run, finished. Say --resume"):
        attack_black_box(make_config(inputs, run_dir, compare=True))
    other = str(inputs / "families" / "b1.keras")
    config = make_config(inputs, run_dir, black_box=other, compare=True, resume=True)
    with pytest.raises(UserError, match="other settings: black_box .*not .*b1.keras"):
        attack_black_box(config)


# What does not fit.


@pytest.fixture
def nobody_is_asked(monkeypatch):
    """Has a test fail in which a classifier at hand is asked."""

    def refuse(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(batches, "predict_logits", refuse)


@pytest.mark.usefixtures("nobody_is_asked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, :5], r"served:answer must answer 6 numbers.*shape \(7, 5\)"),
        (lambda x: x[:3], r"shape \(7, 6\) for 7 images. Received: shape \(3, 6\)"),
        (softmax, "say --outputs=probabilities"),
        (lambda x: x * np.nan, "NaN"),
        (lambda x: 1 / 0, "served:answer failed.*ZeroDivisionError"),
    ],
)
def test_answers_that_do_not_fit_are_told_at_once(
    inputs, tmp_path, serve, change, message
):
    config = make_config(inputs, tmp_path / "run", black_box=serve(Box(change)))
    with pytest.raises(UserError, match=message):
        attack_black_box(config)


@pytest.mark.usefixtures("nobody_is_asked")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 9}, "must be that of the black box, 8, or.*image_size=9"),
        ({"black_box": "nowhere.keras"}, "Received: nowhere.keras, and there is no"),
        ({"black_box": "nowhere:f"}, "No module named 'nowhere'"),
        ({"classifiers": "nowhere.json"}, "--classifiers must be.*nowhere.json"),
        ({"images": "nowhere"}, "--images must be a folder.*'nowhere'"),
    ],
)
def test_what_there_is_not_is_told_in_a_sentence(inputs, tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        attack_black_box(make_config(inputs, tmp_path / "run", **settings))
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("nobody_is_asked")
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((8, 9, 3), r"must take square images. Received: .*takes \(8, 9, 3\)"),
        ((8, 8, 1), r"must take images of one of the shapes.*takes \(8, 8, 1\)"),
    ],
)
def test_a_black_box_of_other_images_is_refused(inputs, tmp_path, shape, message):
    model = keras.Sequential(
        [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(6)]
    )
    model.save(tmp_path / "other.keras")
    config = make_config(
        *(inputs, tmp_path / "run"), black_box=str(tmp_path / "other.keras")
    )
    with pytest.raises(UserError, match=message):
        attack_black_box(config)


@pytest.mark.usefixtures("nobody_is_asked")
def test_without_the_black_box_two_families_must_be_left(inputs, tmp_path):
    path = family_fakes.write_manifest(tmp_path / "families", a=2, b=1)
    config = make_config(
        *(inputs, tmp_path / "run"),
        classifiers=str(path),
        black_box=str(tmp_path / "families" / "b0.keras"),
    )
    message = r"two families or more.*with \['a'\] without the black box itself, b0"
    with pytest.raises(UserError, match=message):
        attack_black_box(config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"black_box": ""}, "--black_box must be given"),
        ({"outputs": "labels"}, "--outputs must be one of .*outputs='labels'"),
        ({"pixels": "float"}, "--pixels must be one of .*pixels='float'"),
        ({"metamodel": "all"}, "--metamodel must be one of .*metamodel='all'"),
        ({"num_queries": 0}, "--num_queries must be at least 1"),
    ],
)
def test_settings_are_checked(inputs, tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        make_config(inputs, tmp_path, **settings)


# Parts.


@pytest.mark.parametrize(
    ("shape", "wanted", "size"),
    [
        ((8, 8, 3), 0, 8),
        ((8, 8, 3), 8, 8),
        ((None, 12, 3), 0, 12),
        ((None, None, 3), 20, 20),
        ((None, None, 3), 0, 8),  # The largest of the classifiers.
    ],
)
def test_images_have_the_size_that_the_black_box_takes(shape, wanted, size):
    box = BlackBox("a", lambda _: None, form=FORM, image_shape=shape)
    registry = make_registry(a=1, b=1)
    assert attacked_box.find_image_size(box, wanted, registry) == size


def test_a_black_box_is_known_by_its_file_or_by_the_files_of_its_folder(tmp_path):
    path = tmp_path / "saved"
    (path / "variables").mkdir(parents=True)
    (path / "variables" / "data").write_text("weights")
    file = attacked_box.identify(str(path / "variables" / "data"))
    assert file == artifacts.sha256_of_file(path / "variables" / "data")
    before = attacked_box.identify(str(path))
    assert before == attacked_box.identify(str(path))
    (path / "variables" / "data").write_text("others")
    assert attacked_box.identify(str(path)) != before
    assert attacked_box.identify("module:function") == "module:function"


def test_the_predicted_family_generates_and_is_compared_if_wanted():
    registry = make_registry(a=2, b=3)
    [pairing] = attacked_box.pair(registry, "b", compare=False, seed=0)
    assert pairing.generators.classifiers == registry.families["b"]
    assert pairing.target not in registry.classifiers
    with pytest.raises(RuntimeError, match="never opened"):
        pairing.target.open()
    own, each = attacked_box.pair(registry, "b", compare=True, seed=0)
    assert own == pairing
    assert sorted(c.family for c in each.generators.classifiers) == ["a", "b"]


def test_answers_are_those_of_each_image_in_any_order(tmp_path):
    box = BlackBox(
        "a", served := Box(), outputs_kind="logits", pixels="byte", form=FORM
    )
    answers = box_answers.BoxAnswers(box, tmp_path)
    pixels = image_fakes.make_images(4)
    wanted = softmax(served.model(pixels.astype(np.float32)))
    before = pixels.copy()
    twice = [2, 0, 2]
    for places in (twice, [1, 2], [0, 1, 2, 3]):
        found = answers.probabilities(pixels[places])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted[places], rtol=1e-4)
    assert len(served.images) == answers.num_images == answers.num_sent == 4
    np.testing.assert_array_equal(pixels, before)


def test_answers_are_kept_and_half_written_ones_are_removed(tmp_path):
    pixels = image_fakes.make_images(6)

    def ask(served, places):
        box = BlackBox("a", served, outputs_kind="logits", pixels="byte", form=FORM)
        answers = box_answers.BoxAnswers(box, tmp_path)
        return answers.probabilities(pixels[places]), answers

    before, _ = ask(Box(), [0, 1, 2])
    (tmp_path / f"000003{artifacts.TEMPORARY_MARK}1.npz").touch()
    served = Box()
    after, answers = ask(served, range(6))
    np.testing.assert_array_equal(after[:3], before)
    assert (answers.num_images, answers.num_sent) == (6, 3)
    assert len(served.images) == 3
    assert sorted(files_of(tmp_path)) == ["000000.npz", "000003.npz"]
