"""Training of an MLP by `Model.fit`, under any strategy; stopped and resumed."""

import dataclasses
import math
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.recipes import Recipe
from kennen_tf.machine import distribution
from kennen_tf.metamodels.recipes import checkpoints, heads, joint_loss, mlp
from kennen_tf.metamodels.recipes import features as features_lib
from kennen_tf.vocabulary.seeds import derive_seed
from pipelines import query_outputs

# XLA takes some seconds to compile, so the shortest trainings are faster without.
_LEAST_STEPS_FOR_XLA = 150
_MOST_COMPILED = 4  # Bounds memory. Experiments run what shares a step in a row.

_SEEDS_BETWEEN_REPLICAS = 7919
# Never written: what takes as long as the training itself starts anew.
_NO_CHECKPOINT = pathlib.Path("none.npz")

# Makes an endless dataset of (features, {attribute: labels}) from a batch size and the
# epoch it starts at. The order in an epoch depends on the epoch's number only.
MakeStream = Callable[[int, int], tf.data.Dataset]


class CompiledModels:
    """Models that were trained before, to be trained again from the beginning.

    To trace and compile a step takes longer than a short training. Trainings that
    differ only in seed, entries and queries share the step: what tells them apart is in
    variables (see `mlp.build`), which a new training fills with its own.
    """

    def __init__(self) -> None:
        self._models: dict[tuple[Any, ...], tuple[keras.Model, keras.Model]] = {}

    def share(
        self, key: tuple[Any, ...], answering: keras.Model, model: keras.Model
    ) -> tuple[keras.Model, keras.Model]:
        """Returns models with the state of these, which take their place.

        Args:
            key: Says which trainings have the same step.
            answering: The metamodel.
            model: The model that is trained; compiled.
        """
        if key in self._models:
            shared = self._models[key]
            for variable, value in zip(
                checkpoints.state_of(shared[1]),
                checkpoints.state_of(model),
                strict=True,
            ):
                variable.assign(value)
            return shared
        if len(self._models) == _MOST_COMPILED:
            del self._models[next(iter(self._models))]
        self._models[key] = answering, model
        return answering, model


@dataclasses.dataclass
class PairedModels:
    """A metamodel, and the model of its logits, which shares the weights.

    Attributes:
        table: The attributes.
        answering: The metamodel; see `heads.make_models`.
        model: That of the logits, which is trained, if anything is.
    """

    table: AttributeTable
    answering: keras.Model
    model: keras.Model

    def predict_logits(
        self, features: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Returns the logits of all heads side by side, without dropout.

        Args:
            features: Represented outputs, `(entries, num_queries, classes)`; some
                entries are read at a time.

        Returns:
            `(entries, sum of values)`: those of the members' mean probabilities.
        """
        logits = features_lib.call(self.model, features)
        return heads.join_members(self.table, logits)


@dataclasses.dataclass
class Trainer(PairedModels):
    """A training of an MLP: the models and where it stands.

    Attributes:
        first_epoch: How many epochs a checkpoint says are done.
        num_epochs: How many there are in all.
    """

    first_epoch: int
    num_epochs: int
    batch_size: int
    steps_per_epoch: int
    targets: npt.NDArray[np.float32]
    strategy: tf.distribute.Strategy

    @classmethod
    def start(
        cls,
        recipe: Recipe,
        table: AttributeTable,
        features: npt.NDArray[np.float32],
        labels: heads.Labels,
        *,
        seed: int,
        strategy: tf.distribute.Strategy,
        checkpoint_path: pathlib.Path,
        compiled: CompiledModels | None = None,
    ) -> "Trainer":
        """Builds the models, and restores a checkpoint if there is one.

        Args:
            recipe: How to train; its groups are those of the table.
            table: The attributes.
            features: Of the training entries, `(entries, num_queries, classes)`.
            labels: Theirs; of an attribute that none has, all values stay as likely.
            seed: Root seed.
            strategy: Under which to build and train.
            checkpoint_path: File of the checkpoint.
            compiled: Models of earlier trainings, to be trained again.

        Raises:
            UserError: If the checkpoint is damaged.
        """
        batch_size = min(recipe.batch_size, len(features))
        steps = math.ceil(len(features) / batch_size)
        with strategy.scope():
            answering, model = mlp.build(recipe, table, features, seed)
            for name in table.names:
                if (labels[name] < 0).all():  # Nothing trains it: it stays uniform.
                    layer = answering.get_layer(f"{name}_logits")
                    layer.kernel.assign(keras.ops.zeros_like(layer.kernel))
        if distribution.is_multi_worker(strategy):
            model = _MultiWorkerModel(model.input, model.output, name=model.name)
        with strategy.scope():
            is_one_device = strategy.num_replicas_in_sync == 1
            is_long = recipe.epochs * steps >= _LEAST_STEPS_FOR_XLA
            model.compile(
                mlp.make_optimizer(recipe, recipe.epochs * steps),
                loss=joint_loss.JointCrossEntropy(table, batch_size),
                # A whole epoch without coming back to Python.
                steps_per_execution=steps if is_one_device else 1,
                jit_compile=recipe.compile_with_xla and is_one_device and is_long,
            )
            model.optimizer.build(model.trainable_variables)
            if compiled is not None and is_one_device:
                key = (recipe, table, features.shape[1:], batch_size, steps)
                answering, model = compiled.share(key, answering, model)
            first_epoch = checkpoints.restore(checkpoint_path, model)
            if not is_one_device:
                _separate_noise(model, strategy)
        return cls(
            table=table,
            answering=answering,
            model=model,
            first_epoch=first_epoch,
            num_epochs=recipe.epochs,
            batch_size=batch_size,
            steps_per_epoch=steps,
            targets=joint_loss.make_targets(
                table,
                labels,
                balance=recipe.balance,
                max_weight=recipe.max_weight,
                label_smoothing=recipe.label_smoothing,
            ),
            strategy=strategy,
        )

    def fit(
        self, make_stream: MakeStream, between_epochs: list[keras.callbacks.Callback]
    ) -> None:
        """Trains the epochs that are left."""
        if self.first_epoch == self.num_epochs:
            return
        table, targets = self.table, tf.constant(self.targets)
        stream = make_stream(self.batch_size, self.first_epoch).map(
            lambda features, labels: (
                features,
                joint_loss.encode_targets(table, labels, targets),
            )
        )
        replicas = self.strategy.num_replicas_in_sync
        if replicas > 1:
            # Keras wants equal shares of a batch, and every replica some of each.
            num_rows = replicas * math.ceil(self.batch_size / replicas)
            stream = stream.map(
                lambda features, encoded: joint_loss.fill(features, encoded, num_rows)
            )
        with self.strategy.scope():
            self.model.fit(
                stream.prefetch(8),
                initial_epoch=self.first_epoch,
                epochs=self.num_epochs,
                steps_per_epoch=self.steps_per_epoch,
                shuffle=False,
                verbose=0,
                callbacks=between_epochs,
            )


def stream_of(
    features: npt.NDArray[np.float32], labels: heads.Labels, shuffle_seed: int
) -> MakeStream:
    """Returns what makes the stream of training entries for `Trainer.fit`.

    Args:
        features: Of the entries, `(entries, num_queries, classes)`.
        labels: Theirs.
        shuffle_seed: Decides, with the epoch's number, the order in an epoch.
    """

    def make_stream(batch_size: int, first_epoch: int) -> tf.data.Dataset:
        return query_outputs.make_array_dataset(
            features,
            labels,
            batch_size=batch_size,
            shuffle_seed=shuffle_seed,
            first_epoch=first_epoch,
        )

    return make_stream


def fit_anew(
    recipe: Recipe,
    table: AttributeTable,
    features: npt.NDArray[np.float32],
    labels: heads.Labels,
    *,
    seed: int,
    strategy: tf.distribute.Strategy,
) -> keras.Model:
    """Trains an MLP from beginning to end, and keeps nothing; see `Trainer.start`.

    Returns:
        The metamodel.
    """
    trainer = Trainer.start(
        recipe,
        table,
        features,
        labels,
        seed=seed,
        strategy=strategy,
        checkpoint_path=_NO_CHECKPOINT,
    )

    shuffle_seed = derive_seed(seed, "order of training")
    trainer.fit(stream_of(features, labels, shuffle_seed), [])
    return trainer.answering


def _separate_noise(model: keras.Model, strategy: tf.distribute.Strategy) -> None:
    """Has each replica draw noise and dropout of its own, not all of them the same.

    The first one's generators, which checkpoints hold, stay as they are.
    """
    first = distribution.first_replica(strategy)
    for layer in model.layers:
        if hasattr(layer, "seed_generator"):
            states = strategy.experimental_local_results(
                layer.seed_generator.state.value
            )
            for number, state in enumerate(states, start=first):
                by = [number * _SEEDS_BETWEEN_REPLICAS, 0]
                state.assign_add(tf.constant(by, state.dtype))


class _MultiWorkerModel(keras.Model):
    """A model whose `fit` works with several workers, which Keras 3's does not.

    Made outside of the strategy's scope, it is not asked for a symbolic batch, which
    fails; and its logs have the axis along which Keras reduces them over workers. See
    https://github.com/keras-team/keras/issues/20585.
    """

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        logs = super().train_step(data)
        return {name: tf.reshape(value, (1,)) for name, value in logs.items()}
