"""Images for imported classifiers: of one shape, labelled, not too many."""

import types

import numpy as np
import pytest

from kennen_tf.images import datasets, tfds_builders
from kennen_tf.images.image_set import ImageSet
from kennen_tf.imports import import_images
from kennen_tf.imports.import_images import load_import_images
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.labeled_images import LabeledImages
from pipelines import image_sets

LABELS = np.array([0, 1, 0, 1], np.int32)
PIXELS = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)


def no_size():
    raise AssertionError("Nobody should be asked.")


def test_digits_are_validation_images(tmp_path):
    loaded = load_import_images("digits", 0, 0, no_size)
    assert loaded.image_shape == (8, 8, 1)
    np.testing.assert_array_equal(
        loaded.images, datasets.load_images("digits").test_images
    )


def test_of_a_file_that_build_zoo_takes_the_test_part_counts(tmp_path):
    arrays = LabeledImages(PIXELS[:2], LABELS[:2], PIXELS, LABELS)
    np.savez(tmp_path / "a.npz", **arrays._asdict())
    loaded = load_import_images(str(tmp_path / "a.npz"), 0, 0, no_size)
    np.testing.assert_array_equal(loaded.images, PIXELS)
    np.testing.assert_array_equal(loaded.labels, LABELS)


def test_gray_images_get_a_channel_and_some_are_drawn_in_order(tmp_path):
    gray = (
        np.zeros((100, 8, 9), np.uint8)
        + np.arange(100, dtype=np.uint8)[:, np.newaxis, np.newaxis]
    )
    np.savez(tmp_path / "a.npz", images=gray, labels=np.arange(100))
    loaded = load_import_images(str(tmp_path / "a.npz"), 0, 10, no_size)
    assert loaded.images.shape == (10, 8, 9, 1)
    assert loaded.labels.tolist() == loaded.images[:, 0, 0, 0].tolist()
    assert loaded.labels.tolist() == sorted(set(loaded.labels.tolist()))
    assert loaded.labels.dtype == np.int32


@pytest.mark.parametrize("image_size", [0, 16])
@pytest.mark.parametrize("shape", [(8, 8, 3), (None, None, 3)])
def test_sets_of_one_shape_stay_as_they_are(monkeypatch, shape, image_size):
    features = {"image": types.SimpleNamespace(shape=shape), "label": None}
    builder = types.SimpleNamespace(info=types.SimpleNamespace(features=features))
    monkeypatch.setattr(tfds_builders, "open_builder", lambda name, flag: builder)
    whole = LabeledImages(PIXELS, LABELS, PIXELS, LABELS)
    monkeypatch.setattr(import_images.datasets, "load_images", lambda name: whole)

    def load_image_set(name, *, image_size, num_images):
        pixels = np.zeros((4, image_size, image_size, 3), np.uint8)
        return ImageSet(names="abcd", labels=LABELS, pixels=pixels, fingerprint="")

    monkeypatch.setattr(image_sets, "load_image_set", load_image_set)
    loaded = load_import_images("tfds:some", image_size, 0, lambda: 24)
    one_shape = None not in shape and not image_size
    size = 8 if one_shape else image_size or 24
    assert loaded.image_shape == (size, size, 3)


def test_what_cannot_be_had_is_one_sentence(tmp_path):
    np.savez(tmp_path / "a.npz", pixels=PIXELS)
    (tmp_path / "b.npz").write_text("none")
    for source, size, sentence in (
        ("digits", 16, "--image_size is for images of a folder"),
        (tmp_path / "a.npz", 0, "a.npz must be a .npz file with the arrays"),
        (tmp_path / "b.npz", 0, "b.npz must be a .npz file with the arrays"),
        (tmp_path / "none", 8, "--images must be a folder"),
    ):
        with pytest.raises(UserError, match=sentence):
            load_import_images(str(source), size, 0, no_size)
