"""Who generates AIPs against whom: one set of generators, or all of the paper's.

Within a family, all classifiers but the target generate; across families, as many of
the other family; "one of each" takes a classifier of every family, never the target
(paper, section 4).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from kennen_tf.imagenet.classifiers.family_classifier import FamilyClassifier
from kennen_tf.imagenet.classifiers.registry import Registry
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.seeds import derive_seed

# Names of generators that are no family's.
ITSELF = "the target itself"
ONE_OF_EACH = "one of each"

_LONGEST_NAME = 80  # Of a folder.


@dataclasses.dataclass(frozen=True)
class GeneratorSet:
    """Classifiers that make AIPs together.

    Attributes:
        classifiers: Who they are, sorted by name; at least one.
    """

    classifiers: tuple[FamilyClassifier, ...]

    @property
    def name(self) -> str:
        """What names them, and their folder: "resnet50+resnet101"."""
        names = "+".join(classifier.name for classifier in self.classifiers)
        if len(names) <= _LONGEST_NAME:
            return names
        digits = artifacts.fingerprint(names)
        return f"{names[: _LONGEST_NAME - 20]}...{digits}"


@dataclasses.dataclass(frozen=True)
class Pairing:
    """A target and those who generate against it.

    Attributes:
        target: Who is attacked.
        generated_on: What tables call the generators: a family's name, `ITSELF`,
            `ONE_OF_EACH` or their own names.
        generators: Who generates.
    """

    target: FamilyClassifier
    generated_on: str
    generators: GeneratorSet


def make_set(classifiers: Sequence[FamilyClassifier]) -> GeneratorSet:
    """Returns the set of some classifiers, each once."""
    return GeneratorSet(
        tuple(sorted(set(classifiers), key=lambda classifier: classifier.name))
    )


def pair_all(registry: Registry, seed: int) -> list[Pairing]:
    """Pairs every classifier with every family, itself and one of each family.

    A family whose only classifier is the target has no generators against it.

    Args:
        registry: The families.
        seed: Decides which classifiers generate where not all do.
    """
    pairings = []
    for family, classifiers in registry.families.items():
        for target in classifiers:
            count = max(len(classifiers) - 1, 1)
            for other, candidates in registry.families.items():
                others = [
                    classifier for classifier in candidates if classifier != target
                ]
                if not others:
                    continue
                if other != family:
                    others = _draw(others, count, derive_seed(seed, "across", other))
                pairings.append(Pairing(target, other, make_set(others)))
            each = one_of_each(registry, [target], seed)
            pairings.append(Pairing(target, ONE_OF_EACH, each))
            pairings.append(Pairing(target, ITSELF, make_set([target])))
    return pairings


def one_of_each(
    registry: Registry, excluded: Sequence[FamilyClassifier], seed: int
) -> GeneratorSet:
    """Returns a set with one classifier of every family that is not excluded."""
    chosen: list[FamilyClassifier] = []
    for family, classifiers in registry.families.items():
        drawn = _draw(classifiers, len(classifiers), derive_seed(seed, "each", family))
        chosen += [classifier for classifier in drawn if classifier not in excluded][:1]
    return make_set(chosen)


def distinct_sets(pairings: Sequence[Pairing]) -> list[GeneratorSet]:
    """Returns the sets of some pairings, each once, in order of appearance."""
    return list(dict.fromkeys(pairing.generators for pairing in pairings))


def _draw(
    classifiers: Sequence[FamilyClassifier], count: int, seed: int
) -> list[FamilyClassifier]:
    """Returns `count` classifiers, or all, in an order that the seed decides."""
    order = np.random.default_rng(seed).permutation(len(classifiers))
    return [classifiers[i] for i in order[:count]]
