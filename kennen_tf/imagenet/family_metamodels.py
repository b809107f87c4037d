"""Metamodels that name a family: linear ones for few classifiers, the paper's MLP.

A dozen classifiers of 100,000 numbers each are separated by many planes. The support
vector machine takes the one with the widest margin and has nothing to tune at that
size; hidden layers have too few classifiers to learn more from, and lose some of what
there is. `predict_family --metamodel=all` compares them.
"""

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import RidgeClassifier
from sklearn.svm import SVC

from kennen_tf.configs.family_prediction import MLP, RIDGE, SVM
from kennen_tf.imagenet import family_mlp
from kennen_tf.imagenet.family_features import Coordinates, FloatArray

# Errors cost so much that the margin is as good as hard; from 1 to 100 it makes no
# difference of more than two points on the small families.
_SVM_COST = 10.0
_RIDGE_PENALTY = 1.0


def score_families(
    metamodel: str,
    coordinates: Coordinates,
    labels: npt.NDArray[np.integer],
    num_families: int,
    seed: int,
) -> FloatArray:
    """Trains a metamodel and scores families for the test classifiers.

    Families count alike, however many training classifiers they have.

    Args:
        metamodel: One of `configs.family_prediction.METAMODELS`.
        coordinates: Of training and test classifiers.
        labels: `(training classifiers,)`, the family of each; two families or more.
        num_families: Number of families, from 0 on.
        seed: Decides initial weights, where there are any.

    Returns:
        `(test classifiers, num_families)`; the highest names the family, and families
        without a training classifier have -inf.
    """
    present = np.unique(labels)
    own_labels = np.searchsorted(present, labels)
    if not coordinates.train.shape[1]:  # All answer alike, and tell nothing.
        found = np.zeros((len(coordinates.test), len(present)))
    elif metamodel == MLP:
        network = family_mlp.fit(coordinates.train, own_labels, len(present), seed)
        found = network.scores(coordinates.test, coordinates.outside)
    else:
        reader = {
            SVM: lambda: SVC(kernel="linear", C=_SVM_COST, class_weight="balanced"),
            RIDGE: lambda: RidgeClassifier(_RIDGE_PENALTY, class_weight="balanced"),
        }[metamodel]()
        reader.fit(coordinates.train, own_labels)
        found = reader.decision_function(coordinates.test)
        if found.ndim == 1:  # Of two classes, that of the second.
            found = np.stack([-found, found], axis=1)
    scores = np.full((len(coordinates.test), num_families), -np.inf)
    scores[:, present] = found
    return scores
