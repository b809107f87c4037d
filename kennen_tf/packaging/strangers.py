"""Classifiers of a zoo's images that are none of its kind: no networks at all.

A metamodel names a kernel size and an optimizer of a random forest, too. So a package
may hold what strangers answer to its queries; `evaluation/likeness.py` learns from them
to say "none of these". They are scikit-learn's, of several kinds, with penalties,
depths and numbers of neighbours as people choose them.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import tqdm
from sklearn.base import ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.ensemble import (
    ExtraTreesClassifier,
    RandomForestClassifier,
)
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from kennen_tf.queries import representations
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.labeled_images import LabeledImages
from kennen_tf.vocabulary.seeds import derive_seed

# From images, float32 in [0, 1], to probabilities, `(n, classes)`.
Answer = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.floating]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stranger:
    """A classifier that is no network.

    Attributes:
        name: Its kind, and a number.
        classifier: Itself, untrained.
        num_images: Images that it is trained on, if there are as many.
    """

    name: str
    classifier: ClassifierMixin
    num_images: int

    def train(self, images: LabeledImages, seed: int) -> Answer:
        """Trains a copy on images drawn at random.

        Args:
            images: To train on.
            seed: Root seed of the draw.
        """
        own = derive_seed(seed, "strangers", self.name)
        order = np.random.default_rng(own).permutation(len(images.train_labels))
        chosen = order[: self.num_images]
        pixels = images.train_images[chosen].reshape(len(chosen), -1)
        classifier = clone(self.classifier)
        classifier.fit(pixels / np.float32(255), images.train_labels[chosen])

        def answer(asked: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
            # A label that none of its images had is never named.
            rows = np.zeros((len(asked), images.num_classes))
            said = classifier.predict_proba(asked.reshape(len(asked), -1))
            rows[:, classifier.classes_] = said
            return rows

        return answer


def calibrate(machine: ClassifierMixin, method: str = "sigmoid") -> ClassifierMixin:
    """Returns a support vector machine that answers probabilities."""
    return CalibratedClassifierCV(machine, method=method, cv=3, ensemble=False)


def list_strangers() -> tuple[Stranger, ...]:
    """Returns some forty, of five kinds."""
    made: list[tuple[str, int, ClassifierMixin]] = []
    for n, gamma in enumerate(("scale", 0.01, 0.03)):
        for m, (cost, method) in enumerate(
            ((0.3, "sigmoid"), (3.0, "isotonic"), (30.0, "sigmoid"))
        ):
            machine = calibrate(SVC(C=cost, gamma=gamma), method)
            made.append(("machine", 2000 + 500 * (3 * m + n), machine))
    for degree in (2, 3, 4):
        machine = calibrate(SVC(kernel="poly", degree=degree))
        made.append(("machine", 1000 * degree, machine))
    for n, cost in enumerate((0.01, 0.1, 1.0)):
        made.append(("machine", 2000 * (n + 1), calibrate(LinearSVC(C=cost))))
    for n, count in enumerate((1, 3, 5, 10, 20)):
        for m, weights in enumerate(("uniform", "distance")):
            neighbours = KNeighborsClassifier(count, weights=weights)
            made.append(("neighbours", 3000 + 3000 * (2 * n + m), neighbours))
    for n, count in enumerate((10, 50, 100, 300)):
        for m, depth in enumerate((None, 12)):
            forest = RandomForestClassifier(count, max_depth=depth, random_state=m)
            made.append(("forest", 3000 + 6000 * n, forest))
    for n, count in enumerate((100, 300, 100)):
        trees = ExtraTreesClassifier(count, random_state=n)
        made.append(("forest", 3000 + 6000 * n, trees))
    for depth in (None, 10, 15):
        tree = DecisionTreeClassifier(max_depth=depth, random_state=0)
        made.append(("forest", 20_000, tree))
    for bayes in (BernoulliNB(binarize=0.5), MultinomialNB(), GaussianNB()):
        made.append(("naive Bayes", 20_000, bayes))
    linear = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    quadratic = QuadraticDiscriminantAnalysis(reg_param=0.1)
    made.append(("discriminant", 10_000, linear))
    made.append(
        ("discriminant", 10_000, make_pipeline(PCA(0.8, random_state=0), quadratic))
    )
    return tuple(
        Stranger(name=f"{kind} {number}", classifier=own, num_images=num_images)
        for number, (kind, num_images, own) in enumerate(made)
    )


def ask(
    images: LabeledImages,
    queries: Mapping[str, npt.NDArray[np.float32]],
    seed: int,
) -> dict[str, npt.NDArray[np.floating]]:
    """Trains strangers, and sends them queries.

    Args:
        images: To train on.
        queries: Images by part, float32 in [0, 1].
        seed: Root seed.

    Returns:
        Probabilities by part, `(strangers, queries, classes)`.
    """
    answers: dict[str, list[npt.NDArray[np.floating]]] = {part: [] for part in queries}
    for stranger in tqdm.tqdm(list_strangers(), "strangers", unit="classifier"):
        answer = stranger.train(images, seed)
        for part, pixels in queries.items():
            answers[part].append(answer(pixels))
    return {part: np.stack(own) for part, own in answers.items()}


def write(path: pathlib.Path, answers: Mapping[str, npt.NDArray[np.floating]]) -> None:
    """Writes answers as logarithms in half precision, as those of the zoo are."""
    halves = {
        part: representations.represent(
            own.astype(np.float32), "probabilities", own.shape[-1]
        )
        .numpy()
        .astype(np.float16)
        for part, own in answers.items()
    }
    names = np.array([own.name for own in list_strangers()])
    with artifacts.atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, names=names, **halves)
