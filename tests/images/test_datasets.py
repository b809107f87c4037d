"""Datasets by name: what is in them, and what is said of those that do not fit."""

import hashlib

import fakes
import numpy as np
import pytest

from kennen_tf.images import datasets as image_pipeline
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.labeled_images import LabeledImages


@pytest.fixture(scope="module")
def digits():
    return fakes.make_digits()


@pytest.fixture
def folder(tmp_path, digits):
    fakes.write_idx(tmp_path, digits)
    return tmp_path


def test_the_embedded_digits_are_mnist():
    mnist = image_pipeline.load_images("mnist")
    assert [a.shape for a in mnist] == [
        (60_000, 28, 28, 1),
        (60_000,),
        (10_000, 28, 28, 1),
        (10_000,),
    ]
    assert [a.dtype for a in mnist] == [np.uint8, np.int32, np.uint8, np.int32]
    # As data/mnist/NOTICE has them; the headers of the files are part of these sums.
    header = np.array([0x801, 10_000], ">u4").tobytes()
    content = header + mnist.test_labels.astype(np.uint8).tobytes()
    assert hashlib.md5(content).hexdigest() == "27ae3e4e09519cfbb04c329615203637"
    header = np.array([0x803, 10_000, 28, 28], ">u4").tobytes()
    content = header + mnist.test_images.tobytes()
    assert hashlib.md5(content).hexdigest() == "2646ac647ad5339dbf082846283269ea"


@pytest.mark.parametrize("compress", [False, True])
def test_idx_files_are_read_as_written(tmp_path, digits, compress):
    fakes.write_idx(tmp_path, digits, compress=compress)
    loaded = image_pipeline.load_images(f"idx:{tmp_path}")
    for name in LabeledImages._fields:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(digits, name))


@pytest.mark.parametrize("name", ["", "mnits", "idx:", "tfds:", "/some/folder"])
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    with pytest.raises(UserError, match="mnist, digits, tfds:<name>, idx:<folder>"):
        image_pipeline.load_images(name)


def test_a_missing_file_is_named(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="without t10k-labels-idx1-ubyte"):
        image_pipeline.load_images(f"idx:{folder}")


def damaged_magic(content):
    return b"\0\0\x0d" + content[3:]


def cut_off(content):
    return content[:-1]


def labels_for_images(content):
    return np.array([0x801, 200], ">u4").tobytes() + bytes(200)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damaged_magic, r"magic number 2051\). Received: .* magic number 3331"),
        (cut_off, r"must hold 156800 bytes .* Received: 156799"),
        (labels_for_images, r"with 3 axes .* magic number 2049"),
        (lambda content: b"", "Received: 0 bytes"),
    ],
)
def test_a_damaged_file_is_refused(folder, damage, message):
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=message):
        image_pipeline.load_images(f"idx:{folder}")


def test_a_file_that_only_claims_to_be_gzipped_is_refused(folder):
    path = folder / "train-images-idx3-ubyte"
    path.rename(folder / "train-images-idx3-ubyte.gz")
    with pytest.raises(UserError, match="must be a gzipped file"):
        image_pipeline.load_images(f"idx:{folder}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_images": np.zeros((200, 32, 32, 1), np.uint8)},
            r"alike. Received: uint8 of shape \(32, 32, 1\) in the train part, \(28",
        ),
        (
            {"test_labels": np.arange(99, dtype=np.int32) % 10},
            "100 images and 99 labels in the test part",
        ),
        (
            {"train_labels": np.arange(200, dtype=np.int32) % 11},
            "in both parts.* Received: 11 classes, 0 to 10, in the train part",
        ),
        (
            {"train_labels": np.arange(200, dtype=np.int32) % 2},
            "Received: 2 classes, 0 to 1, in the train part",
        ),
    ],
)
def test_images_that_do_not_fit_are_refused(tmp_path, digits, changes, message):
    fakes.write_idx(tmp_path, digits._replace(**changes))
    with pytest.raises(UserError, match=message):
        image_pipeline.load_images(f"idx:{tmp_path}")


def declare(tfds, digits, name, shape=(28, 28, 1), num_classes=10):
    """Declares a dataset of TensorFlow Datasets that needs no network."""

    class Offline(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=shape),
                        "label": tfds.features.ClassLabel(num_classes=num_classes),
                    }
                ),
                supervised_keys=("image", "label"),
            )

        def _split_generators(self, dl_manager):
            if name.startswith("far_away"):
                raise ConnectionError("Name or service not known")
            return {"train": self._generate("train"), "test": self._generate("test")}

        def _generate(self, part):
            images = getattr(digits, f"{part}_images")
            labels = getattr(digits, f"{part}_labels")
            for i, (image, label) in enumerate(zip(images, labels, strict=True)):
                yield i, {"image": image, "label": int(label)}

        def _generate_examples(self):
            raise NotImplementedError

    Offline.name = name
    return Offline


@pytest.fixture
def tfds(tmp_path, monkeypatch):
    """TensorFlow Datasets with an empty data folder and no network."""
    tensorflow_datasets = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(tensorflow_datasets.core.constants, "DATA_DIR", str(tmp_path))
    return tensorflow_datasets


def register(tfds, monkeypatch, builder):
    known = tfds.builder

    def find(name, **kwargs):
        return builder() if name == builder.name else known(name, **kwargs)

    monkeypatch.setattr(tfds, "builder", find)


def test_a_tfds_dataset_is_prepared_and_read(tfds, monkeypatch, digits):
    register(tfds, monkeypatch, declare(tfds, digits, "bars"))
    loaded = image_pipeline.load_images("tfds:bars")
    assert [a.dtype for a in loaded] == [np.uint8, np.int32, np.uint8, np.int32]
    for part in ("train", "test"):
        # Its order is its own.
        pairs = [
            sorted(
                (int(label), image.tobytes())
                for image, label in zip(
                    getattr(dataset, f"{part}_images"),
                    getattr(dataset, f"{part}_labels"),
                    strict=True,
                )
            )
            for dataset in (loaded, digits)
        ]
        assert pairs[0] == pairs[1]


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        ({"shape": (32, 32, 3)}, r"of shape \(28, 28, 1\) .*\(32, 32, 3\) and 10"),
        ({"num_classes": 100}, r"10 classes. .* and 100 classes"),
    ],
)
def test_a_tfds_dataset_that_does_not_fit_is_refused_before_it_is_downloaded(
    tfds, monkeypatch, digits, fit, message
):
    register(tfds, monkeypatch, declare(tfds, digits, "far_away_misfit", **fit))
    with pytest.raises(UserError, match=message):
        image_pipeline.load_zoo_images("mnist_net", "tfds:far_away_misfit")


def test_files_that_do_not_fit_the_design_are_refused(tmp_path, digits):
    fakes.write_idx(tmp_path, digits)
    assert image_pipeline.load_zoo_images("mnist_net", f"idx:{tmp_path}").num_classes
    with pytest.raises(UserError, match=r"shape \(8, 8, 1\) and 10 .*\(28, 28, 1\)"):
        image_pipeline.load_zoo_images("digits_net", f"idx:{tmp_path}")


def test_a_tfds_dataset_that_cannot_be_downloaded_is_an_error_that_says_what_to_do(
    tfds, monkeypatch, digits
):
    register(tfds, monkeypatch, declare(tfds, digits, "far_away"))
    with pytest.raises(UserError, match="service not known.*tfds build far_away"):
        image_pipeline.load_images("tfds:far_away")


def test_an_unknown_tfds_dataset_is_an_error(tfds):
    with pytest.raises(UserError, match="is no dataset of TensorFlow Datasets"):
        image_pipeline.load_images("tfds:no_such_dataset")
