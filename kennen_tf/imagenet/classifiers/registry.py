"""The families of classifiers that a user chose, and finding classifiers by name."""

import dataclasses
import pathlib
from collections.abc import Collection, Sequence

from kennen_tf.configs.imagenet import KERAS_APPLICATIONS, PAPER
from kennen_tf.imagenet.classifiers.family_classifier import Families, FamilyClassifier
from kennen_tf.imagenet.classifiers.names import check_names, listed, suggest, to_key
from kennen_tf.vocabulary.errors import UserError


@dataclasses.dataclass(frozen=True)
class Registry:
    """Families with their classifiers.

    Names are matched without regard to case, "-", "_" and ".": "EfficientNetV2B0" finds
    "efficientnet_v2_b0".

    Attributes:
        families: Classifiers of each family; the order is fixed.
    """

    families: Families

    def __post_init__(self) -> None:
        check_names(self.families)

    @property
    def classifiers(self) -> tuple[FamilyClassifier, ...]:
        """The classifiers of all families, family by family."""
        return tuple(
            classifier for family in self.families.values() for classifier in family
        )

    def select(self, names: Sequence[str]) -> tuple[FamilyClassifier, ...]:
        """Returns classifiers by their names, or by those of their families.

        Args:
            names: A classifier's name stands for it, and a family's for all of it; a
                classifier's goes first where both have the same.

        Returns:
            Each classifier once, in the order of `names`.

        Raises:
            UserError: If a name is neither.
        """
        known = {
            to_key(family): classifiers for family, classifiers in self.families.items()
        }
        known |= {
            to_key(classifier.name): (classifier,) for classifier in self.classifiers
        }
        found: dict[str, FamilyClassifier] = {}
        for name in names:
            if to_key(name) not in known:
                all_names = [classifier.name for classifier in self.classifiers]
                raise UserError(
                    f"A classifier or a family must be named: one of "
                    f"{listed(all_names)}, or of the families {listed(self.families)}. "
                    f"Received: {name!r}.{suggest(name, [*all_names, *self.families])}"
                )
            found |= {classifier.name: classifier for classifier in known[to_key(name)]}
        return tuple(found.values())

    def without(self, identities: Collection[str]) -> "Registry":
        """Returns the registry less some classifiers, and families left empty.

        Args:
            identities: Of what is left out. A SHA-256 alone leaves out its file however
                it is used (`FamilyClassifier.content`), and a `FamilyClassifier.twin`
                whatever has the same layers and weights.
        """
        left_out = {*identities} - {""}
        families = {
            family: tuple(
                classifier
                for classifier in classifiers
                if not left_out
                & {classifier.identity, classifier.content, classifier.twin}
            )
            for family, classifiers in self.families.items()
        }
        return Registry(
            {name: classifiers for name, classifiers in families.items() if classifiers}
        )


def open_registry(classifiers: str, weights_dir: str = "") -> Registry:
    """Opens the families that a user named; classifiers are opened later, one by one.

    Args:
        classifiers: "keras_applications", "paper", or the path of a manifest.json or of
            the folder that it is in.
        weights_dir: Folder that weights are looked for in; "" for Keras's own cache.
            A manifest names its files itself.

    Raises:
        UserError: If there is no such thing, or it is not as it should be.
    """
    # Here, since each loads Keras, and only one is needed.
    if classifiers == KERAS_APPLICATIONS:
        from kennen_tf.imagenet.classifiers import keras_applications

        return Registry(keras_applications.keras_families(weights_dir))
    if classifiers == PAPER:
        from kennen_tf.imagenet.classifiers import paper_classifiers

        return Registry(paper_classifiers.paper_families(weights_dir))
    from kennen_tf.imagenet.classifiers import manifest

    path = pathlib.Path(classifiers).expanduser()
    if path.is_dir():
        path = path / manifest.MANIFEST_NAME
    if not path.exists():
        hint = suggest(classifiers, [KERAS_APPLICATIONS, PAPER])
        raise UserError(
            f"--classifiers must be {KERAS_APPLICATIONS}, {PAPER} or the path of a "
            f"{manifest.MANIFEST_NAME}. Received: {classifiers}, and there is no such "
            f"file.{hint}"
        )
    return Registry(manifest.open_manifest(path))
