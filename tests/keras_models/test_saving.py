"""Saved models: equal ones have equal bytes, and are still what they were."""

import keras
import numpy as np

from kennen_tf.keras_models import saving
from kennen_tf.vocabulary import artifacts


def make_model(seed=0, *, inner=True):
    """Makes a model with layers, operations and a model in it that Keras names."""
    inputs = keras.Input((3, 4), name="features")
    x = inputs - keras.ops.mean(inputs, axis=-1, keepdims=True)
    x = keras.layers.Flatten()(x)
    own = keras.Input((12,))
    initializer = keras.initializers.GlorotUniform(seed)
    dense = keras.layers.Dense(5, kernel_initializer=initializer)
    within = keras.Model(own, keras.layers.ReLU()(dense(own)))
    x = within(x) if inner else within.layers[-1](dense(x))
    # Its name is one that Keras would give to a layer of another class.
    first = keras.layers.Softmax(name="relu")(x)
    outputs = {
        "b": first,
        "a": keras.layers.Dense(2, name="named", kernel_initializer=initializer)(x),
    }
    return keras.Model(inputs, outputs)


def save(model, path):
    saving.save_model(model, path)
    return artifacts.sha256_of_file(path)


def test_equal_models_have_equal_bytes_and_others_have_not(tmp_path):
    hashes = [
        save(make_model(seed), tmp_path / f"{i}.keras")
        for i, seed in enumerate((0, 0, 1))
    ]
    assert hashes[0] == hashes[1] != hashes[2]
    assert hashes[0] != save(make_model(inner=False), tmp_path / "other.keras")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "0.keras",
        "1.keras",
        "2.keras",
        "other.keras",
    ]


def test_a_saved_model_loads_and_answers_as_before(tmp_path):
    keras.layers.Dense(1), make_model()  # So that names are counted on.
    model = make_model()
    names = [operation.name for operation in model.operations]
    save(model, tmp_path / "m.keras")
    assert [operation.name for operation in model.operations] == names
    loaded = keras.models.load_model(tmp_path / "m.keras")
    x = np.random.default_rng(0).normal(size=(6, 3, 4)).astype(np.float32)
    ours, theirs = model(x), loaded(x)
    assert list(ours) == list(theirs) == ["b", "a"]
    for name, answers in ours.items():
        np.testing.assert_array_equal(answers, theirs[name])
    assert {"features", "named", "relu"} <= {o.name for o in loaded.operations}
