"""Classifiers in `.keras` files: their shapes at once, themselves when needed."""

import json
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import keras

from kennen_tf.keras_models import pixel_models
from kennen_tf.keras_models.pixel_models import BYTE, LOGITS, PixelModel, Shape
from kennen_tf.vocabulary.errors import UserError


def open_keras_file(
    name: str,
    path: pathlib.Path,
    *,
    outputs: str = LOGITS,
    pixels: str = BYTE,
    image_size: int = 0,
) -> PixelModel:
    """Opens a classifier; see `PixelModel` for the arguments.

    Raises:
        UserError: If the file cannot be opened, or holds another kind of model.
    """
    model = _load(name, path)
    return PixelModel(
        name, model, outputs=outputs, pixels=pixels, image_size=image_size
    )


def read_shapes(name: str, path: pathlib.Path) -> tuple[list[Shape], list[Shape]]:
    """Returns the shapes of a model's inputs and outputs, None where they are open.

    Most models tell them in the file's head, in 5 ms; the others have to be opened.
    That takes 0.2 s for a small VGG and 2.5 s for a ResNet50, and for each classifier
    of a manifest, at every start, before anything can be said of the first mistake.

    Raises:
        UserError: If the file cannot be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
        return [_input_shape(config)], [_output_shape(config)]
    except Exception:  # Whatever is unusual about it, Keras itself decides.
        return pixel_models.find_shapes(_load(name, path))


def _load(name: str, path: pathlib.Path) -> keras.Model:
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise UserError(
            f"{name} must be a Keras model in a .keras file. Received: {path}, which "
            f"cannot be opened: {type(error).__name__}: {lines[0]} Save it again with "
            "model.save(); layers of your own have to be registered with Keras."
        ) from error


def _input_shape(model: Mapping[str, Any]) -> Shape:
    """Returns the shape of the only input of a functional model's config."""
    config = model["config"]
    name, _, _ = config["input_layers"]
    return tuple(_find_layer(config, name)["config"]["batch_shape"])


def _output_shape(model: Mapping[str, Any]) -> Shape:
    """Returns the shape of the only output of a functional model's config."""
    config = model["config"]
    name, _, _ = config["output_layers"]
    layer = _find_layer(config, name)
    if layer["class_name"] == "Functional":
        return _output_shape(layer)
    [node] = layer["inbound_nodes"]
    [tensor] = node["args"]
    lone = {key: layer[key] for key in ("module", "class_name", "config")}
    lone["registered_name"] = layer["registered_name"]
    output = keras.saving.deserialize_keras_object(lone)
    return tuple(output.compute_output_shape(tuple(tensor["config"]["shape"])))


def _find_layer(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    [layer] = [layer for layer in config["layers"] if layer["name"] == name]
    return layer
