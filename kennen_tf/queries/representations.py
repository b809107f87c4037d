"""Output representations: how much of a black box's answers a metamodel reads.

All are on the log scale: a metamodel reads log-probabilities, or the logarithm of
pseudo-probabilities that tell no more than a ranking or one label (the rows of the
paper's Table 2).
"""

import math
from typing import TYPE_CHECKING

from kennen_tf.configs.metamodels import REPRESENTATIONS
from kennen_tf.vocabulary.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

# Those through which gradients reach the query images.
DIFFERENTIABLE = ("probabilities",)

# How unlikely the wrong digits are tells much: in a zoo of four epochs, 39% of all
# probabilities lie below 1e-6, and 6% below this. A zero, which a black box that rounds
# gives, must not be an outlier: read as -23, it lies 2.8 standard deviations below the
# mean of what classifiers of that zoo answer there (median over images and digits).
PROBABILITY_FLOOR = 1e-10
LOG_FLOOR = math.log(PROBABILITY_FLOOR)


def represent(
    probabilities: "tf.Tensor", representation: str, top_k: int = 0
) -> "tf.Tensor":
    """Represents outputs as a metamodel reads them; usable in any graph.

    With rank 0 for the likeliest label and ties broken by class index (the lower
    index ranks first, and is the least likely one too):

        probabilities   log(max(p, PROBABILITY_FLOOR))
        top-k           log of p' ~ exp(-rank) for the first k labels, exp(-K) else
        ranking, top-1  top-k with k = K, k = 1
        bottom-1        log of p' ~ 1 for the least likely label, exp(-K) else

    Args:
        probabilities: float32 `(..., K)` for K classes.
        representation: One of `REPRESENTATIONS`.
        top_k: Number of labels that "top-k" ranks, 1 to K, or 0 for all; else not used.

    Returns:
        float32 `(..., K)`, finite for all probabilities, 0 and 1 included.

    Raises:
        UserError: If `representation` or `top_k` is none of the allowed ones.
    """
    # Here, so that checking what a black box answered does not wait for TensorFlow.
    import tensorflow as tf

    if representation not in REPRESENTATIONS:
        raise UserError(
            f"--representation must be one of {REPRESENTATIONS}. Received: "
            f"representation={representation!r}."
        )
    probabilities = tf.convert_to_tensor(probabilities, tf.float32)
    num_classes = probabilities.shape[-1]
    if representation == "top-k" and not 0 <= top_k <= num_classes:
        raise UserError(
            f"--top_k must be at least 0, for all labels, and at most {num_classes}. "
            f"Received: top_k={top_k}."
        )
    # Unranked labels get what a label ranked one past the last would get: less than
    # any ranked one, for every k.
    unranked = float(num_classes)
    if representation == "probabilities":
        return tf.math.log(tf.maximum(probabilities, PROBABILITY_FLOOR))
    if representation == "bottom-1":
        lowest = tf.argmin(probabilities, axis=-1)
        scores = unranked * (tf.one_hot(lowest, num_classes) - 1.0)
    else:
        k = {"ranking": 0, "top-k": top_k, "top-1": 1}[representation] or num_classes
        ranks = _ranks(probabilities)
        scores = -tf.where(ranks < k, ranks, unranked)
    return tf.nn.log_softmax(scores)


def _ranks(probabilities: "tf.Tensor") -> "tf.Tensor":
    """Returns, for each label, how many labels come before it; float32."""
    import tensorflow as tf

    # Of equal ones, the first come first. Comparing each with each would take the
    # square of the number of classes.
    order = tf.argsort(probabilities, direction="DESCENDING", stable=True)
    return tf.cast(tf.argsort(order), tf.float32)
