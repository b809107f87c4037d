"""Choice of the queries that tell most together, out of many candidates."""

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf.metamodels.objectives import LeftOutLoss
from kennen_tf.seeds import derive_seed

_NUM_STEPS = 60
_LEARNING_RATE = 0.1
# Share of the candidates that a step sees: a query is to tell something whichever
# others are there.
_SHARE = 0.3
_ABSENT = -1e9


def choose(
    reader: LeftOutLoss,
    log_probabilities: npt.NDArray[np.float32],
    num_queries: int,
    seed: int,
) -> list[int]:
    """Chooses queries by descending on a weight for each of them.

    Args:
        reader: Its loss, on entries left out, is what the weights make small.
        log_probabilities: What all training entries answer to all candidates,
            `(entries, candidates, 10)`.
        num_queries: How many to choose.
        seed: Root seed.

    Returns:
        The places of those with the largest weights, in the candidates' order.
    """
    num_candidates = log_probabilities.shape[1]
    if num_queries >= num_candidates:
        return list(range(num_candidates))
    weights = tf.Variable(tf.zeros(num_candidates))
    optimizer = keras.optimizers.Adam(_LEARNING_RATE)
    optimizer.build([weights])
    differentiate = reader.weights_gradient(log_probabilities)
    random = np.random.default_rng(derive_seed(seed, "choice of starts"))
    for _ in range(_NUM_STEPS):
        is_there = random.random(num_candidates) < _SHARE
        absent = tf.constant(np.where(is_there, 0.0, _ABSENT), tf.float32)
        optimizer.apply([differentiate(weights, absent)], [weights])
    order = np.argsort(-weights.numpy(), kind="stable")
    return sorted(order[:num_queries].tolist())
