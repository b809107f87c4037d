"""The paper's metamodel for families, in the coordinates that training spans.

A perceptron with two hidden layers on 100,000 inputs and a dozen training classifiers
learns only within the span of these: gradients of the first layer's weights lie in it,
and what lies outside stays as it was drawn. So the weights are kept in coordinates of
that span, where training takes milliseconds, and what a new input has outside it meets
weights that are drawn when they are first needed. For weights drawn from a normal
distribution, which has no preferred directions, that is the same network.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from kennen_tf.metamodels.recipes import planes
from kennen_tf.vocabulary.seeds import derive_seed

FloatArray = npt.NDArray[np.float64]

# The submission's; published code for MNIST has 1,000.
_NUM_HIDDEN = 50
# As for MNIST-NET. The step is ours: the paper gives none for families.
_NUM_EPOCHS = 200
_LEARNING_RATE = 0.1
# Directions with less of the variance than this are rounding errors.
_LEAST_SHARE = 1e-9


def score_families(
    products: FloatArray,
    train: npt.NDArray[np.integer],
    test: npt.NDArray[np.integer],
    labels: npt.NDArray[np.integer],
    num_families: int,
    seed: int,
) -> FloatArray:
    """Trains a network and scores families for the test classifiers.

    Args:
        products: Inner products of what each classifier answers, `(classifiers,
            classifiers)`.
        train: Places of those to train on, of two families or more.
        test: Places of those to name.
        labels: `(classifiers,)`, the family of each; of those in `test` not looked at.
        num_families: Number of families, from 0 on.
        seed: Decides the initial weights.

    Returns:
        `(test classifiers, num_families)`; the highest names the family, and families
        without a training classifier have -inf.
    """
    points = find_coordinates(products, train, test, labels)
    present, own_labels = np.unique(labels[train], return_inverse=True)
    scores = np.full((len(test), num_families), -np.inf)
    scores[:, present] = 0.0
    if points.train.shape[1]:  # Else all answer alike, and tell nothing.
        network = fit(points.train, own_labels, len(present), seed)
        scores[:, present] = network.scores(points.test, points.outside)
    return scores


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coordinates:
    """Classifiers as points: the training classifiers span the space.

    The origin is the mean over families of the mean over their training classifiers,
    and the mean square length of training classifiers is 1.

    Attributes:
        train: `(training classifiers, rank)`.
        test: `(test classifiers, rank)`.
        outside: `(test classifiers,)`, lengths of what lies outside the span.
    """

    train: FloatArray
    test: FloatArray
    outside: FloatArray


def find_coordinates(
    products: FloatArray,
    train: npt.NDArray[np.integer],
    test: npt.NDArray[np.integer],
    labels: npt.NDArray[np.integer],
) -> Coordinates:
    """Finds coordinates of classifiers from their inner products.

    Args:
        products: `(classifiers, classifiers)`.
        train: Places of those to train on, two or more.
        test: Places of those to name.
        labels: `(classifiers,)`, the family of each; of those in `test` not looked at.
    """
    counts = np.bincount(labels[train])
    weights = np.zeros(len(products))
    weights[train] = 1.0 / (counts[labels[train]] * np.count_nonzero(counts))
    means = products @ weights
    centered = products - means[:, np.newaxis] - means + weights @ means
    variances, directions = np.linalg.eigh(centered[np.ix_(train, train)])
    rounding = planes.ROUNDING * max(products.max(), np.finfo(float).tiny)
    is_kept = variances > max(_LEAST_SHARE * variances[-1], rounding)
    deviations, directions = np.sqrt(variances[is_kept]), directions[:, is_kept]
    own = directions * deviations
    others = centered[np.ix_(test, train)] @ directions / deviations
    squares = np.diag(centered)[test] - (others**2).sum(axis=1)
    # Of classifiers that answer all alike, every length is 0.
    scale = np.sqrt((own**2).sum(axis=1).mean()) or 1.0
    return Coordinates(
        train=own / scale,
        test=others / scale,
        outside=np.sqrt(np.maximum(squares, 0.0)) / scale,
    )


@dataclasses.dataclass
class FamilyMlp:
    """A trained network; see `fit`."""

    seed: int
    weights: list[FloatArray]
    biases: list[FloatArray]

    def scores(self, inputs: FloatArray, outside: FloatArray) -> FloatArray:
        """Returns logits `(k, num_families)`.

        Args:
            inputs: `(k, rank)`, coordinates in the span of the training inputs.
            outside: `(k,)`, lengths of what lies outside it.
        """
        rng = np.random.default_rng(derive_seed(self.seed, "outside"))
        drawn = rng.normal(0.0, _FIRST_DEVIATION, (len(inputs), _NUM_HIDDEN))
        x = inputs @ self.weights[0] + outside[:, np.newaxis] * drawn + self.biases[0]
        for weights, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            x = np.maximum(x, 0.0) @ weights + bias
        return x


# He's deviation for inputs of length 1 instead of variance 1.
_FIRST_DEVIATION = np.sqrt(2.0)


def fit(
    inputs: FloatArray, labels: npt.NDArray[np.integer], num_families: int, seed: int
) -> FamilyMlp:
    """Trains a network by gradient descent on the mean cross-entropy.

    The batch, 100 in the paper, holds all of the classifiers there are.

    Args:
        inputs: `(m, rank)`, of mean square length 1.
        labels: `(m,)`, the families.
        num_families: Number of logits.
        seed: Decides the initial weights.
    """
    rng = np.random.default_rng(derive_seed(seed, "weights"))
    sizes = [inputs.shape[1], _NUM_HIDDEN, _NUM_HIDDEN, num_families]
    deviations = [_FIRST_DEVIATION, *(np.sqrt(2.0 / size) for size in sizes[1:3])]
    weights = [
        rng.normal(0.0, deviation, shape)
        for deviation, shape in zip(
            deviations, zip(sizes[:-1], sizes[1:], strict=True), strict=True
        )
    ]
    biases = [np.zeros(size) for size in sizes[1:]]
    wanted = np.eye(num_families)[labels]
    # Families with many classifiers count no more than others.
    counts = np.bincount(labels, minlength=num_families)
    importance = 1.0 / (counts[labels] * np.count_nonzero(counts))
    for _ in range(_NUM_EPOCHS):
        layers = [inputs]
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            x = layers[-1] @ weight + bias
            layers.append(np.maximum(x, 0.0) if layer < 2 else x)
        exponents = np.exp(layers[-1] - layers[-1].max(axis=1, keepdims=True))
        probabilities = exponents / exponents.sum(axis=1, keepdims=True)
        gradient = (probabilities - wanted) * importance[:, np.newaxis]
        for layer in (2, 1, 0):
            below = gradient @ weights[layer].T
            weights[layer] -= _LEARNING_RATE * layers[layer].T @ gradient
            biases[layer] -= _LEARNING_RATE * gradient.sum(axis=0)
            gradient = below * (layers[layer] > 0)
    return FamilyMlp(seed, weights, biases)
