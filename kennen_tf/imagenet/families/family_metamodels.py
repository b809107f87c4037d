"""Metamodels that name a family: recipes of the other half, and the paper's MLP.

A dozen classifiers of 100,000 numbers each are separated by many planes. The support
vector machine takes the one with the widest margin and has nothing to tune at that
size; hidden layers have too few classifiers to learn more from, and lose some of what
there is. `predict_family --metamodel=all` compares them.

All of them need no more than the inner products of what classifiers answer, and these
are sums over queries: computed once for each image, they serve every draw of queries.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kennen_tf.configs.family_prediction import MLP
from kennen_tf.configs.recipes import RECIPES, KernelRecipe, Recipe
from kennen_tf.imagenet.families import mlp
from kennen_tf.imagenet.families.family_outputs import FamilyOutputs
from kennen_tf.metamodels.recipes import planes

# Features of 60 classifiers with 1,000 classes for as many images are 120 MB.
_IMAGES_AT_ONCE = 256

FloatArray = npt.NDArray[np.float64]


def products_of(
    outputs: FamilyOutputs,
    names: Sequence[str],
    images: npt.NDArray[np.integer] | None = None,
    black_box: npt.NDArray[np.floating] | None = None,
) -> FloatArray:
    """Returns the inner products of log-probabilities for each image.

    They are not cut at `outputs.PROBABILITY_FLOOR`, which is for black boxes that
    round: on the small families, that cost ridge regressions 3 points from 100 queries
    and 4 from 1,000, and support vector machines one from 10.

    Args:
        outputs: Of all classifiers.
        names: Of the classifiers wanted.
        images: Places of the images wanted; None: all.
        black_box: Probabilities of one more classifier for these images, `(images,
            classes)`; None: there is none. Where it rounds the lowest to 0, no
            classifier's are told apart below its least.

    Returns:
        `(images, classifiers, classifiers)`, classifiers in the order of `names`, then
        the black box; summed over queries, those of what a metamodel reads.
    """
    places = np.arange(len(outputs.labels)) if images is None else images
    least = _least_probability(black_box)
    parts = []
    for start in range(0, len(places), _IMAGES_AT_ONCE):
        some = slice(start, start + _IMAGES_AT_ONCE)
        answers = [outputs.probabilities[name][places[some]] for name in names]
        if black_box is not None:
            answers.append(black_box[some].astype(np.float32))
        by_image = np.maximum(np.stack(answers, axis=1), least)
        read = np.log(by_image.astype(np.float64))
        parts.append(read @ read.transpose(0, 2, 1))
    return np.concatenate(parts)


def _least_probability(
    probabilities: npt.NDArray[np.floating] | None,
) -> np.float32:
    """Returns below what rounded probabilities tell nothing: above 0."""
    if probabilities is None or probabilities.all():
        return np.finfo(np.float32).tiny
    least = probabilities[probabilities > 0].min()
    # Of 0 and 1 alone, the least is 1, and all classifiers would be alike.
    return np.float32(min(least, 1 / probabilities.shape[1]))


def score_families(
    metamodel: str,
    products: FloatArray,
    train: npt.NDArray[np.integer],
    test: npt.NDArray[np.integer],
    labels: npt.NDArray[np.integer],
    num_families: int,
    seed: int,
) -> FloatArray:
    """Trains a metamodel and scores families for the test classifiers.

    Families count alike, however many training classifiers they have.

    Args:
        metamodel: One of `configs.family_prediction.METAMODELS`.
        products: Inner products of what each classifier answers, `(classifiers,
            classifiers)`.
        train: Places of those to train on, of two families or more.
        test: Places of those to name.
        labels: `(classifiers,)`, the family of each; of those in `test` not looked at.
        num_families: Number of families, from 0 on.
        seed: Decides initial weights, where there are any.

    Returns:
        `(test classifiers, num_families)`; the highest names the family, which is one
        that has a training classifier.
    """
    if metamodel == MLP:
        return mlp.score_families(products, train, test, labels, num_families, seed)
    recipe = RECIPES[metamodel]
    if isinstance(recipe, Recipe | KernelRecipe):
        raise ValueError(f"A recipe of planes is wanted. Received: {metamodel!r}.")
    among = products[np.ix_(train, train)]
    coefficients, bias = planes.solve(among, labels[train], num_families, None, recipe)
    return products[np.ix_(test, train)] @ coefficients + bias
