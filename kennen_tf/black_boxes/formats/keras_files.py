"""Black boxes in files of Keras: archives of Keras 2.12 on, HDF5 files of any.

Nothing that a file may hold is run: layers that carry code, or that load further files,
are refused before anything is opened. What Keras 3 cannot read is left to tf_keras,
which is Keras 2 as its authors keep it.
"""

import json
import pathlib
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from kennen_tf.black_boxes.formats import detection
from kennen_tf.black_boxes.formats.opened import Opened, one_line
from kennen_tf.vocabulary.errors import UserError

# Layers that run Python code of the file's, or load programs from elsewhere.
_UNSAFE = ("Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper")
# Names of what a config calls code.
_CODE = ("__lambda__", "function_type", "module_objects")


def open_keras(path: pathlib.Path, form: str) -> Opened:
    """Opens a model.

    Args:
        path: The file.
        form: `detection.KERAS` or `detection.HDF5`.

    Raises:
        UserError: If it cannot be opened, or might run code.
    """
    config = _read_config(path, form)
    _check_safe(path, config)
    model = _load(path, form)
    inputs, outputs = model.inputs, model.outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(
            f"{path} must have one input, images, and one output. Received: "
            f"{len(inputs)} inputs and {len(outputs)} outputs."
        )
    batch_size, *shape = tuple(inputs[0].shape)

    def answer(images: np.ndarray) -> Any:
        with warnings.catch_warnings():
            # Of models that were saved with a list of one input.
            warnings.filterwarnings("ignore", "The structure of `inputs`")
            return model(images, training=False)

    return Opened(
        answer=answer,
        shape=tuple(shape),
        dtype=np.dtype(_name_of(inputs[0].dtype)),
        batch_size=batch_size,
    )


def _name_of(dtype: Any) -> str:
    name = getattr(dtype, "name", dtype)
    # Mixed precision casts by itself.
    return "float32" if "float" in name else name


def _read_config(path: pathlib.Path, form: str) -> Any:
    try:
        if form == detection.KERAS:
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("config.json"))
        with h5py.File(path) as file:
            text = file.attrs["model_config"]
        return json.loads(text.decode() if isinstance(text, bytes) else text)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is damaged: its architecture cannot be read ({one_line(error)})."
        ) from error


def _check_safe(path: pathlib.Path, config: Any) -> None:
    for part in _parts(config):
        name = part.get("class_name")
        if name in _UNSAFE or name in _CODE:
            raise UserError(
                f"{path} is not opened: its layer or function of kind {name} can run "
                "code. If you trust the file, load it in a function of your own and "
                "give that, as module:function."
            )
        module = part.get("module")
        if isinstance(module, str) and module.partition(".")[0] not in (
            *("keras", "builtins", "tf_keras", "tensorflow", "keras_hub", "keras_cv"),
        ):
            raise UserError(
                f"{path} is not opened: its layer {name} is of the module {module}, "
                "which would have to be imported. Load it in a function of your own "
                "and give that, as module:function."
            )


def _parts(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _parts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _parts(inner)


def _load(path: pathlib.Path, form: str) -> Any:
    import keras

    with tempfile.TemporaryDirectory() as folder:
        # Keras goes by the suffix, which may be any.
        suffix = ".keras" if form == detection.KERAS else ".h5"
        link = pathlib.Path(folder, "model").with_suffix(suffix)
        link.symlink_to(path.absolute())
        try:
            return keras.saving.load_model(link, compile=False, safe_mode=True)
        except Exception as error:
            return _load_by_keras_2(path, link, error)


def _load_by_keras_2(path: pathlib.Path, link: pathlib.Path, cause: Exception) -> Any:
    try:
        import tf_keras

        return tf_keras.models.load_model(link, compile=False, safe_mode=True)
    except Exception as error:
        raise UserError(
            f"{path} cannot be opened as a Keras model: {one_line(cause)} (Keras 3); "
            f"{one_line(error)} (Keras 2). If it needs layers of your own, give it as "
            "module:function."
        ) from error
