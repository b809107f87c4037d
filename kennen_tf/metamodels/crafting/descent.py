"""Descent on images, through training classifiers (paper, section 4).

At each step some training classifiers answer the images; a loss says how their
outputs should change; the bank takes that back to the images, which are moved and
projected to [0, 1]. Black boxes and test classifiers have no part in it.
"""

import math
import pathlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf.configs.crafting import CraftingRecipe
from kennen_tf.metamodels.crafting.gradients import GradientBank
from kennen_tf.metamodels.crafting.losses import OutputLoss
from kennen_tf.metamodels.recipes import checkpoints
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.seeds import derive_seed
from kennen_tf.zoo.entries import QueriedEntry

_NO_MEMBER = -1e9


class Descent:
    """Images on their way, and what is needed to go on with them.

    Attributes:
        images: float32 `(n, height, width, channels)` in [0, 1].
        best_images: Those with the lowest error that `judge` was told.
        epoch: Passes over the training entries that are done.
    """

    def __init__(
        self,
        recipe: CraftingRecipe,
        bank: GradientBank,
        entries: Sequence[QueriedEntry],
        images: npt.NDArray[np.float32],
        seed: int,
        skip: npt.NDArray[np.bool_] | None = None,
        keep: npt.NDArray[np.bool_] | None = None,
    ):
        """Begins with the first images.

        Args:
            recipe: How to descend.
            bank: Classifiers; all members of the entries are in it.
            entries: To train on.
            images: Where to begin.
            seed: Root seed of the order of entries and of all noise.
            skip: bool `(entries,)`: those not to descend through.
            keep: bool `(n,)`: images that stay as they are.
        """
        self.epoch = 0
        self._recipe = recipe
        self._bank = bank
        self._entries = entries
        everyone = np.arange(len(entries))
        self._places = everyone if skip is None else everyone[~skip]
        self._moves = np.ones(len(images), bool) if keep is None else ~keep
        self._seed = seed
        self._images = tf.Variable(images)
        self.best_images = images
        self._best_error = math.inf
        self._optimizer: keras.optimizers.Optimizer = {
            "adam": keras.optimizers.Adam,
            "sgd": keras.optimizers.SGD,
        }[recipe.optimizer](recipe.learning_rate)
        self._optimizer.build([self._images])

    @property
    def images(self) -> npt.NDArray[np.float32]:
        return self._images.numpy()

    def run_epoch(self, loss_of_outputs: OutputLoss) -> float:
        """Passes over all training entries once; returns the mean loss."""
        losses, counts = [], []
        for number, places in enumerate(self._batches()):
            losses.append(self._step(loss_of_outputs, places, number))
            counts.append(len(places))
        self.epoch += 1
        return float(np.average(losses, weights=counts))

    def judge(self, error: float) -> None:
        """Keeps the images of now if nothing better was seen."""
        if error < self._best_error:
            self.best_images, self._best_error = self.images, error

    def _batches(self) -> Iterator[npt.NDArray[np.integer]]:
        """Yields the places of entries, whole combinations, each once."""
        combinations: dict[str, list[int]] = {}
        for place in self._places.tolist():
            name = self._entries[place].combination_id
            combinations.setdefault(name, []).append(place)
        groups = list(combinations.values())
        random = self._random("order")
        least = self._recipe.batch_size or len(self._places)
        num_batches = max(1, math.floor(len(self._places) / least))
        order = random.permutation(len(groups))
        for part in np.array_split(order, min(num_batches, len(groups))):
            yield np.array([place for group in part for place in groups[group]])

    def _step(
        self, loss_of_outputs: OutputLoss, places: npt.NDArray[np.integer], number: int
    ) -> float:
        recipe = self._recipe
        images = tf.convert_to_tensor(self._images)
        if recipe.image_noise:
            random = self._random("image noise", number)
            noise = random.uniform(-1, 1, images.shape) * recipe.image_noise
            images = tf.clip_by_value(images + noise.astype(np.float32), 0, 1)
        batch = [self._entries[place] for place in places]
        ids, members = _index_members(batch)
        answers = self._bank.answer(ids, images)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(answers.log_probabilities)
            outputs = _mean_of_members(answers.log_probabilities, members)
        loss, gradient = loss_of_outputs(outputs, places)
        output_gradients = tape.gradient(
            outputs, answers.log_probabilities, output_gradients=gradient
        )
        image_gradient = answers.image_gradient(output_gradients)
        moves = self._moves[:, np.newaxis, np.newaxis, np.newaxis]
        image_gradient = tf.where(moves, image_gradient, 0.0)
        self._optimizer.apply([image_gradient], [self._images])
        self._images.assign(tf.clip_by_value(self._images, 0, 1))
        return float(loss)

    def _random(self, *names: str | int) -> np.random.Generator:
        return np.random.default_rng(derive_seed(self._seed, self.epoch, *names))

    def save(self, path: pathlib.Path) -> None:
        """Writes all that the descent goes on from, atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {f"v{i}": v.numpy() for i, v in enumerate(self._optimizer.variables)}
        with artifacts.atomic_path(path) as temporary:
            with open(temporary, "wb") as file:
                np.savez(
                    file,
                    epoch=self.epoch,
                    images=self.images,
                    best_images=self.best_images,
                    best_error=self._best_error,
                    **state,
                )

    def restore(self, path: pathlib.Path) -> bool:
        """Restores what `save` wrote, if it is there; says whether it is.

        Raises:
            UserError: If it is damaged.
        """
        if not path.exists():
            return False
        stored = checkpoints.read(path)
        variables = self._optimizer.variables
        try:
            values = [stored[f"v{i}"] for i in range(len(variables))]
            images, epoch = stored["images"], int(stored["epoch"])
            best = stored["best_images"], float(stored["best_error"])
            if images.shape != self._images.shape:
                raise ValueError(f"images of shape {images.shape}")
        except (ValueError, KeyError) as error:
            raise checkpoints.damaged(path, error) from error
        self._images.assign(images)
        self.best_images, self._best_error = best
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.epoch = epoch
        return True


def ask(
    bank: GradientBank,
    entries: Sequence[QueriedEntry],
    images: npt.NDArray[np.float32],
    batch_size: int = 64,
) -> npt.NDArray[np.float32]:
    """Returns the log-probabilities of training entries, `(entries, n, classes)`."""
    tensor = tf.constant(images)
    parts = []
    for start in range(0, len(entries), batch_size):
        ids, members = _index_members(entries[start : start + batch_size])
        answers = bank.log_probabilities(ids, tensor)
        parts.append(_mean_of_members(answers, members).numpy())
    return np.concatenate(parts)


def round_to_bytes(images: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Returns images in [0, 1] as 0 to 255, as they are sent and stored."""
    return np.round(images * 255).astype(np.uint8)


def _index_members(
    entries: Sequence[QueriedEntry],
) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Returns the ids of all members, and each entry's places among them, or -1."""
    ids = sorted({member for entry in entries for member in entry.members})
    place_of = {member: place for place, member in enumerate(ids)}
    width = max(len(entry.members) for entry in entries)
    places = np.full((len(entries), width), -1, np.int32)
    for row, entry in zip(places, entries, strict=True):
        row[: len(entry.members)] = [place_of[member] for member in entry.members]
    return ids, places


def _mean_of_members(
    log_probabilities: tf.Tensor, members: npt.NDArray[np.int32]
) -> tf.Tensor:
    """Returns the logarithm of the mean of the members' probabilities."""
    answers = tf.gather(log_probabilities, np.maximum(members, 0))
    share = np.where(members >= 0, 0.0, _NO_MEMBER).astype(np.float32)
    share -= np.log((members >= 0).sum(axis=1, keepdims=True)).astype(np.float32)
    return tf.reduce_logsumexp(answers + share[..., np.newaxis, np.newaxis], axis=1)
