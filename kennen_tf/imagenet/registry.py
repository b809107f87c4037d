"""The families of classifiers that a user chose, and finding members by name."""

import collections
import dataclasses
import difflib
import pathlib
import re
from collections.abc import Collection, Iterable, Sequence

from kennen_tf.configs.imagenet import KERAS_APPLICATIONS, PAPER
from kennen_tf.errors import UserError
from kennen_tf.imagenet.members import Member

Families = dict[str, tuple[Member, ...]]


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

    def find(self, name: str) -> Member:
        """Returns the member of that name.

        Raises:
            UserError: If there is none.
        """
        by_key = {_key(member.name): member for member in self.members}
        if _key(name) in by_key:
            return by_key[_key(name)]
        for family, members in self.families.items():
            if _key(family) == _key(name):
                raise UserError(
                    f"One classifier must be named. Received: {name!r}, a family. Its "
                    f"members are {_listed(member.name for member in members)}."
                )
        names = [member.name for member in self.members]
        raise UserError(
            f"A classifier must be one of {_listed(names)}. Received: {name!r}."
            f"{_suggest(name, names)}"
        )

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
        known = {_key(family): members for family, members in self.families.items()}
        known |= {_key(member.name): (member,) for member in self.members}
        found: dict[str, Member] = {}
        for name in names:
            if _key(name) not in known:
                members = [member.name for member in self.members]
                raise UserError(
                    f"A classifier or a family must be named: one of "
                    f"{_listed(members)}, or of the families {_listed(self.families)}. "
                    f"Received: {name!r}.{_suggest(name, [*members, *self.families])}"
                )
            found |= {member.name: member for member in known[_key(name)]}
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


def check_names(families: Families) -> None:
    """Raises `UserError` if two members, or two families, answer to one name."""
    members = [member.name for members in families.values() for member in members]
    for what, names in (("classifiers", members), ("families", list(families))):
        by_key = collections.defaultdict(list)
        for name in names:
            by_key[_key(name)].append(name)
        for same in by_key.values():
            if len(same) > 1:
                raise UserError(
                    f"Names of {what} must differ in more than case and signs. "
                    f"Received: {_listed(same)}. Rename all but one."
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
        from kennen_tf.imagenet import keras_applications

        return Registry(keras_applications.keras_families(weights_dir))
    if classifiers == PAPER:
        from kennen_tf.imagenet import paper_classifiers

        return Registry(paper_classifiers.paper_families(weights_dir))
    from kennen_tf.imagenet import manifest

    path = pathlib.Path(classifiers).expanduser()
    if path.is_dir():
        path = path / manifest.MANIFEST_NAME
    if not path.exists():
        hint = _suggest(classifiers, [KERAS_APPLICATIONS, PAPER])
        raise UserError(
            f"--classifiers must be {KERAS_APPLICATIONS}, {PAPER} or the path of a "
            f"{manifest.MANIFEST_NAME}. Received: {classifiers}, and there is no such "
            f"file.{hint}"
        )
    return Registry(manifest.open_manifest(path))


def _key(name: str) -> str:
    return re.sub(r"[-_.\s]", "", name).lower()


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _suggest(name: str, names: Iterable[str]) -> str:
    """Returns a question with the names most like `name`, or nothing."""
    by_key = {_key(known): known for known in names}
    nearest = difflib.get_close_matches(_key(name), by_key, n=3)
    if not nearest:
        return ""
    return f" Did you mean {' or '.join(by_key[key] for key in nearest)}?"
