"""A run that makes AIPs and grades them: stopped, resumed, and graded on 8 bits."""

import dataclasses
import functools
import json
import shutil

import image_fakes
import numpy as np
import pytest
import tensorflow as tf
from image_fakes import Killed

from kennen_tf.configs.aips import AipConfig
from kennen_tf.imagenet.aips.aip_folder import AipFolder
from kennen_tf.imagenet.aips.aip_run import AipRun
from kennen_tf.imagenet.aips.generator_pool import GeneratorPool
from kennen_tf.imagenet.aips.generator_sets import Pairing, make_set
from kennen_tf.imagenet.attacks import grading
from kennen_tf.imagenet.classifiers.family_classifier import FamilyClassifier
from kennen_tf.images.image_set import ImageSet
from kennen_tf.keras_models.pixel_models import PixelModel
from kennen_tf.vocabulary.errors import UserError

NUM_IMAGES = 6


def make_classifier(name, seed, family="f"):
    @functools.cache
    def open_it():
        return PixelModel(name, image_fakes.make_model(seed))

    return FamilyClassifier(
        family=family,
        name=name,
        image_size=image_fakes.IMAGE_SIZE,
        num_classes=image_fakes.NUM_CLASSES,
        identity=name,
        opener=open_it,
    )


CLASSIFIERS = A, B, C = [make_classifier(name, seed) for seed, name in enumerate("abc")]
SETS = [make_set([A, B]), make_set([C])]
PAIRINGS = [
    Pairing(C, "a+b", SETS[0]),
    Pairing(A, "a+b", SETS[0]),
    Pairing(C, "c", SETS[1]),
]


@pytest.fixture(scope="module")
def images():
    pixels = image_fakes.make_images(NUM_IMAGES)
    return ImageSet(
        names=tuple(f"image{i}" for i in range(NUM_IMAGES)),
        labels=A.open()(pixels).numpy().argmax(1).astype(np.int32),
        pixels=pixels,
        fingerprint="f",
    )


@pytest.fixture(scope="module")
def clean_logits(images):
    return {c.name: c.open()(images.pixels).numpy() for c in CLASSIFIERS}


def make_run(folder, images, **settings):
    config = AipConfig(
        images="x",
        output_dir="x",
        generators="x",
        **{"epsilon": 6000, "num_steps": 3, "batch_size": 4, **settings},
    )
    return AipRun(config, folder, images)


@pytest.fixture(scope="module")
def made(tmp_path_factory, images):
    """A folder in which AIPs were made, not graded. Not to be written to."""
    folder = tmp_path_factory.mktemp("made")
    make_run(folder, images, method="pgd").generate(SETS)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "run")


@pytest.fixture
def run(folder, images):
    """The run in that copy."""
    return make_run(folder, images, method="pgd")


def contents(folder):
    """The bytes of all files below a folder, by their names."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.mark.long
def test_every_set_has_a_folder_of_its_own(made):
    assert sorted(contents(made)) == [
        *(f"aips/a+b/image{i}.png" for i in range(NUM_IMAGES)),
        *(f"aips/c/image{i}.png" for i in range(NUM_IMAGES)),
        "batch_sizes.json",
    ]


@pytest.mark.long
@pytest.mark.parametrize("num_files", [1, NUM_IMAGES, NUM_IMAGES + 3])
def test_a_run_killed_anywhere_ends_in_the_same_bytes(
    made, tmp_path, images, monkeypatch, num_files
):
    written = []
    write = AipFolder._write

    def dying(self, path, pixels):
        if len(written) == num_files:
            raise Killed
        written.append(path)
        write(self, path, pixels)

    run = make_run(tmp_path, images, method="pgd")
    with monkeypatch.context() as patches, pytest.raises(Killed):
        patches.setattr(AipFolder, "_write", dying)
        run.generate(SETS)
    assert len(contents(tmp_path / "aips")) == num_files
    run.generate(SETS)
    assert contents(tmp_path) == contents(made)


@pytest.fixture
def stopped(tmp_path, images, monkeypatch):
    """The folder of a run that was stopped after 3 images.

    Then memory allowed batches of 2; later, it allows batches of 4.
    """

    def dying(self, path, pixels):
        if self.num_done == 3:
            raise Killed
        write(self, path, pixels)

    write = AipFolder._write
    monkeypatch.setattr(GeneratorPool, "batch_size", lambda self, classifiers: 2)
    with monkeypatch.context() as patches, pytest.raises(Killed):
        patches.setattr(AipFolder, "_write", dying)
        make_run(tmp_path, images, batch_size=0).generate(SETS)
    monkeypatch.setattr(GeneratorPool, "batch_size", lambda self, classifiers: 4)
    return tmp_path


@pytest.mark.long
def test_a_set_that_was_begun_keeps_the_size_of_its_batches(
    stopped, images, monkeypatch
):
    sizes = []
    fill = AipFolder.fill

    def remember(self, ascent, make_objective, batch_size, *args):
        sizes.append(batch_size)
        fill(self, ascent, make_objective, batch_size, *args)

    monkeypatch.setattr(AipFolder, "fill", remember)
    run = make_run(stopped, images, batch_size=0)
    assert run.batch_sizes == {"a+b": 2}
    run.generate(SETS)
    assert sizes == [2, 4]
    assert make_run(stopped, images).batch_sizes == {"a+b": 2, "c": 4}


@pytest.mark.long
def test_another_batch_size_is_refused_where_some_images_are_made(stopped, images):
    run = make_run(stopped, images, batch_size=5)
    with pytest.raises(UserError, match=r"must stay 2 .* 3 in .*a\+b. Received: .*=5"):
        run.generate(SETS)
    shutil.rmtree(stopped / "aips" / "a+b")
    run.generate(SETS)
    assert run.batch_sizes == {"a+b": 5, "c": 5}
    # What is all there does not depend on what is said later.
    make_run(stopped, images, batch_size=3).generate(SETS)
    assert run.batch_sizes == {"a+b": 5, "c": 5}


@pytest.mark.long
def test_a_set_that_is_done_is_not_made_again(run, monkeypatch):
    run.aips(SETS[1]).image_path(0).unlink()
    filled = []
    monkeypatch.setattr(
        AipFolder, "fill", lambda self, *args: filled.append(self.path.name)
    )
    run.generate(SETS)
    assert filled == ["c"]


@pytest.mark.long
def test_grades_come_in_the_order_of_the_pairings(run, clean_logits, images):
    graded = run.grade(PAIRINGS, clean_logits)
    assert [one.pairing for one in graded] == PAIRINGS
    for one in graded:
        wanted = grading.rank_labels(
            clean_logits[one.pairing.target.name], images.labels
        )
        np.testing.assert_array_equal(one.clean_ranks, wanted)


@pytest.mark.long
def test_grades_are_those_of_the_stored_8_bit_images(run, folder, clean_logits, images):
    for one in run.grade(PAIRINGS, clean_logits):
        aips = folder / "aips" / one.pairing.generators.name
        files = [(aips / f"{name}.png").read_bytes() for name in images.names]
        pixels = np.stack([tf.io.decode_image(file).numpy() for file in files])
        logits = one.pairing.target.open()(pixels).numpy()
        ranks = grading.rank_labels(logits, images.labels)
        np.testing.assert_array_equal(one.ranks, ranks)
        np.testing.assert_array_equal(one.predicted, logits.argmax(1))


@pytest.mark.long
def test_what_rounding_undoes_is_graded_as_undone(tmp_path, images, clean_logits):
    """Of less than half a level, nothing is left in the file."""
    run = make_run(tmp_path, images, norm="linf", epsilon=0.45)
    run.generate(SETS[1:])
    [one] = run.grade(PAIRINGS[2:], clean_logits)
    np.testing.assert_array_equal(one.ranks, one.clean_ranks)


@pytest.fixture
def asked():
    """Names of the targets that `ask` sent images to."""
    return []


@pytest.fixture
def ask(asked):
    def ask(target, pixels):
        asked.append(target.name)
        return target.open()(pixels).numpy()

    return ask


@pytest.mark.long
def test_a_target_is_asked_once(run, folder, images, clean_logits, asked, ask):
    first = run.grade(PAIRINGS, clean_logits, ask)
    assert asked == ["c", "c", "a"]
    again = make_run(folder, images, method="pgd")
    second = again.grade(PAIRINGS, clean_logits, ask)
    assert asked == ["c", "c", "a"]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.ranks, other.ranks)
        np.testing.assert_array_equal(one.predicted, other.predicted)
        assert one.ranks.dtype == other.ranks.dtype == np.int32


@pytest.mark.long
def test_a_target_is_asked_only_what_it_was_not(run, clean_logits, asked, ask):
    run.grade(PAIRINGS[:1], clean_logits, ask)
    run.grade(PAIRINGS, clean_logits, ask)
    assert asked == ["c", "c", "a"]


@pytest.mark.long
def test_a_kill_between_targets_keeps_the_grades_of_the_first(
    run, clean_logits, asked, ask
):
    def dying(target, pixels):
        if target is A:
            raise Killed
        return ask(target, pixels)

    with pytest.raises(Killed):
        run.grade(PAIRINGS, clean_logits, dying)
    run.grade(PAIRINGS, clean_logits, ask)
    assert asked == ["c", "c", "a"]


@pytest.mark.long
def test_another_target_of_the_same_name_is_asked_again(run, clean_logits, asked, ask):
    run.grade(PAIRINGS, clean_logits, ask)
    other = dataclasses.replace(C, identity="other")
    run.grade([Pairing(other, "a+b", SETS[0])], clean_logits, ask)
    assert asked == ["c", "c", "a", "c"]


@pytest.mark.long
def test_damaged_grades_are_named(run, folder, clean_logits, ask):
    run.grade(PAIRINGS, clean_logits, ask)
    path = folder / "grades" / "c.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(UserError, match=r"c\.json is damaged"):
        run.grade(PAIRINGS, clean_logits, ask)
    path.write_text(json.dumps({"schema_version": 99, "grades": {}}))
    with pytest.raises(UserError, match="schema version 1. Received: 99"):
        run.grade(PAIRINGS, clean_logits, ask)


@pytest.mark.long
def test_what_is_measured_is_what_is_stored(run, images):
    sizes = run.measure(SETS)
    assert list(sizes) == SETS
    for generators, own in sizes.items():
        difference = run.aips(generators).read() - images.pixels.astype(float)
        np.testing.assert_allclose(own["l2"], np.sqrt((difference**2).sum((1, 2, 3))))
        np.testing.assert_allclose(own["linf"], np.abs(difference).max((1, 2, 3)))
        assert (own["l2"] <= run.budget.epsilon).all()


def test_the_budget_is_that_of_the_images_size(tmp_path, images):
    assert make_run(tmp_path, images, epsilon=2240).budget.epsilon == 80
    assert make_run(tmp_path, images, norm="linf", epsilon=4).budget.epsilon == 4


@pytest.mark.long
def test_classifiers_of_any_name_stay_within_the_run(
    tmp_path, images, clean_logits, ask
):
    odd = make_classifier("keras/a%2", 0)
    run = make_run(tmp_path, images)
    run.generate([make_set([odd])])
    pairing = Pairing(odd, "x", make_set([odd]))
    [one] = run.grade([pairing], {odd.name: clean_logits["a"]}, ask)
    assert len(one.ranks) == NUM_IMAGES
    assert [p.name for p in (tmp_path / "aips").iterdir()] == ["keras%2Fa%252"]
    assert [p.name for p in (tmp_path / "grades").iterdir()] == ["keras%2Fa%252.json"]
