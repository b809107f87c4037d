"""Tells what a file or folder is by its content, before any large library is loaded."""

import json
import pathlib
import zipfile

import h5py

from kennen_tf.vocabulary.errors import UserError

KERAS, HDF5, SAVED_MODEL = "Keras archive", "Keras HDF5 file", "SavedModel"
TFLITE, ONNX, TORCHSCRIPT = "TFLite file", "ONNX file", "TorchScript file"
GRAPH = "frozen graph"
READABLE = (
    ".keras and .h5 files of any Keras, SavedModel folders, TFLite, ONNX and "
    "TorchScript files, frozen TensorFlow graphs, and module:function"
)

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGIC = b"PK\x03\x04"
_TFLITE_MAGIC = b"TFL3"  # After four bytes.
_OWN_FUNCTION = "give a function that loads it and asks it, as module:function"
_SAVED_MODEL = "saved_model.pb"


def find_format(path: pathlib.Path) -> tuple[str, pathlib.Path]:
    """Tells the format of a file or folder.

    Args:
        path: It exists.

    Returns:
        One of the formats above, and the path to open: for a folder as TensorFlow
        Serving wants it, with a folder for each version, that of the highest version.

    Raises:
        UserError: If it is something else: what it is, and what to do.
    """
    if path.is_dir():
        return SAVED_MODEL, _find_saved_model(path)
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(_HDF5_MAGIC):
        _check_hdf5(path)
        return HDF5, path
    if head.startswith(_ZIP_MAGIC):
        return _find_in_zip(path), path
    if head[4:8] == _TFLITE_MAGIC:
        return TFLITE, path
    if path.name == _SAVED_MODEL:
        return SAVED_MODEL, path.parent
    if not _find_mistake(head) and path.suffix == ".onnx":
        return ONNX, path
    if not _find_mistake(head) and path.suffix in (".pb", ".pbtxt", ".graphdef"):
        if head.lstrip().startswith((b"node", b"versions", b"library")):
            raise UserError(
                f"{path} is a TensorFlow graph in text form, which holds no trained "
                f"weights, so there is nothing to ask. Name the frozen graph, or "
                f"{_OWN_FUNCTION}."
            )
        return GRAPH, path
    raise UserError(
        f"A black box must be one of: {READABLE}. Received: {path}, " + _say(path, head)
    )


def _find_saved_model(path: pathlib.Path) -> pathlib.Path:
    if (path / _SAVED_MODEL).is_file() or (path / "saved_model.pbtxt").is_file():
        return path
    versions = [
        own
        for own in path.iterdir()
        if own.name.isdigit() and (own / _SAVED_MODEL).is_file()
    ]
    if versions:
        return max(versions, key=lambda own: int(own.name))
    if (path / "model.json").is_file():
        raise UserError(
            f"{path} is a TensorFlow.js model, which is not opened here. Convert it "
            "with tensorflowjs_converter (--input_format=tfjs_layers_model "
            f"--output_format=keras), or {_OWN_FUNCTION}."
        )
    inside = sorted(own.name for own in path.iterdir())[:3]
    raise UserError(
        "A black box's folder must be a SavedModel, or hold one as 1/. Received: "
        f"{path}, without {_SAVED_MODEL}"
        + (f"; it holds {', '.join(inside)}." if inside else ".")
    )


def _check_hdf5(path: pathlib.Path) -> None:
    try:
        with h5py.File(path) as file:
            is_model = "model_config" in file.attrs
            names = sorted(file)
    except OSError as error:
        raise UserError(
            f"{path} is a damaged HDF5 file: it cannot be read ({error})."
        ) from error
    if is_model:
        return
    is_of_keras = bool(
        {"layer_names", "model_weights", "_layer_checkpoint_dependencies"} & {*names}
    ) or ("layers" in names or "vars" in names)
    what = "the weights of a Keras model" if is_of_keras or names else "nothing"
    raise UserError(
        f"{path} holds {what} without its architecture, so it cannot answer. Save the "
        "whole model with model.save(), or build it, load these weights into it and "
        f"{_OWN_FUNCTION}."
    )


def _find_in_zip(path: pathlib.Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "config.json" in names and "metadata.json" in names:
                json.loads(archive.read("config.json"))
                return KERAS
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise UserError(
            f"{path} is a damaged archive: it cannot be read ({error})."
        ) from error
    inner = {name.partition("/")[2] for name in names}
    if any(name.startswith("code/") for name in inner):
        return TORCHSCRIPT
    if "data.pkl" in inner:
        raise UserError(_torch_sentence(path))
    if any(
        name.endswith((".pt2", "model.json", "exported_program.json")) for name in names
    ):
        raise UserError(
            f"{path} is a program exported by torch.export, which is not opened here. "
            f"Save it as TorchScript or ONNX, or {_OWN_FUNCTION}."
        )
    if "model.json" in names:
        raise UserError(
            f"{path} is an archive of a TensorFlow.js model, which is not opened here. "
            f"Convert it with tensorflowjs_converter, or {_OWN_FUNCTION}."
        )
    raise UserError(
        f"A black box must be one of: {READABLE}. Received: {path}, an archive that "
        f"holds {', '.join(names[:3])}."
    )


def _torch_sentence(path: pathlib.Path) -> str:
    return (
        f"{path} is a file of PyTorch's torch.save: pickled weights, or a pickled "
        "model, without a network that can be opened, and unpickling can run code of "
        "the file's, so it is not done here. Save the model as TorchScript "
        f"(torch.jit.trace) or ONNX, or {_OWN_FUNCTION}."
    )


def _find_mistake(head: bytes) -> str:
    """Says what came in place of a file, whatever its name is; "" if nothing did."""
    if not head:
        return "an empty file."
    if head.startswith(b"version https://git-lfs"):
        return "the pointer of a Git LFS file, not the file: fetch it (git lfs pull)."
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return "a web page: download the file itself, not the page that shows it."
    return ""


def _say(path: pathlib.Path, head: bytes) -> str:
    mistake = _find_mistake(head)
    if mistake:
        return mistake
    if path.suffix == ".json" and b'"weightsManifest"' in path.read_bytes():
        return (
            "a TensorFlow.js model, which is not opened here. Convert it with "
            f"tensorflowjs_converter, or {_OWN_FUNCTION}."
        )
    if head.startswith(b"\x80") and path.suffix in (
        ".pt",
        ".pth",
        ".bin",
        ".ckpt",
        ".tar",
    ):
        return "which " + _torch_sentence(path).removeprefix(f"{path} ")
    if head.startswith(b"\x80") or path.suffix in (".pkl", ".joblib", ".pickle"):
        return (
            "a pickle, which is not opened: unpickling can run code of the file's. "
            f"Rather {_OWN_FUNCTION}."
        )
    if path.suffix in (".index", ".meta") or ".data-" in path.name:
        return (
            "part of a TensorFlow checkpoint, which holds weights without a network: "
            f"{_OWN_FUNCTION}."
        )
    if path.suffix == ".json":
        return f"a text file (an architecture without weights?): {_OWN_FUNCTION}."
    return f"a file of another kind: {_OWN_FUNCTION}."
