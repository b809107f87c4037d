"""Keras Applications: what is known of them, their pixels, and their weights."""

import email.message
import functools
import hashlib
import io
import socket
import time
import urllib.error
import urllib.request
import urllib.response

import keras
import numpy as np
import pytest
from keras.src import backend
from keras.src.utils import file_utils

from kennen_tf.imagenet.classifiers import keras_applications, weights
from kennen_tf.imagenet.classifiers.keras_applications import (
    APPLICATIONS,
    keras_families,
)
from kennen_tf.imagenet.classifiers.registry import Registry, open_registry
from kennen_tf.vocabulary.artifacts import sha256_of_file
from kennen_tf.vocabulary.errors import UserError

# Keras publishes no hash of the former file, and one of the latter.
MOBILENET, MOBILENET_FILE = "mobilenet_0_25", "mobilenet_2_5_224_tf.h5"
HASHED, HASHED_FILE = (
    "mobilenet_v3_small",
    "weights_mobilenet_v3_small_224_1.0_float.h5",
)
URL = "https://storage.googleapis.com/.*/"

ALL = [(family, row) for family, rows in APPLICATIONS.items() for row in rows]
# The smallest classifier of each family, and a size that its layers can do with.
SMALLEST = {
    "vgg16": 32,
    "resnet50": 32,
    "resnet50_v2": 32,
    "densenet121": 32,
    "inception_v3": 75,
    "mobilenet_0_25": 32,
    "mobilenet_v2_0_35": 32,
    "mobilenet_v3_small": 32,
    "nasnet_mobile": 32,
    "efficientnet_b0": 32,
    "efficientnet_v2_b0": 32,
    "convnext_tiny": 32,
}
# One for each way that pixels are preprocessed; to build all takes minutes.
FAST = {"vgg16", "densenet121", "mobilenet_0_25", "mobilenet_v3_small"}


@pytest.fixture(autouse=True)
def cache(request, monkeypatch, tmp_path):
    """An empty cache of Keras's, and no network, unless real weights are asked for."""
    if request.node.get_closest_marker("needs_weights"):
        return weights.cache_folder()
    home = tmp_path / "keras"
    (home / "models").mkdir(parents=True)
    monkeypatch.setattr(backend.config, "keras_home", lambda: str(home))

    def refuse(*_, **__):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return weights.cache_folder()


def find(name, weights_dir=""):
    [classifier] = Registry(keras_families(str(weights_dir))).select([name])
    return classifier


def build(row, **settings):
    constructor = getattr(keras.applications, row.constructor)
    return constructor(classifier_activation=None, **row.settings, **settings)


def row_of(name):
    [(family, row)] = [(family, row) for family, row in ALL if row.name == name]
    return family, row


def make_images(image_size, count=2):
    shape = (count, image_size, image_size, 3)
    return np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)


@functools.cache
def make_mobilenet(alpha):
    """Makes a MobileNet with random weights, once for all tests."""
    keras.utils.set_random_seed(0)
    return keras.applications.MobileNet(
        alpha=alpha, weights=None, classifier_activation=None
    )


def save(path, alpha=0.25):
    """Saves such a MobileNet as Keras's published files are; returns it."""
    model = make_mobilenet(alpha)
    model.save(path)
    return model


def check_logits(found, wanted):
    spread = np.std(wanted)
    assert spread > 0
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3 * spread)


# What is known before anything is built.


def test_families_have_two_classifiers_or_more_with_names_of_their_own():
    registry = open_registry("keras_applications")
    assert list(registry.families) == list(APPLICATIONS)
    assert all(len(classifiers) >= 2 for classifiers in registry.families.values())
    assert all(c.family == f for f, ms in registry.families.items() for c in ms)
    assert {c.num_classes for c in registry.classifiers} == {1000}
    assert (
        len({c.identity for c in registry.classifiers})
        == len(registry.classifiers)
        == 48
    )


@pytest.mark.parametrize(
    ("said", "name", "image_size"),
    [
        ("VGG16", "vgg16", 224),
        ("ResNet152", "resnet152", 224),
        ("ResNet50V2", "resnet50_v2", 224),
        ("DenseNet-121", "densenet121", 224),
        ("InceptionResNetV2", "inception_resnet_v2", 299),
        ("mobilenet 0.25", "mobilenet_0_25", 224),
        ("MobileNetV2-1.4", "mobilenet_v2_1_4", 224),
        ("MobileNetV3Small", "mobilenet_v3_small", 224),
        ("NASNetLarge", "nasnet_large", 331),
        ("EfficientNetB7", "efficientnet_b7", 600),
        ("EfficientNetV2B0", "efficientnet_v2_b0", 224),
        ("ConvNeXtXLarge", "convnext_xlarge", 224),
    ],
)
def test_classifiers_answer_to_keras_names(said, name, image_size):
    classifier = find(said)
    assert (classifier.name, classifier.image_size) == (name, image_size)


def test_everything_that_keras_has_is_there():
    there = {row.constructor for _, row in ALL}
    known = {name for name in dir(keras.applications) if name[0].isupper()}
    assert there == known


def test_nothing_is_built_to_list_families(monkeypatch):
    for _, row in ALL:
        monkeypatch.setattr(keras.applications, row.constructor, pytest.fail)
    assert keras_families()


def mostly_slow(names):
    slow = pytest.mark.slow
    return [pytest.param(name, marks=() if name in FAST else slow) for name in names]


@pytest.mark.long
@pytest.mark.parametrize("name", mostly_slow(row.name for _, row in ALL))
@pytest.mark.filterwarnings("default:.*rows. is not 224")
def test_files_and_sizes_are_those_of_keras(name, monkeypatch, recwarn):
    _, row = row_of(name)
    asked = []
    monkeypatch.setattr(
        file_utils, "get_file", lambda fname, *_, **__: asked.append(fname)
    )
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: None)
    # Variables get no values, so it is quick.
    with keras.StatelessScope(initialize_variables=False):
        model = build(row, weights="imagenet")
    keras.utils.clear_session()  # Or another scope would give them values.
    assert asked == [row.file]
    if "MobileNetV3" in row.constructor:  # It takes any size, and says which is right.
        assert "`rows` is not 224" in str(recwarn.pop(UserWarning).message)
        assert row.image_size == 224
    else:
        assert model.input_shape[1:] == (row.image_size, row.image_size, 3)
    assert model.output_shape == (None, 1000)


# Pixels.


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("vgg19", [30 - 103.939, 20 - 116.779, 10 - 123.68]),
        ("resnet101", [30 - 103.939, 20 - 116.779, 10 - 123.68]),
        ("resnet50_v2", [10 / 127.5 - 1, 20 / 127.5 - 1, 30 / 127.5 - 1]),
        (
            "densenet121",
            [
                (10 / 255 - 0.485) / 0.229,
                (20 / 255 - 0.456) / 0.224,
                (30 / 255 - 0.406) / 0.225,
            ],
        ),
        ("xception", [10 / 127.5 - 1, 20 / 127.5 - 1, 30 / 127.5 - 1]),
        ("inception_resnet_v2", [10 / 127.5 - 1, 20 / 127.5 - 1, 30 / 127.5 - 1]),
        ("mobilenet_1_0", [10 / 127.5 - 1, 20 / 127.5 - 1, 30 / 127.5 - 1]),
        ("mobilenet_v2_1_0", [10 / 127.5 - 1, 20 / 127.5 - 1, 30 / 127.5 - 1]),
        ("mobilenet_v3_large", [10, 20, 30]),
        ("nasnet_large", [10 / 127.5 - 1, 20 / 127.5 - 1, 30 / 127.5 - 1]),
        ("efficientnet_b7", [10, 20, 30]),
        ("efficientnet_v2_l", [10, 20, 30]),
        ("convnext_base", [10, 20, 30]),
    ],
)
def test_pixels_are_preprocessed_as_worked_out_by_hand(name, wanted):
    inputs = keras.Input((4, 4, 3))
    mean = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    family, _ = row_of(name)
    model = keras_applications.take_pixels(family, name, mean)
    pixels = np.broadcast_to(np.float32([10, 20, 30]), (1, 4, 4, 3))
    np.testing.assert_allclose(model(pixels)[0], wanted, rtol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("name", mostly_slow(SMALLEST))
def test_logits_are_those_after_keras_preprocessing_and_pixels_stay(name):
    family, row = row_of(name)
    size = SMALLEST[name]
    keras.utils.set_random_seed(0)
    plain = build(row, weights=None, input_shape=(size, size, 3))
    images = make_images(size)
    kept = images.copy()
    found = keras_applications.take_pixels(family, name, plain)(images)
    np.testing.assert_array_equal(images, kept)
    module = name if family in ("vgg", "inception") else family
    preprocess = getattr(keras.applications, module).preprocess_input
    # It writes over its argument, which is why it is not called on what users give.
    check_logits(found, plain(preprocess(kept)))


# Weights.


@pytest.mark.long
def test_weights_are_taken_from_the_folder(tmp_path):
    plain = save(tmp_path / MOBILENET_FILE)
    classifier = find(MOBILENET, tmp_path)
    assert classifier.identity == sha256_of_file(tmp_path / MOBILENET_FILE)
    opened = classifier.open()
    assert (opened.image_size, opened.num_classes) == (224, 1000)
    images = make_images(224)
    kept = images.copy()
    logits = opened(images)
    np.testing.assert_array_equal(images, kept)
    check_logits(logits, plain(kept / 127.5 - 1))
    assert file_utils.get_file is keras.utils.get_file


@pytest.mark.long
def test_weights_that_the_folder_lacks_are_taken_from_the_cache(tmp_path, cache):
    plain = save(cache / MOBILENET_FILE)
    for weights_dir in ("", tmp_path):
        classifier = find(MOBILENET, weights_dir)
        assert classifier.identity == f"{MOBILENET_FILE} as Keras publishes it"
        check_logits(
            classifier.open()(make_images(224)), plain(make_images(224) / 127.5 - 1)
        )


@pytest.mark.long
def test_the_folder_goes_before_the_cache(tmp_path, cache):
    (cache / MOBILENET_FILE).write_text("no weights")
    save(tmp_path / MOBILENET_FILE)
    assert find(MOBILENET, tmp_path).open()


@pytest.mark.long
def test_what_is_built_fits_published_weights(tmp_path, monkeypatch):
    """With them, EfficientNet has a layer more than with any others."""
    _, row = row_of("efficientnet_b0")
    path = tmp_path / row.file
    keras.utils.set_random_seed(0)
    other = build(row, weights=None)
    other.save(path)
    with monkeypatch.context() as patched:
        patched.setattr(file_utils, "get_file", lambda *_, **__: str(path))
        published = build(row, weights="imagenet")
    monkeypatch.setattr(weights, "_find_damage", lambda *_: "")
    images = make_images(224)
    logits = find("efficientnet_b0", tmp_path).open()(images)
    check_logits(logits, published(images))
    assert np.abs(logits - other(images)).max() > 0.1 * np.std(logits)


@pytest.mark.parametrize("given", [False, True])
def test_without_a_network_one_sentence_says_what_to_put_where(given, tmp_path, cache):
    place = tmp_path if given else f"{cache}, or the folder of --weights_dir,"
    with pytest.raises(
        UserError,
        match=f"The weights {MOBILENET_FILE} are needed, and cannot be downloaded "
        rf"\(URLError: .*no network in tests.*\). Get the file from {URL}"
        f"{MOBILENET_FILE} and put it into {place} as {MOBILENET_FILE}.$",
    ):
        find(MOBILENET, tmp_path if given else "").open()
    assert file_utils.get_file is keras.utils.get_file


def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(weights, "_ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: time.sleep(2))
    with pytest.raises(UserError, match="TimeoutError: no answer within 0.1 s"):
        find(MOBILENET).open()


def serve(monkeypatch, content):
    """Answers every request with some bytes; returns the timeouts of connections."""
    timeouts = []

    def urlopen(request, *_, timeout=None, **__):
        timeouts.append(timeout or socket.getdefaulttimeout())
        headers = email.message.Message()
        headers["Content-Length"] = str(len(content))
        return urllib.response.addinfourl(io.BytesIO(content), headers, "https://a")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return timeouts


@pytest.mark.long
def test_weights_are_downloaded_into_the_cache(tmp_path, monkeypatch, cache):
    save(tmp_path / "a.h5")
    timeouts = serve(monkeypatch, (tmp_path / "a.h5").read_bytes())
    assert find(MOBILENET).open()
    assert (cache / MOBILENET_FILE).exists()
    assert timeouts == [weights._ANSWER_SECONDS, weights._STALL_SECONDS]
    assert socket.getdefaulttimeout() is None
    assert find(MOBILENET).open()
    assert len(timeouts) == 2


@pytest.mark.long
def test_a_damaged_download_is_refused(monkeypatch, cache):
    serve(monkeypatch, b"half a file")
    (cache / HASHED_FILE).write_text("a file that was damaged before")
    with pytest.raises(UserError, match="ValueError: Incomplete or corrupted.*Get the"):
        find(HASHED).open()


@pytest.mark.long
def test_another_file_of_the_published_name_is_refused(tmp_path):
    (tmp_path / HASHED_FILE).write_bytes(b"half a file")
    came = hashlib.md5(b"half a file", usedforsecurity=False).hexdigest()
    with pytest.raises(
        UserError,
        match=f"The weights {HASHED_FILE} in {tmp_path} are damaged, or not those that "
        f"Keras publishes: their MD5 is {came}, not .*. Get the file from {URL}"
        f"{HASHED_FILE} and put it into {tmp_path} as",
    ):
        find(HASHED, tmp_path).open()


def test_hashes_are_told_by_their_length(tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(b"a")
    for algorithm in ("md5", "sha256"):
        digest = hashlib.new(algorithm, b"a").hexdigest()
        assert not weights._find_damage(path, digest)
        assert digest in weights._find_damage(path, digest[::-1])
    assert not weights._find_damage(path, None)


@pytest.mark.long
def test_weights_that_cannot_be_read_or_do_not_fit_are_refused(tmp_path, cache):
    save(tmp_path / MOBILENET_FILE, alpha=0.5)
    content = (tmp_path / MOBILENET_FILE).read_bytes()
    message = "are damaged, or those of another classifier .*: .* put it into"
    with pytest.raises(UserError, match=f"{MOBILENET_FILE} in {tmp_path} {message}"):
        find(MOBILENET, tmp_path).open()
    for damaged in (content[: len(content) // 2], b"", b"no weights"):
        (tmp_path / MOBILENET_FILE).write_bytes(damaged)
        with pytest.raises(UserError, match=f"in {tmp_path} {message} {tmp_path} as"):
            find(MOBILENET, tmp_path).open()
    (cache / MOBILENET_FILE).write_bytes(b"no weights")
    with pytest.raises(UserError, match=f"in {cache} {message} {cache}, or the folder"):
        find(MOBILENET).open()


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="must be a folder.*Received: .*wieghts, and"):
        keras_families(str(tmp_path / "wieghts"))


def test_a_keras_that_asks_for_something_else_is_noticed():
    with pytest.raises(RuntimeError, match=f"wants {MOBILENET_FILE}, not a.h5"):
        with weights.keras_weights("a.h5"):
            keras.applications.MobileNet(alpha=0.25)
    with pytest.raises(RuntimeError, match="did not ask for a.h5"):
        with weights.keras_weights("a.h5"):
            pass


def test_defects_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        with weights.keras_weights("a.h5"):
            raise ZeroDivisionError


@pytest.mark.needs_weights
def test_published_weights_tell_images_apart():
    logits = find(MOBILENET).open()(make_images(224, count=4)).numpy()
    assert logits.shape == (4, 1000) and np.isfinite(logits).all()
    assert logits.std(axis=1).min() > 1
