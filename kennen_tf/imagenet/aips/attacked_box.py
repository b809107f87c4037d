"""A black box that is attacked: what is known of it, and who generates against it."""

import pathlib
from typing import Any

from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.imagenet.aips import generator_sets
from kennen_tf.imagenet.aips.generator_sets import Pairing
from kennen_tf.imagenet.classifiers.family_classifier import FamilyClassifier
from kennen_tf.imagenet.classifiers.registry import Registry
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import store


def identify(where: str) -> str:
    """Returns text that changes when a black box may: the SHA-256 of its file.

    A classifier with this SHA-256 is the black box itself. A SavedModel has the
    fingerprint of its files, and of a function only the name is known.
    """
    path = pathlib.Path(where)
    return store.fingerprint_of(path) if path.exists() else where


def find_image_size(box: BlackBox, wanted: int, registry: Registry) -> int:
    """Returns the side of the images to send.

    Args:
        box: Takes images of one size, or of any.
        wanted: What the side should be; 0: what the black box takes, or the largest
            input size of the classifiers if it takes any.
        registry: The classifiers.

    Raises:
        UserError: If it takes no square images, or others than wanted.
    """
    sides = {side for side in box.image_shape[:2] if side}
    if len(sides) > 1:
        raise UserError(
            f"A black box must take square images. Received: {box.name}, which takes "
            f"{box.image_shape}."
        )
    if not sides:
        return wanted or max(
            classifier.image_size for classifier in registry.classifiers
        )
    [side] = sides
    if wanted not in (0, side):
        raise UserError(
            f"--image_size must be that of the black box, {side}, or left out. "
            f"Received: image_size={wanted}."
        )
    return side


def pair(
    registry: Registry,
    predicted: str,
    *,
    compare: bool,
    every_family: bool = False,
    seed: int,
) -> list[Pairing]:
    """Returns who generates against a black box.

    Args:
        registry: The classifiers at hand.
        predicted: The family predicted for it, which generates.
        compare: Whether one classifier of each family does as well, for who does not
            know the family.
        every_family: Whether all others do in turn, for who takes it for another.
        seed: Decides which classifiers these are.
    """
    target = FamilyClassifier(
        family=f"{predicted} (predicted)",
        name="black box",
        image_size=0,
        num_classes=registry.classifiers[0].num_classes,
        identity="",
        opener=_refuse,
    )
    others = [f for f in registry.families if every_family and f != predicted]
    pairings = [
        Pairing(target, family, generator_sets.make_set(registry.families[family]))
        for family in (predicted, *others)
    ]
    if compare:
        each = generator_sets.one_of_each(registry, [], seed)
        pairings.append(Pairing(target, generator_sets.ONE_OF_EACH, each))
    return pairings


def _refuse() -> Any:
    raise RuntimeError("A black box is never opened.")
