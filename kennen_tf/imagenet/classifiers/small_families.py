"""Small versions of the paper's five families, for digits of 32 x 32 pixels.

They are built by the same code as the full ones (`architectures`) and keep what makes a
family one: its layers and their order, and depths that differ within it as in the
paper. Narrower they all are; ResNets and DenseNets have fewer blocks, too.
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf.designs.mnist_net import NUM_CLASSES
from kennen_tf.imagenet.classifiers import architectures
from kennen_tf.imagenet.classifiers.architectures.torchvision_layers import (
    NUM_CHANNELS,
    Variant,
)
from kennen_tf.keras_models import pixel_models
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.labeled_images import LabeledImages
from kennen_tf.vocabulary.seeds import derive_seed

IMAGE_SIZE = 32
SUFFIX = "_small"

# Who never saw a colour answers to colours by chance, each classifier in its own way:
# perturbations would hide there and never transfer.
_SMALL = Variant(
    image_size=IMAGE_SIZE, num_classes=NUM_CLASSES, pooled_size=1, is_gray=True
)
_VARIANTS = {
    "squeezenet": dataclasses.replace(_SMALL, width=0.375, stem_stride=1, dropout=0.2),
    "vgg": dataclasses.replace(_SMALL, width=0.125, dropout=0.2),
    "vgg_bn": dataclasses.replace(_SMALL, width=0.125, dropout=0.2),
    "resnet": dataclasses.replace(_SMALL, width=0.125, depth=0.5, stem_stride=1),
    "densenet": dataclasses.replace(_SMALL, width=0.25, depth=0.25),
}
_ARCHITECTURES = (
    *("squeezenet1_0", "squeezenet1_1"),
    *("vgg11", "vgg13", "vgg16"),
    *("vgg11_bn", "vgg13_bn", "vgg16_bn"),
    *("resnet18", "resnet34", "resnet50"),
    *("densenet121", "densenet169", "densenet201"),
)

_LEARNING_RATE = 2e-3
# Deep plain VGGs do not leave chance if their first steps are long ones.
_WARMUP_SHARE = 0.15
_CLIP_NORM = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallClassifier:
    """A small classifier, not trained yet.

    Attributes:
        family: Its family, that of its full version.
        name: Name of its full version with `SUFFIX`.
        variant: Its size.
    """

    family: str
    name: str
    variant: Variant

    def build(self, seed: int) -> keras.Model:
        """Builds it, with initial weights that depend on the seed and its name."""
        seed = derive_seed(seed, "small families", self.name, "initial weights")
        return architectures.build(self.name.removesuffix(SUFFIX), self.variant, seed)


def _make_classifier(name: str) -> SmallClassifier:
    family = architectures.family_of(name)
    return SmallClassifier(family=family, name=name + SUFFIX, variant=_VARIANTS[family])


CLASSIFIERS = tuple(map(_make_classifier, _ARCHITECTURES))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallImages:
    """Digits as the small classifiers take them.

    Attributes:
        train_pixels: uint8 `(num_train, 32, 32, 3)`.
        train_labels: int32 `(num_train,)`.
        test_pixels: uint8 `(num_test, 32, 32, 3)`.
        test_labels: int32 `(num_test,)`.
    """

    train_pixels: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int32]
    test_pixels: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int32]


def prepare(digits: LabeledImages, num_train: int, seed: int) -> SmallImages:
    """Draws training digits, and makes RGB images of 32 x 32 pixels of them.

    The pixels are those of an image set of that size: resized bicubically, rounded.

    Raises:
        UserError: If there are fewer than `num_train`.
    """
    if len(digits.train_labels) < num_train:
        raise UserError(
            f"--num_train must be at most the number of digits, "
            f"{len(digits.train_labels)}. Received: num_train={num_train}."
        )
    random = np.random.default_rng(derive_seed(seed, "small families", "digits"))
    chosen = random.permutation(len(digits.train_labels))[:num_train]
    return SmallImages(
        train_pixels=_to_pixels(digits.train_images[chosen]),
        train_labels=digits.train_labels[chosen],
        test_pixels=_to_pixels(digits.test_images),
        test_labels=digits.test_labels,
    )


def _to_pixels(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    resized = pixel_models.resize(tf.cast(images, tf.float32), IMAGE_SIZE)
    gray = tf.cast(tf.round(resized), tf.uint8).numpy()
    return np.repeat(gray, NUM_CHANNELS, axis=-1)


def train(
    classifier: SmallClassifier,
    images: SmallImages,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
) -> keras.Model:
    """Trains a classifier, by the same rules as all others.

    Args:
        classifier: What to train.
        images: Digits; those for tests are not looked at.
        epochs: Passes over the training digits.
        batch_size: Digits in each step.
        seed: Root seed; each classifier derives its own.

    Returns:
        The classifier, uncompiled.
    """
    model = classifier.build(seed)
    num_steps = len(images.train_labels) // batch_size
    step = _make_step(model, images, epochs * num_steps)
    for epoch in range(epochs):
        own = derive_seed(seed, "small families", classifier.name, "order", epoch)
        order = np.random.default_rng(own).permutation(len(images.train_labels))
        batches = order[: num_steps * batch_size].reshape(num_steps, batch_size)
        for batch in tf.unstack(tf.constant(batches, tf.int32)):
            step(batch)
    return model


def _make_step(
    model: keras.Model, images: SmallImages, num_steps: int
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a compiled training step from positions of digits to their loss."""
    pixels, labels = tf.constant(images.train_pixels), tf.constant(images.train_labels)
    variables = model.trainable_variables
    num_warmup = max(1, round(_WARMUP_SHARE * num_steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(1, num_steps - num_warmup),
        warmup_target=_LEARNING_RATE,
        warmup_steps=num_warmup,
    )
    optimizer = keras.optimizers.Adam(schedule, global_clipnorm=_CLIP_NORM)
    optimizer.build(variables)

    @tf.function(reduce_retracing=True)
    def step(positions: tf.Tensor) -> tf.Tensor:
        batch = tf.cast(tf.gather(pixels, positions), tf.float32)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(
                    tf.gather(labels, positions), model(batch, training=True)
                )
            )
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    return step
