"""Weights and images for golden logits: from names and shapes alone, with NumPy alone.

The environment that has torchvision need not have TensorFlow, nor the other way round.
"""

import math

import numpy as np

from kennen_tf.vocabulary.seeds import derive_seed

IMAGE_SIZE, NUM_IMAGES, NUM_PATCHES = 224, 2, 7
STRIDE = 63  # Of the 1,000 logits of an image, 16 are kept.


def make_tensor(name, shape):
    """Returns a tensor of a state dict.

    Kernels keep the variance of what goes through; so do norms in the branches of
    ResNets, which would double it in each block otherwise.
    """
    random = np.random.default_rng(derive_seed(0, "golden", name))
    uniform = random.random(shape, np.float32)
    if len(shape) > 1:
        uniform *= 2  # In place: half a GB in VGG's first dense layer.
        uniform -= 1
        uniform *= np.float32(math.sqrt(6 / math.prod(shape[1:])))
        return uniform
    if name.endswith(".running_var"):
        return np.float32(0.75) + uniform
    if name.startswith("layer") and ".bn" in name and name.endswith(".weight"):
        return 0.2 + np.float32(0.4) * uniform
    if name.endswith(".weight"):  # Of a norm: no other has one axis.
        return 0.5 + uniform
    return np.float32(0.4) * uniform - np.float32(0.2)


def make_images():
    """Returns uint8 images (NUM_IMAGES, IMAGE_SIZE, IMAGE_SIZE, 3).

    Of noise within patches of different colours: where each patch is has to matter.
    """
    random = np.random.default_rng(derive_seed(0, "golden", "images"))
    side = IMAGE_SIZE // NUM_PATCHES
    colors = random.random((NUM_IMAGES, NUM_PATCHES, NUM_PATCHES, 3), np.float32)
    patches = colors.repeat(side, axis=1).repeat(side, axis=2)
    noise = random.random((NUM_IMAGES, IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
    return (128 * patches + 128 * noise).astype(np.uint8)


def summarize(logits):
    """Returns what is kept of logits (NUM_IMAGES, 1000)."""
    logits = np.asarray(logits, np.float64)
    return {
        "some": [[round(x, 7) for x in row] for row in logits[:, ::STRIDE].tolist()],
        "mean": logits.mean(axis=1).tolist(),
        "std": logits.std(axis=1).tolist(),
    }
