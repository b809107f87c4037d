"""Keras Applications: families of classifiers whose ImageNet weights Keras publishes.

Here stands what must be known of each before it is built. The tests compare it with
Keras itself.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import keras

from kennen_tf.imagenet.classifiers import weights
from kennen_tf.imagenet.classifiers.family_classifier import Families, FamilyClassifier
from kennen_tf.keras_models.pixel_models import PixelModel
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

_NUM_CLASSES = 1000
_KERNELS = "{}_weights_tf_dim_ordering_tf_kernels.h5"


@dataclasses.dataclass(frozen=True)
class Application:
    """A classifier with published weights.

    Attributes:
        name: What it is called here.
        constructor: What builds it: its name in `keras.applications`.
        file: The file of its weights, as it is called in Keras's cache. Keras tells it
            only after it has built the classifier, so it is written down here.
        image_size: Side of the images that the weights are for.
        settings: Arguments of the constructor that the weights are for.
    """

    name: str
    constructor: str
    file: str
    image_size: int = 224
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _mobilenet(version: str, constructor: str, alpha: float, file: str) -> Application:
    name = f"{version}_{alpha}".replace(".", "_")
    return Application(name, constructor, file, settings={"alpha": alpha})


# Every family of two or more. Where weights are published for several image sizes,
# those for the largest; MobileNet V3 in its two main forms.
APPLICATIONS: Mapping[str, tuple[Application, ...]] = {
    "vgg": tuple(
        Application(f"vgg{n}", f"VGG{n}", _KERNELS.format(f"vgg{n}")) for n in (16, 19)
    ),
    "resnet": tuple(
        Application(f"resnet{n}", f"ResNet{n}", _KERNELS.format(f"resnet{n}"))
        for n in (50, 101, 152)
    ),
    "resnet_v2": tuple(
        Application(f"resnet{n}_v2", f"ResNet{n}V2", _KERNELS.format(f"resnet{n}v2"))
        for n in (50, 101, 152)
    ),
    "densenet": tuple(
        Application(f"densenet{n}", f"DenseNet{n}", _KERNELS.format(f"densenet{n}"))
        for n in (121, 169, 201)
    ),
    # Xception, too: "extreme Inception" to its author, and alone it would be no family.
    "inception": tuple(
        Application(name, constructor, _KERNELS.format(name), 299)
        for name, constructor in (
            ("inception_v3", "InceptionV3"),
            ("inception_resnet_v2", "InceptionResNetV2"),
            ("xception", "Xception"),
        )
    ),
    "mobilenet": tuple(
        _mobilenet("mobilenet", "MobileNet", alpha, f"mobilenet_{text}_224_tf.h5")
        for alpha, text in ((0.25, "2_5"), (0.5, "5_0"), (0.75, "7_5"), (1.0, "1_0"))
    ),
    "mobilenet_v2": tuple(
        _mobilenet(
            "mobilenet_v2",
            "MobileNetV2",
            alpha,
            _KERNELS.format("mobilenet_v2").replace(".h5", f"_{alpha}_224.h5"),
        )
        for alpha in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
    ),
    "mobilenet_v3": tuple(
        Application(
            f"mobilenet_v3_{form}",
            f"MobileNetV3{form.title()}",
            f"weights_mobilenet_v3_{form}_224_1.0_float.h5",
        )
        for form in ("small", "large")
    ),
    "nasnet": tuple(
        Application(
            f"nasnet_{form}", f"NASNet{form.title()}", f"nasnet_{form}.h5", size
        )
        for form, size in (("mobile", 224), ("large", 331))
    ),
    "efficientnet": tuple(
        Application(
            f"efficientnet_b{n}", f"EfficientNetB{n}", f"efficientnetb{n}.h5", size
        )
        for n, size in enumerate((224, 240, 260, 300, 380, 456, 528, 600))
    ),
    "efficientnet_v2": tuple(
        Application(
            f"efficientnet_v2_{form}",
            f"EfficientNetV2{form.upper()}",
            f"efficientnetv2-{form}.h5",
            size,
        )
        for form, size in zip(
            ("b0", "b1", "b2", "b3", "s", "m", "l"),
            (224, 240, 260, 300, 384, 480, 480),
            strict=True,
        )
    ),
    "convnext": tuple(
        Application(
            f"convnext_{form.lower()}", f"ConvNeXt{form}", f"convnext_{form.lower()}.h5"
        )
        for form in ("Tiny", "Small", "Base", "Large", "XLarge")
    ),
}


def keras_families(weights_dir: str = "") -> Families:
    """Returns the families; classifiers are built and weights sought when opened.

    Args:
        weights_dir: Folder that weights are looked for in first, under the names that
            they have in Keras's cache; what is not in it comes from that cache, which
            Keras downloads into. "" for the cache only.

    Raises:
        UserError: If there is no such folder.
    """
    folder = pathlib.Path(weights_dir).expanduser() if weights_dir else None
    if folder is not None and not folder.is_dir():
        raise UserError(
            "--weights_dir must be a folder, or be left out for Keras's own cache. "
            f"Received: {weights_dir}, and there is no such folder."
        )
    return {
        family: tuple(
            _make_classifier(family, application, folder) for application in rows
        )
        for family, rows in APPLICATIONS.items()
    }


def take_pixels(family: str, name: str, model: keras.Model) -> keras.Model:
    """Returns a model that preprocesses pixels in [0, 255] and calls `model`.

    Its layers are made by Keras's own `preprocess_input`, which leaves pixels alone
    where `model` preprocesses them itself.

    Args:
        family: Its family.
        name: Its name.
        model: One of Keras Applications, which is called and not changed.
    """
    # Modules are named after families or, in families of several, after classifiers.
    modules = keras.applications
    module = getattr(modules, name, None) or getattr(modules, family)
    inputs = keras.Input(model.input_shape[1:], dtype="float32")
    return keras.Model(inputs, model(module.preprocess_input(inputs)))


def _make_classifier(
    family: str, application: Application, folder: pathlib.Path | None
) -> FamilyClassifier:
    path = folder / application.file if folder else None
    if path is not None and not path.is_file():
        path = None
    return FamilyClassifier(
        family=family,
        name=application.name,
        image_size=application.image_size,
        num_classes=_NUM_CLASSES,
        identity=artifacts.sha256_of_file(path)
        if path
        else f"{application.file} as Keras publishes it",
        opener=functools.partial(_open, family, application, path, folder),
    )


def _open(
    family: str,
    application: Application,
    path: pathlib.Path | None,
    folder: pathlib.Path | None,
) -> PixelModel:
    build: Callable[..., keras.Model]
    build = getattr(keras.applications, application.constructor)
    with weights.keras_weights(application.file, path, folder):
        model = build(
            weights="imagenet",
            classifier_activation=None,
            input_shape=(application.image_size, application.image_size, 3),
            **application.settings,
        )
    name = application.name
    return PixelModel(name, take_pixels(family, name, model))
