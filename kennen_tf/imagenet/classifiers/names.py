"""Names of classifiers and families: read without regard to case and signs."""

import collections
import difflib
import re
from collections.abc import Iterable

from kennen_tf.imagenet.classifiers.family_classifier import Families
from kennen_tf.vocabulary.errors import UserError


def check_names(families: Families) -> None:
    """Raises `UserError` if two classifiers, or two families, answer to one name."""
    classifiers = [
        classifier.name
        for classifiers in families.values()
        for classifier in classifiers
    ]
    for what, names in (("classifiers", classifiers), ("families", list(families))):
        by_key = collections.defaultdict(list)
        for name in names:
            by_key[to_key(name)].append(name)
        for same in by_key.values():
            if len(same) > 1:
                raise UserError(
                    f"Names of {what} must differ in more than case and signs. "
                    f"Received: {listed(same)}. Rename all but one."
                )


def to_key(name: str) -> str:
    """Returns what equal names have in common."""
    return re.sub(r"[-_.\s]", "", name).lower()


def listed(names: Iterable[str]) -> str:
    """Returns names for a message."""
    return ", ".join(names)


def suggest(name: str, names: Iterable[str]) -> str:
    """Returns a question with the names most like `name`, or nothing."""
    by_key = {to_key(known): known for known in names}
    nearest = difflib.get_close_matches(to_key(name), by_key, n=3)
    if not nearest:
        return ""
    return f" Did you mean {' or '.join(by_key[key] for key in nearest)}?"
