"""Packages of zoos: what a zoo's classifiers answered, small enough to be passed on.

    package_dir/
      package.json     what it was made from, and how; written last
      README.md        the same for people
      natural/         query outputs: natural queries, those that tell most first
      crafted/         query outputs: queries of kennen-io; if any were crafted
      kennen-i/        an exported metamodel; if it was made
      strangers.npz    what classifiers that are no networks answer; if any were asked
      zoo/             the zoo's settings and manifest, without its classifiers

`--query_dir` takes the folder of a package for its natural queries, and the name of one
that comes with this project: mnist_net, wild_net, mnist_net/crafted. `packaging/` makes
them.
"""

import dataclasses
import functools
import os
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

SCHEMA_VERSION = 1
KIND = "package of a zoo"
PACKAGE_NAME = "package.json"
README_NAME = "README.md"
NATURAL, CRAFTED, KENNEN_I, ZOO = "natural", "crafted", "kennen-i", "zoo"
STRANGERS_NAME = "strangers.npz"
# Those that come with this project, and what their worlds are.
MNIST_NET, WILD_NET = "mnist_net", "wild_net"
SHIPPED = {
    MNIST_NET: "the paper's world: convolutional networks of one design, with 2 to 4 "
    "convolutions",
    WILD_NET: "digit classifiers as people publish them: perceptrons, and networks of "
    "1 to 4 convolutions",
}

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
    def prior(self) -> float:
        """How far what is common in the zoo is named sooner; see `KernelRecipe`."""
        # Of before this could be said, not at all.
        return float(self.description["config"].get("prior", 0.0))

    @property
    def has_crafted(self) -> bool:
        """Whether there are answers to crafted queries."""
        return (self.folder / CRAFTED).is_dir()

    def load_strangers(self, part: str) -> npt.NDArray[np.float32] | None:
        """Loads what classifiers that are no networks answer; None if none were asked.

        Args:
            part: `NATURAL` or `CRAFTED`.

        Returns:
            Log-probabilities, `(strangers, queries, classes)`.

        Raises:
            UserError: If the file is damaged.
        """
        path = self.folder / STRANGERS_NAME
        if not path.exists():
            return None
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                return np.asarray(stored[part], np.float32)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{path} is damaged: {error}. Make the package again with "
                f"`{_MAKE_WITH}`, or install it again."
            ) from error

    @property
    def zoo_dir(self) -> pathlib.Path:
        """What is there of its zoo: all but the classifiers."""
        return self.folder / ZOO


def find_package(name: artifacts.Path) -> Package | None:
    """Finds a package by its folder, or by the name of one that comes with us."""
    text = os.fspath(name).rstrip("/")
    folders = [pathlib.Path(text)]
    if text in SHIPPED:
        folders.append(_DATA / text)
    for folder in folders:
        if (folder / PACKAGE_NAME).is_file():
            return Package(name=text, folder=folder)
    return None


def is_shipped(name: artifacts.Path) -> bool:
    """Whether a metamodel or query outputs are of a package that comes with us."""
    return os.fspath(name).partition("/")[0] in SHIPPED


def say_world(name: artifacts.Path) -> str:
    """Returns of which world a metamodel is, e.g. for "wild_net/kennen-s".

    Args:
        name: Of a package, of a metamodel of one, or of anything else; "": unknown.
    """
    text = os.fspath(name).rstrip("/")
    world = SHIPPED.get(text.partition("/")[0])
    if world is not None:
        return f"Read by {text}: of {world}."
    return f"Read by {text}." if text else ""


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
