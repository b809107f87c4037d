"""Families, their classifiers' names, and manifests of one's own classifiers."""

import json
import shutil
import zipfile

import image_fakes
import keras
import numpy as np
import pytest

from kennen_tf.imagenet.classifiers import keras_files, weights
from kennen_tf.imagenet.classifiers.family_classifier import FamilyClassifier
from kennen_tf.imagenet.classifiers.manifest import open_manifest, write_manifest
from kennen_tf.imagenet.classifiers.registry import Registry, open_registry
from kennen_tf.keras_models import archives
from kennen_tf.vocabulary.artifacts import sha256_of_file
from kennen_tf.vocabulary.errors import UserError

SIZE, CLASSES = 8, 5


def classifier(family, name, identity=""):
    return FamilyClassifier(
        family=family,
        name=name,
        image_size=SIZE,
        num_classes=CLASSES,
        identity=identity or name,
        opener=lambda: pytest.fail("Nothing has to be opened."),
    )


def registry():
    return Registry(
        {
            "resnet": (
                classifier("resnet", "resnet50"),
                classifier("resnet", "resnet101"),
            ),
            "vgg": (
                classifier("vgg", "vgg16", "abc"),
                classifier("vgg", "vgg_bn", "abc x=1"),
            ),
            "vgg_bn": (classifier("vgg_bn", "vgg16_bn"),),
        }
    )


def names(classifiers):
    return [one.name for one in classifiers]


def test_classifiers_come_family_by_family():
    wanted = ["resnet50", "resnet101", "vgg16", "vgg_bn", "vgg16_bn"]
    assert names(registry().classifiers) == wanted


@pytest.mark.parametrize("name", ["vgg16_bn", "VGG16-BN", "Vgg16Bn", "vgg16.bn"])
def test_a_classifier_is_found_whatever_the_case_and_signs(name):
    assert names(registry().select([name])) == ["vgg16_bn"]


def test_a_name_that_is_not_known_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"'resnet51'\. Did you mean resnet50"):
        registry().select(["resnet51"])
    with pytest.raises(UserError, match=r"one of resnet50, .*Received: 'zzz'\.$"):
        registry().select(["zzz"])
    with pytest.raises(UserError, match="'resnets'. Did you mean resnet"):
        registry().select(["vgg", "resnets"])


def test_classifiers_are_selected_once_by_their_names_and_by_their_families():
    wanted = ["vgg16_bn", "resnet50", "resnet101"]
    assert names(registry().select(["VGG16_BN", "resnet", "resnet50"])) == wanted
    assert registry().select([]) == ()


def test_a_classifier_goes_before_a_family_of_the_same_name():
    assert names(registry().select(["vgg_bn"])) == ["vgg_bn"]
    assert [one.family for one in registry().select(["vgg_bn"])] == ["vgg"]


def test_what_is_left_out_takes_its_empty_family_with_it():
    rest = registry().without({"resnet50", "vgg16_bn"})
    assert list(rest.families) == ["resnet", "vgg"]
    assert names(rest.families["resnet"]) == ["resnet101"]
    assert names(registry().classifiers) != names(rest.classifiers)  # A copy.


def test_a_file_is_left_out_however_it_is_used():
    assert list(registry().without(["abc"]).families) == ["resnet", "vgg_bn"]
    assert names(registry().without(["abc x=1"]).families["vgg"]) == ["vgg16"]


def test_names_must_differ_in_more_than_signs():
    with pytest.raises(UserError, match="classifiers must differ.*: my-net, MyNet"):
        Registry({"a": (classifier("a", "my-net"),), "b": (classifier("b", "MyNet"),)})
    with pytest.raises(UserError, match="families must differ.*: vgg_bn, vggbn"):
        Registry({"vgg_bn": (), "vggbn": ()})


def test_a_registry_is_opened_by_name_or_path(tmp_path):
    with pytest.raises(UserError, match=r"Received: keras-app.*mean keras_applicati"):
        open_registry("keras-applicatons")
    with pytest.raises(UserError, match="manifest.json, and there is no such file"):
        open_registry(str(tmp_path / "manifest.json"))
    assert "vgg16" in names(open_registry("keras_applications").families["vgg"])


def test_the_sentence_about_weights_says_which_from_where_and_where_to():
    error = weights.missing_weights("a.h5", "https://b/a.h5", "/c", "are damaged")
    assert isinstance(error, UserError)
    assert "a.h5 are damaged" in str(error) and "https://b/a.h5 and put it into /c" in (
        str(error)
    )


def save(path, size=SIZE, classes=CLASSES, last="linear", channels=3, seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((size, size, channels))
    values = keras.layers.GlobalAveragePooling2D()(inputs)
    values = keras.layers.Dense(classes, activation=last)(values)
    model = keras.Model(inputs, values)
    model.save(path)
    return model


def row(file="a.keras", **others):
    return {"name": "a", "family": "f", "file": file, **others}


def images(size=SIZE):
    generator = np.random.default_rng(0)
    return generator.uniform(0, 255, (2, size, size, 3)).astype(np.float32)


def test_a_manifest_gives_its_classifiers(tmp_path):
    (tmp_path / "sub").mkdir()
    first = save(tmp_path / "a.keras")
    second = save(tmp_path / "sub" / "b.keras", last="softmax", size=9)
    save(tmp_path / "c.keras", seed=1)
    rows = [
        row(),
        row(
            file="sub/b.keras",
            name="b",
            family="g",
            outputs="probabilities",
            pixels="unit",
        ),
        row(name="c", file="c.keras", image_size=SIZE),
    ]
    path = write_manifest(tmp_path / "manifest.json", rows)
    assert json.loads(path.read_text()) == {"schema_version": 1, "classifiers": rows}
    for where in (path, tmp_path):
        opened = open_registry(str(where))
        assert {f: names(c) for f, c in opened.families.items()} == {
            "f": ["a", "c"],
            "g": ["b"],
        }
    a, b = opened.select(["a", "b"])
    assert (a.image_size, a.num_classes, b.image_size) == (SIZE, CLASSES, 9)
    np.testing.assert_array_equal(a.open()(images()), first(images()))
    probabilities = keras.ops.softmax(b.open()(images(9)))
    np.testing.assert_allclose(probabilities, second(images(9) / 255), rtol=1e-5)


def test_identity_tells_the_file_and_how_it_is_used(tmp_path):
    save(tmp_path / "a.keras", last="softmax")
    a, b = (
        open_manifest(
            write_manifest(
                tmp_path / "manifest.json",
                [row(outputs="probabilities", pixels=pixels)],
            )
        )["f"][0]
        for pixels in ("byte", "unit")
    )
    digest = sha256_of_file(tmp_path / "a.keras")
    assert a.identity != b.identity
    assert a.identity.split()[0] == b.identity.split()[0] == digest
    assert not Registry({"f": (a,), "g": ()}).without({digest}).classifiers


def nested():
    inputs = keras.Input((SIZE, SIZE, 3))
    inner_inputs = keras.Input((SIZE, SIZE, 3))
    values = keras.layers.Conv2D(CLASSES, 3)(inner_inputs)
    values = keras.layers.GlobalMaxPooling2D()(values)
    values = keras.layers.Reshape((CLASSES,))(values)
    inner = keras.Model(inner_inputs, keras.layers.Activation("linear")(values))
    return keras.Model(inputs, inner(keras.layers.Rescaling(1 / 255)(inputs)))


def sequential():
    layers = [keras.layers.Flatten(), keras.layers.Dense(CLASSES)]
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), *layers])


def two_outputs():
    model = nested()
    return keras.Model(model.inputs, [model.output, model.output + 1])


def any_size():
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(inputs))


def from_operations():
    inputs = keras.Input((SIZE, SIZE, 3))
    return keras.Model(inputs, keras.ops.max(inputs, axis=(1, 2)) / 3)


@pytest.mark.parametrize(
    "make", [nested, sequential, two_outputs, any_size, from_operations]
)
def test_shapes_are_read_of_models_of_every_kind(make, tmp_path):
    model = make()
    model.save(tmp_path / "a.keras")
    inputs, outputs = keras_files.read_shapes("a", tmp_path / "a.keras")
    assert inputs == [tuple(tensor.shape) for tensor in model.inputs]
    assert outputs == [tuple(tensor.shape) for tensor in model.outputs]


@pytest.mark.parametrize("make", [nested, any_size])
def test_shapes_of_common_models_are_read_without_opening(make, tmp_path, monkeypatch):
    make().save(tmp_path / "a.keras")
    monkeypatch.setattr(keras_files, "_load", lambda *_: pytest.fail("Opened."))
    keras_files.read_shapes("a", tmp_path / "a.keras")


def test_a_model_of_any_size_is_given_one(tmp_path):
    any_size().save(tmp_path / "a.keras")
    manifest = write_manifest(tmp_path / "manifest.json", [row()])
    with pytest.raises(UserError, match=r"a \(.*a.keras\) must take.*give image_size"):
        open_manifest(manifest)
    write_manifest(manifest, [row(image_size=20)])
    [classifier] = open_manifest(manifest)["f"]
    assert classifier.image_size == classifier.open().image_size == 20


def test_a_manifest_must_exist_and_be_json_of_the_right_form(tmp_path):
    path = tmp_path / "manifest.json"
    with pytest.raises(UserError, match=f"{path} .No such file"):
        open_manifest(path)
    for text, message in {
        "{": "must be JSON",
        "\xff": "must be JSON",
        "[]": r"must be of the form .*Received: list",
        '{"classifiers": []}': r"of the form.*Received: \['classifiers'\]",
        '{"schema_version": 2, "classifiers": []}': "version 1. Received: 2",
        '{"schema_version": 1, "classifiers": []}': "one classifier or more",
        '{"schema_version": 1, "classifiers": [1]}': "1, must be an object",
    }.items():
        path.write_text(text, encoding="latin-1")
        with pytest.raises(UserError, match=message):
            open_manifest(path)


@pytest.mark.parametrize(
    ("bad_row", "message"),
    [
        ({"name": "a", "file": "a.keras"}, r"classifier 1 \(a\).*Missing: \['family'"),
        (row(size=3), r"Missing: \[\]; unknown: \['size'\]"),
        (row(name=""), "name must be a text. Received: ''"),
        (row(family=3), "family must be a text. Received: 3"),
        (row(outputs="labels"), r"outputs must be one of \('logits', 'probab.*'labels"),
        (row(pixels=255), "pixels must be one of .'byte', 'unit'.. Received: 255"),
        (row(image_size="224"), "image_size must be 1 or more. Received: '224'"),
        (row(image_size=True), "image_size must be 1 or more. Received: True"),
    ],
)
def test_a_row_must_be_right_when_read_and_when_written(bad_row, message, tmp_path):
    path = tmp_path / "manifest.json"
    with pytest.raises(UserError, match=message):
        write_manifest(path, [bad_row])
    assert not path.exists()
    path.write_text(json.dumps({"schema_version": 1, "classifiers": [bad_row]}))
    with pytest.raises(UserError, match=message):
        open_manifest(path)


def open_rows(folder, *rows):
    return open_manifest(write_manifest(folder / "manifest.json", rows))


def test_files_must_be_there_and_be_keras_models(tmp_path):
    with pytest.raises(UserError, match="the file of a, and there is no .*b.keras"):
        open_rows(tmp_path, row(file="b.keras"))
    (tmp_path / "b.keras").write_text("no model")
    with pytest.raises(UserError, match=r"a \(.*Received: .*b.keras, which cannot be"):
        open_rows(tmp_path, row(file="b.keras"))


def test_models_must_be_classifiers_of_square_images(tmp_path):
    save(tmp_path / "gray.keras", channels=1)
    with pytest.raises(UserError, match=r"square images.*Received: \(None, 8, 8, 1\)"):
        open_rows(tmp_path, row(file="gray.keras"))
    inputs = keras.Input((SIZE, SIZE, 3))
    keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs)).save(tmp_path / "m.keras")
    with pytest.raises(UserError, match=r"\(n, classes\).*Received: \(None, 6, 6, 4\)"):
        open_rows(tmp_path, row(file="m.keras"))
    save(tmp_path / "a.keras")
    with pytest.raises(UserError, match=r"image_size=9 was given. Received: .*8, 8"):
        open_rows(tmp_path, row(image_size=9))


def test_classifiers_must_have_names_of_their_own_and_the_same_classes(tmp_path):
    save(tmp_path / "a.keras")
    save(tmp_path / "b.keras", classes=6)
    with pytest.raises(UserError, match="classifiers must differ.*Received: a, A"):
        open_rows(tmp_path, row(), row(name="A", family="g"))
    with pytest.raises(UserError, match="same classes.*Received: 5 of a, 6 of b"):
        open_rows(tmp_path, row(), row(name="b", file="b.keras"))


def test_one_file_is_not_two_classifiers(tmp_path):
    save(tmp_path / "a.keras")
    shutil.copy(tmp_path / "a.keras", tmp_path / "b.keras")
    twin = row(name="b", family="g", file="b.keras", pixels="unit")
    with pytest.raises(UserError, match="different ones.*Received: a and b, files"):
        open_rows(tmp_path, row(), twin)


def copy_later(path, other):
    shutil.copy(path, other)
    with zipfile.ZipFile(other, "a") as archive:
        archive.comment = b"saved later"


@pytest.mark.parametrize("save_again", [copy_later, image_fakes.save_again])
def test_a_classifier_saved_twice_is_not_two_and_is_left_out_as_itself(
    tmp_path, save_again
):
    save(tmp_path / "a.keras")
    save_again(tmp_path / "a.keras", tmp_path / "b.keras")
    digests = {sha256_of_file(tmp_path / f"{name}.keras") for name in "ab"}
    assert len(digests) == 2
    twin = row(name="b", family="g", file="b.keras")
    with pytest.raises(UserError, match="different ones.*Received: a and b, files"):
        open_rows(tmp_path, row(), twin)
    save(tmp_path / "c.keras", size=9)
    other = row(name="c", family="g", file="c.keras")
    found = Registry(open_rows(tmp_path, row(), other))
    fingerprint = archives.fingerprint(tmp_path / "b.keras")
    assert [c.name for c in found.without([fingerprint]).classifiers] == ["c"]
    assert len(found.without([""]).classifiers) == 2


def test_logits_that_are_probabilities_are_found_when_opened(tmp_path):
    save(tmp_path / "a.keras", last="softmax")
    [classifier] = open_rows(tmp_path, row())["f"]
    with pytest.raises(UserError, match="a ends in a softmax.*Say probabilities"):
        classifier.open()
