"""Passes of any Keras model: its own answers and gradients, whatever it is made of."""

import fakes
import keras
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs import building, digits_net
from kennen_tf.keras_models import saving
from kennen_tf.metamodels.crafting.gradients import GradientBank
from kennen_tf.metamodels.crafting.tape_passes import TapePasses
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import classifier_files, store
from kennen_tf.zoo import specs as specs_lib

SHAPE, CLASSES = (6, 5, 3), 4
IMAGES = np.random.default_rng(0).random((3, *SHAPE), np.float32)


def residual(last):
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.add([x, keras.layers.Conv2D(4, 3, padding="same")(x)])
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(x))
    x = keras.layers.Dense(CLASSES)(x)
    return keras.Model(inputs, last(x))


def sequential(activation, shape=SHAPE):
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Flatten(),
            keras.layers.Dense(7, activation="tanh"),
            keras.layers.Dense(CLASSES, activation=activation),
        ]
    )


MODELS = {
    "softmax layer": lambda: residual(keras.layers.Softmax()),
    "softmax activation": lambda: residual(keras.layers.Activation("softmax")),
    "softmax of a dense layer": lambda: sequential("softmax"),
    "nested": lambda: keras.Sequential([keras.Input(SHAPE), sequential("softmax")]),
    "flat input": lambda: sequential("softmax", shape=(90,)),
}


def make(build, seed=0):
    """Makes a model whose weights, statistics included, are none of a fresh one."""
    model = build()
    random = np.random.default_rng(seed)
    model.set_weights(
        [
            # Statistics among them: variances are above 0.
            random.normal(0, 0.4, w.shape)
            if w.ndim > 1
            else random.uniform(0.5, 1.0, w.shape)
            for w in model.get_weights()
        ]
    )
    return model


def wanted_of(model, images, gradient, to_log):
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        flat = tf.reshape(images, (-1, *model.inputs[0].shape[1:]))
        answer = to_log(model(flat, training=False))
    return answer.numpy(), tape.gradient(answer, images, gradient).numpy()


def check(model, passes, weights, to_log):
    gradient = np.random.default_rng(1).normal(size=(3, CLASSES)).astype(np.float32)
    answer, found = wanted_of(model, IMAGES, gradient, to_log)
    assert np.abs(found).max() > 1e-4
    received, kept = passes.forward(weights, tf.constant(IMAGES))
    np.testing.assert_allclose(received, answer, atol=1e-4)
    assert not kept
    back = passes.backward(weights, tf.constant(IMAGES), tf.constant(gradient))
    np.testing.assert_allclose(back, found, atol=2e-4 * np.abs(found).max())


@pytest.mark.parametrize("name", MODELS)
def test_answers_and_gradients_are_those_of_keras(name):
    model = make(MODELS[name])
    weights = [tf.constant(w) for w in model.get_weights()]
    # One pass serves other classifiers of the shape, so weights come from outside.
    passes = TapePasses(make(MODELS[name], seed=7), "probabilities", 1.0)
    check(model, passes, weights, tf.math.log)


def test_logits_and_pixels_of_another_range():
    model = make(lambda: sequential(None))
    weights = [tf.constant(w) for w in model.get_weights()]
    passes = TapePasses(make(lambda: sequential(None), seed=7), "logits", 2.0)
    doubled = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Rescaling(2.0), *model.layers]
    )
    check(doubled, passes, weights, tf.nn.log_softmax)


def test_labels_have_no_gradient():
    with pytest.raises(UserError, match="must answer numbers.*labels. Use kennen-o"):
        TapePasses(sequential("softmax"), "labels", 1.0)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """A zoo of another design: two classifiers of each of three shapes."""
    design, folder = digits_net.DESIGN, tmp_path_factory.mktemp("zoo")
    config = ZooConfig(
        design="digits_net",
        num_models=6,
        zoo_dir=str(artifacts.make_folder(folder)),
        compute_dtype="float32",
    )
    header = store.ZooHeader(
        config=config,
        attributes=design.attributes,
        image_shape=(8, 8, 1),
        num_classes=10,
    )
    store.prepare(header)
    common = {"conv": 1, "fc": 2, "ks": 2, "alg": "sgd", "bs": 16, "split": "all0"}
    for act, drop, pool in (
        ("relu", "no", "no"),
        ("relu", "yes", "no"),
        ("tanh", "no", "yes"),
    ):
        for seed in (1, 2):
            values = {**common, "act": act, "drop": drop, "pool": pool, "seed": seed}
            spec = specs_lib.read_spec(design.attributes, values)
            model = building.build_classifier(design, spec.combination)
            random = np.random.default_rng([spec.combination_index, seed])
            model.set_weights(
                [random.normal(0, 0.3, w.shape) for w in model.get_weights()]
            )
            path = store.classifier_path(folder, spec)
            saving.save_model(model, path)
            store.add_record(
                folder,
                store.ClassifierRecord(
                    spec=spec,
                    status=store.ACCEPTED,
                    reason="",
                    accuracy=0.9,
                    num_params=model.count_params(),
                    epochs=1,
                    seconds=0.1,
                    num_bytes=path.stat().st_size,
                    sha256=artifacts.sha256_of_file(path),
                ),
            )
    return store.Zoo.open(folder)


@pytest.mark.long
def test_a_bank_descends_through_classifiers_of_any_design(zoo):
    images = tf.constant(np.random.default_rng(0).random((3, 8, 8, 1), np.float32))
    gradients = np.random.default_rng(1).normal(size=(6, 3, 10)).astype(np.float32)
    bank = GradientBank(zoo, zoo.accepted)
    answers = bank.answer(bank.ids, images)
    total = np.zeros(images.shape, np.float32)
    for place, record in enumerate(zoo.accepted):
        model = zoo.load_classifier(record)
        answer, own = wanted_of(model, images.numpy(), gradients[place], tf.math.log)
        np.testing.assert_allclose(answers.log_probabilities[place], answer, atol=1e-4)
        total += own
    received = answers.image_gradient(tf.constant(gradients))
    np.testing.assert_allclose(received, total, atol=2e-4 * np.abs(total).max())


def test_dropout_makes_no_other_shape_and_weights_keep_their_order(zoo):
    files = [classifier_files.read(zoo.classifier_path(r)) for r in zoo.accepted]
    assert len({file.key for file in files}) == 2
    for record, file in zip(zoo.accepted, files, strict=True):
        for ours, theirs in zip(
            file.arrays, zoo.load_classifier(record).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_files_of_another_form_are_read_by_keras(tmp_path):
    model = make(MODELS["nested"])
    model.save(tmp_path / "nested.keras")
    file = classifier_files.read(tmp_path / "nested.keras")
    built = file.build()
    built.set_weights(file.arrays)
    np.testing.assert_allclose(built(IMAGES), model(IMAGES), atol=1e-6)
    (tmp_path / "none.keras").write_bytes(b"nothing")
    with pytest.raises(UserError, match="none.keras must be a Keras file"):
        classifier_files.read(tmp_path / "none.keras")


def test_the_papers_classifiers_are_read_alike(tmp_path):
    spec = fakes.spec_at(4211, 1)
    zoo = fakes.make_zoo(tmp_path, [spec])
    file = classifier_files.read(zoo.classifier_path(zoo.accepted[0]))
    weights = zoo.load_classifier(zoo.accepted[0]).get_weights()
    assert [a.shape for a in file.arrays] == [w.shape for w in weights]
