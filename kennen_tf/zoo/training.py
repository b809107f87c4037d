"""Training of classifiers: one compiled step serves all of one shape and optimizer.

Making, compiling and fitting a new Keras model for each classifier costs more in
tracing than small ones cost in training, and its memory is never given back. So a
`Trainer` builds one model and one `tf.function`, and for each classifier puts the
initial values back: weights, dropout seeds and the optimizer's variables.
"""

import dataclasses
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from kennen_tf.labeled_images import IMAGE_SHAPE, NUM_CLASSES, LabeledImages
from kennen_tf.seeds import derive_seed
from kennen_tf.zoo import classifiers
from kennen_tf.zoo.specs import ClassifierSpec, trainer_key

# Settings of the published code (learning rates and momenta), as in the paper's zoo.
OPTIMIZERS: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.5),
    "adam": lambda: keras.optimizers.Adam(0.001),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.001, momentum=0.5),
}
NUM_PARTS = {"all": 1, "half": 2, "quarter": 4}

# A run whose loss, over the last steps of an epoch, has not left what guessing gives
# (log of 10 = 2.303) is dead or has diverged: about one in ten.
DIVERGED_LOSS = 0.98 * math.log(NUM_CLASSES)
_LAST_STEPS = 50
_VALIDATION_BATCH = 250
_IMAGES = tf.TensorSpec([None, *IMAGE_SHAPE], tf.float32)


def training_indices(split: str, num_images: int) -> np.ndarray:
    """Returns the positions of the training images that a data subset holds.

    Halves are disjoint, quarters too, and each half is two of the quarters. The
    subsets are the same in every zoo, whatever its root seed, so that "half0" means
    the same images to the metamodel of one zoo and the black boxes of another.

    Args:
        split: A value of the attribute `split`, e.g. "quarter2".
        num_images: Number of all training images.

    Returns:
        int32 `(num_images / parts,)`.
    """
    kind = split.rstrip("0123")
    random = np.random.default_rng(derive_seed(0, "data subsets", num_images))
    order = random.permutation(num_images).astype(np.int32)
    return np.array_split(order, NUM_PARTS[kind])[int(split[len(kind) :])]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """How the training of one classifier went.

    Attributes:
        epochs: Passes over the training data that were made.
        loss: Mean cross-entropy over the last steps; may be infinite or NaN.
        diverged: Whether training ended early because of that loss.
        accuracy: On the validation images, in [0, 1].
    """

    epochs: int
    loss: float
    diverged: bool
    accuracy: float


class Trainer:
    """Trains classifiers of one shape with one optimizer, one after the other.

    Attributes:
        classifier: The last trained classifier: uncompiled, float32, of Keras' own
            layers only. Training the next one overwrites its weights.

    Args:
        spec: A spec with the shape and optimizer.
        images: Images to train and validate on; kept in memory as uint8.
        compute_dtype: "float32" or "bfloat16".
    """

    def __init__(self, spec: ClassifierSpec, images: LabeledImages, compute_dtype: str):
        self._key = trainer_key(spec)
        self._images = images
        self._model = classifiers.build_classifier(spec, compute_dtype)
        self._optimizer = OPTIMIZERS[str(spec["alg"])]()
        self._optimizer.build(self._model.trainable_variables)
        self._logits = keras.Model(
            self._model.inputs, self._model.get_layer("logits").output
        )
        self._step = self._make_step()
        self.classifier = classifiers.build_classifier(spec)
        self._predict = tf.function(self.classifier, input_signature=[_IMAGES])

    def _make_step(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Returns a compiled step from the positions of a batch to its loss.

        The batch size is left open, so that one trace serves all of them. No loop
        over steps inside the graph: there, oneDNN's convolutions are not used.
        """
        images = tf.constant(self._images.train_images)
        labels = tf.constant(self._images.train_labels)
        variables = self._model.trainable_variables

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
        def step(positions: tf.Tensor) -> tf.Tensor:
            batch = tf.cast(tf.gather(images, positions), tf.float32) / 255.0
            with tf.GradientTape() as tape:
                logits = tf.cast(self._logits(batch, training=True), tf.float32)
                loss = tf.reduce_mean(
                    tf.nn.sparse_softmax_cross_entropy_with_logits(
                        tf.gather(labels, positions), logits
                    )
                )
            gradients = tape.gradient(loss, variables)
            self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return loss

        return step

    def train(self, spec: ClassifierSpec, root_seed: int, epochs: int) -> Training:
        """Trains one classifier from its initial weights and validates it.

        The result depends on nothing but the arguments, the images, the number
        format and the number of threads.

        Args:
            spec: What to train; of this trainer's shape and optimizer.
            root_seed: Root seed of the zoo.
            epochs: Passes over its training data. A run that sits at chance after one
                of them ends there.
        """
        if trainer_key(spec) != self._key:
            raise ValueError(f"`spec` must have key {self._key}. Received: {spec}.")
        self._reset(spec, root_seed)
        subset = training_indices(str(spec["split"]), len(self._images.train_labels))
        batch_size = int(spec["bs"])
        if len(subset) < batch_size:
            raise ValueError(
                f"`split` {spec['split']} holds {len(subset)} images, fewer than a "
                f"batch of {batch_size}."
            )
        for epoch in range(epochs):
            seed = derive_seed(root_seed, "classifier", spec.id, "shuffling", epoch)
            order = np.random.default_rng(seed).permutation(subset)
            num_steps = len(order) // batch_size
            batches = tf.constant(order[: num_steps * batch_size])
            batches = tf.unstack(tf.reshape(batches, (num_steps, batch_size)))
            losses = [self._step(batch) for batch in batches][-_LAST_STEPS:]
            loss = float(np.mean([float(value) for value in losses]))
            diverged = not loss < DIVERGED_LOSS
            if diverged:
                break
        self.classifier.set_weights(
            [variable.numpy() for variable in self._model.trainable_variables]
        )
        return Training(
            epochs=epoch + 1,
            loss=loss,
            diverged=diverged,
            accuracy=self._validate(),
        )

    def _reset(self, spec: ClassifierSpec, root_seed: int) -> None:
        """Puts back what training changes: to what a fresh model would have."""

        def seed(*path: str) -> int:
            return derive_seed(root_seed, "classifier", spec.id, *path)

        for layer in self._model.layers:
            if hasattr(layer, "kernel"):
                initializer = keras.initializers.GlorotUniform(
                    seed("kernel", layer.name)
                )
                layer.kernel.assign(initializer(layer.kernel.shape))
                layer.bias.assign(tf.zeros_like(layer.bias))
            elif isinstance(layer, keras.layers.PReLU):
                layer.alpha.assign(
                    tf.fill(layer.alpha.shape, classifiers.PRELU_INITIAL)
                )
            elif isinstance(layer, keras.layers.Dropout):
                layer.seed_generator.state.assign([seed("dropout", layer.name), 0])
        for variable in self._optimizer.variables:
            if variable is not self._optimizer.learning_rate:
                variable.assign(tf.zeros_like(variable))

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
