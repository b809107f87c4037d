"""Black boxes in TorchScript files, asked by PyTorch."""

import pathlib
import warnings
from typing import Any

import numpy as np

from kennen_tf.black_boxes.formats.opened import Opened, one_line
from kennen_tf.vocabulary.errors import UserError


def open_torchscript(path: pathlib.Path) -> Opened:
    """Opens a TorchScript file. It does not say what images it takes.

    Raises:
        UserError: If PyTorch is not installed, or the file cannot be opened.
    """
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{path} is a TorchScript file, and PyTorch is needed to ask it. Install "
            "it: pip install 'kennen_tf[torch]'."
        ) from error
    try:
        # PyTorch says that TorchScript is of yesterday, which the file's owner knows.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            module = torch.jit.load(str(path), map_location="cpu").eval()
    except Exception as error:
        raise UserError(
            f"{path} cannot be opened as a TorchScript file: {one_line(error)}"
        ) from error
    parameter = next(iter(module.parameters()), None)

    def answer(images: np.ndarray) -> Any:
        tensor = torch.from_numpy(np.ascontiguousarray(images))
        if parameter is not None and parameter.is_floating_point():
            tensor = tensor.to(parameter.dtype)
        with torch.no_grad():
            result = module(tensor)
        if not isinstance(result, torch.Tensor):
            raise UserError(
                f"{path} must give one tensor. Received: {type(result).__name__}. Give "
                "a function that picks the answers, as module:function."
            )
        return result.float().numpy()

    return Opened(answer=answer, shape=None, channels_first=True)
