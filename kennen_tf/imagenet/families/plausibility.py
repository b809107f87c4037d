"""Says when classifiers err on clean images as often as chance: something is wrong.

Then families may still be named and AIPs made, but neither means anything.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from absl import logging

from kennen_tf.evaluation.printing import percent
from kennen_tf.imagenet.attacks import grading
from kennen_tf.imagenet.classifiers.family_classifier import FamilyClassifier
from kennen_tf.imagenet.families import family_outputs
from kennen_tf.imagenet.families.family_outputs import FamilyOutputs
from kennen_tf.images.image_set import ImageSet
from kennen_tf.vocabulary import artifacts

# Parts of the way from chance to always right. With labels off by one, classifiers of
# ImageNet are right for up to 4% of images, as neighbouring classes are alike: that is
# 40 times chance, but not a tenth of the way.
_NEAR = 0.1
_FITTING = 0.25
_PLAUSIBLE = 0.5


def is_near_chance(accuracy: float, count: int, num_classes: int) -> bool:
    """Says whether so few right answers are implausible.

    They are if they come to less than a tenth of the way from chance to 1, and if, by
    the 95% interval of Wilson, even half of it is too much. So four wrong answers of
    four are, but three of three say nothing, and a weak classifier is not called out.

    Args:
        accuracy: Share of images that are classified rightly.
        count: Number of images.
        num_classes: Number of classes, for chance.
    """
    is_wrong = np.arange(count) >= round(accuracy * count)
    interval = grading.make_rate(is_wrong).interval
    if interval is None:
        return False
    highest = 1 - interval[0]
    near = _part_of_the_way(_NEAR, num_classes)
    return accuracy <= near and highest < _part_of_the_way(_PLAUSIBLE, num_classes)


def collect(
    classifiers: Sequence[FamilyClassifier],
    images: ImageSet,
    folder: artifacts.Path,
    batch_size: int,
) -> tuple[FamilyOutputs, list[str]]:
    """Collects outputs as `family_outputs.collect`, and looks at their accuracy.

    The first classifier is looked at before the others, so that what is wrong with all
    is known soon.

    Returns:
        The outputs, and sentences for tables and results that were warned of already.
    """

    def check_first(first: FamilyOutputs) -> None:
        if len(classifiers) > 1:
            check_classifiers(classifiers[:1], first)

    outputs = family_outputs.collect(
        classifiers, images, folder, batch_size, check_first
    )
    return outputs, check_classifiers(classifiers, outputs)


def check_classifiers(
    classifiers: Sequence[FamilyClassifier], outputs: FamilyOutputs
) -> list[str]:
    """Warns of classifiers near chance; returns the same as sentences, if any."""
    count = len(outputs.labels)
    near = [
        classifier
        for classifier in classifiers
        if is_near_chance(
            outputs.accuracy[classifier.name], count, classifier.num_classes
        )
    ]
    if not near:
        return []
    errors = sorted(1 - outputs.accuracy[classifier.name] for classifier in near)
    rates = " to ".join(dict.fromkeys(map(percent, (errors[0], errors[-1]))))
    names = ", ".join(classifier.name for classifier in near)
    text = f"Near chance: clean error is {rates}% of {count} images for {names}"
    if len(near) < len(classifiers):
        return _warn(
            f"{text}, not for the others. Likely causes: wrong weights, wrong pixels "
            "in the manifest, or classes in another order."
        )
    causes = _causes("the classifiers'", "they take (pixels in the manifest)")
    shift = _find_shift(outputs.probabilities[near[0].name], outputs.labels)
    return _warn(f"{text}, all that were asked. {causes}{shift}")


def check_black_box(
    probabilities: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int32]
) -> list[str]:
    """Warns if a black box is near chance; returns the same as a sentence, if it is.

    Args:
        probabilities: What it answered for clean images, `(n, classes)`.
        labels: Their true classes, `(n,)`.
    """
    accuracy = float(np.mean(grading.rank_labels(probabilities, labels) == 0))
    count, num_classes = probabilities.shape
    if not is_near_chance(accuracy, count, num_classes):
        return []
    return _warn(
        f"Near chance: clean error is {percent(1 - accuracy)}% of {count} images for "
        f"the black box. {_causes('its own', 'it takes (--pixels)')}"
        f"{_find_shift(probabilities, labels)}"
    )


def _causes(classes: str, pixels: str) -> str:
    return (
        "Likely causes: labels that are numbered from 1, shifted, or of other classes "
        f"than {classes}; pixels in another range than {pixels}; images of other "
        "classes."
    )


def _find_shift(
    probabilities: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int32]
) -> str:
    """Returns a sentence if labels that are one less, or more, would fit."""
    num_classes = probabilities.shape[1]
    for shift, words in ((-1, "less"), (1, "more")):
        moved = labels + shift
        is_class = (moved >= 0) & (moved < num_classes)
        if not is_class.any():
            continue
        ranks = grading.rank_labels(probabilities[is_class], moved[is_class])
        accuracy = float(np.mean(ranks == 0))
        if accuracy > _part_of_the_way(_FITTING, num_classes):
            return f" With labels one {words}, it is {percent(1 - accuracy)}%."
    return ""


def _part_of_the_way(part: float, num_classes: int) -> float:
    """Returns the accuracy at a part of the way from chance to 1."""
    chance = 1 / num_classes
    return chance + part * (1 - chance)


def _warn(text: str) -> list[str]:
    logging.warning("%s", text)
    return [text]
