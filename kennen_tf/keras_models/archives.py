"""What matters of a `.keras` file: its layers and weights, not when it was saved.

A model saved twice gives two files, as archives carry dates, and names of layers count
on from model to model. Here, both are the same. Neither Keras nor the model is loaded.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import h5py

from kennen_tf.vocabulary import artifacts

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
# Not what a model answers, but what it is called, how it was compiled and is trained.
_FREE_KEYS = (
    *("name", "trainable", "build_config", "compile_config", "shared_object_id"),
)
# Where a config names other layers.
_REFERRING_KEYS = ("inbound_nodes", "input_layers", "output_layers")
# Groups of weights that answers do not depend on: of dropout, of training.
_FREE_GROUPS = ("seed_generator", "optimizer", "metrics", "compile_metrics")


def fingerprint(path: artifacts.Path) -> str:
    """Returns 16 hexadecimal digits that name the layers and weights of a model.

    Files with the same are of one classifier. The other way round it holds for files of
    one version of Keras. It is "" if the file is no `.keras` archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read(_CONFIG))
            weights = archive.read(_WEIGHTS)
        with h5py.File(io.BytesIO(weights)) as file:
            # Groups are called after layers, so only what is in them counts.
            arrays = sorted(_arrays(file))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return ""
    return artifacts.fingerprint([_without_names(config, {}), arrays])


def _without_names(value: Any, places: Mapping[str, str]) -> Any:
    """Returns a config in which layers are called after their places."""
    if isinstance(value, list):
        return [_without_names(item, places) for item in value]
    if not isinstance(value, Mapping):
        return value
    layers = value.get("layers")
    if isinstance(layers, list):
        names = [_name(layer) for layer in layers]
        places = {name: f"layer {place}" for place, name in enumerate(names)}
    return {
        key: _refer(item, places)
        if key in _REFERRING_KEYS
        else _without_names(item, places)
        for key, item in value.items()
        if key not in _FREE_KEYS
    }


def _name(layer: Mapping[str, Any]) -> str:
    return str(layer.get("name") or layer.get("config", {}).get("name"))


def _refer(value: Any, places: Mapping[str, str]) -> Any:
    """Returns what refers to layers, with their places for their names."""
    if isinstance(value, list):
        return [_refer(item, places) for item in value]
    if isinstance(value, Mapping):
        kept = {k: v for k, v in value.items() if k not in _FREE_KEYS}
        return {key: _refer(item, places) for key, item in kept.items()}
    return places.get(value, value) if isinstance(value, str) else value


def _arrays(file: h5py.File) -> Iterator[list[Any]]:
    """Yields type, shape and SHA-256 of each array of weights."""
    found: list[h5py.Dataset] = []

    def visit(name: str, item: Any) -> None:
        is_free = any(part in _FREE_GROUPS for part in name.split("/"))
        if isinstance(item, h5py.Dataset) and not is_free:
            found.append(item)

    file.visititems(visit)
    for dataset in found:
        array = dataset[()]
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        yield [str(array.dtype), list(array.shape), digest]
