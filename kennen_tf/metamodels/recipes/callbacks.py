"""What happens between the epochs of a training: evaluation, checkpoints, a bar."""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tqdm


class EveryFewEpochs(keras.callbacks.Callback):
    """Calls a function with the number of epochs done, every few and after the last.

    Keras's `ModelCheckpoint` and `CSVLogger` write after each epoch or so many batches,
    and know neither test entries nor which of two files has to be written first.
    """

    def __init__(self, function: Callable[[int], object], every: int, num_epochs: int):
        super().__init__()
        self._function = function
        self._every = every
        self._num_epochs = num_epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        done = epoch + 1
        if done % self._every == 0 or done == self._num_epochs:
            self._function(done)


class EachEpoch(keras.callbacks.Callback):
    """Calls a function with the number of epochs done, and what `fit` says of the last.

    That is "fit/loss", the mean over its steps, and "fit/learning_rate".
    """

    def __init__(self, function: Callable[[int, dict[str, float]], object]):
        super().__init__()
        self._function = function

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # Constant, it is a variable, and mirrored under several devices.
        rate = tf.convert_to_tensor(self.model.optimizer.learning_rate)
        # With several workers, the loss is an array of one.
        loss = np.mean((logs or {})["loss"])
        numbers = {"fit/loss": float(loss), "fit/learning_rate": float(rate)}
        self._function(epoch + 1, numbers)


class EveryFewSeconds(keras.callbacks.Callback):
    """Calls a function with the number of epochs done, when enough time has passed.

    No callback of Keras looks at the clock.
    """

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
    """A bar over the epochs, where Keras's `ProgbarLogger` has one for each epoch."""

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
