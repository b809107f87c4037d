"""Pixel models: what goes in, what comes out, and what stays as it was."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kennen_tf.keras_models import pixel_models
from kennen_tf.keras_models.pixel_models import PixelModel
from kennen_tf.vocabulary.errors import UserError

SIZE, CLASSES = 8, 5


def images(size=SIZE, seed=0, num_images=3):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (num_images, size, size, 3)).astype(np.float32)


def logits_layers(*last):
    """Returns layers from pixels to five numbers, then `last`."""
    keras.utils.set_random_seed(1)
    return [
        keras.layers.Rescaling(1 / 64, offset=-2),
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        *(last or [keras.layers.Dense(CLASSES)]),
    ]


def functional(*last, shape=(SIZE, SIZE, 3), dtype="float32"):
    inputs = values = keras.Input(shape, dtype=dtype)
    for layer in logits_layers(*last):
        values = layer(values)
    return keras.Model(inputs, values)


def sequential(*last):
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), *logits_layers(*last)])


def nested(*last):
    inputs = keras.Input((SIZE, SIZE, 3))
    return keras.Model(inputs, sequential(*last)(inputs))


def dense_softmax():
    return [keras.layers.Dense(CLASSES, activation="softmax")]


def dense_then_softmax():
    return [keras.layers.Dense(CLASSES), keras.layers.Softmax()]


def dense_then_activation():
    return [keras.layers.Dense(CLASSES), keras.layers.Activation("softmax")]


SOFTMAXES = [dense_softmax, dense_then_softmax, dense_then_activation]


def test_a_model_of_the_right_form_is_taken_as_it_is():
    model = functional()
    classifier = PixelModel("mine", model)
    assert classifier.model is model
    assert (classifier.image_size, classifier.num_classes) == (SIZE, CLASSES)
    logits = classifier(images())
    assert logits.dtype == tf.float32
    np.testing.assert_array_equal(logits, model(images(), training=False))


@pytest.mark.parametrize("make", [functional, sequential, nested])
@pytest.mark.parametrize("last", SOFTMAXES)
def test_logits_are_what_goes_into_the_last_softmax(make, last):
    model = make(*last())
    before = [weight.copy() for weight in model.get_weights()]
    probabilities = model(images(), training=False).numpy()
    logits = PixelModel("mine", model, outputs="probabilities")(images())
    np.testing.assert_allclose(tf.nn.softmax(logits), probabilities, rtol=1e-5)
    # Logits, not their softmax's logarithm: that sums to 1.
    assert abs(np.exp(logits).sum(axis=1) - 1).min() > 1e-3
    np.testing.assert_array_equal(model(images(), training=False), probabilities)
    for weight, was in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, was)


def test_logits_of_a_dense_softmax_are_those_of_the_same_weights():
    model, linear = functional(*dense_softmax()), functional()
    linear.set_weights(model.get_weights())
    # Too far apart for probabilities: in float32 all but one would be 0 or 1.
    for one in (model, linear):
        kernel, bias = one.layers[-1].get_weights()
        one.layers[-1].set_weights([kernel * 1e4, bias])
    logits = PixelModel("mine", model, outputs="probabilities")(images())
    np.testing.assert_array_equal(logits, linear(images(), training=False))


def test_logits_of_other_probabilities_are_finite_logarithms():
    last = [
        keras.layers.Dense(CLASSES),
        keras.layers.Softmax(),
        keras.layers.ReLU(threshold=0.2),  # Some become 0.
    ]
    model = functional(*last)
    probabilities = model(images(), training=False).numpy()
    assert (probabilities == 0).any() and (probabilities > 0).any()
    logits = PixelModel("mine", model, outputs="probabilities")(images()).numpy()
    np.testing.assert_allclose(
        logits, np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)), rtol=1e-6
    )
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("last", SOFTMAXES)
def test_probabilities_are_not_taken_for_logits(last):
    with pytest.raises(UserError, match="mine ends in a softmax.*Say probabilities"):
        PixelModel("mine", functional(*last()))


def test_pixels_are_scaled_for_models_that_take_unit_ones():
    model = functional()
    classifier = PixelModel("mine", model, pixels="unit")
    np.testing.assert_allclose(
        classifier(images()), model(images() / 255, training=False), rtol=1e-5
    )


@pytest.mark.parametrize("size", [SIZE, 11])
def test_the_input_is_never_written_to(size):
    # Keras's own `preprocess_input` writes into a float array that it is given.
    inputs = keras.Input((SIZE, SIZE, 3))
    scaled = keras.applications.resnet_v2.preprocess_input(inputs)
    values = keras.layers.Dense(CLASSES)(keras.layers.GlobalMaxPooling2D()(scaled))
    pixels = np.full((2, size, size, 3), 200, np.float32)
    first = PixelModel("mine", keras.Model(inputs, values))(pixels)
    assert (pixels == 200).all()
    np.testing.assert_array_equal(
        first, PixelModel("mine", keras.Model(inputs, values))(pixels)
    )


@pytest.mark.parametrize("size", [SIZE, 11])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.int64])
def test_pixels_of_every_type_give_the_same_logits(dtype, size):
    classifier = PixelModel("mine", functional())
    pixels = images(size)
    np.testing.assert_array_equal(
        classifier(pixels.astype(dtype)), classifier(tf.constant(pixels))
    )


def test_a_model_made_for_whole_numbers_gets_the_fractions_and_gives_a_gradient():
    made_for_bytes = functional(dtype="uint8")
    classifier = PixelModel("mine", made_for_bytes)
    pixels = tf.constant(images() * 0.9)
    twin = functional()
    twin.set_weights(made_for_bytes.get_weights())
    np.testing.assert_allclose(classifier(pixels), twin(pixels), rtol=1e-6)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        total = tf.reduce_sum(classifier(pixels))
    assert np.abs(tape.gradient(total, pixels)).max() > 0
    with pytest.raises(UserError, match=r"whole numbers \(uint8\).*pixels=unit"):
        PixelModel("mine", made_for_bytes, pixels="unit")


@pytest.mark.parametrize("last", [None, *SOFTMAXES])
def test_logits_are_float32_for_mixed_precision(last):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = functional(*(last() if last else ()))
    finally:
        keras.config.set_dtype_policy(before)
    assert model.output.dtype == "bfloat16"
    outputs = "probabilities" if last else "logits"
    classifier = PixelModel("mine", model, outputs=outputs)
    assert classifier.model.output.dtype == "float32"
    assert classifier(images()).dtype == tf.float32


def photographs(size, num_images=2):
    """Returns smooth images with some texture, as uint8."""
    coarse = images(9, seed=3, num_images=num_images).astype(np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(one).resize((size, size))) for one in coarse]
    )


@pytest.mark.parametrize("size", [64, 50, 33])
def test_resizing_does_as_pil_does(size):
    pixels = photographs(50)
    resized = pixel_models.resize(tf.cast(pixels, tf.float32), size)
    # Channel by channel in float32, since PIL rounds bytes after each of two passes.
    expected = [
        Image.fromarray(plane.astype(np.float32)).resize(
            (size, size), Image.Resampling.BICUBIC
        )
        for plane in pixels.transpose(0, 3, 1, 2).reshape(-1, 50, 50)
    ]
    expected = np.stack(expected).reshape(-1, 3, size, size).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(resized, expected.clip(0, 255), atol=1e-3)


def test_an_image_of_the_right_size_is_not_touched():
    pixels = tf.constant(images() - 300)  # Not even clipped.
    assert pixel_models.resize(pixels, SIZE) is pixels


@pytest.mark.parametrize("size", [5, 13])
def test_resized_pixels_stay_in_range_and_white_ones_keep_their_gradient(size):
    pixels = np.full((1, SIZE, SIZE, 3), 255, np.float32)
    pixels[:, :4] = 0  # Bicubic overshoots at the edge.
    pixels = tf.constant(pixels)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        resized = pixel_models.resize(pixels, size)
        total = tf.reduce_sum(resized)
    assert resized.numpy().min() == 0 and resized.numpy().max() == 255
    # Each resized pixel is a mean of others, whose weights sum to 1.
    gradient = tape.gradient(total, pixels).numpy()
    assert gradient.min() > 0
    np.testing.assert_allclose(gradient.sum(), size * size * 3, rtol=1e-5)


def test_the_gradient_agrees_with_differences():
    classifier = PixelModel("mine", functional())
    pixels = tf.constant(photographs(12).astype(np.float32))
    direction = np.random.default_rng(1).normal(size=pixels.shape).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def first_logit(pixels):
        return classifier(pixels)[:, 0]

    with tf.GradientTape() as tape:
        tape.watch(pixels)
        total = tf.reduce_sum(first_logit(pixels))
    slope = np.sum(tape.gradient(total, pixels) * direction)
    step = 0.05
    ahead, behind = (first_logit(pixels + s * step * direction) for s in (1, -1))
    expected = float(tf.reduce_sum(ahead - behind)) / (2 * step)
    assert slope == pytest.approx(expected, rel=0.02)


def test_an_undetermined_size_must_be_given():
    model = functional(shape=(None, None, 3))
    with pytest.raises(UserError, match=r"\(None, None, None, 3\).*give image_size"):
        PixelModel("mine", model)
    classifier = PixelModel("mine", model, image_size=10)
    assert classifier.model.input_shape == (None, 10, 10, 3)
    np.testing.assert_allclose(
        classifier(images(10)), model(images(10), training=False), rtol=1e-6
    )


def test_a_size_that_is_not_the_model_s_is_refused():
    with pytest.raises(UserError, match=r"\(n, 10, 10, 3\).*Received.*8, 8, 3\)"):
        PixelModel("mine", functional(), image_size=10)


@pytest.mark.parametrize("shape", [(SIZE, 9, 3), (SIZE, SIZE, 1), (SIZE, SIZE)])
def test_an_input_that_is_no_square_image_is_refused(shape):
    inputs = keras.Input(shape)
    flat = keras.layers.Flatten()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(flat))
    with pytest.raises(UserError, match=r"square images.*Received: \(None, 8"):
        PixelModel("mine", model)


def test_a_model_without_an_input_shape_is_refused():
    for model in (keras.Sequential([keras.layers.Dense(1)]), keras.Model()):
        with pytest.raises(UserError, match="functional or Sequential"):
            PixelModel("mine", model)


def test_outputs_must_be_one_number_a_class():
    inputs = keras.Input((SIZE, SIZE, 3))
    maps = keras.Model(inputs, keras.layers.Conv2D(CLASSES, 3)(inputs))
    with pytest.raises(UserError, match=r"\(n, classes\).*6, 6, 5\)"):
        PixelModel("mine", maps)
    with pytest.raises(UserError, match=r"\(n, classes\).*\(None, 3\)"):
        pooled = keras.layers.GlobalMaxPooling2D()(inputs)
        PixelModel("mine", keras.Model(inputs, [pooled, pooled]))


@pytest.mark.parametrize("shape", [(SIZE, SIZE, 3), (2, SIZE, SIZE, 1)])
def test_pixels_of_another_form_are_refused(shape):
    classifier = PixelModel("mine", functional())
    with pytest.raises(UserError, match=r"\(n, height, width, 3\).*Received: \(\d, 8"):
        classifier(np.zeros(shape, np.float32))
