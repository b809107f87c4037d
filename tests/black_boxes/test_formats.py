"""Formats: files as others write them are opened, and say what they are if not."""

import json
import os
import pathlib
import subprocess
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kennen_tf
from kennen_tf.black_boxes.forms import Form
from kennen_tf.black_boxes.opening import Access, open_black_box
from kennen_tf.vocabulary.errors import UserError

FORM = Form.of((4, 4, 1), 3)
IMAGES = np.random.default_rng(0).random((5, 4, 4, 1), np.float32)
WEIGHTS = [
    np.random.default_rng(1).normal(0, 1, (16, 3)).astype(np.float32),
    np.array([0.1, -0.2, 0.3], np.float32),
]


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


WANTED = softmax(IMAGES.reshape(5, 16) @ WEIGHTS[0] + WEIGHTS[1])


def make_model(library=keras):
    model = library.Sequential(
        [
            library.layers.Flatten(input_shape=(4, 4, 1))
            if library is tf_keras
            else keras.Input((4, 4, 1)),
            *([] if library is tf_keras else [keras.layers.Flatten()]),
            library.layers.Dense(3, activation="softmax"),
        ]
    )
    model.set_weights(WEIGHTS)
    return model


def check(path, rtol=1e-5, **more):
    box = open_black_box(str(path), form=FORM, **more)
    np.testing.assert_allclose(box.probabilities(IMAGES), WANTED, rtol=rtol)


def old_layout(path, change, version="2.2.4-tf"):
    """Writes an HDF5 file as Keras of that version did; `change` edits the config."""
    config = {
        "class_name": "Sequential",
        "config": {
            "name": "sequential",
            "layers": [
                {
                    "class_name": "Flatten",
                    "config": {
                        "name": "flatten",
                        "trainable": True,
                        "batch_input_shape": [None, 4, 4, 1],
                        "dtype": "float32",
                        "data_format": "channels_last",
                    },
                },
                {
                    "class_name": "Dense",
                    "config": {
                        "name": "dense",
                        "trainable": True,
                        "dtype": "float32",
                        "units": 3,
                        "activation": "softmax",
                        "use_bias": True,
                        "kernel_initializer": {
                            "class_name": "VarianceScaling",
                            "config": {
                                "scale": 1.0,
                                "mode": "fan_avg",
                                "distribution": "uniform",
                                "seed": None,
                                "dtype": "float32",
                            },
                        },
                        "bias_initializer": {"class_name": "Zeros", "config": {}},
                    },
                },
            ],
        },
    }
    change(config)
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version.encode()
        file.attrs["backend"] = b"tensorflow"
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"flatten", b"dense"]
        group.attrs["keras_version"] = version.encode()
        group.attrs["backend"] = b"tensorflow"
        group.create_group("flatten").attrs["weight_names"] = []
        dense = group.create_group("dense")
        names = [b"dense/kernel:0", b"dense/bias:0"]
        dense.attrs["weight_names"] = names
        for name, array in zip(names, WEIGHTS, strict=True):
            dense.create_dataset(name.decode(), data=array)
    return path


def as_a_list(config):
    """Keras before 2.2.3 kept the layers of a Sequential model as a plain list."""
    config["config"] = config["config"]["layers"]


@pytest.mark.parametrize("change", [lambda config: None, as_a_list])
@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".keras", ".model"])
def test_hdf5_files_of_keras_2_open_whatever_their_name(tmp_path, suffix, change):
    check(old_layout(tmp_path / f"old{suffix}", change))


@pytest.mark.parametrize("library", [keras, tf_keras])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_what_both_keras_save_opens(tmp_path, library, suffix):
    path = tmp_path / f"model{suffix}"
    make_model(library).save(path)
    check(path)
    check(path.rename(tmp_path / "model.h5.download"))
    if library is keras:
        check((tmp_path / "model.h5.download").rename(tmp_path / "model.keras.h5"))


def test_a_model_that_takes_whole_numbers_is_sent_bytes(tmp_path):
    inputs = keras.Input((4, 4, 1), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, x)
    model.set_weights(WEIGHTS)
    model.save(tmp_path / "bytes.keras")
    box = open_black_box(str(tmp_path / "bytes.keras"), form=FORM, pixels="byte")
    images = np.rint(IMAGES * 255) / np.float32(255)
    wanted = softmax(images.reshape(5, 16) @ WEIGHTS[0] + WEIGHTS[1])
    np.testing.assert_allclose(box.probabilities(images), wanted, rtol=1e-4)
    with pytest.raises(UserError, match="whole numbers"):
        open_black_box(str(tmp_path / "bytes.keras"), form=FORM, pixels="unit")


class Served(tf.Module):
    """Serves two signatures; the default one takes text."""

    def __init__(self):
        super().__init__()
        self.weights = [tf.Variable(own) for own in WEIGHTS]

    @tf.function(input_signature=[tf.TensorSpec((None, 16), tf.float32)])
    def predict(self, images):
        return {"y": tf.nn.softmax(images @ self.weights[0] + self.weights[1])}

    @tf.function(input_signature=[tf.TensorSpec((None, 16), tf.float32)])
    def double(self, images):
        return {"y": tf.nn.softmax(2 * (images @ self.weights[0] + self.weights[1]))}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def parse(self, texts):
        return {"y": tf.zeros((tf.size(texts), 3)) + self.weights[1]}


def test_the_signature_that_takes_images_is_asked(tmp_path):
    served = Served()
    signatures = {"serving_default": served.parse, "predict_images": served.predict}
    tf.saved_model.save(served, str(tmp_path / "1"), signatures=signatures)
    check(tmp_path / "1")
    check(tmp_path)  # As TF Serving wants it, a folder for each version.
    (tmp_path / "0").mkdir()
    check(tmp_path)


def test_of_several_signatures_one_must_be_named(tmp_path):
    served = Served()
    signatures = {"one": served.predict, "two": served.double}
    tf.saved_model.save(served, str(tmp_path), signatures=signatures)
    with pytest.raises(UserError, match="several signatures.*--signature.*one, two"):
        open_black_box(str(tmp_path), form=FORM)
    check(tmp_path, access=Access(signature="one"))
    with pytest.raises(UserError, match="one, two. Received: three"):
        open_black_box(str(tmp_path), form=FORM, access=Access(signature="three"))


def write_v1(path, builder=True):
    """Writes a SavedModel, or the definition of a frozen graph, as TensorFlow 1 did."""
    v1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default(), v1.Session(graph=graph) as session:
        images = v1.placeholder(tf.float32, (None, 16), name="images")
        if builder:
            weights = [v1.Variable(own, use_resource=False) for own in WEIGHTS]
            session.run(v1.global_variables_initializer())
        else:
            weights = [tf.constant(own) for own in WEIGHTS]
        answers = tf.nn.softmax(images @ weights[0] + weights[1], name="answers")
        tf.argmax(answers, axis=1, name="label")
        if builder:
            v1.saved_model.simple_save(
                session, str(path), {"images": images}, {"answers": answers}
            )
        else:
            path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def test_saved_models_of_tensorflow_1_open(tmp_path):
    check(write_v1(tmp_path / "v1"))


def test_what_only_a_session_opens_is_served(tmp_path, monkeypatch):
    path = write_v1(tmp_path / "v1")

    def fail(path):
        raise ValueError("Slots of an optimizer.")

    monkeypatch.setattr(tf.saved_model, "load", fail)
    check(path)


def test_frozen_graphs_open(tmp_path):
    check(write_v1(tmp_path / "frozen.pb", builder=False))


def test_a_graph_of_text_holds_no_weights(tmp_path):
    (tmp_path / "graph.pb").write_text('node {\n  name: "images"\n}')
    with pytest.raises(UserError, match="text form.*no trained weights"):
        open_black_box(str(tmp_path / "graph.pb"), form=FORM)


def write_tflite(path, quantise=None):
    kernel, bias = map(tf.constant, WEIGHTS)
    function = tf.function(
        lambda x: tf.nn.softmax(tf.reshape(x, (1, 16)) @ kernel + bias)
    )
    concrete = function.get_concrete_function(tf.TensorSpec((1, 4, 4, 1), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    if quantise:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        samples = np.random.default_rng(2).random((100, 1, 4, 4, 1), np.float32)
        converter.representative_dataset = lambda: ([own] for own in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = quantise
    path.write_bytes(converter.convert())
    return path


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
@pytest.mark.parametrize("quantise", [None, tf.uint8, tf.int8])
def test_tflite_files_open_quantised_ones_too(tmp_path, quantise):
    path = write_tflite(tmp_path / "model.tflite", quantise)
    box = open_black_box(str(path), form=FORM, outputs_kind="auto")
    tolerance = 0.02 if quantise else 1e-5
    np.testing.assert_allclose(box.probabilities(IMAGES), WANTED, atol=tolerance)


def write_onnx(path, batch="n"):
    onnx = pytest.importorskip("onnx")
    helper, numbers = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["flat"]),
            helper.make_node("Gemm", ["flat", "kernel", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["answers"], axis=1),
        ],
        "classifier",
        [helper.make_tensor_value_info("images", numbers, [batch, 1, 4, 4])],
        [helper.make_tensor_value_info("answers", numbers, [batch, 3])],
        [
            onnx.numpy_helper.from_array(WEIGHTS[0], "kernel"),
            onnx.numpy_helper.from_array(WEIGHTS[1], "bias"),
        ],
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


@pytest.mark.parametrize("batch", ["n", 1, 2])
def test_onnx_files_open_with_channels_first(tmp_path, batch):
    pytest.importorskip("onnxruntime")
    check(write_onnx(tmp_path / "model.onnx", batch))


def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x08")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"pip install 'kennen_tf\[onnx\]'"):
        open_black_box(str(path), form=FORM)


# PyTorch would rather have torch.export; files of before are there all the same.
@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_torchscript_files_open(tmp_path):
    torch = pytest.importorskip("torch")
    linear = torch.nn.Linear(16, 3)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(WEIGHTS[0].T))
        linear.bias.copy_(torch.tensor(WEIGHTS[1]))
    model = torch.nn.Sequential(torch.nn.Flatten(), linear, torch.nn.Softmax(dim=1))
    path = tmp_path / "model.pt"
    torch.jit.trace(model.eval(), torch.zeros(1, 1, 4, 4)).save(str(path))
    check(path)


def write_zip(path, names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")


def write_weights(path):
    make_model().save_weights(path)


def write_old_weights(path):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        file.create_group("dense").create_dataset("kernel", data=WEIGHTS[0])


REFUSED = [
    ("m.weights.h5", write_weights, "weights of a Keras model without its architect"),
    ("w.h5", write_old_weights, "weights of a Keras model without its architecture"),
    ("w.pth", lambda p: write_zip(p, ["w/data.pkl", "w/version"]), "torch.save"),
    ("w.pt", lambda p: p.write_bytes(b"\x80\x02}q\x00."), "torch.save"),
    ("m.pkl", lambda p: p.write_bytes(b"\x80\x04N."), "a pickle, which is not opened"),
    ("m.pt2", lambda p: write_zip(p, ["m/archive.pt2"]), "torch.export"),
    ("m.zip", lambda p: write_zip(p, ["a.txt"]), "an archive that holds a.txt"),
    ("cut.keras", lambda p: p.write_bytes(b"PK\x03\x04cut"), "a damaged archive"),
    ("cut.h5", lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\ncut"), "a damaged HDF5"),
    ("none.bin", lambda p: p.write_bytes(b""), "an empty file"),
    ("m.onnx", lambda p: p.write_bytes(b""), "an empty file"),
    ("m.pb", lambda p: p.write_text("\n<!DOCTYPE html><html>"), "a web page"),
    ("m.h5", lambda p: p.write_text("version https://git-lfs.github.com/"), "Git LFS"),
    ("m.json", lambda p: p.write_text('{"weightsManifest": []}'), "TensorFlow.js"),
    ("words.txt", lambda p: p.write_text("words"), "a file of another kind"),
    ("model.json", lambda p: p.write_text("{}"), "an architecture without weights"),
    ("m.ckpt.index", lambda p: p.write_text("x"), "TensorFlow checkpoint"),
]


@pytest.mark.parametrize(("name", "write", "message"), REFUSED)
def test_what_cannot_answer_is_told_with_what_to_do(tmp_path, name, write, message):
    write(tmp_path / name)
    with pytest.raises(UserError, match=message) as caught:
        open_black_box(str(tmp_path / name), form=FORM)
    assert "module:function" in str(caught.value) or "damaged" in message


def test_folders_that_are_no_saved_models_are_told(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(UserError, match="TensorFlow.js.*tensorflowjs_converter"):
        open_black_box(str(tmp_path), form=FORM)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.txt").write_text("x")
    with pytest.raises(UserError, match="SavedModel.*it holds x.txt"):
        open_black_box(str(tmp_path / "other"), form=FORM)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("library", [keras, tf_keras])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_layer_that_can_run_code_is_refused_unopened(tmp_path, suffix, library):
    def spoil(x):
        raise AssertionError("It ran.")

    inputs = library.Input((4, 4, 1))
    x = library.layers.Flatten()(inputs)
    x = library.layers.Lambda(lambda x: x * 1)(x)
    model = library.Model(inputs, library.layers.Dense(3, activation="softmax")(x))
    path = tmp_path / f"lambda{suffix}"
    model.save(path)
    with pytest.raises(UserError, match="is not opened: its layer.*Lambda can run"):
        open_black_box(str(path), form=FORM)


def test_a_module_that_would_be_imported_is_refused(tmp_path):
    make_model().save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(contents["config.json"])
    config["config"]["layers"][-1]["module"] = "os"
    contents["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(tmp_path / "bad.keras", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match="of the module os, which would have"):
        open_black_box(str(tmp_path / "bad.keras"), form=FORM)


def test_the_cause_of_a_failure_is_told(tmp_path):
    def spoil(config):
        config["config"]["layers"][1]["config"]["units"] = 0

    path = old_layout(tmp_path / "m.h5", spoil)
    with pytest.raises(UserError, match=r"\(Keras 3\);.*\(Keras 2\)"):
        open_black_box(str(path), form=FORM)


def test_formats_are_told_before_tensorflow_is_loaded(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"\x80\x02}q\x00.")
    code = (
        "import sys\nfrom kennen_tf import reveal_black_box as binary\n"
        "sys.argv = ['reveal_black_box', '--metamodel=none', '--black_box=w.pth']\n"
        "try:\n    binary.main()\nfinally:\n"
        "    print([m for m in ('tensorflow', 'keras', 'torch') if m in sys.modules])"
    )
    root = str(pathlib.Path(kennen_tf.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.stdout.strip() == "[]", done.stderr
    assert done.returncode == 1 and "torch.save" in done.stderr
