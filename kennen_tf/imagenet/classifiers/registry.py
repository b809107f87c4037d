"""The families of classifiers that a user chose, and finding members by name."""

import dataclasses
import pathlib
from collections.abc import Collection, Sequence

from kennen_tf.configs.imagenet import KERAS_APPLICATIONS, PAPER
from kennen_tf.imagenet.classifiers.members import Families, Member
from kennen_tf.imagenet.classifiers.names import check_names, listed, suggest, to_key
from kennen_tf.vocabulary.errors import UserError


@dataclasses.dataclass(frozen=True)
class Registry:
    """Families with their members.

    Names are matched without regard to case, "-", "_" and ".": "EfficientNetV2B0" finds
    "efficientnet_v2_b0".

    Attributes:
        families: Members of each family; the order is fixed.
    """

    families: Families

    def __post_init__(self) -> None:
        check_names(self.families)

    @property
    def members(self) -> tuple[Member, ...]:
        """The members of all families, family by family."""
        return tuple(member for family in self.families.values() for member in family)

    def select(self, names: Sequence[str]) -> tuple[Member, ...]:
        """Returns members by their names, or by those of their families.

        Args:
            names: A member's name stands for it, and a family's for all its members; a
                member's goes first where both have the same.

        Returns:
            Each member once, in the order of `names`.

        Raises:
            UserError: If a name is neither.
        """
        known = {to_key(family): members for family, members in self.families.items()}
        known |= {to_key(member.name): (member,) for member in self.members}
        found: dict[str, Member] = {}
        for name in names:
            if to_key(name) not in known:
                members = [member.name for member in self.members]
                raise UserError(
                    f"A classifier or a family must be named: one of "
                    f"{listed(members)}, or of the families {listed(self.families)}. "
                    f"Received: {name!r}.{suggest(name, [*members, *self.families])}"
                )
            found |= {member.name: member for member in known[to_key(name)]}
        return tuple(found.values())

    def without(self, identities: Collection[str]) -> "Registry":
        """Returns the registry less some classifiers, and families left empty.

        Args:
            identities: Of what is left out. A SHA-256 alone leaves out its file however
                it is used (`Member.content`), and a `Member.twin` whatever has the same
                layers and weights.
        """
        left_out = {*identities} - {""}
        families = {
            family: tuple(
                member
                for member in members
                if not left_out & {member.identity, member.content, member.twin}
            )
            for family, members in self.families.items()
        }
        return Registry(
            {name: members for name, members in families.items() if members}
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
