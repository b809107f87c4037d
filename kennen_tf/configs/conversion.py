"""Settings of `convert_weights`, and the names of the paper's ImageNet classifiers."""

import dataclasses

from kennen_tf.configs import base

# The paper's 19 classifiers, by family, with torchvision's names (section 4).
FAMILIES: dict[str, tuple[str, ...]] = {
    "squeezenet": ("squeezenet1_0", "squeezenet1_1"),
    "vgg": ("vgg11", "vgg13", "vgg16", "vgg19"),
    "vgg_bn": ("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    "resnet": ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    "densenet": ("densenet121", "densenet161", "densenet169", "densenet201"),
}
CLASSIFIERS = tuple(name for names in FAMILIES.values() for name in names)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConversionConfig(base.Config):
    """Settings of `convert_weights`.

    Attributes:
        classifier: One of `CLASSIFIERS`.
        state_dict: Path of the file that torchvision publishes for it.
        weights_dir: Folder for the converted classifier; "" for the folder kennen_tf
            in Keras's own, where `--classifiers=paper` looks by default.
    """

    classifier: str = ""
    state_dict: str = ""
    weights_dir: str = ""

    def __post_init__(self) -> None:
        base.check_given("classifier", self.classifier)
        base.check_choice("classifier", self.classifier, CLASSIFIERS)
        base.check_given("state_dict", self.state_dict)
