"""Fingerprints of `.keras` files: the same for a twin, another for any other model."""

import keras
import numpy as np
import pytest

from kennen_tf.keras_models import archives


def make_model(activation="relu", strides=1, names=("a", "b")):
    """Makes a model in which two layers have weights of one shape."""
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(2, 3, strides, activation=activation, name=names[0])(inputs)
    x = keras.layers.Dropout(0.5)(x)
    x = keras.layers.Conv2D(2, 3, padding="same", name=names[1])(x)
    x = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, keras.layers.Softmax()(x))
    random = np.random.default_rng(0)
    model.set_weights([random.normal(size=w.shape) for w in model.get_weights()])
    return model


@pytest.fixture
def fingerprint_of(tmp_path):
    def save(model):
        model.save(tmp_path / "model.keras")
        return archives.fingerprint(tmp_path / "model.keras")

    return save


def test_a_model_saved_twice_is_one(tmp_path):
    model = make_model()
    for name in ("first", "second"):
        model.save(tmp_path / f"{name}.keras")
        model(np.zeros((1, 8, 8, 1)), training=True)  # Moves on the seed of dropout.
    keras.models.load_model(tmp_path / "first.keras").save(tmp_path / "third.keras")
    paths = [tmp_path / f"{name}.keras" for name in ("first", "second", "third")]
    assert len({path.read_bytes() for path in paths}) > 1
    [found] = {archives.fingerprint(path) for path in paths}
    assert len(found) == 16


@pytest.mark.long
def test_names_compilation_and_freezing_do_not_matter(fingerprint_of):
    wanted = fingerprint_of(make_model())
    assert fingerprint_of(make_model(names=("relu", "softmax"))) == wanted
    compiled = make_model()
    compiled.compile("adam", "mse")
    compiled.fit(np.zeros((2, 8, 8, 1)), np.zeros((2, 3)), verbose=0)
    compiled.set_weights(make_model().get_weights())
    compiled.trainable = False
    assert fingerprint_of(compiled) == wanted


def test_weights_and_layers_matter(fingerprint_of):
    wanted = fingerprint_of(make_model())
    other = make_model()
    weights = other.get_weights()
    weights[-1] = np.nextafter(weights[-1], np.float32(9))
    other.set_weights(weights)
    assert fingerprint_of(other) != wanted
    assert fingerprint_of(make_model(activation="tanh")) != wanted
    assert fingerprint_of(make_model(strides=2)) != wanted


def test_how_layers_are_connected_matters(fingerprint_of):
    def make(is_swapped):
        inputs = keras.Input((4,))
        first, second = keras.layers.ReLU(), keras.layers.Softmax()
        parts = [first(inputs), second(inputs)]
        parts = parts[::-1] if is_swapped else parts
        return keras.Model(inputs, keras.layers.Subtract()(parts))

    assert fingerprint_of(make(False)) != fingerprint_of(make(True))


def test_what_is_no_archive_has_none(tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    for path in (tmp_path / "text.keras", tmp_path, tmp_path / "nothing.keras"):
        assert archives.fingerprint(path) == ""
