"""The paper's 19 classifiers with torchvision's weights, converted (section 4)."""

import functools
import os
import pathlib

from kennen_tf.configs.conversion import FAMILIES
from kennen_tf.imagenet.classifiers import conversion, keras_files
from kennen_tf.imagenet.classifiers.architectures.torchvision_layers import Variant
from kennen_tf.imagenet.classifiers.family_classifier import FamilyClassifier
from kennen_tf.keras_models.pixel_models import PixelModel
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

_FOLDER = "kennen_tf"


def paper_families(weights_dir: str = "") -> dict[str, tuple[FamilyClassifier, ...]]:
    """Returns the five families; whether their weights are there shows when opened.

    Args:
        weights_dir: Folder of the converted classifiers; see `weights_folder`.
    """
    folder = weights_folder(weights_dir)
    return {
        family: tuple(_make_classifier(family, name, folder) for name in names)
        for family, names in FAMILIES.items()
    }


def weights_folder(weights_dir: str) -> pathlib.Path:
    """Returns the folder that converted classifiers are written to and looked for in.

    Args:
        weights_dir: The folder; "" for "kennen_tf" in Keras's own, which is the
            environment variable KERAS_HOME or else ~/.keras.
    """
    if weights_dir:
        return pathlib.Path(weights_dir).expanduser()
    keras_home = os.environ.get("KERAS_HOME") or "~/.keras"
    return pathlib.Path(keras_home).expanduser() / _FOLDER


def classifier_path(folder: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the path of a converted classifier."""
    return folder / f"{name}.keras"


def _make_classifier(family: str, name: str, folder: pathlib.Path) -> FamilyClassifier:
    path = classifier_path(folder, name)
    digest = artifacts.sha256_of_file(path) if path.is_file() else ""
    return FamilyClassifier(
        family=family,
        name=name,
        image_size=Variant.image_size,
        num_classes=Variant.num_classes,
        identity=digest or f"not converted: {conversion.PUBLISHED[name]}",
        opener=functools.partial(_open, name, path, digest),
    )


def _open(name: str, path: pathlib.Path, digest: str) -> PixelModel:
    file = conversion.PUBLISHED[name]
    command = (
        f"python -m kennen_tf.convert_weights --classifier={name} --state_dict={file} "
        f"--weights_dir={path.parent}"
    )
    if not digest:
        raise UserError(
            f"The weights {path.name} are needed in {path.parent}, and are not there: "
            f"download {conversion.URL}{file} and give `{command}`."
        )
    if conversion.read_record(path)["sha256"] != digest:
        raise UserError(
            f"{path} is not the file that was converted: its SHA-256 is {digest}, that "
            f"of {conversion.record_path(path).name} another. Convert "
            f"{conversion.URL}{file} again with `{command}`."
        )
    return keras_files.open_keras_file(name, path)
