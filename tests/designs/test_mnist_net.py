"""Architecture: layers and parameters by hand, files that need no kennen_tf."""

import subprocess
import sys

import fakes
import keras
import numpy as np
import pytest

from kennen_tf.keras_models import saving

SPEC = {
    "act": "relu",
    "drop": "yes",
    "pool": "yes",
    "ks": 5,
    "conv": 4,
    "fc": 3,
    "alg": "sgd",
    "bs": 64,
    "split": "all0",
    "seed": 0,
}


def build(**changes):
    spec = fakes.read_spec({**SPEC, **changes})
    return fakes.build_classifier(spec)


def names(model):
    return [type(layer).__name__ for layer in model.layers]


def test_layers_are_the_papers_in_order():
    assert names(build(conv=3, fc=2)) == [
        *("InputLayer", "Rescaling"),
        *("Conv2D", "MaxPooling2D", "Activation"),
        *("Conv2D", "MaxPooling2D", "Activation"),
        *("Conv2D", "Activation"),
        *("Flatten", "Dense", "Activation", "Dropout"),
        *("Dense", "Softmax"),
    ]


@pytest.mark.parametrize("pool, count", [("yes", 2), ("no", 0)])
def test_only_the_first_two_convolutions_pool(pool, count):
    assert names(build(pool=pool)).count("MaxPooling2D") == count


@pytest.mark.parametrize("act", ["relu", "elu", "tanh"])
def test_every_block_has_the_chosen_activation_and_dropout(act):
    model = build(act=act, conv=4, fc=4)
    activations = [x for x in model.layers if isinstance(x, keras.layers.Activation)]
    assert [x.activation.__name__ for x in activations] == [act] * (4 + 3)
    assert names(model).count("Dropout") == 3
    assert names(build(act=act, drop="no")).count("Dropout") == 0


@pytest.mark.parametrize(
    "changes, num_params",
    [
        # conv 5x5: 1>10 and 10>20; 28 > 24 > 12 > 8 > 4; fc 4*4*20 > 50 > 10
        (dict(conv=2, fc=2), 260 + 5020 + (320 * 50 + 50) + 510),
        (dict(conv=4, fc=2), 260 + 5020 + 2 * 10020 + (320 * 50 + 50) + 510),
        (dict(conv=2, fc=4), 260 + 5020 + (320 * 50 + 50) + 2 * 2550 + 510),
        # conv 3x3: 28 > 26 > 13 > 11 > 5
        (dict(conv=2, fc=2, ks=3), 100 + 1820 + (500 * 50 + 50) + 510),
        # without pooling 28 > 26 > 24
        (dict(conv=2, fc=2, ks=3, pool="no"), 100 + 1820 + (11520 * 50 + 50) + 510),
        # one slope for the whole network
        (dict(conv=4, fc=2, act="prelu"), 260 + 5020 + 2 * 10020 + 16050 + 510 + 1),
    ],
)
def test_parameters_by_hand(changes, num_params):
    assert build(**changes).count_params() == num_params


def test_prelu_is_applied_everywhere_with_one_slope():
    model = build(act="prelu", conv=2, fc=3, drop="no")
    image = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    prelu = model.get_layer("prelu")
    np.testing.assert_allclose(np.squeeze(prelu.alpha), 0.25)
    linear = build(act="elu", conv=2, fc=3, drop="no")
    weights = [w for w in model.get_weights() if w.size > 1]
    linear.set_weights(weights)
    for layer in linear.layers:
        if isinstance(layer, keras.layers.Activation):
            layer.activation = keras.activations.linear
    # With a slope of one, PReLU is the identity, in all blocks.
    prelu.alpha.assign(np.ones_like(prelu.alpha))
    np.testing.assert_allclose(model(image), linear(image), atol=1e-6)


@pytest.mark.long
def test_saved_classifiers_open_without_this_package(tmp_path):
    models = {act: build(act=act) for act in ("relu", "prelu")}
    images = np.random.default_rng(0).random((2, 28, 28, 1), np.float32)
    np.save(tmp_path / "images.npy", images)
    for act, model in models.items():
        saving.save_model(model, tmp_path / f"{act}.keras")
    script = """
import sys
sys.modules["kennen_tf"] = None  # Importing it would now fail.
import keras, numpy as np
for act in sys.argv[1:]:
    model = keras.models.load_model(f"{act}.keras")
    assert not model.compiled
    np.save(f"{act}.npy", model.predict(np.load("images.npy"), verbose=0))
"""
    command = [sys.executable, "-c", script, *models]
    subprocess.run(command, cwd=tmp_path, check=True)
    for act, model in models.items():
        received = np.load(tmp_path / f"{act}.npy")
        np.testing.assert_allclose(received, model(images), atol=1e-6)
        np.testing.assert_allclose(received.sum(axis=1), 1, atol=1e-6)


def test_reduced_precision_is_for_training_only():
    spec = fakes.read_spec(SPEC)
    training = fakes.build_classifier(spec, "bfloat16")
    assert training.get_layer("conv0").compute_dtype == "bfloat16"
    assert {w.dtype for w in training.trainable_variables} == {"float32"}
    saved = fakes.build_classifier(spec)
    assert {x.compute_dtype for x in saved.layers} == {"float32"}
