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
    """Settings of `convert_weights`."""

    classifier: str = base.setting(
        "",
        "Which of the paper's 19 the weights are of, by torchvision's name: "
        "squeezenet1_0, vgg11, vgg11_bn, resnet18, densenet121, ...",
        required=True,
    )
    state_dict: str = base.setting(
        "", "Path of the file that torchvision publishes for it.", required=True
    )
    weights_dir: str = base.setting(
        "",
        "Folder for the converted classifier; by default kennen_tf in Keras's own "
        "folder, where --classifiers=paper looks for it by default.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        # Not a flag of choices: nineteen names would fill the help.
        base.check_choice("classifier", self.classifier, CLASSIFIERS)
