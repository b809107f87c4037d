"""Black boxes: every kind gives the same answers, and bad ones get a sentence."""

import functools
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.black_boxes.forms import Form
from kennen_tf.black_boxes.opening import open_black_box
from kennen_tf.vocabulary.errors import UserError

DIGITS = Form.of((28, 28, 1), 10, noun="digits")
open_box = functools.partial(open_black_box, form=DIGITS)
make_box = functools.partial(BlackBox, form=DIGITS)


@pytest.fixture(scope="module")
def images():
    pixels = np.random.default_rng(0).integers(0, 256, (7, 28, 28, 1))
    return pixels.astype(np.float32) / np.float32(255)


def small_model(input_shape=(28, 28, 1), num_classes=10, activation="softmax"):
    initializer = keras.initializers.RandomNormal(stddev=0.1, seed=1)
    return keras.Sequential(
        [
            keras.Input(input_shape, name="images"),
            keras.layers.Flatten(),
            keras.layers.Dense(
                num_classes, activation=activation, kernel_initializer=initializer
            ),
        ]
    )


@pytest.fixture(scope="module")
def expected(images):
    return small_model()(images).numpy()


class Classifier(tf.Module):
    """A classifier made with TensorFlow alone, with a fixed or a free batch size."""

    def __init__(self, batch_size=None, input_signature=True, dtype=tf.float32):
        super().__init__()
        self.weights = [tf.Variable(v) for v in small_model().variables]
        spec = tf.TensorSpec((batch_size, 28, 28), dtype)
        self.call = tf.function(
            self._call, input_signature=[spec] if input_signature else None
        )

    def _call(self, images):
        scale = 1 / 255 if images.dtype == tf.uint8 else 1.0
        flat = tf.reshape(tf.cast(images, tf.float32) * scale, (-1, 784))
        return tf.nn.softmax(flat @ self.weights[0] + self.weights[1])

    def __call__(self, images):
        return self.call(images)


class Callable(tf.Module):
    """Callable once loaded, without a signature that has a usual name."""

    def __init__(self):
        super().__init__()
        self.classifier = Classifier()

    @tf.function(input_signature=[tf.TensorSpec((None, 28, 28, 1), tf.float32)])
    def __call__(self, images):
        return self.classifier._call(images)


def test_a_keras_file_answers_as_the_model_does(tmp_path, images, expected):
    path = tmp_path / "some_classifier.keras"
    small_model().save(path)
    box = open_box(str(path))
    np.testing.assert_allclose(box.probabilities(images), expected, rtol=1e-6)
    assert box.num_queries == len(images)


@pytest.mark.parametrize("shape", [*DIGITS.shapes, (None, None, 1)])
def test_images_take_the_shape_that_a_model_declares(tmp_path, shape, images, expected):
    path = tmp_path / "classifier.keras"
    if None in shape:
        inputs = keras.Input(shape)
        x = keras.layers.Resizing(28, 28)(inputs)
        keras.Model(inputs, small_model()(x)).save(path)
    else:
        small_model(shape).save(path)
    answers = open_box(str(path)).probabilities(images)
    np.testing.assert_allclose(answers, expected, rtol=1e-5)


def test_a_keras_export_answers_as_the_model_does(tmp_path, images, expected):
    small_model().export(str(tmp_path / "saved"), verbose=False)
    answers = open_box(str(tmp_path / "saved")).probabilities(images)
    np.testing.assert_allclose(answers, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["serving_default", "serve"])
def test_a_signature_answers_as_the_model_does(tmp_path, name, images, expected):
    module = Classifier()
    tf.saved_model.save(module, str(tmp_path), signatures={name: module.call})
    answers = open_box(str(tmp_path)).probabilities(images)
    np.testing.assert_allclose(answers, expected, rtol=1e-5)


def test_a_callable_module_answers_as_the_model_does(tmp_path, images, expected):
    module = Callable()
    other = tf.function(lambda: 1, input_signature=[])
    tf.saved_model.save(module, str(tmp_path), signatures={"other": other})
    answers = open_box(str(tmp_path)).probabilities(images)
    np.testing.assert_allclose(answers, expected, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_a_fixed_batch_size_is_kept(tmp_path, batch_size, images, expected):
    module = Classifier(batch_size)
    signatures = {"serving_default": module.call}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    box = open_box(str(tmp_path))
    np.testing.assert_allclose(box.probabilities(images), expected, rtol=1e-5)
    assert box.num_queries == len(images)


def test_bytes_are_sent_as_bytes(tmp_path, images, expected):
    module = Classifier(dtype=tf.uint8)
    signatures = {"serving_default": module.call}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    answers = open_box(str(tmp_path), pixels="byte").probabilities(images)
    np.testing.assert_allclose(answers, expected, rtol=1e-5)
    with pytest.raises(UserError, match="--pixels=byte"):
        open_box(str(tmp_path)).probabilities(images)


def test_pixels_from_0_to_255_are_whole_numbers(images):
    seen = []

    def answer(batch):
        seen.append(batch)
        return np.full((len(batch), 10), 0.1)

    make_box("bytes", answer, pixels="byte").probabilities(images)
    assert seen[0].dtype == np.float32 and seen[0].max() == 255
    np.testing.assert_array_equal(seen[0], np.rint(seen[0]))


def test_a_function_of_the_current_folder_is_found(tmp_path, monkeypatch, images):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_classifiers.py").write_text(
        "import numpy as np\n"
        "class Models:\n"
        "    @staticmethod\n"
        "    def predict(images):\n"
        "        assert images.shape[1:] == (28, 28, 1) and images.dtype == 'float32'\n"
        "        return np.eye(10)[np.arange(len(images)) % 10]\n"
        "predict = Models.predict\n"
        "number = 3\n"
    )
    for where in ("my_classifiers:predict", "my_classifiers:Models.predict"):
        answers = open_box(where).probabilities(images)
        np.testing.assert_array_equal(answers, np.eye(10)[:7])
    for name in ("nothing", "number", ""):
        with pytest.raises(UserError, match=f"must have a function '{name}'"):
            open_box(f"my_classifiers:{name}")


def test_images_are_sent_in_batches_and_not_modified(images):
    sizes = []

    def answer(batch):
        sizes.append(len(batch))
        batch[:] = 0
        return np.full((len(batch), 10), 0.1)

    before = images.copy()
    make_box("a", answer, batch_size=3).probabilities(images)
    assert sizes == [3, 3, 1]
    np.testing.assert_array_equal(images, before)


def test_all_kinds_of_outputs_come_to_the_same_probabilities(images):
    logits = np.random.default_rng(0).normal(size=(7, 10), scale=5).astype(np.float32)
    expected = tf.nn.softmax(logits).numpy()
    for kind, answers in {
        "probabilities": expected,
        "logits": logits,
        "log-probabilities": np.log(expected),
    }.items():
        box = make_box("a", lambda _, a=answers: a, outputs_kind=kind)
        np.testing.assert_allclose(box.probabilities(images), expected, rtol=1e-5)


def test_answers_of_half_precision_and_whole_numbers_are_taken(images):
    one_hot = np.eye(10, dtype=np.int64)[:7]
    for answers in (one_hot, tf.cast(one_hot, tf.bfloat16), one_hot.tolist()):
        box = make_box("a", lambda _, a=answers: a)
        np.testing.assert_array_equal(box.probabilities(images), one_hot)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_labels_become_one_hot(images, dtype):
    labels = np.array([3, 0, 9, 1, 1, 5, 7], dtype)
    box = make_box("a", lambda _: labels, outputs_kind="labels")
    answers = box.probabilities(images)
    assert answers.dtype == np.float32 and box.num_queries == 7
    np.testing.assert_array_equal(answers, np.eye(10)[labels])


def test_a_model_of_labels_is_asked_in_batches(tmp_path, images, expected):
    inputs = keras.Input((28, 28, 1))
    labels = keras.ops.argmax(small_model()(inputs), axis=-1)
    keras.Model(inputs, labels).save(tmp_path / "labels.keras")
    keras.Model(inputs, labels).export(str(tmp_path / "saved"), verbose=False)
    for name in ("labels.keras", "saved"):
        box = open_box(str(tmp_path / name), outputs_kind="labels")
        many = np.concatenate([images] * 60)
        answers = box.probabilities(many).reshape(60, 7, 10)
        np.testing.assert_array_equal(answers[-1].argmax(axis=1), expected.argmax(1))


@pytest.mark.parametrize(
    ("answers", "kind", "message"),
    [
        (np.full((7, 9), 1 / 9), "probabilities", r"shape \(7, 9\)"),
        (np.arange(7), "probabilities", r"shape \(7, 10\) for 7.*shape \(7,\)"),
        (np.arange(7), "logits", "say --outputs=labels"),
        (np.full((7, 10), 0.1), "labels", r"one label for each.*shape \(7, 10\)"),
        (np.zeros((7, 1), int), "labels", r"shape \(7,\) for 7.*shape \(7, 1\)"),
        (np.arange(7.0), "labels", "whole numbers. Received: float64"),
        (np.arange(7) == 3, "labels", "whole numbers. Received: bool"),
        (np.arange(7) + 4, "labels", "at most 9. Received: 4 to 10"),
        (np.arange(7) - 1, "labels", "at least 0 .*Received: -1 to 5"),
        (np.full((10, 7), 0.1), "probabilities", r"shape \(10, 7\)"),
        (np.full((7, 10), np.nan), "probabilities", "NaN"),
        (np.full((7, 10), np.nan), "logits", "NaN"),
        (np.full((7, 10), np.inf), "logits", "NaN"),
        (np.full((7, 10), 800.0), "log-probabilities", "infinity"),
        (np.arange(70.0).reshape(7, 10), "probabilities", "with sum 45 and least"),
        (np.arange(70.0).reshape(7, 10) + 1, "probabilities", "--outputs=logits"),
        (np.arange(70.0).reshape(7, 10) - 9, "probabilities", "--outputs=logits"),
        (np.log(np.full((7, 10), 0.1)), "probabilities", "--outputs=log-prob"),
        (np.log(np.full((7, 10), 0.1)), "logits", "--outputs=log-probabilities"),
        (np.full((7, 10), 0.1), "logits", "--outputs=probabilities"),
        (np.full((7, 10), "a"), "probabilities", "real numbers"),
        (None, "probabilities", r"shape \(\)"),
    ],
)
def test_bad_answers_get_a_sentence(images, answers, kind, message):
    box = make_box("the-box", lambda _: answers, outputs_kind=kind)
    with pytest.raises(UserError, match=f"the-box.*{message}"):
        box.probabilities(images)


def test_an_exception_in_a_black_box_is_told_in_its_words(images):
    def answer(batch):
        raise KeyError("no weights")

    with pytest.raises(UserError, match="the-box failed.*KeyError: 'no weights'"):
        make_box("the-box", answer).probabilities(images)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("missing.keras", "no such file"),
        ("no_such_module_anywhere:f", "No module named 'no_such_module_anywhere'"),
        ("text.txt", "text.txt, a file of another kind"),
        ("text.keras", "text.keras, a file of another kind"),
        ("empty", "without saved_model.pb"),
        ("torn", "cannot be opened as a SavedModel"),
    ],
)
def test_what_cannot_be_opened_gets_a_sentence(tmp_path, monkeypatch, where, message):
    monkeypatch.chdir(tmp_path)
    for name in ("text.txt", "text.keras"):
        (tmp_path / name).write_text("no model")
    for name in ("empty", "torn"):
        (tmp_path / name).mkdir()
    (tmp_path / "torn" / "saved_model.pb").write_text("no model")
    with pytest.raises(UserError, match=message):
        open_box(where)


def test_a_model_that_takes_other_images_is_refused_with_both_shapes(tmp_path):
    path = tmp_path / "imagenet.keras"
    small_model((32, 32, 3)).save(path)
    with pytest.raises(UserError, match=r"\(28, 28, 1\).*takes \(32, 32, 3\)"):
        open_box(str(path))


def test_a_model_with_two_inputs_is_refused(tmp_path):
    first, second = keras.Input((28, 28, 1)), keras.Input((28, 28, 1))
    model = keras.Model([first, second], small_model()(first + second))
    model.save(tmp_path / "two.keras")
    with pytest.raises(UserError, match="must have one input.*Received: 2 inputs"):
        open_box(str(tmp_path / "two.keras"))


def test_a_model_with_two_outputs_is_refused(tmp_path):
    inputs = keras.Input((28, 28, 1))
    model = keras.Model(inputs, [small_model()(inputs), small_model()(inputs)])
    model.save(tmp_path / "two.keras")
    with pytest.raises(UserError, match="one output.*1 inputs and 2 outputs"):
        open_box(str(tmp_path / "two.keras"))


def test_a_saved_model_without_a_usual_signature_is_refused(tmp_path):
    module = tf.Module()
    module.f = tf.function(lambda: 1, input_signature=[])
    tf.saved_model.save(module, str(tmp_path), signatures={"other": module.f})
    with pytest.raises(UserError, match="no signature that take.*Received: other"):
        open_box(str(tmp_path))


def test_a_form_lists_the_shapes_that_hold_an_image():
    assert DIGITS.shapes == ((28, 28, 1), (28, 28), (1, 28, 28), (784,))
    assert Form.of((6, 5, 3), 3).shapes == ((6, 5, 3), (3, 6, 5), (90,))


COLOURS = Form.of((6, 5, 3), 3)


def brightest(images):
    """Answers how bright the first pixel of each channel is."""
    return images[:, 0, 0] / images[:, 0, 0].sum(axis=1, keepdims=True)


@pytest.mark.parametrize("shape", [*COLOURS.shapes, (None, None, 3), (6, None, 3)])
@pytest.mark.parametrize("is_saved_model", [False, True])
def test_images_of_any_form_take_the_shape_that_a_model_declares(
    tmp_path, shape, is_saved_model
):
    images = np.random.default_rng(0).random((7, 6, 5, 3), np.float32)
    inputs = keras.Input(shape)
    first = {
        (3, 6, 5): lambda x: x[:, :, 0, 0],
        (90,): lambda x: x[:, :3],
    }.get(shape, lambda x: x[:, 0, 0])(inputs)
    outputs = first / keras.ops.sum(first, axis=1, keepdims=True)
    model, path = keras.Model(inputs, outputs), tmp_path / "model.keras"
    if is_saved_model:
        path = tmp_path / "saved"
        model.export(str(path), verbose=False)
    else:
        model.save(path)
    answers = open_black_box(str(path), form=COLOURS).probabilities(images)
    np.testing.assert_allclose(answers, brightest(images), rtol=1e-5)


def test_a_function_takes_images_of_any_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "estimators.py").write_text(
        "import numpy as np\n"
        "class Estimator:\n"
        "    def predict_proba(self, rows):\n"
        "        first = rows[:, :3]\n"
        "        return first / first.sum(axis=1, keepdims=True)\n"
        "def predict(images):\n"
        "    assert images.shape[1:] == (6, 5, 3) and images.dtype == 'float32'\n"
        "    assert 0 <= images.min() and images.max() <= 1\n"
        "    return Estimator().predict_proba(images.reshape(len(images), -1))\n"
    )
    images = np.random.default_rng(0).random((7, 6, 5, 3), np.float32)
    answers = open_black_box("estimators:predict", form=COLOURS).probabilities(images)
    np.testing.assert_allclose(answers, brightest(images), rtol=1e-6)
    other = Form.of((6, 5, 3), 4)
    with pytest.raises(UserError, match=r"shape \(7, 4\) for 7 images"):
        open_black_box("estimators:predict", form=other).probabilities(images)


def test_images_of_another_form_are_refused(tmp_path):
    small_model((28, 28, 1)).save(tmp_path / "digits.keras")
    with pytest.raises(UserError, match=r"\(6, 5, 3\), .*takes \(28, 28, 1\)"):
        open_black_box(str(tmp_path / "digits.keras"), form=COLOURS)


def test_code_in_a_file_is_not_run(tmp_path):
    inputs = keras.Input((28, 28, 1))
    x = keras.layers.Lambda(lambda x: keras.ops.mean(x, axis=(1, 2)))(inputs)
    keras.Model(inputs, keras.layers.Dense(10)(x)).save(tmp_path / "lambda.keras")
    with pytest.raises(UserError, match="not opened: .* kind Lambda can run code"):
        open_box(str(tmp_path / "lambda.keras"))
