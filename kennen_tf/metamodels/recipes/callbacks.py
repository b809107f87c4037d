"""What happens between the epochs of a training: evaluation, checkpoints, a bar."""

import pathlib
import time
import zipfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tqdm

from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

CHECKPOINT_NAME = "latest.npz"


class EveryFewEpochs(keras.callbacks.Callback):
    """Calls a function with the number of epochs done, every few and after the last."""

    def __init__(self, function: Callable[[int], object], every: int, num_epochs: int):
        super().__init__()
        self._function = function
        self._every = every
        self._num_epochs = num_epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        done = epoch + 1
        if done % self._every == 0 or done == self._num_epochs:
            self._function(done)


class EveryFewSeconds(keras.callbacks.Callback):
    """Calls a function with the number of epochs done, when enough time has passed."""

    def __init__(self, function: Callable[[int], object], seconds: float):
        super().__init__()
        self._function = function
        self._seconds = seconds
        self._last = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if time.monotonic() - self._last >= self._seconds:
            self._function(epoch + 1)
            self._last = time.monotonic()


class ProgressBar(keras.callbacks.Callback):
    """A bar over the epochs."""

    def __init__(self, first_epoch: int, num_epochs: int, name: str):
        super().__init__()
        self._bar = tqdm.tqdm(
            total=num_epochs,
            initial=first_epoch,
            desc=name,
            unit="epoch",
            leave=None,  # Only if no other bar stands above.
        )

    def set_note(self, text: str) -> None:
        """Shows a text behind the bar."""
        self._bar.set_postfix_str(text, refresh=False)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._bar.update()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._bar.close()


def save_checkpoint(path: pathlib.Path, model: keras.Model, epoch: int) -> None:
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
    return int(read_checkpoint(path)["epoch"]) if path.exists() else 0


def restore_checkpoint(path: pathlib.Path, model: keras.Model) -> int:
    """Restores what `save_checkpoint` wrote; returns how many epochs were done.

    Without a checkpoint nothing happens and 0 is returned.

    Raises:
        UserError: If it is damaged or of another model.
    """
    if not path.exists():
        return 0
    arrays = read_checkpoint(path)
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


def read_checkpoint(path: pathlib.Path) -> dict[str, npt.NDArray[Any]]:
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
