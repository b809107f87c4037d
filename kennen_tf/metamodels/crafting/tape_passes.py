"""Both passes of any differentiable classifier, by TensorFlow's own gradients.

`passes.py` has them by hand for the paper's classifiers; these are for all others:
batch normalisation, residual connections, imported Keras models.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from kennen_tf.keras_models import pixel_models
from kennen_tf.vocabulary.errors import UserError

# The least normal float32: below it, a probability has lost its digits.
_TINY = float(np.finfo(np.float32).tiny)


class TapePasses:
    """Both passes of the classifiers of one architecture.

    Args:
        model: One of them; its softmax is left out.
        outputs: What it answers: "probabilities", "logits" or "log-probabilities".
        scale: What pixels in [0, 1] are multiplied with before it sees them.
        image_size: Side of the square that images are resized to before; 0: they are
            left as they are.

    Raises:
        UserError: If it answers something that has no gradient.
    """

    def __init__(
        self, model: keras.Model, outputs: str, scale: float, image_size: int = 0
    ):
        if outputs not in ("probabilities", "logits", "log-probabilities"):
            raise UserError(
                "kennen-i and kennen-io descend through training classifiers, which "
                f"must answer numbers. Received: one that answers {outputs}. Use "
                "kennen-o or kennen-s."
            )
        bare = None
        if outputs == "probabilities":
            bare = pixel_models.without_softmax(model)
        self._model = bare or model
        self._takes_log = outputs == "probabilities" and bare is None
        self._scale = scale
        self._image_size = image_size
        self._shape = tuple(model.inputs[0].shape[1:])
        # The states of generators are no weights: at inference, they do not matter. A
        # copied last layer stands where the original stood.
        self._places = {id(v): place for place, v in enumerate(self._model.weights)}
        self._constants = {
            id(v): v.numpy() for v in self._model.variables if id(v) not in self._places
        }

    def forward(
        self, weights: Sequence[tf.Tensor], images: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Answers images.

        Args:
            weights: Of a classifier, in the order of `keras.Model.weights`.
            images: float32 `(n, height, width, channels)` in [0, 1].

        Returns:
            Log-probabilities `(n, classes)`; nothing is kept for the way back.
        """
        if self._image_size:
            levels = pixel_models.resize(
                images * pixel_models.MAX_LEVEL, self._image_size
            )
            images = levels / pixel_models.MAX_LEVEL
        answers, _ = self._model.stateless_call(
            self._pick(self._model.trainable_variables, weights),
            self._pick(self._model.non_trainable_variables, weights),
            self._reshape(images * self._scale),
            training=False,
        )
        answers = tf.cast(answers, tf.float32)
        if self._takes_log:
            answers = tf.math.log(tf.maximum(answers, _TINY))
        return tf.nn.log_softmax(answers), []

    def backward(
        self, weights: Sequence[tf.Tensor], images: tf.Tensor, gradient: tf.Tensor
    ) -> tf.Tensor:
        """Takes the gradient of a loss back to the images, answering them again.

        Args:
            weights, images: As those of `forward`.
            gradient: With respect to the log-probabilities, `(n, classes)`.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            answers, _ = self.forward(weights, images)
        found = tape.gradient(answers, images, output_gradients=gradient)
        return tf.zeros_like(images) if found is None else found

    def _reshape(self, images: tf.Tensor) -> tf.Tensor:
        """Returns images as the model takes them, e.g. flat: the same numbers."""
        if None in self._shape:
            return images
        return tf.reshape(images, (-1, *self._shape))

    def _pick(
        self, variables: Sequence[keras.Variable], weights: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        return [
            weights[self._places[id(v)]]
            if id(v) in self._places
            else tf.constant(self._constants[id(v)])
            for v in variables
        ]
