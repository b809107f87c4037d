"""Conversion: torchvision's logits from its weights, and errors that say which tensor.

Golden logits are torchvision's own, on weights that both sides make from names alone.
"""

import gc
import importlib.util
import json
import pathlib
import sys
import types

import numpy as np
import pytest
import random_weights

from kennen_tf.configs.conversion import CLASSIFIERS, FAMILIES, ConversionConfig
from kennen_tf.convert_weights import convert_weights
from kennen_tf.imagenet.classifiers import architectures, conversion, paper_classifiers
from kennen_tf.imagenet.classifiers.architectures.torchvision_layers import Variant
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

GOLDEN = pathlib.Path(__file__).parents[2] / "golden"
TOLERANCE = 1e-4

# Each family in its real form; of ResNets, with and without bottlenecks.
QUICK = (
    *("squeezenet1_0", "squeezenet1_1", "vgg11", "vgg11_bn"),
    *("resnet18", "resnet50", "densenet121"),
)
EACH = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in CLASSIFIERS
]
TINY = Variant(image_size=32, num_classes=10, width=0.0625, depth=0.25, pooled_size=1)


@pytest.fixture(autouse=True)
def freed():
    """Frees what a test built: a VGG is half a GB, and Keras models are cycles."""
    gc.collect()
    yield
    gc.collect()


class Drawn:
    """A tensor of a state dict that is drawn when it is read: a VGG's are half a GB."""

    def __init__(self, name, shape):
        self.name = name
        self.shape = shape

    def __array__(self, dtype=None, copy=None):
        return random_weights.make_tensor(self.name, self.shape)


def random_state_dict(model):
    """Returns torchvision's state dict, as random weights have it."""
    slots = conversion.find_slots(model)
    return {name: Drawn(name, slot.shape) for name, slot in slots.items()}


def make_classifier(name):
    model = architectures.build(name)
    conversion.fill(model, random_state_dict(model))
    return model


def golden(name):
    return json.loads((GOLDEN / "torchvision_logits.json").read_text())["logits"][name]


def check_golden(name, logits):
    summary = random_weights.summarize(logits)
    for key, wanted in golden(name).items():
        np.testing.assert_allclose(summary[key], wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.long
@pytest.mark.parametrize("name", EACH)
def test_logits_are_torchvisions_golden_ones(name):
    images = random_weights.make_images().astype(np.float32)
    check_golden(name, make_classifier(name)(images, training=False))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_golden_logits_differ_between_images_and_are_not_flat(name):
    some = np.array(golden(name)["some"])
    assert np.abs(some[0] - some[1]).max() > 100 * TOLERANCE
    assert some.std(axis=1).min() > 0.1


@pytest.fixture
def golden_script():
    """The script that golden logits were made with, where it could run."""
    for name in ("torch", "torchvision"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}")
    path = GOLDEN / "make_torchvision_logits.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", EACH)
def test_logits_are_those_of_the_installed_torchvision(name, golden_script):
    def make_tensor(key, shape):  # Other weights than the golden ones.
        return random_weights.make_tensor(key, shape)[..., ::-1].copy()

    images = random_weights.make_images()[::-1].copy()
    model = architectures.build(name)
    slots = conversion.find_slots(model)
    conversion.fill(model, {n: make_tensor(n, s.shape) for n, s in slots.items()})
    received = np.asarray(model(images.astype(np.float32), training=False))
    wanted = golden_script.torchvision_logits(name, make_tensor, images)
    np.testing.assert_allclose(received, wanted, rtol=0, atol=TOLERANCE)


def test_published_files_are_torchvisions(golden_script):
    models = golden_script.import_torchvision().models
    for name, file in conversion.PUBLISHED.items():
        weights = models.get_model_weights(name).IMAGENET1K_V1
        assert weights.url == conversion.URL + file


def test_every_classifier_has_a_published_file():
    assert tuple(sorted(conversion.PUBLISHED)) == tuple(sorted(CLASSIFIERS))


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_every_variable_is_filled(family):
    model = architectures.build(FAMILIES[family][0], TINY)
    for variable in model.weights:
        variable.assign(np.full(variable.shape, np.nan, np.float32))
    conversion.fill(model, random_state_dict(model))
    assert all(np.isfinite(value).all() for value in model.get_weights())


@pytest.fixture(scope="module")
def unfilled():
    """A small DenseNet and a state dict for it. Not to be filled, nor changed."""
    model = architectures.build("densenet121", TINY)
    return model, random_state_dict(model)


@pytest.fixture
def tiny_densenet(unfilled):
    """The same, with tensors that may be taken out and put in."""
    model, tensors = unfilled
    return model, dict(tensors)


@pytest.mark.long
def test_names_of_before_and_counters_are_understood(unfilled):
    model, tensors = architectures.build("densenet121", TINY), unfilled[1]
    conversion.fill(model, tensors)
    wanted = model.get_weights()
    old = {
        name.replace("norm1.", "norm.1.")
        .replace("conv1.", "conv.1.")
        .replace("norm2.", "norm.2.")
        .replace("conv2.", "conv.2."): value
        for name, value in tensors.items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    old["features.norm0.num_batches_tracked"] = np.array(3)
    other = architectures.build("densenet121", TINY)
    conversion.fill(other, old)
    for value, same in zip(wanted, other.get_weights(), strict=True):
        np.testing.assert_array_equal(value, same)


@pytest.mark.long
@pytest.mark.parametrize("suffix", ["weight", "bias", "running_mean", "running_var"])
def test_a_missing_tensor_is_named(suffix, tiny_densenet):
    model, tensors = tiny_densenet
    del tensors[f"features.norm5.{suffix}"]
    with pytest.raises(UserError, match=rf"Missing: 1 \(features.norm5.{suffix} first"):
        conversion.fill(model, tensors)


@pytest.mark.long
def test_a_tensor_too_many_is_named(tiny_densenet):
    model, tensors = tiny_densenet
    tensors["features.norm6.weight"] = np.ones(3)
    with pytest.raises(UserError, match=r"left over: 1 \(features.norm6.weight first"):
        conversion.fill(model, tensors)


@pytest.mark.long
def test_a_tensor_of_another_shape_is_named_and_nothing_is_filled(tiny_densenet):
    model, tensors = tiny_densenet
    tensors["classifier.weight"] = np.asarray(tensors["classifier.weight"]).T
    with pytest.raises(
        UserError, match=r"classifier.weight .*\(10, \d+\).*\(\d+, 10\)"
    ):
        conversion.fill(model, tensors)
    assert not model.get_layer("features.conv0").kernel.numpy().any()


def test_a_published_name_vouches_for_the_content(tmp_path):
    path = tmp_path / "vgg11-8a719046.pth"
    path.write_bytes(b"cut off")
    with pytest.raises(UserError, match="begins with 8a719046.*download it again"):
        conversion.check_published(path, "vgg11")
    digest = artifacts.sha256_of_file(path)
    whole = path.rename(tmp_path / f"mine-{digest[:8]}.pth")
    assert conversion.check_published(whole, "vgg11") == digest
    unnamed = whole.rename(tmp_path / "mine.pth")
    assert conversion.check_published(unnamed, "vgg11") == digest


def test_files_of_others_and_no_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="vgg13-19584684.pth.*that of vgg11"):
        conversion.check_published(tmp_path / "vgg11-8a719046.pth", "vgg13")
    with pytest.raises(UserError, match="vgg11-8a719046.pth.*No such file"):
        conversion.check_published(tmp_path / "none.pth", "vgg11")


def test_without_pytorch_a_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match="`pip install torch`"):
        conversion.read_state_dict("vgg11.pth")


def test_what_pytorch_cannot_read_is_refused(tmp_path):
    pytest.importorskip("torch")
    path = tmp_path / "damaged.pth"
    path.write_bytes(b"no state dict")
    with pytest.raises(UserError, match="damaged.pth must be a state dict"):
        conversion.read_state_dict(path)


class FakeTensor:
    """What is needed of a tensor of PyTorch's."""

    def __init__(self, array):
        self.array = array

    def float(self):
        return self

    def numpy(self):
        return self.array


@pytest.fixture
def fake_torch(monkeypatch):
    """A PyTorch whose files are those of NumPy; it insists on reading weights only."""

    def load(path, *, map_location, weights_only):
        assert weights_only and map_location == "cpu"
        return {n: FakeTensor(a) for n, a in np.load(path).items()}

    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(load=load))


@pytest.fixture
def converted(tmp_path, fake_torch):
    """Folder in which squeezenet1_1 has been converted, with random weights."""
    drawn = random_state_dict(architectures.build("squeezenet1_1"))
    tensors = {name: np.asarray(tensor) for name, tensor in drawn.items()}
    with open(tmp_path / "mine.pth", "wb") as file:
        np.savez(file, **tensors)
    convert_weights(
        ConversionConfig(
            classifier="squeezenet1_1",
            state_dict=str(tmp_path / "mine.pth"),
            weights_dir=str(tmp_path / "weights"),
        )
    )
    return tmp_path / "weights"


def find(folder, name):
    families = paper_classifiers.paper_families(str(folder))
    return {c.name: c for classifiers in families.values() for c in classifiers}[name]


@pytest.mark.long
def test_a_converted_classifier_is_the_papers_and_has_torchvisions_logits(converted):
    classifier = find(converted, "squeezenet1_1")
    check_golden("squeezenet1_1", classifier.open()(random_weights.make_images()))
    files = sorted(path.name for path in converted.iterdir())
    assert files == ["squeezenet1_1.json", "squeezenet1_1.keras"]
    record = json.loads((converted / files[0]).read_text())
    assert classifier.identity == record["sha256"]
    assert record["source"] == {
        "file": "mine.pth",
        "sha256": artifacts.sha256_of_file(converted.parent / "mine.pth"),
    }
    assert "commit" in record["provenance"]


@pytest.mark.long
def test_a_changed_or_unrecorded_file_is_refused(converted):
    path = converted / "squeezenet1_1.keras"
    with open(path, "ab") as file:
        file.write(b"more")
    with pytest.raises(UserError, match="is not the file that was converted"):
        find(converted, "squeezenet1_1").open()
    conversion.record_path(path).unlink()
    with pytest.raises(
        UserError, match="squeezenet1_1.json is missing.*convert_weights"
    ):
        find(converted, "squeezenet1_1").open()


def test_the_paper_has_19_classifiers_and_each_says_what_it_lacks(tmp_path):
    families = paper_classifiers.paper_families(str(tmp_path))
    names = {
        f: tuple(c.name for c in classifiers) for f, classifiers in families.items()
    }
    assert names == FAMILIES
    for classifiers in families.values():
        for classifier in classifiers:
            assert (classifier.image_size, classifier.num_classes) == (224, 1000)
            with pytest.raises(UserError) as error:
                classifier.open()
            for part in (
                f"{classifier.name}.keras",
                f"https://download.pytorch.org/models/{classifier.name}-",
                f"in {tmp_path}",
                f"convert_weights --classifier={classifier.name} --state_dict=",
                f"--weights_dir={tmp_path}",
            ):
                assert part in str(error.value)
    identities = [c.identity for classifiers in families.values() for c in classifiers]
    assert len(set(identities)) == 19


def test_by_default_weights_are_in_keras_own_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert paper_classifiers.weights_folder("") == tmp_path / "kennen_tf"
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paper_classifiers.weights_folder("") == tmp_path / ".keras" / "kennen_tf"
    assert paper_classifiers.weights_folder("~/w") == tmp_path / "w"


def test_settings_are_checked():
    with pytest.raises(UserError, match="--classifier must be given"):
        ConversionConfig(state_dict="x.pth")
    with pytest.raises(UserError, match="--classifier must be one of"):
        ConversionConfig(classifier="vgg12", state_dict="x.pth")
    with pytest.raises(UserError, match="--state_dict must be given"):
        ConversionConfig(classifier="vgg11")
