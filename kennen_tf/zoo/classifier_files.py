"""Reads classifiers' files without making a Keras model of each.

Loading a classifier costs several times what its answers cost. So of a `.keras` file
only what differs between classifiers of one architecture is read, its weights; what
they share is a key to one model, which is built once.
"""

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import keras
import numpy as np
import numpy.typing as npt

from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

Weights = Mapping[str, Sequence[npt.NDArray[np.float32]]]


@dataclasses.dataclass(frozen=True)
class ClassifierFile:
    """A classifier as its file tells it.

    Attributes:
        key: The same for classifiers that answer alike if their weights are alike.
        weights: Variables of each layer by the layer's name, in the order in which a
            Keras model has them.
        config: Of the Keras model.
    """

    key: str
    weights: Weights
    config: Mapping[str, Any]

    @property
    def arrays(self) -> list[npt.NDArray[np.float32]]:
        """The variables one after the other, as `keras.Model.weights` has them."""
        return [array for layer in self.weights.values() for array in layer]

    def build(self) -> keras.Model:
        """Builds a model of this architecture, with weights of its own."""
        return keras.saving.deserialize_keras_object(dict(self.config), safe_mode=True)


def read(path: artifacts.Path) -> ClassifierFile:
    """Reads a Keras file.

    Args:
        path: A `.keras` file, or an `.h5` file of Keras 3.

    Raises:
        UserError: If it is none that can be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            content = io.BytesIO(archive.read("model.weights.h5"))
        names = [layer["config"]["name"] for layer in config["config"]["layers"]]
        with h5py.File(content, "r") as file:
            by_name = _read_flat(file)
        weights = {name: by_name[name] for name in names if name in by_name}
        if len(weights) == len(by_name) and config["class_name"] == "Functional":
            return ClassifierFile(_make_key(config), weights, config)
    except (zipfile.BadZipFile, IsADirectoryError, KeyError, TypeError):
        pass  # Of another form: Keras may know it.
    return _read_by_keras(path)


def _read_flat(file: h5py.File) -> dict[str, list[npt.NDArray[np.float32]]]:
    """Reads variables of layers that hold no layers. Raises `KeyError` for others."""
    layers = {}
    for layer in file["layers"].values():
        if "layers" in layer or "vars" not in layer:
            raise KeyError("nested layers")
        group = layer["vars"]
        if len(group):
            own = [group[str(place)][()] for place in range(len(group))]
            layers[group.attrs["name"]] = own
    return layers


def _read_by_keras(path: artifacts.Path) -> ClassifierFile:
    try:
        model = keras.saving.load_model(path, compile=False)
        config = keras.saving.serialize_keras_object(model)
    except Exception as error:  # Keras raises whatever the file leads it to.
        reason = f"{type(error).__name__}: {error}".strip().partition("\n")[0]
        raise UserError(
            f"{path} must be a Keras file that can be opened. Received: {reason}."
        ) from error
    return ClassifierFile(_make_key(config), {"": model.get_weights()}, config)


def _make_key(config: Mapping[str, Any]) -> str:
    """Returns a model's config without what does not matter to its answers.

    That is the names of the model and dropout, which is not there when it answers.
    """
    if config["class_name"] != "Functional":
        return artifacts.fingerprint(config)
    # What stands before each dropout layer, by its name.
    before: dict[str, str] = {}
    kept = []
    for layer in config["config"]["layers"]:
        text = json.dumps(layer, sort_keys=True)
        for name, source in before.items():
            text = text.replace(f'"keras_history": ["{name}"', source)
        if layer["class_name"] == "Dropout":
            _, _, history = text.partition('"keras_history": ["')
            source = f'"keras_history": ["{history.partition(chr(34))[0]}"'
            before[layer["config"]["name"]] = source
        else:
            kept.append(text)
    return artifacts.fingerprint(kept)
