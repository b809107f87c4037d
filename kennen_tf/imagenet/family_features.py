"""Features of classifiers' outputs, and coordinates in the span of those for training.

kennen-o reads the log-probabilities of all classes for all queries, 100,000 numbers of
a classifier for 100 queries, and a dozen classifiers span a dozen directions of that
space. Whatever is learnt by inner products of these (ridge regression, support vectors,
gradient descent on a first layer) needs no more than the inner products, and these are
sums over queries: computed once for each image, they serve every draw of queries.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kennen_tf.imagenet.classifier_outputs import ClassifierOutputs

# Outputs of 60 classifiers with 1,000 classes for as many images are 60 MB.
_IMAGES_AT_ONCE = 256
# Directions with less of the variance than this are rounding errors.
_LEAST_SHARE = 1e-9

FloatArray = npt.NDArray[np.float64]


def log_probabilities(logits: npt.NDArray[np.floating]) -> FloatArray:
    """Returns the logarithms of the softmax over the last axis."""
    shifted = np.asarray(logits, np.float64)
    shifted = shifted - shifted.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def inner_products(features: FloatArray) -> FloatArray:
    """Returns the inner products of classifiers' features for each image.

    Args:
        features: `(classifiers, images, classes)`.

    Returns:
        `(images, classifiers, classifiers)`; summed over queries, the inner products of
        what a metamodel reads.
    """
    by_image = features.transpose(1, 0, 2)
    return by_image @ by_image.transpose(0, 2, 1)


def products_of(
    outputs: ClassifierOutputs,
    names: Sequence[str],
    images: npt.NDArray[np.integer] | None = None,
    black_box: npt.NDArray[np.floating] | None = None,
) -> FloatArray:
    """Returns the inner products of stored outputs, some images at a time.

    Args:
        outputs: Of all classifiers.
        names: Of the classifiers wanted.
        images: Places of the images wanted; None: all.
        black_box: Probabilities of one more classifier for these images, `(images,
            classes)`; None: there is none. Where it rounds the lowest to 0, no
            classifier's are told apart below its least.

    Returns:
        `(images, classifiers, classifiers)`, classifiers in the order of `names`, then
        the black box.
    """
    places = np.arange(len(outputs.labels)) if images is None else images
    floor = _least_logarithm(black_box)
    parts = []
    for start in range(0, len(places), _IMAGES_AT_ONCE):
        some = slice(start, start + _IMAGES_AT_ONCE)
        logits = np.stack([outputs.read(name, places[some]) for name in names])
        features = log_probabilities(logits)
        if black_box is not None:
            with np.errstate(divide="ignore"):
                own = np.log(black_box[some].astype(np.float64))
            features = np.maximum(np.concatenate([features, own[np.newaxis]]), floor)
        parts.append(inner_products(features))
    return np.concatenate(parts)


def _least_logarithm(probabilities: npt.NDArray[np.floating] | None) -> float:
    """Returns below what the logarithms of rounded probabilities tell nothing."""
    if probabilities is None or probabilities.all():
        return -np.inf
    least = probabilities[probabilities > 0].min()
    # Of 0 and 1 alone, the least is 1, and all classifiers would be alike.
    return float(np.log(min(least, 1 / probabilities.shape[1])))


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
    is_kept = variances > max(_LEAST_SHARE * variances[-1], np.finfo(float).tiny)
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
