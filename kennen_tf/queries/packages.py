"""Packages of zoos: what a zoo's classifiers answered, small enough to be passed on.

    package_dir/
      package.json     what it was made from, and how; written last
      README.md        the same for people
      natural/         query outputs: natural queries, those that tell most first
      crafted/         query outputs: queries of kennen-io; if any were crafted
      kennen-i/        an exported metamodel; if it was made
      zoo/             the zoo's settings and manifest, without its classifiers

`--query_dir` takes the folder of a package for its natural queries, and the name of one
that comes with this project: mnist_net, mnist_net/crafted. `packaging/` makes them.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

SCHEMA_VERSION = 1
KIND = "package of a zoo"
PACKAGE_NAME = "package.json"
README_NAME = "README.md"
NATURAL, CRAFTED, KENNEN_I, ZOO = "natural", "crafted", "kennen-i", "zoo"
MNIST_NET = "mnist_net"

_DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
_MAKE_WITH = "python -m kennen_tf.package_zoo --package_dir=..."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Package:
    """A package that is there.

    Attributes:
        name: As it was named.
        folder: Where it is.
    """

    name: str
    folder: pathlib.Path

    @functools.cached_property
    def description(self) -> Mapping[str, Any]:
        """What package.json says.

        Raises:
            UserError: If it is damaged, or of another schema version.
        """
        path = self.folder / PACKAGE_NAME
        stored = artifacts.read_json(path, wanted=KIND, make_with=_MAKE_WITH)
        if not isinstance(stored, dict) or stored.get("kind") != KIND:
            raise UserError(
                f"{path} must be of a package of a zoo. Make one with `{_MAKE_WITH}`."
            )
        artifacts.check_schema(stored, SCHEMA_VERSION, path)
        return stored

    @property
    def has_crafted(self) -> bool:
        """Whether there are answers to crafted queries."""
        return (self.folder / CRAFTED).is_dir()

    @property
    def zoo_dir(self) -> pathlib.Path:
        """What is there of its zoo: all but the classifiers."""
        return self.folder / ZOO


def find_package(name: artifacts.Path) -> Package | None:
    """Finds a package by its folder, or by the name of one that comes with us."""
    text = os.fspath(name).rstrip("/")
    folders = [pathlib.Path(text)]
    if text == MNIST_NET:
        folders.append(_DATA / MNIST_NET)
    for folder in folders:
        if (folder / PACKAGE_NAME).is_file():
            return Package(name=text, folder=folder)
    return None


def split_name(name: artifacts.Path) -> tuple[Package | None, str]:
    """Finds the package of e.g. "mine/crafted", and what of it is named."""
    head, _, tail = os.fspath(name).rstrip("/").rpartition("/")
    return find_package(head) if head else None, tail


def find_outputs(query_dir: artifacts.Path) -> pathlib.Path | None:
    """Returns the folder of a package's query outputs.

    Args:
        query_dir: A package, for its natural queries, or one and "/natural" or
            "/crafted".

    Returns:
        None if it is none of these.

    Raises:
        UserError: If the package has no crafted queries.
    """
    if package := find_package(query_dir):
        return package.folder / NATURAL
    found, part = split_name(query_dir)
    if found is None or part not in (NATURAL, CRAFTED):
        return None
    if part == CRAFTED and not found.has_crafted:
        raise UserError(
            f"The package {found.name} has answers to natural queries only. Received: "
            f"{query_dir}. Take {found.name}, or make the package again with "
            "--num_crafted."
        )
    return found.folder / part
