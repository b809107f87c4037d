"""The paper's 19 ImageNet classifiers, as torchvision has them, full or small.

What a classifier is called, here and in torchvision, is in `configs.conversion`.
"""

import difflib
from collections.abc import Callable

import keras

from kennen_tf.configs.conversion import CLASSIFIERS, FAMILIES
from kennen_tf.imagenet.classifiers.architectures.densenet import build_densenet
from kennen_tf.imagenet.classifiers.architectures.resnet import build_resnet
from kennen_tf.imagenet.classifiers.architectures.squeezenet import build_squeezenet
from kennen_tf.imagenet.classifiers.architectures.torchvision_layers import Variant
from kennen_tf.imagenet.classifiers.architectures.vgg import build_vgg
from kennen_tf.vocabulary.errors import UserError

_BUILDERS: dict[str, Callable[[str, Variant, int | None], keras.Model]] = {
    "squeezenet": build_squeezenet,
    "vgg": build_vgg,
    "vgg_bn": build_vgg,
    "resnet": build_resnet,
    "densenet": build_densenet,
}


def family_of(name: str) -> str:
    """Returns the family of one of the 19 classifiers.

    Raises:
        UserError: If there is none of that name.
    """
    for family, names in FAMILIES.items():
        if name in names:
            return family
    nearest = difflib.get_close_matches(name, CLASSIFIERS, n=1, cutoff=0.0)
    raise UserError(
        f"The classifier must be one of {CLASSIFIERS}. Received: {name!r}; nearest: "
        f"{nearest[0]}."
    )


def build(
    name: str, variant: Variant | None = None, seed: int | None = None
) -> keras.Model:
    """Builds one of the 19 classifiers, untrained.

    Args:
        name: One of `CLASSIFIERS`.
        variant: Its size; None for torchvision's.
        seed: Of the initial weights; None for kernels of zeros, if weights are loaded.

    Returns:
        A Keras model of layers of Keras only, from pixels, float32 `(n, image_size,
        image_size, 3)` in [0, 255], to logits, float32 `(n, num_classes)`.

    Raises:
        UserError: If there is no classifier of that name.
    """
    return _BUILDERS[family_of(name)](name, variant or Variant(), seed)
