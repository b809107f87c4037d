"""`kennen_tf.reveal`: six lines in a notebook."""

import pathlib
import subprocess
import sys

import bars
import keras
import numpy as np
import pytest

import kennen_tf
from kennen_tf.black_boxes.kept_answers import KeptAnswers
from kennen_tf.vocabulary.errors import UserError


def make_model(shape=(8, 8, 1), scale=1.0):
    """Makes a Keras model that knows bars; it takes them with pixels of that scale."""
    inputs = keras.Input(shape)
    dense = keras.layers.Dense(10, activation="softmax", use_bias=False)
    model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)), name="my_net")
    dense.set_weights([bars.make_bars().reshape(10, -1).T / scale])
    return model


@pytest.fixture(scope="module")
def revealed(metamodel):
    return kennen_tf.reveal(bars.Classifier(), metamodel=metamodel)


def check_same(one, other):
    for first, second in zip(
        one.revelation.answers, other.revelation.answers, strict=True
    ):
        np.testing.assert_allclose(first.probabilities, second.probabilities, atol=1e-4)


def test_models_functions_and_files_reveal_the_same(
    revealed, metamodel, bars_path, tmp_path
):
    model = make_model()
    path = tmp_path / "bars.keras"
    model.save(path)
    for black_box in (model, model.__call__, path, str(path)):
        own = kennen_tf.reveal(black_box, metamodel=metamodel)
        check_same(own, revealed)
        assert own.revelation.accuracy == 1
    for where in (bars_path, pathlib.Path(bars_path)):
        check_same(kennen_tf.reveal(str(path), metamodel=where), revealed)


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (64,)])
def test_a_keras_model_is_sent_images_in_its_own_shape(revealed, metamodel, shape):
    own = kennen_tf.reveal(make_model(shape), metamodel=metamodel)
    check_same(own, revealed)
    assert own.revelation.black_box == "my_net"


def test_a_keras_model_of_other_images_is_refused(metamodel):
    with pytest.raises(UserError, match=r"my_net, which takes \(9, 9, 1\)"):
        kennen_tf.reveal(make_model_of_nines(), metamodel=metamodel)


def make_model_of_nines():
    inputs = keras.Input((9, 9, 1))
    return keras.Model(
        inputs, keras.layers.Dense(10)(keras.layers.Flatten()(inputs)), name="my_net"
    )


def test_it_prints_as_the_table_does(revealed):
    text = str(revealed)
    assert repr(revealed) == text
    assert text.splitlines()[0].strip() == "Classifier (40 queries)"
    for words in ("attribute", "runner-up", "not ruled out", "cannot tell", "75.0%"):
        assert words in text
    assert "\x1b" not in text


def test_values_are_found_by_name(revealed):
    for answer in revealed.revelation.answers:
        assert revealed[answer.name] == answer.ranked()[0][0]
        assert revealed[answer.code] == answer.ranked()[0][0]
    with pytest.raises(KeyError, match="colour"):
        revealed["colour"]


def test_settings_are_those_of_the_command(revealed, metamodel, tmp_path):
    path = tmp_path / "mine.answers.npz"
    classifier = bars.Classifier("byte")
    settings = {"metamodel": metamodel, "pixels": "byte", "answers": str(path)}
    own = kennen_tf.reveal(classifier, batch_size=7, **settings)
    check_same(own, revealed)
    assert [len(images) for images in classifier.asked] == [7, 7, 7, 7, 7, 5]
    assert len(KeptAnswers(path)) == bars.NUM_QUERIES
    again = kennen_tf.reveal(classifier, **settings)
    check_same(again, own)
    assert classifier.num_asked == again.revelation.num_queries == bars.NUM_QUERIES
    check_same(kennen_tf.reveal(str(path), metamodel=metamodel), own)
    with pytest.raises(UserError, match="--pixels must be one of"):
        kennen_tf.reveal(classifier, metamodel=metamodel, pixels="bits")
    with pytest.raises(UserError, match="say --outputs=probabilities"):
        kennen_tf.reveal(classifier, metamodel=metamodel, outputs="logits")
    with pytest.raises(TypeError, match="batch"):
        kennen_tf.reveal(classifier, metamodel=metamodel, batch=3)


def test_bad_black_boxes_get_a_sentence(metamodel, tmp_path):
    def five(images):
        return np.full((len(images), 5), 0.2)

    with pytest.raises(UserError, match=r"five must answer 10 numbers.*\(30, 5\)"):
        kennen_tf.reveal(five, metamodel=metamodel)
    with pytest.raises(UserError, match="no such file"):
        kennen_tf.reveal(tmp_path / "none.keras", metamodel=metamodel)
    with pytest.raises(UserError, match="No exported metamodel"):
        kennen_tf.reveal(five, metamodel=tmp_path / "none")


def test_it_becomes_a_data_frame(revealed):
    pytest.importorskip("pandas")
    frame = revealed.to_frame()
    assert frame.index.tolist() == list(bars.NAMES)
    for answer in revealed.revelation.answers:
        row = frame.loc[answer.name]
        assert row["value"] == answer.ranked()[0][0]
        assert row["probability"] == answer.ranked()[0][1]
        assert row["not_ruled_out"] == answer.plausible
        assert row["test_accuracy"] == 0.75
        assert row["p_value"] == revealed.revelation.p_value
        assert row["is_strange"] == revealed.revelation.is_strange


def test_without_pandas_it_says_what_to_install(revealed, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"pip install 'kennen_tf\[pandas\]'"):
        revealed.to_frame()


def test_the_package_stays_light_until_it_is_asked():
    code = (
        "import sys, kennen_tf\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'pandas', 'rich', 'absl'}\n"
        "print(sorted(heavy & {*sys.modules}))\n"
        "assert kennen_tf.__version__\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_other_names_are_not_there():
    assert callable(kennen_tf.reveal)
    with pytest.raises(AttributeError, match="no attribute 'conceal'"):
        kennen_tf.__getattr__("conceal")
