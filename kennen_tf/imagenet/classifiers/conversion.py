"""From torchvision's state dicts to the paper's classifiers as `.keras` files.

Layers with weights have the names of torchvision's modules, so that a rule says which
tensor fills which variable: "layer1.0.conv1.weight", its axes moved from PyTorch's
order to Keras's, is the kernel of the layer "layer1.0.conv1".
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

SCHEMA_VERSION = 1

# The files that torchvision publishes, its first weights for each classifier
# (IMAGENET1K_V1); each name ends in the first digits of the file's SHA-256.
URL = "https://download.pytorch.org/models/"
PUBLISHED = {
    "squeezenet1_0": "squeezenet1_0-b66bff10.pth",
    "squeezenet1_1": "squeezenet1_1-b8a52dc0.pth",
    "vgg11": "vgg11-8a719046.pth",
    "vgg13": "vgg13-19584684.pth",
    "vgg16": "vgg16-397923af.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
    "vgg11_bn": "vgg11_bn-6002323d.pth",
    "vgg13_bn": "vgg13_bn-abd245e5.pth",
    "vgg16_bn": "vgg16_bn-6c64b313.pth",
    "vgg19_bn": "vgg19_bn-c79401a0.pth",
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
    "resnet152": "resnet152-394f9c45.pth",
    "densenet121": "densenet121-a639ec97.pth",
    "densenet161": "densenet161-8d451a50.pth",
    "densenet169": "densenet169-b2777c0a.pth",
    "densenet201": "densenet201-c1103571.pth",
}
_HASHED_NAME = re.compile(r"-([0-9a-f]{8,64})\.pth?$")

# Of each kind of layer: its variables, the tensors that fill them, and the order of the
# axes, as positions among PyTorch's.
_RULES: dict[type[keras.layers.Layer], dict[str, tuple[str, tuple[int, ...]]]] = {
    keras.layers.Conv2D: {"kernel": ("weight", (2, 3, 1, 0)), "bias": ("bias", (0,))},
    keras.layers.Dense: {"kernel": ("weight", (1, 0)), "bias": ("bias", (0,))},
    keras.layers.BatchNormalization: {
        "gamma": ("weight", (0,)),
        "beta": ("bias", (0,)),
        "moving_mean": ("running_mean", (0,)),
        "moving_variance": ("running_var", (0,)),
    },
}
# Of DenseNets, published before names of modules had no dots: "denselayer1.norm.1".
_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
# Counts training steps; some published files have it, and nothing depends on it.
_BYTES_AT_ONCE = 64 << 20
_UNUSED_SUFFIX = ".num_batches_tracked"


@dataclasses.dataclass(frozen=True)
class Slot:
    """A variable and the tensor that fills it.

    Attributes:
        variable: The variable.
        axes: Order of its axes, as positions among the tensor's.
    """

    variable: keras.Variable
    axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor, in PyTorch's order."""
        sizes = dict(zip(self.axes, self.variable.shape, strict=True))
        return tuple(sizes[axis] for axis in range(len(sizes)))


def find_slots(model: keras.Model) -> dict[str, Slot]:
    """Returns the variables of one of the architectures, by names of tensors."""
    slots = {}
    for layer in model.layers:
        rule = _RULES.get(type(layer), {})
        for variable in layer.weights:
            tensor, axes = rule[variable.name]
            slots[f"{layer.name}.{tensor}"] = Slot(variable, axes)
    return slots


def fill(model: keras.Model, state_dict: Mapping[str, npt.NDArray[Any]]) -> None:
    """Fills one of the architectures with torchvision's weights.

    Args:
        model: What `architectures.build` returned.
        state_dict: Tensors by names.

    Raises:
        UserError: If a tensor is missing, is left over or has another shape.
    """
    tensors = {
        _OLD_NAME.sub(r"\1\2", name): tensor
        for name, tensor in state_dict.items()
        if not name.endswith(_UNUSED_SUFFIX)
    }
    slots = find_slots(model)
    missing = [name for name in slots if name not in tensors]
    left_over = [name for name in tensors if name not in slots]
    if missing or left_over:
        raise UserError(
            f"The state dict of {model.name} must have its {len(slots)} tensors and no "
            f"others. Missing: {_count(missing)}; left over: {_count(left_over)}. "
            "Give the file of this very classifier."
        )
    for name, slot in slots.items():
        if tensors[name].shape != slot.shape:
            raise UserError(
                f"The tensor {name} of {model.name} must have shape {slot.shape}. "
                f"Received: {tensors[name].shape}. Give the file of this very "
                "classifier, with 1,000 classes."
            )
    for name, slot in slots.items():
        _assign(slot.variable, np.transpose(tensors[name], slot.axes))


def _assign(variable: keras.Variable, values: npt.NDArray[Any]) -> None:
    """Assigns values, some rows at a time: as a whole, a VGG's 400 MB are copied."""
    rows = max(1, _BYTES_AT_ONCE * len(values) // max(1, values.nbytes))
    if rows >= len(values):
        variable.assign(values)
        return
    for start in range(0, len(values), rows):
        variable.value[start : start + rows].assign(values[start : start + rows])


def _count(names: list[str]) -> str:
    """Returns the number of names and the first of them."""
    return f"{len(names)} ({names[0]} first)" if names else "none"


def check_published(path: artifacts.Path, classifier: str) -> str:
    """Checks that a file is what its name says.

    Args:
        path: The file.
        classifier: What it shall be converted to.

    Returns:
        The file's SHA-256.

    Raises:
        UserError: If it cannot be read, is published for another classifier, or its
            name ends in digits that its SHA-256 does not begin with.
    """
    path = pathlib.Path(path)
    for owner, file in PUBLISHED.items():
        if path.name == file and owner != classifier:
            raise UserError(
                f"The state dict of {classifier} is published as {URL}"
                f"{PUBLISHED[classifier]}. Received: {path}, that of {owner}."
            )
    try:
        digest = artifacts.sha256_of_file(path)
    except OSError as error:
        raise UserError(
            f"--state_dict must be the file {URL}{PUBLISHED[classifier]}, or one like "
            f"it. Received: {path} ({error.strerror})."
        ) from error
    hashed = _HASHED_NAME.search(path.name)
    if hashed and not digest.startswith(hashed[1]):
        raise UserError(
            f"{path} must have a SHA-256 that begins with {hashed[1]}, as its name "
            f"says. Received: {digest[: len(hashed[1])]}. It is cut off or damaged: "
            "download it again."
        )
    return digest


def read_state_dict(path: artifacts.Path) -> dict[str, npt.NDArray[np.float32]]:
    """Reads a file of PyTorch's, without running what code it may hold.

    Raises:
        UserError: If PyTorch is not installed, or the file is no state dict.
    """
    try:
        import torch  # Only here: nothing else needs it.
    except ImportError as error:
        raise UserError(
            "Reading a state dict needs PyTorch, which is not installed: `pip install "
            "torch`."
        ) from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return {name: tensor.float().numpy() for name, tensor in content.items()}
    except Exception as error:  # Damaged files raise many kinds.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path} must be a state dict, saved by PyTorch: names with tensors. "
            f"Received: {reason}"
        ) from error


def save(
    model: keras.Model, path: artifacts.Path, state_dict: artifacts.Path, digest: str
) -> None:
    """Writes a filled classifier, and beside it a JSON file that says where it is from.

    Args:
        model: The classifier.
        path: `.keras` file.
        state_dict: The file that the weights are from.
        digest: SHA-256 of that file.
    """
    path = pathlib.Path(path)
    with artifacts.atomic_path(path) as temporary:
        model.save(temporary)
    record = {
        "schema_version": SCHEMA_VERSION,
        "classifier": model.name,
        "sha256": artifacts.sha256_of_file(path),
        "source": {"file": pathlib.Path(state_dict).name, "sha256": digest},
        "provenance": artifacts.provenance(),
    }
    # Last: without it, the classifier does not count as converted.
    artifacts.write_json(record_path(path), record)


def read_record(path: artifacts.Path) -> dict[str, Any]:
    """Reads the JSON file beside a converted classifier.

    Raises:
        UserError: If it is missing, damaged or of another schema version.
    """
    record = artifacts.read_json(
        record_path(path),
        wanted="record of a converted classifier",
        make_with="python -m kennen_tf.convert_weights --classifier=...",
    )
    artifacts.check_schema(record, SCHEMA_VERSION, record_path(path))
    return record


def record_path(path: artifacts.Path) -> pathlib.Path:
    """Returns the path of the JSON file beside a converted classifier."""
    return pathlib.Path(path).with_suffix(".json")
