"""Perturbed images on disk: lossless, and the same however often a run is stopped."""

import image_fakes
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.configs.aips import METHODS, AipConfig
from kennen_tf.imagenet.aips.aip_folder import AipFolder
from kennen_tf.imagenet.attacks import methods
from kennen_tf.imagenet.attacks.ascent import Ascent
from kennen_tf.imagenet.attacks.objectives import JointLoss
from kennen_tf.images.image_set import ImageSet
from kennen_tf.keras_models.pixel_models import PixelModel
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

NUM_IMAGES, BATCH_SIZE, NUM_STEPS = 7, 3, 2


class Killed(BaseException):
    """What ends a run at any line."""


def make_image_set(names=None):
    names = names or [f"image{i}.png" for i in range(NUM_IMAGES)]
    return ImageSet(
        names=tuple(names),
        labels=np.arange(len(names), dtype=np.int32) % image_fakes.NUM_CLASSES,
        pixels=image_fakes.make_images(len(names)),
        fingerprint="f",
    )


@pytest.fixture(scope="module")
def fill():
    """A function that fills a folder."""
    classifier = PixelModel("c", image_fakes.make_model(0))
    attack_of = {}
    for method in METHODS:
        config = AipConfig(
            images="x", output_dir="x", generators="x", method=method, epsilon=8000
        )
        attack = methods.make_attack(config, image_fakes.IMAGE_SIZE)
        objective = JointLoss(attack, [classifier], "losses")
        attack_of[method] = Ascent(attack, NUM_STEPS), objective

    def fill(folder, method="gaman", batch_size=BATCH_SIZE, on_step=lambda n: None):
        ascent, objective = attack_of[method]
        folder.fill(ascent, lambda: objective, batch_size, seed=0, on_step=on_step)

    return fill


def contents(path):
    """The bytes of all files below a folder, by their names."""
    files = [p for p in path.rglob("*") if p.is_file()]
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in files}


def die_in_call(number, function):
    """The function, but it is killed in that call."""
    calls = []

    def dying(*args, **kwargs):
        calls.append(args)
        if len(calls) == number:
            raise Killed
        return function(*args, **kwargs)

    return dying


@pytest.mark.long
def test_each_image_is_a_file_that_any_reader_reads_the_same(tmp_path, fill):
    images = make_image_set()
    folder = AipFolder(tmp_path / "a", images)
    fill(folder)
    assert folder.num_done == NUM_IMAGES
    assert sorted(contents(folder.path)) == [*images.names]
    pixels = folder.read()
    assert pixels.dtype == np.uint8 and (pixels != images.pixels).any()
    for index, name in enumerate(images.names):
        png = (folder.path / name).read_bytes()
        np.testing.assert_array_equal(tf.io.decode_image(png), pixels[index])
        np.testing.assert_array_equal(folder.read_image(index), pixels[index])


def test_what_is_written_is_what_the_attack_made(tmp_path, fill, monkeypatch):
    made = []

    def remember(self, objective, images, labels, seeds, on_step):
        noise = np.random.default_rng(len(made)).integers(0, 256, images.shape)
        made.append(noise.astype(np.uint8))
        return made[-1]

    monkeypatch.setattr(Ascent, "perturb", remember)
    folder = AipFolder(tmp_path / "a", make_image_set())
    fill(folder)
    assert [len(batch) for batch in made] == [3, 3, 3]
    np.testing.assert_array_equal(folder.read(), np.concatenate(made)[:NUM_IMAGES])


@pytest.fixture(params=["gaman", "pgd"])
def method(request):
    """Methods without and with random starts."""
    return request.param


@pytest.mark.long
@pytest.mark.parametrize("num_done", range(1, NUM_IMAGES))
def test_a_run_killed_between_files_ends_in_the_same_bytes(
    tmp_path, fill, monkeypatch, method, num_done
):
    images = make_image_set()
    whole = AipFolder(tmp_path / "whole", images)
    fill(whole, method)
    stopped = AipFolder(tmp_path / "stopped", images)
    with monkeypatch.context() as patches, pytest.raises(Killed):
        write = die_in_call(num_done + 1, AipFolder._write)
        patches.setattr(AipFolder, "_write", write)
        fill(stopped, method)
    assert stopped.num_done == num_done
    fill(stopped, method)
    assert contents(stopped.path) == contents(whole.path)


@pytest.mark.long
def test_a_run_killed_between_steps_ends_in_the_same_bytes(tmp_path, fill, method):
    images = make_image_set()
    whole = AipFolder(tmp_path / "whole", images)
    fill(whole, method)
    stopped = AipFolder(tmp_path / "stopped", images)
    with pytest.raises(Killed):
        on_step = die_in_call(2 * NUM_STEPS, lambda count: None)
        fill(stopped, method, on_step=on_step)
    assert stopped.num_done == BATCH_SIZE
    fill(stopped, method)
    assert contents(stopped.path) == contents(whole.path)


@pytest.mark.long
def test_what_a_kill_left_half_written_is_removed(tmp_path, fill):
    names = [f"{i % 2}/image{i}.png" for i in range(NUM_IMAGES)]
    folder = AipFolder(tmp_path / "a", make_image_set(names))
    fill(folder)
    before = contents(folder.path)
    half = f"1/image1.png{artifacts.TEMPORARY_MARK}12345678.png"
    (folder.path / half).write_bytes(b"half")
    fill(folder)
    assert contents(folder.path) == before


@pytest.mark.long
def test_only_batches_with_something_missing_are_made_again(tmp_path, fill):
    folder = AipFolder(tmp_path / "a", make_image_set())
    fill(folder)
    before = contents(folder.path)
    folder.image_path(4).unlink()
    steps = []
    fill(folder, on_step=steps.append)
    assert steps == [BATCH_SIZE] * NUM_STEPS
    assert contents(folder.path) == before


def test_where_nothing_is_missing_no_generator_is_opened(tmp_path, fill):
    folder = AipFolder(tmp_path / "a", make_image_set())
    fill(folder)

    def refuse():
        raise AssertionError

    folder.fill(None, refuse, BATCH_SIZE, 0, refuse)


@pytest.fixture
def one_and_five(tmp_path):
    """The folder of an image alone, and that of five of which it is number 3."""
    five = make_image_set([f"image{i}.png" for i in range(5)])
    one = ImageSet(
        names=five.names[3:4],
        labels=five.labels[3:4],
        pixels=five.pixels[3:4],
        fingerprint="g",
    )
    return AipFolder(tmp_path / "1", one), AipFolder(tmp_path / "5", five)


@pytest.mark.long
@pytest.mark.parametrize("method", METHODS)
def test_an_image_comes_out_the_same_alone_and_among_others(one_and_five, fill, method):
    one, five = one_and_five
    for folder in one_and_five:
        fill(folder, method)
    np.testing.assert_array_equal(one.read_image(0), five.read_image(3))


@pytest.mark.long
def test_the_size_of_a_batch_is_the_same_alone_and_among_others(
    one_and_five, fill, monkeypatch
):
    """Kernels round sums of floats in one way for each size; here, it shows."""

    def perturb(self, objective, images, labels, seeds, on_step):
        return images // 2 + np.uint8(len(images))

    monkeypatch.setattr(Ascent, "perturb", perturb)
    one, five = one_and_five
    for folder in one_and_five:
        fill(folder)
    np.testing.assert_array_equal(one.read_image(0), five.read_image(3))


@pytest.mark.long
def test_random_starts_belong_to_images_not_to_batches(tmp_path, fill):
    images = make_image_set()
    found = []
    for batch_size in (2, NUM_IMAGES):
        folder = AipFolder(tmp_path / str(batch_size), images)
        fill(folder, "pgd", batch_size)
        found.append(folder.read().astype(int))
    # Sums of floats depend on the batch, and may round to another level.
    assert np.abs(found[0] - found[1]).max() <= 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("content", "received"),
    [
        (b"", "InvalidArgumentError"),
        (b"no image", "InvalidArgumentError"),
        (None, "FileNotFoundError"),
    ],
)
def test_a_damaged_image_is_named(tmp_path, fill, content, received):
    folder = AipFolder(tmp_path / "a", make_image_set())
    fill(folder)
    path = folder.image_path(2)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"image2.png must be.*{received}.*resume"):
        folder.read()


def test_a_cut_image_is_named(tmp_path, fill):
    folder = AipFolder(tmp_path / "a", make_image_set())
    fill(folder)
    path = folder.image_path(2)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match="image2.png must be a perturbed image"):
        folder.read()


@pytest.mark.long
def test_an_image_of_another_shape_is_named(tmp_path, fill):
    folder = AipFolder(tmp_path / "a", make_image_set())
    fill(folder)
    png = tf.io.encode_png(np.zeros((8, 9, 3), np.uint8)).numpy()
    folder.image_path(0).write_bytes(png)
    with pytest.raises(UserError, match=r"\(8, 8, 3\).*Received: \(8, 9, 3\)"):
        folder.read()


@pytest.mark.long
def test_images_in_sub_folders_stay_in_sub_folders(tmp_path, fill):
    names = ["0/a.jpg", "0/b.jpg", "1/a.jpg", "1/deep/a.jpg"]
    folder = AipFolder(tmp_path / "a", make_image_set(names))
    fill(folder)
    assert sorted(contents(folder.path)) == [f"{name}.png" for name in names]


def test_no_image_takes_the_file_of_another(tmp_path, fill):
    names = ["a.jpg", "a.jpg.png", "a.png", "b"]
    folder = AipFolder(tmp_path / "a", make_image_set(names))
    fill(folder)
    assert sorted(contents(folder.path)) == [f"{name}.png" for name in names]


def test_images_from_anywhere_stay_within_the_folder(tmp_path, fill):
    """A csv may name files by whole paths, and by ways up and back."""
    outside = tmp_path / "photos" / "a.jpg"
    names = [str(outside), "../photos/a.jpg", "a.jpg", "./a.jpg", "b//a.jpg", "b/a.jpg"]
    folder = AipFolder(tmp_path / "a", make_image_set(names))
    fill(folder)
    assert len(contents(folder.path)) == len(names)
    assert {p.name for p in folder.path.rglob("*") if p.is_file()} == {"a.jpg.png"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]
