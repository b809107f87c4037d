"""Family prediction by kennen-o: outputs for some images tell a classifier's family.

Paper, section 4: random images are the queries; one classifier of each family is held
out as the black box, over several folds and draws of queries.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kennen_tf.evaluation import splits
from kennen_tf.imagenet.classifiers.family_classifier import FAMILY, FamilyClassifier
from kennen_tf.imagenet.classifiers.registry import Registry
from kennen_tf.imagenet.families import family_metamodels, family_outputs
from kennen_tf.imagenet.families.family_outputs import FamilyOutputs
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.seeds import derive_seed

# Draws of queries for each target, where it is predicted for an attack.
NUM_DRAWS = 10

IntArray = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Guess:
    """What a metamodel named a classifier that it had not seen.

    Attributes:
        metamodel: One of `configs.family_prediction.METAMODELS`.
        num_queries: Number of images whose outputs it read.
        fold, draw: Which fold and which draw of queries.
        classifier: The classifier.
        family: The family named.
    """

    metamodel: str
    num_queries: int
    fold: int
    draw: int
    classifier: FamilyClassifier
    family: str


def draw_queries(num_images: int, num_queries: int, seed: int, *path: int) -> IntArray:
    """Draws images to be queries.

    Args:
        num_images: Number of images there are.
        num_queries: Number of queries; more of them include the fewer.
        seed: Root seed.
        *path: What the draw is for, e.g. a fold and the number of a draw.

    Returns:
        Places of images, `(num_queries,)`.

    Raises:
        UserError: If there are not as many images.
    """
    if num_queries > num_images:
        raise UserError(
            f"--num_queries must be at most the number of images, {num_images}. "
            f"Received: num_queries={num_queries}."
        )
    rng = np.random.default_rng(derive_seed(seed, "family queries", *path))
    return rng.permutation(num_images)[:num_queries]


def make_folds(
    registry: Registry, num_folds: int, seed: int
) -> list[list[FamilyClassifier]]:
    """Returns whom each fold holds out: one classifier of each family with two or more.

    Classifiers of a family take turns, as seeds of the split "leave-one-out:family" do.

    Raises:
        UserError: If there are not two families, or none has two classifiers.
    """
    families = registry.families
    held = {name: own for name, own in families.items() if len(own) > 1}
    if len(families) < 2 or not held:
        counts = {name: len(classifiers) for name, classifiers in families.items()}
        raise UserError(
            "To hold classifiers out, two families or more are needed, and one of them "
            f"with two classifiers or more. Received: {counts}."
        )
    table = family_outputs.make_table(registry.families)
    split = f"{splits.LEAVE_ONE_OUT}:{FAMILY}"
    folds = []
    for fold in range(seed * num_folds, (seed + 1) * num_folds):
        held_out = splits.make_split(registry.classifiers, split, table, fold).test_ids
        folds.append([c for c in registry.classifiers if c.name in held_out])
    return folds


def guess_held_out(
    metamodels: Sequence[str],
    outputs: FamilyOutputs,
    registry: Registry,
    query_counts: Sequence[int],
    *,
    num_folds: int,
    num_draws: int,
    seed: int,
) -> list[Guess]:
    """Has metamodels name classifiers that are held out.

    Args:
        metamodels: Some of `configs.family_prediction.METAMODELS`.
        outputs: Of all classifiers.
        registry: The families.
        query_counts: Numbers of queries, for the curve.
        num_folds: Times that one classifier of each family is held out.
        num_draws: Times that queries are drawn for each fold.
        seed: Root seed.

    Returns:
        A guess for each metamodel, number of queries, fold, draw and classifier that is
        held out.

    Raises:
        UserError: If there are too few images, families or classifiers.
    """
    folds = make_folds(registry, num_folds, seed)
    namer = _Namer(outputs, registry, seed)
    guesses = []
    for fold, held_out in enumerate(folds):
        for draw in range(num_draws):
            for count in query_counts:
                queries = draw_queries(len(outputs.labels), count, seed, fold, draw)
                for metamodel in metamodels:
                    named = namer.name(metamodel, held_out, queries)
                    guesses += [
                        Guess(
                            metamodel=metamodel,
                            num_queries=count,
                            fold=fold,
                            draw=draw,
                            classifier=classifier,
                            family=family,
                        )
                        for classifier, family in zip(held_out, named, strict=True)
                    ]
    return guesses


def predict_left_out(
    metamodel: str,
    outputs: FamilyOutputs,
    registry: Registry,
    targets: Sequence[FamilyClassifier],
    num_queries: int,
    seed: int,
) -> dict[FamilyClassifier, list[str]]:
    """Names the family of each target by a metamodel that has not seen it.

    Args:
        metamodel: One of `configs.family_prediction.METAMODELS`.
        outputs: Of all classifiers.
        registry: The families.
        targets: Some classifiers of families with two or more; others are passed over.
        num_queries: Number of queries; all images if there are fewer.
        seed: Root seed.

    Returns:
        For each target, the families named, one for each of `NUM_DRAWS` draws of
        queries; of draws of the same images, there is one.
    """
    namer = _Namer(outputs, registry, seed)
    num_images = len(outputs.labels)
    count = min(num_queries, num_images)
    different: dict[tuple[int, ...], IntArray] = {}
    for draw in range(NUM_DRAWS):
        queries = draw_queries(num_images, count, seed, draw)
        different.setdefault(tuple(sorted(queries)), queries)
    named: dict[FamilyClassifier, list[str]] = {}
    for target in targets:
        if len(registry.families) > 1 and len(registry.families[target.family]) > 1:
            named[target] = [
                family
                for queries in different.values()
                for family in namer.name(metamodel, [target], queries)
            ]
    return named


def predict(
    metamodel: str,
    outputs: FamilyOutputs,
    registry: Registry,
    probabilities: npt.NDArray[np.float32],
    num_queries: int,
    seed: int,
) -> dict[str, float]:
    """Scores the families for a black box.

    Args:
        metamodel: One of `configs.family_prediction.METAMODELS`.
        outputs: Of all classifiers, which are trained on.
        registry: The families.
        probabilities: Of the black box for all images, `(images, classes)`.
        num_queries: Number of queries; all images if there are fewer.
        seed: Root seed.

    Returns:
        Score of each family, comparable with each other only.
    """
    num_images = len(outputs.labels)
    queries = draw_queries(num_images, min(num_queries, num_images), seed)
    classifiers = registry.classifiers
    products = family_metamodels.products_of(
        outputs, [c.name for c in classifiers], queries, probabilities[queries]
    )
    names = list(registry.families)
    labels = np.array([*(names.index(c.family) for c in classifiers), -1])
    [scores] = family_metamodels.score_families(
        metamodel,
        products.sum(axis=0),
        np.arange(len(classifiers)),
        np.array([len(classifiers)]),
        labels,
        len(names),
        seed,
    )
    return dict(zip(names, map(float, scores), strict=True))


class _Namer:
    """Trains metamodels on all classifiers but some, and names these."""

    def __init__(self, outputs: FamilyOutputs, registry: Registry, seed: int):
        self._classifiers = registry.classifiers
        self._families = list(registry.families)
        self._labels = np.array(
            [self._families.index(c.family) for c in self._classifiers]
        )
        self._products = family_metamodels.products_of(
            outputs, [c.name for c in self._classifiers]
        )
        self._seed = seed

    def name(
        self, metamodel: str, held_out: Sequence[FamilyClassifier], queries: IntArray
    ) -> list[str]:
        """Returns the families named."""
        is_held = np.array([classifier in held_out for classifier in self._classifiers])
        test = np.array(
            [self._classifiers.index(classifier) for classifier in held_out]
        )
        [train] = np.nonzero(~is_held)
        scores = family_metamodels.score_families(
            metamodel,
            self._products[queries].sum(axis=0),
            train,
            test,
            self._labels,
            len(self._families),
            derive_seed(self._seed, "family metamodel", *map(int, queries[:8])),
        )
        return [self._families[place] for place in scores.argmax(axis=1)]
