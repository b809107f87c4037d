"""Image sets: what is read, in which order, and what is said of what does not fit."""

import os

import numpy as np
import pytest
from PIL import Image

from kennen_tf.images.image_set import check_labels
from kennen_tf.vocabulary.errors import UserError
from pipelines.image_sets import load_image_set

SIZE = 16
NUM_IMAGES = 6


def make_pixels(index, height=20, width=24):
    """A smooth image, another one for each index, so that JPEG hardly changes it."""
    rows, columns = np.mgrid[:height, :width]
    channels = [rows * 5 + 20 * index, columns * 5, rows + columns + 30]
    return np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Images 0.png to 5.png with labels 10 to 15, in images.csv beside the folder."""
    folder = tmp_path / "data" / "images"
    for i in range(NUM_IMAGES):
        save(folder / f"{i}.png", make_pixels(i))
    lines = [f"{i}.png,{10 + i},someone" for i in range(NUM_IMAGES)]
    write_csv(folder.parent / "images.csv", lines[::-1])
    return folder


def write_csv(path, lines, head="file,label,author"):
    path.write_text("\n".join([head, *lines]) + "\n")


def test_images_of_a_csv_are_sorted_by_name_and_have_their_labels(folder):
    images = load_image_set(str(folder), image_size=SIZE)
    assert images.names == tuple(f"{i}.png" for i in range(NUM_IMAGES))
    assert images.labels.tolist() == list(range(10, 16))
    assert images.labels.dtype == np.int32
    assert images.pixels.shape == (NUM_IMAGES, SIZE, SIZE, 3)
    assert images.pixels.dtype == np.uint8
    assert len(images) == NUM_IMAGES
    assert images.image_size == SIZE


def test_images_are_resized_as_pil_does(folder):
    images = load_image_set(str(folder), image_size=SIZE)
    for i, pixels in enumerate(images.pixels):
        wanted = Image.fromarray(make_pixels(i)).resize((SIZE, SIZE), Image.BICUBIC)
        np.testing.assert_allclose(pixels, np.asarray(wanted), atol=2)


def test_images_of_the_wanted_size_stay_as_they_are(tmp_path):
    save(tmp_path / "3" / "a.png", make_pixels(0, SIZE, SIZE))
    images = load_image_set(str(tmp_path), image_size=SIZE)
    np.testing.assert_array_equal(images.pixels[0], make_pixels(0, SIZE, SIZE))


def test_the_csv_may_be_in_the_folder_beside_it_or_name_files_below(folder):
    beside = load_image_set(str(folder), image_size=SIZE)
    above = load_image_set(str(folder.parent), image_size=SIZE)
    (folder.parent / "images.csv").rename(folder / "labels.csv")
    within = load_image_set(str(folder), image_size=SIZE)
    for other in (above, within):
        assert other.fingerprint == beside.fingerprint
        np.testing.assert_array_equal(other.pixels, beside.pixels)


def test_a_draw_depends_on_the_seed_alone(folder, monkeypatch):
    options = {"image_size": SIZE, "num_images": 3}
    first = load_image_set(str(folder), seed=1, **options)
    whole = load_image_set(str(folder), image_size=SIZE)
    assert list(first.names) == sorted(first.names)
    for name, label, pixels in zip(
        first.names, first.labels, first.pixels, strict=True
    ):
        index = whole.names.index(name)
        assert label == whole.labels[index]
        np.testing.assert_array_equal(pixels, whole.pixels[index])
    others = {load_image_set(str(folder), seed=s, **options).names for s in range(5)}
    assert len(others) > 1
    assert load_image_set(str(folder), seed=1, **options).names == first.names


def test_what_is_not_drawn_is_not_decoded(folder):
    drawn = load_image_set(str(folder), image_size=SIZE, num_images=2)
    for i in range(NUM_IMAGES):
        if f"{i}.png" not in drawn.names:
            (folder / f"{i}.png").write_bytes(b"no image")
    again = load_image_set(str(folder), image_size=SIZE, num_images=2)
    assert again.fingerprint == drawn.fingerprint


def test_the_fingerprint_is_of_contents_names_labels_and_size(folder):
    def fingerprint(size=SIZE):
        return load_image_set(str(folder), image_size=size).fingerprint

    first = fingerprint()
    assert fingerprint(SIZE + 1) != first
    os.utime(folder / "0.png", (0, 0))
    assert fingerprint() == first
    save(folder / "0.png", make_pixels(7))
    changed = fingerprint()
    assert changed != first
    table = folder.parent / "images.csv"
    table.write_text(table.read_text().replace("0.png,10", "0.png,11"))
    assert fingerprint() != changed


def gray(pixels):
    return np.asarray(Image.fromarray(pixels).convert("L"))


def with_alpha(pixels):
    return np.concatenate([pixels, np.full_like(pixels[..., :1], 100)], axis=-1)


FORMATS = {
    "rgb.png": (lambda p: p, lambda p: p),
    "rgb.JPEG": (lambda p: p, lambda p: p),
    "rgb.bmp": (lambda p: p, lambda p: p),
    "alpha.png": (with_alpha, lambda p: p),
    "alpha.bmp": (with_alpha, lambda p: p),
    "gray.png": (gray, lambda p: np.stack([gray(p)] * 3, -1)),
    "gray.jpg": (gray, lambda p: np.stack([gray(p)] * 3, -1)),
    "gray.bmp": (gray, lambda p: np.stack([gray(p)] * 3, -1)),
    "deep.png": (
        lambda p: gray(p).astype(np.uint16) * 257,
        lambda p: np.stack([gray(p)] * 3, -1),
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_becomes_rgb_of_eight_bits(tmp_path, name):
    pixels = make_pixels(2, SIZE, SIZE)
    to_save, wanted = FORMATS[name]
    is_jpeg = name.lower().endswith(("jpg", "jpeg"))
    options = {"quality": 98, "subsampling": 0} if is_jpeg else {}
    save(tmp_path / "0" / name, to_save(pixels), **options)
    images = load_image_set(str(tmp_path), image_size=SIZE)
    np.testing.assert_allclose(
        images.pixels[0], wanted(pixels), atol=4 if is_jpeg else 0
    )


def test_of_an_animation_the_first_frame_counts(tmp_path):
    (tmp_path / "0").mkdir()
    black, white = (
        Image.fromarray(np.full((SIZE, SIZE, 3), v, np.uint8)) for v in (0, 255)
    )
    black.save(tmp_path / "0" / "a.gif", save_all=True, append_images=[white])
    images = load_image_set(str(tmp_path), image_size=SIZE)
    assert images.pixels.max() == 0


@pytest.mark.parametrize(
    "content", [b"", b"no image", b"\xff\xd8\xff\xe0 no more", b"BM and no more"]
)
def test_a_damaged_file_is_named(folder, content):
    (folder / "3.png").write_bytes(content)
    with pytest.raises(UserError, match="Received: '3.png' of"):
        load_image_set(str(folder), image_size=SIZE)


def test_a_jpeg_that_was_cut_off_is_named(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        save(tmp_path / "0" / name, make_pixels(1))
    content = (tmp_path / "0" / "b.jpg").read_bytes()
    (tmp_path / "0" / "b.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="'0/b.jpg'"):
        load_image_set(str(tmp_path), image_size=SIZE)


def test_folders_named_by_numbers_are_the_labels(tmp_path):
    for name in ("7", "12"):
        save(tmp_path / name / "deep" / "a.png", make_pixels(1))
    images = load_image_set(str(tmp_path), image_size=SIZE)
    assert dict(zip(images.names, images.labels, strict=True)) == {
        "12/deep/a.png": 12,
        "7/deep/a.png": 7,
    }
    check_labels(images, 1000)
    with pytest.raises(UserError, match="0 to 9. Received: labels 7 to 12"):
        check_labels(images, 10)


def test_two_spellings_of_a_number_are_no_two_classes(tmp_path):
    for name in ("01", "1", "2"):
        save(tmp_path / name / "a.png", make_pixels(1))
    with pytest.raises(UserError, match="occur once in .*'01' and '1', both 1"):
        load_image_set(str(tmp_path), image_size=SIZE)
    # Among other names, they are names.
    save(tmp_path / "cat" / "a.png", make_pixels(1))
    assert load_image_set(str(tmp_path), image_size=SIZE).num_classes == 4


def test_other_folders_are_classes_in_sorted_order(tmp_path):
    for name in ("n02", "n01", "n03"):
        save(tmp_path / name / f"{name}.png", make_pixels(1))
    images = load_image_set(str(tmp_path), image_size=SIZE)
    assert images.labels.tolist() == [0, 1, 2]
    check_labels(images, 3)
    with pytest.raises(UserError, match="4 classes. Received: 3 folders"):
        check_labels(images, 4)


@pytest.mark.long
def test_the_digits_are_rgb(tmp_path):
    images = load_image_set("mnist", image_size=32, num_images=5, seed=3)
    assert images.pixels.shape == (5, 32, 32, 3)
    assert (images.pixels == images.pixels[..., :1]).all()
    assert images.pixels.max() > 200
    check_labels(images, 10)
    assert (
        load_image_set("mnist", image_size=28, num_images=0).pixels.shape[0] == 10_000
    )


@pytest.mark.parametrize(
    ("lines", "head", "message"),
    [
        (["0.png,1"], "name,label", "columns file and label. Received: .*'name'"),
        ([], "file,label", "Labelled images are wanted.*which has none"),
        (["0.png,x"], "file,label", "line 2: a label must .* Received: 'x'"),
        (["0.png,-1"], "file,label", "0-based class number. Received: '-1'"),
        (["0.png"], "file,label", "line 2: a label must .* Received: None"),
        (["0.png,1", "0.png,2"], "file,label", "line 3: .*'0.png' for the second"),
        (["9.png,1"], "file,label", "line 2: '9.png' must be .* no such file"),
        ([",1"], "file,label", "line 2: '' must be"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said(folder, lines, head, message):
    write_csv(folder.parent / "images.csv", lines, head)
    with pytest.raises(UserError, match=message):
        load_image_set(str(folder), image_size=SIZE)


def test_names_below_must_be_unique(folder):
    save(folder / "again" / "0.png", make_pixels(1))
    with pytest.raises(UserError, match="'0.png' must be .* 2 files of that name"):
        load_image_set(str(folder.parent), image_size=SIZE)


def test_one_csv_is_wanted(folder):
    for name in ("a.csv", "b.csv"):
        write_csv(folder / name, ["0.png,1"])
    with pytest.raises(UserError, match="One csv .* Received: a.csv, b.csv"):
        load_image_set(str(folder), image_size=SIZE)


def test_all_images_are_used_if_there_are_no_more_than_wanted(folder):
    every = load_image_set(str(folder), image_size=SIZE)
    for num_images in (6, 7):
        images = load_image_set(str(folder), image_size=SIZE, num_images=num_images)
        assert images.fingerprint == every.fingerprint


def test_no_images_are_said(tmp_path):
    with pytest.raises(
        UserError, match="mnist. Received: '.*none', which is no folder"
    ):
        load_image_set(str(tmp_path / "none"), image_size=SIZE)
    with pytest.raises(UserError, match="Labelled images are wanted"):
        load_image_set(str(tmp_path), image_size=SIZE)


@pytest.fixture
def tfds(tmp_path, monkeypatch):
    """TensorFlow Datasets with an empty data folder and no network."""
    tensorflow_datasets = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(tensorflow_datasets.core.constants, "DATA_DIR", str(tmp_path))
    return tensorflow_datasets


def declare(tfds, monkeypatch, splits, label=None):
    """Declares tfds:shapes, which needs no network, with `splits`."""

    class Offline(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        name = "shapes"

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=(None, None, 3)),
                        "label": label or tfds.features.ClassLabel(num_classes=50),
                    }
                ),
            )

        def _split_generators(self, dl_manager):
            if not splits:
                raise ConnectionError("Name or service not known")
            return {split: self._generate(i) for i, split in enumerate(splits)}

        def _generate(self, part):
            for i in range(NUM_IMAGES):
                yield i, {"image": make_pixels(i), "label": 10 * part + i}

        def _generate_examples(self):
            raise NotImplementedError

    monkeypatch.setattr(tfds, "builder", lambda name: Offline())


@pytest.mark.long
@pytest.mark.parametrize(
    ("splits", "part"),
    [(["train", "test", "validation"], 2), (["train", "test"], 1), (["train"], 0)],
)
def test_a_tfds_set_is_read_from_the_right_split(tfds, monkeypatch, splits, part):
    declare(tfds, monkeypatch, splits)
    images = load_image_set("tfds:shapes", image_size=SIZE)
    assert sorted(images.labels) == [10 * part + i for i in range(NUM_IMAGES)]
    assert images.names[0] == f"shapes-{splits[part]}-000000"
    for label, pixels in zip(images.labels, images.pixels, strict=True):
        wanted = Image.fromarray(make_pixels(label - 10 * part))
        wanted = wanted.resize((SIZE, SIZE), Image.BICUBIC)
        np.testing.assert_allclose(pixels, np.asarray(wanted), atol=2)
    drawn = load_image_set("tfds:shapes", image_size=SIZE, num_images=2)
    for name, pixels in zip(drawn.names, drawn.pixels, strict=True):
        index = images.names.index(name)
        np.testing.assert_array_equal(pixels, images.pixels[index])


@pytest.mark.long
def test_a_tfds_set_without_the_right_split_or_features_is_refused(tfds, monkeypatch):
    declare(tfds, monkeypatch, ["train", "other"])
    with pytest.raises(UserError, match=r"only one. Received: \['other', 'train'\]"):
        load_image_set("tfds:shapes", image_size=SIZE)
    declare(tfds, monkeypatch, ["test"], label=tfds.features.Text())
    with pytest.raises(UserError, match="must have the features image and label"):
        load_image_set("tfds:shapes", image_size=SIZE)


def test_a_tfds_set_that_cannot_be_had_is_one_sentence(tfds, monkeypatch):
    declare(tfds, monkeypatch, [])
    with pytest.raises(UserError, match="ConnectionError.*name a folder") as raised:
        load_image_set("tfds:shapes", image_size=SIZE)
    assert "\n" not in str(raised.value)


def test_an_unknown_tfds_set_is_said(tfds):
    with pytest.raises(UserError, match="--images=tfds:imagent_v2 is no dataset"):
        load_image_set("tfds:imagent_v2", image_size=SIZE)
