"""Converts torchvision's published weights for one of the paper's 19 classifiers.

    python -m kennen_tf.convert_weights --classifier=vgg11 \\
        --state_dict=vgg11-8a719046.pth --weights_dir=weights

Writes weights/vgg11.keras, from pixels in [0, 255] to torchvision's logits, and
weights/vgg11.json, which says what it was made from. The files are published at
https://download.pytorch.org/models/. Needs PyTorch (pip install torch) to read them;
nothing else does.
"""

from flags import common
from kennen_tf.configs.conversion import ConversionConfig


def convert_weights(config: ConversionConfig) -> None:
    """Converts the weights of one classifier.

    Raises:
        UserError: If PyTorch is not installed, or the file is missing, damaged or of
            another classifier.
    """
    from kennen_tf.machine import startup
    from kennen_tf.vocabulary import artifacts

    startup.import_tensorflow()
    from kennen_tf.imagenet.classifiers import (
        architectures,
        conversion,
        paper_classifiers,
    )

    digest = conversion.check_published(config.state_dict, config.classifier)
    state_dict = conversion.read_state_dict(config.state_dict)
    model = architectures.build(config.classifier)
    conversion.fill(model, state_dict)
    folder = artifacts.make_folder(paper_classifiers.weights_folder(config.weights_dir))
    path = paper_classifiers.classifier_path(folder, config.classifier)
    conversion.save(model, path, config.state_dict, digest)
    print(f"{path}: {config.classifier}, {model.count_params():,} parameters.")


def main() -> None:
    """Runs `convert_weights` with the flags of the command line."""
    common.run(convert_weights, ConversionConfig)


if __name__ == "__main__":
    main()
