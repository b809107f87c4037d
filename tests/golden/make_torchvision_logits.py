"""Writes torchvision_logits.json: logits of torchvision's own nets on random weights.

    python tests/golden/make_torchvision_logits.py

Needs torch, torchvision and NumPy, but not TensorFlow. Took a minute on two cores.
"""

import json
import pathlib
import sys

import torch

_HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE.parent), str(_HERE.parent.parent)]

import random_weights  # noqa: E402

from kennen_tf.configs.conversion import CLASSIFIERS  # noqa: E402

_LIBRARIES = []


def import_torchvision():
    """Imports torchvision, also where its own operators are not for this PyTorch."""
    try:
        import torchvision
    except RuntimeError:
        # None of the classifiers uses them, but they have to be declared.
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float limit) -> Tensor")
        _LIBRARIES.append(library)  # What it declares lives as long as it does.
        import torchvision
    return torchvision


def torchvision_logits(name, make_tensor, images):
    """Returns the logits of torchvision's classifier of that name.

    Args:
        name: Its name.
        make_tensor: From name and shape of a tensor to the tensor.
        images: uint8 (n, size, size, 3).
    """
    models = import_torchvision().models
    kwargs = {"init_weights": False} if name.startswith("vgg") else {}
    model = getattr(models, name)(**kwargs).eval()
    state_dict = {
        key: torch.from_numpy(make_tensor(key, tuple(value.shape)))
        if value.is_floating_point()
        else value
        for key, value in model.state_dict().items()
    }
    model.load_state_dict(state_dict)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    with torch.no_grad():
        return model((pixels - mean) / std).numpy()


def main():
    images = random_weights.make_images()
    logits = {
        name: random_weights.summarize(
            torchvision_logits(name, random_weights.make_tensor, images)
        )
        for name in CLASSIFIERS
    }
    versions = {
        "torch": torch.__version__,
        "torchvision": import_torchvision().__version__,
    }
    text = json.dumps({"logits": logits, "made_with": versions}, indent=1)
    (_HERE / "torchvision_logits.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
