"""Ready metamodels: exported ones that need no training, by the name of a package.

`--metamodel=mnist_net/kennen-s` is solved for from what the package of that name holds,
once, and kept in the user's cache; so is mine/kennen-s, of a package in a folder. Each
level of precision is solved for when a black box first needs it, which rounds its
answers.
"""

import dataclasses
import os
import pathlib

from absl import logging

from kennen_tf.queries import packages
from kennen_tf.queries.packages import Package
from kennen_tf.revealing import cache, exporting
from kennen_tf.revealing.exported_metamodel import CONFIG_NAME, ExportedMetamodel
from kennen_tf.revealing.solved_readers import READERS, Level, Solving
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

# What decides how a model is solved for and saved.
_LIBRARIES = ("kennen_tf", "keras", "tensorflow")


def open_metamodel(name: artifacts.Path) -> ExportedMetamodel:
    """Opens an exported metamodel by its folder, or a ready one by its name.

    Raises:
        UserError: If there is none, or it is damaged or of another version.
    """
    ready = find(name)
    if ready is None:
        return ExportedMetamodel.load(name)
    if ready.kind not in READERS:
        opened = ExportedMetamodel.load(ready.package.folder / ready.kind)
        return dataclasses.replace(opened, name=ready.name)
    return ready.open()


def find(name: artifacts.Path) -> "ReadyMetamodel | None":
    """Finds a ready metamodel; None if the name is not one of a package's.

    A folder with an exported metamodel is that one, whatever its name.

    Raises:
        UserError: If the package has none of this name.
    """
    package = packages.find_package(name)
    kind = ""
    if package is None:
        package, kind = packages.split_name(name)
    is_exported = (pathlib.Path(name) / CONFIG_NAME).exists()
    if package is None or (is_exported and kind != packages.KENNEN_I):
        return None
    there = list_kinds(package)
    if kind not in there:
        names = ", ".join(f"{package.name}/{own}" for own in there)
        raise UserError(
            f"Of the package {package.name}, there are the metamodels {names}. "
            f"Received: {os.fspath(name)}."
        )
    return ReadyMetamodel(package=package, kind=kind)


def list_kinds(package: Package) -> list[str]:
    """Returns the names of a package's metamodels."""
    kinds = [
        kind for kind, own in READERS.items() if (package.folder / own.part).is_dir()
    ]
    if (package.folder / packages.KENNEN_I).is_dir():
        kinds.insert(1 + kinds.index("kennen-io"), packages.KENNEN_I)
    return kinds


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadyMetamodel:
    """A metamodel of a package.

    Attributes:
        package: Which.
        kind: Name of one of `READERS`, or `packages.KENNEN_I`.
    """

    package: Package
    kind: str

    @property
    def name(self) -> str:
        return f"{self.package.name}/{self.kind}"

    def __str__(self) -> str:
        return self.name

    def open(self) -> ExportedMetamodel:
        """Opens it; the first time, it is solved for. Not for kennen-i."""
        solving = Solving(self.package, self.kind)
        finest = self._open_level(solving, 0)
        if READERS[self.kind].num_levels == 1:
            return finest
        return dataclasses.replace(
            finest, find_coarser=lambda level: self._open_level(solving, level)
        )

    def export(self, export_dir: artifacts.Path, *, overwrite: bool) -> pathlib.Path:
        """Writes it as a whole, with all levels, to a folder of the user's own.

        Raises:
            UserError: If the folder holds something that is not to be replaced.
        """
        if self.kind not in READERS:
            return exporting.copy(
                self.package.folder / self.kind, export_dir, overwrite=overwrite
            )
        solving = Solving(self.package, self.kind)
        levels = [solving.solve(n) for n in range(READERS[self.kind].num_levels)]
        return self._write(solving, levels, export_dir, overwrite=overwrite)

    def _open_level(self, solving: Solving, level: int) -> ExportedMetamodel:
        name = self._folder_name(solving, level)

        def make(folder: pathlib.Path) -> None:
            precision = " for coarser answers" if level else ""
            logging.info(
                "Solving for %s%s; it is kept in %s.", self.name, precision, folder
            )
            verbosity = logging.get_verbosity()
            # TensorFlow tells in detail how it saves.
            logging.set_verbosity(logging.WARNING)
            try:
                self._write(solving, [solving.solve(level)], folder)
            finally:
                logging.set_verbosity(verbosity)

        folder = cache.keep(name, make)
        try:
            opened = ExportedMetamodel.load(folder)
        except UserError:  # A full disk, or somebody cleaned up in it.
            cache.forget(folder)
            opened = ExportedMetamodel.load(cache.keep(name, make))
        return dataclasses.replace(opened, name=self.name)

    def _folder_name(self, solving: Solving, level: int) -> str:
        versions = artifacts.versions()
        deciding = [
            solving.describe(),
            level,
            {library: versions.get(library) for library in _LIBRARIES},
        ]
        stem = f"{self.package.folder.name}-{self.kind}-{level}"
        return f"{stem}-{artifacts.fingerprint(deciding)}"

    def _write(
        self,
        solving: Solving,
        levels: list[Level],
        export_dir: artifacts.Path,
        *,
        overwrite: bool = False,
    ) -> pathlib.Path:
        finest, *coarser = levels
        reader = READERS[self.kind]
        return exporting.export(
            finest.model,
            table=solving.info.attributes,
            representation=reader.representation,
            top_k=solving.info.num_classes,
            pixels=solving.queries.pixels,
            description={
                **solving.describe(),
                "levels": len(levels),
                "test_accuracy": solving.score(finest.model),
                "query_accuracies": solving.score_queries(),
                "absent": solving.find_absent(),
            },
            export_dir=export_dir,
            overwrite=overwrite,
            coarse=[own.model for own in coarser],
            limits=[own.limits for own in levels],
        )
