"""Training of classifiers: one compiled step serves all of one shape and optimizer.

Making, compiling and fitting a new Keras model for each classifier costs more in
tracing than small ones cost in training, and its memory is never given back. So a
`Trainer` builds one model and one `tf.function`, and for each classifier puts the
initial values back: those of a model that is made anew, all of its state included.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from kennen_tf.designs import building
from kennen_tf.designs.design import Design
from kennen_tf.vocabulary.labeled_images import LabeledImages
from kennen_tf.vocabulary.seeds import derive_seed
from kennen_tf.zoo.specs import ClassifierSpec, step_key

# A run whose loss, over the last steps of an epoch, has not left what guessing gives
# (the logarithm of the number of classes) is dead or has diverged: about one in ten.
_SHARE_OF_GUESSING = 0.98
_LAST_STEPS = 50
_VALIDATION_BATCH = 250


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """How the training of one classifier went.

    Attributes:
        epochs: Passes over the training data that were made.
        loss: Mean cross-entropy over the last steps; may be infinite or NaN.
        diverged: Whether it ended no better than guessing, or early because of that.
        accuracy: On the validation images, in [0, 1]; 0 before they were looked at.
    """

    epochs: int
    loss: float
    diverged: bool
    accuracy: float = 0.0


class Trainer:
    """Trains classifiers of one shape with one optimizer, one after the other.

    Attributes:
        classifier: The last trained classifier: uncompiled, float32, with a softmax on
            top. Training the next one overwrites its weights.

    Args:
        design: Of the zoo.
        spec: A spec with the shape and optimizer.
        images: Images to train and validate on; kept in memory as uint8.
        compute_dtype: "float32" or "bfloat16".

    Raises:
        UserError: If the design makes something else than it should.
    """

    def __init__(
        self,
        design: Design,
        spec: ClassifierSpec,
        images: LabeledImages,
        compute_dtype: str,
    ):
        self._design = design
        self._key = step_key(design, spec)
        self._images = images
        self._dtype = compute_dtype
        self._model = building.build_logits(
            design, spec.combination, building.no_seed, compute_dtype
        )
        building.check_model(
            self._model, design, images.image_shape, images.num_classes
        )
        self.classifier = building.build_classifier(design, spec.combination)
        self._optimizer = design.optimizer(spec.combination)
        self._optimizer.build(self._model.trainable_variables)
        self._fresh = [variable.numpy() for variable in self._optimizer.variables]
        self._step = self._make_step()
        like = tf.TensorSpec([None, *images.image_shape], tf.float32)
        self._predict = tf.function(
            lambda batch: self.classifier(batch, training=False), input_signature=[like]
        )

    def _make_step(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Returns a compiled step from the positions of a batch to its loss.

        The batch size is left open, so that one trace serves all of them. No loop
        over steps inside the graph: there, oneDNN's convolutions are not used.
        """
        images = tf.constant(self._images.train_images)
        labels = tf.constant(self._images.train_labels)
        variables = self._model.trainable_variables

        # Images are handed in: what a trace holds itself is never given back.
        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.int32),
                tf.TensorSpec(images.shape, images.dtype),
                tf.TensorSpec(labels.shape, labels.dtype),
            ]
        )
        def step(
            positions: tf.Tensor, images: tf.Tensor, labels: tf.Tensor
        ) -> tf.Tensor:
            batch = tf.cast(tf.gather(images, positions), tf.float32) / 255.0
            with tf.GradientTape() as tape:
                logits = tf.cast(self._model(batch, training=True), tf.float32)
                loss = tf.reduce_mean(
                    tf.nn.sparse_softmax_cross_entropy_with_logits(
                        tf.gather(labels, positions), logits
                    )
                )
                # Of regularised layers.
                total = tf.add_n([loss, *self._model.losses])
            gradients = tape.gradient(total, variables)
            self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return loss

        return lambda positions: step(positions, images, labels)

    def train(self, spec: ClassifierSpec, root_seed: int, epochs: int = 0) -> Training:
        """Trains one classifier to its end; see `train_by_epochs`."""
        *_, result = self.train_by_epochs(spec, root_seed, epochs)
        return result

    def train_by_epochs(
        self, spec: ClassifierSpec, root_seed: int, epochs: int = 0
    ) -> Iterator[Training]:
        """Trains one classifier from its initial weights and validates it.

        The result depends on nothing but the arguments, the design, the images, the
        number format, the number of threads and the kind of processor.

        Args:
            spec: What to train; of this trainer's shape and optimizer.
            root_seed: Root seed of the zoo.
            epochs: Passes over its training data; 0: the design's. A run that sits at
                chance after one of them ends there, unless the design is patient.

        Yields:
            How it goes, after each epoch and once more at its end: only then it is
            validated and `classifier` holds it.
        """
        if step_key(self._design, spec) != self._key:
            raise ValueError(f"`spec` must have key {self._key}. Received: {spec}.")
        design, values = self._design, spec.combination
        self._reset(spec, root_seed)
        subset = design.training_indices(values, len(self._images.train_labels))
        batch_size = design.batch_size(values)
        if len(subset) < batch_size:
            raise ValueError(
                f"{spec.id} is trained on {len(subset)} images, fewer than a batch of "
                f"{batch_size}."
            )
        guessing = _SHARE_OF_GUESSING * math.log(self._images.num_classes)
        for epoch in range(epochs or design.num_epochs(values)):
            seed = derive_seed(root_seed, "classifier", spec.id, "shuffling", epoch)
            order = np.random.default_rng(seed).permutation(subset)
            num_steps = len(order) // batch_size
            batches = tf.constant(order[: num_steps * batch_size])
            batches = tf.unstack(tf.reshape(batches, (num_steps, batch_size)))
            losses = [self._step(batch) for batch in batches][-_LAST_STEPS:]
            loss = float(np.mean([float(value) for value in losses]))
            diverged = not loss < guessing
            state = Training(epochs=epoch + 1, loss=loss, diverged=diverged)
            if diverged and (design.gives_up or not math.isfinite(loss)):
                break
            yield state
        # Not the states of generators: classifiers have those of `no_seed`.
        for ours, trained in zip(
            self.classifier.weights, self._model.weights, strict=True
        ):
            ours.assign(trained)
        yield dataclasses.replace(state, accuracy=self._validate())

    def _reset(self, spec: ClassifierSpec, root_seed: int) -> None:
        """Puts back all that training changes: to what a fresh model has."""
        seed = functools.partial(derive_seed, root_seed, "classifier", spec.id)
        fresh = building.build_logits(self._design, spec.combination, seed, self._dtype)
        for variable, value in zip(self._model.variables, fresh.variables, strict=True):
            variable.assign(value)
        for variable, first in zip(self._optimizer.variables, self._fresh, strict=True):
            variable.assign(first)

    def _validate(self) -> float:
        """Returns the accuracy of `classifier` on the validation images."""
        images, labels = self._images.test_images, self._images.test_labels
        num_right = 0
        for start in range(0, len(labels), _VALIDATION_BATCH):
            chosen = slice(start, start + _VALIDATION_BATCH)
            batch = tf.cast(images[chosen], tf.float32) / 255.0
            predictions = self._predict(batch).numpy().argmax(axis=-1)
            num_right += int(np.sum(predictions == labels[chosen]))
        return num_right / len(labels)
