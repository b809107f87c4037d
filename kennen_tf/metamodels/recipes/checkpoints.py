"""Where a training stands: written between epochs, gone on from.

Keras's `BackupAndRestore` writes weights and epoch into two files: killed in between,
an epoch is done twice, and the end is another one. These are one file, written
atomically and as often as is wanted; later phases of kennen-io go on from it, and how
far a training had come is read without a model.
"""

import pathlib
import zipfile
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

CHECKPOINT_NAME = "latest.npz"


def save(path: pathlib.Path, model: keras.Model, epoch: int) -> None:
    """Writes all that training goes on from, atomically.

    That is the weights, the states of dropout's generators, and the optimizer's
    variables. The order of entries follows from the epoch's number alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"v{i:04d}": keras.ops.convert_to_numpy(v) for i, v in _variables(model)}
    with artifacts.atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            np.savez(file, epoch=epoch, **arrays)


def saved_epoch(path: pathlib.Path) -> int:
    """Returns how many epochs a checkpoint says are done; 0 without one.

    Raises:
        UserError: If it is damaged.
    """
    return int(read(path)["epoch"]) if path.exists() else 0


def restore(path: pathlib.Path, model: keras.Model) -> int:
    """Restores what `save` wrote; returns how many epochs were done.

    Without a checkpoint nothing happens and 0 is returned.

    Raises:
        UserError: If it is damaged or of another model.
    """
    if not path.exists():
        return 0
    arrays = read(path)
    try:
        values = [arrays[f"v{i:04d}"] for i, _ in _variables(model)]
        for (_, variable), value in zip(_variables(model), values, strict=True):
            if tuple(variable.shape) != value.shape:
                raise ValueError(f"shape {value.shape}, not {tuple(variable.shape)}")
        epoch = int(arrays["epoch"])
    except (ValueError, KeyError) as error:
        raise damaged(path, error) from error
    for (_, variable), value in zip(_variables(model), values, strict=True):
        variable.assign(value)
    return epoch


def read(path: pathlib.Path) -> dict[str, npt.NDArray[Any]]:
    """Reads the arrays of a checkpoint. Raises `UserError` if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise damaged(path, error) from error


def damaged(path: pathlib.Path, error: Exception) -> UserError:
    """Makes the error for a checkpoint that cannot be gone on from."""
    return UserError(
        f"The checkpoint {path} is damaged: {error}. Remove the metamodel's folder and "
        "train again."
    )


def state_of(model: keras.Model) -> list[keras.Variable]:
    """Returns all that a training of a compiled model changes."""
    return [*model.variables, *model.optimizer.variables]


def _variables(model: keras.Model) -> list[tuple[int, keras.Variable]]:
    return list(enumerate(state_of(model)))
