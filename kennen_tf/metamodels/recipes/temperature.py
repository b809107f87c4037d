"""How far the answers of a metamodel that is solved for are to be trusted."""

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

# Between them lies what answers, the farthest near -1 and 1, are multiplied with.
_LOG_TEMPERATURES = (-2.0, 4.0)


def find_temperature(
    answers: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    weights: npt.NDArray[np.floating],
    bias: npt.NDArray[np.floating],
) -> float:
    """Returns what answers are multiplied with to be logits.

    It is what makes the truth likeliest, for entries that the answers are not fitted
    to.

    Args:
        answers: `(entries, values)`.
        labels: `(entries,)`.
        weights: How much each entry counts, `(entries,)`.
        bias: Added to the logits, `(values,)`.
    """
    entries = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        logits = np.exp(log_temperature) * answers + bias
        log_probabilities = logits - special.logsumexp(logits, axis=1, keepdims=True)
        return -float(np.average(log_probabilities[entries, labels], weights=weights))

    found = optimize.minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded")
    return float(np.exp(found.x))
