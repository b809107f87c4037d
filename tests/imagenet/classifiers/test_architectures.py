"""Architectures: torchvision's parameters, shapes by hand, files without kennen_tf."""

import functools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kennen_tf.configs.conversion import CLASSIFIERS, FAMILIES
from kennen_tf.imagenet.classifiers import architectures
from kennen_tf.imagenet.classifiers.architectures.torchvision_layers import (
    Layers,
    Variant,
)
from kennen_tf.vocabulary.errors import UserError

TINY = Variant(image_size=32, num_classes=10, width=0.0625, depth=0.25, pooled_size=1)
ONE_OF_EACH = [names[0] for names in FAMILIES.values()]


@functools.cache
def build_tiny(name, seed=0, **changes):
    """Builds each once for all tests, which must not change it."""
    return architectures.build(name, Variant(**{**vars(TINY), **changes}), seed)


def noise(num_images, size=32):
    random = np.random.default_rng(0)
    return random.uniform(0, 255, (num_images, size, size, 3)).astype(np.float32)


def test_these_are_the_papers_families():
    assert [len(names) for names in FAMILIES.values()] == [2, 4, 4, 5, 4]
    assert len(set(CLASSIFIERS)) == 19
    assert {architectures.family_of(name) for name in CLASSIFIERS} == set(FAMILIES)


# What torchvision's documentation says of each.
@pytest.mark.long
@pytest.mark.parametrize(
    "name, num_params",
    [
        ("squeezenet1_0", 1_248_424),
        ("squeezenet1_1", 1_235_496),
        ("vgg11", 132_863_336),
        ("vgg13_bn", 133_053_736),
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet152", 60_192_808),
        ("densenet121", 7_978_856),
        ("densenet161", 28_681_000),
    ],
)
def test_trainable_parameters_are_torchvisions(name, num_params):
    # Variables get no values: those of a VGG are half a GB.
    with keras.StatelessScope(initialize_variables=False):
        model = architectures.build(name)
    keras.utils.clear_session()  # Or another scope would give them values.
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == num_params
    assert model.input_shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 1000)


@pytest.mark.long
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_small_versions_have_layers_of_keras_only_and_finite_logits(name):
    model = build_tiny(name)
    assert {type(x).__module__.split(".")[0] for x in model.layers} == {"keras"}
    logits = model(noise(2))
    assert logits.shape == (2, 10) and np.isfinite(logits).all()


@pytest.mark.long
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_an_attack_finds_a_gradient_and_leaves_the_pixels_alone(name):
    model = build_tiny(name, width=0.25)
    pixels = noise(2)
    kept = pixels.copy()
    images = tf.constant(pixels)
    with tf.GradientTape() as tape:
        tape.watch(images)
        loss = tf.reduce_sum(model(images, training=False))
    gradient = tape.gradient(loss, images)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    np.testing.assert_array_equal(pixels, kept)


def test_pixels_are_normalised_as_torchvisions_weights_expect():
    inputs, normalized = Layers(TINY, None).pixels()
    model = keras.Model(inputs, normalized)
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    std = np.array([0.229, 0.224, 0.225], np.float32)
    pixels = noise(1)
    np.testing.assert_allclose(model(pixels), (pixels / 255 - mean) / std, atol=1e-5)


@pytest.mark.parametrize("side, pooled", [(7, 3), (8, 4), (13, 6), (14, 7), (109, 54)])
def test_squeezenets_pooling_counts_what_is_left_at_the_edge(side, pooled):
    image = np.arange(side * side, dtype=np.float32).reshape(1, side, side, 1)
    inputs = keras.Input(image.shape[1:])
    model = keras.Model(inputs, Layers(TINY, None).max_pool_ceil(inputs, "pool"))
    result = np.squeeze(model(image))
    assert result.shape == (pooled, pooled)
    # The largest of each window is its last pixel, or the last of the image.
    last = np.minimum(2 * np.arange(pooled) + 2, side - 1)
    np.testing.assert_array_equal(result, image[0, last][:, last, 0])


@pytest.mark.parametrize("side", [7, 8])
def test_strided_convolutions_pad_alike_on_both_sides(side):
    image = np.zeros((1, side, side, 1), np.float32)
    image[0, 0, 0, 0] = 1
    inputs = keras.Input(image.shape[1:])
    layers = Layers(TINY, None)
    output = layers.conv(inputs, "conv", 1, 3, stride=2, padding=1, use_bias=False)
    model = keras.Model(inputs, output)
    kernel = np.arange(9, dtype=np.float32).reshape(3, 3, 1, 1)
    model.get_layer("conv").set_weights([kernel])
    # The first window has the first pixel in its middle.
    assert np.squeeze(model(image))[0, 0] == 4


@pytest.mark.long
@pytest.mark.parametrize("stem_stride, side", [(2, 2), (1, 4)])
def test_a_stem_without_stride_keeps_twice_the_resolution(stem_stride, side):
    model = build_tiny("densenet121", stem_stride=stem_stride)
    assert model.get_layer("features.transition2.pool").output.shape[1] == side


def test_bottlenecks_have_their_stride_in_the_middle():
    model = build_tiny("resnet50")
    strides = [model.get_layer(f"layer2.0.conv{n}").strides for n in (1, 2, 3)]
    assert strides == [(1, 1), (2, 2), (1, 1)]


def test_vgg_pools_to_the_size_that_its_dense_layers_need():
    def kernel_rows(**changes):
        model = build_tiny("vgg11", **changes)
        return model.get_layer("classifier.0").kernel.shape[0]

    assert kernel_rows(image_size=32, pooled_size=7) == 32 * 7 * 7
    assert kernel_rows(image_size=64, pooled_size=1) == 32
    with pytest.raises(ValueError, match="side of 3"):
        kernel_rows(image_size=96, pooled_size=7)


def test_vgg_flattens_by_channel_first():
    model = build_tiny("vgg11", image_size=64, pooled_size=2)
    dense = model.get_layer("classifier.0")
    maps = keras.Model(model.input, model.get_layer("features.20").output)(noise(1, 64))
    flat = keras.Model(model.input, dense.input)(noise(1, 64))
    np.testing.assert_array_equal(flat[0], np.transpose(maps[0], (2, 0, 1)).ravel())


def test_width_and_depth_scale_what_they_say():
    model = build_tiny("resnet34", width=0.25, depth=0.5)
    assert model.get_layer("layer4.0.conv1").filters == 128
    blocks = {x.name[:8] for x in model.layers if x.name.startswith("layer")}
    assert len(blocks) == 2 + 2 + 3 + 2  # Of 3, 4, 6 and 3.


def test_seeds_decide_the_initial_weights():
    def kernel(seed):
        model = architectures.build("vgg11", TINY, seed)
        return model.get_layer("features.3").kernel.numpy()

    np.testing.assert_array_equal(kernel(1), kernel(1))
    assert not np.array_equal(kernel(1), kernel(2))
    assert not kernel(None).any()


def test_an_unknown_name_is_met_with_the_nearest():
    with pytest.raises(UserError, match="nearest: resnet18"):
        architectures.build("resnet-18")


@pytest.mark.long
def test_saved_classifiers_open_without_this_package(tmp_path):
    images = noise(2)
    np.save(tmp_path / "images.npy", images)
    for name in ONE_OF_EACH:
        model = build_tiny(name)
        model.save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", model(images))
    script = f"""
import sys
sys.modules["kennen_tf"] = None  # Importing it would now fail.
import keras, numpy as np
for name in {ONE_OF_EACH}:
    model = keras.models.load_model(name + ".keras")
    logits = model(np.load("images.npy"))
    np.testing.assert_allclose(logits, np.load(name + ".npy"), atol=1e-5)
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
