"""Makes a package of a zoo in its folder; stopped at any moment, it is gone on with.

package_dir/
  .work/           what is on its way, until package.json is written
    made_from.json settings and fingerprints: other ones begin anew
    chosen.json    the natural queries chosen
    kennen-io/  kennen-i/    trainings
    new/           parts that are whole
"""

import gzip
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tqdm
from absl import logging

from kennen_tf.configs.packaging import PackageConfig
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.evaluation import splits
from kennen_tf.images import datasets
from kennen_tf.machine import distribution
from kennen_tf.metamodels import scoring
from kennen_tf.metamodels.jobs import Job
from kennen_tf.packaging import crafted_queries, describing, strangers
from kennen_tf.packaging.crafted_queries import Crafted
from kennen_tf.queries import output_folder, packages, writing
from kennen_tf.queries.answer_file import AnswerFile
from kennen_tf.queries.packages import Package
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.queries.query_outputs import CONFIG_NAME, QueryOutputsInfo
from kennen_tf.revealing import exporting_trained
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import asking, querying, store
from kennen_tf.zoo.entries import QueriedEntry
from kennen_tf.zoo.store import ClassifierRecord, Zoo
from pipelines import query_outputs

_WORK, _NEW, _CHOSEN = ".work", "new", "chosen.json"
_PARTS = (packages.NATURAL, packages.CRAFTED, packages.KENNEN_I, packages.ZOO)
_FILES = (packages.STRANGERS_NAME,)


def make(config: PackageConfig, info: QueryOutputsInfo) -> Package:
    """Makes a package, or finds that it has been.

    Args:
        config: Settings.
        info: The query outputs.

    Raises:
        UserError: If the zoo is not theirs, there are fewer queries than wanted, or the
            folder holds something else.
    """
    zoo = _open_zoo(config, info)
    _check_wanted(config, info, zoo)
    folder = pathlib.Path(config.package_dir)
    package = Package(name=str(folder), folder=folder)
    deciding = {"config": config.to_json(), **describing.made_from(info)}
    if _is_there(package, deciding, config.overwrite):
        return package
    work = artifacts.make_folder(folder / _WORK)
    # There, so that no lock is passed on with the package.
    with artifacts.folder_lock(work, "packaging a zoo"):
        _begin(work, deciding)
        _Making(config, info, zoo, work).run()
        _move_in(work / _NEW, folder)
        shutil.rmtree(work)
    return package


def _open_zoo(config: PackageConfig, info: QueryOutputsInfo) -> Zoo | None:
    """Opens the zoo; None if no crafted queries are wanted and it is not there."""
    header = pathlib.Path(config.zoo_dir or ".") / store.CONFIG_NAME
    is_needed = config.num_crafted or config.crafted_queries or config.strangers
    if not is_needed and not (config.zoo_dir and header.exists()):
        return None
    try:
        zoo = Zoo.open(config.zoo_dir)
        info.check_zoo(zoo)
    except UserError as error:
        raise UserError(
            f"Queries are crafted on the zoo's classifiers, and sent to them. {error} "
            "With --num_crafted=0, --zoo_dir= and nothing else, natural queries alone "
            "are packaged."
        ) from error
    return zoo


def _check_wanted(
    config: PackageConfig, info: QueryOutputsInfo, zoo: Zoo | None
) -> None:
    """Refuses what cannot be had before hours of work, not after."""
    if config.strangers and not isinstance(zoo and zoo.config, ZooConfig):
        raise UserError(
            "--strangers are trained on the images of a zoo that build_zoo made. "
            f"Received: {config.zoo_dir}, which was imported."
        )
    if not config.crafted_queries:
        return
    given = QueryOutputsInfo.open(config.crafted_queries)
    if given.image_shape != info.image_shape:
        raise UserError(
            f"--crafted_queries must have images of the zoo's shape, "
            f"{info.image_shape}. Received: {config.crafted_queries}, with images of "
            f"shape {given.image_shape}."
        )


def _is_there(package: Package, deciding: dict[str, Any], overwrite: bool) -> bool:
    """Says whether this very package exists; refuses what must not be replaced."""
    folder = package.folder
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    own = {_WORK, packages.PACKAGE_NAME, packages.README_NAME, *_PARTS, *_FILES}
    foreign = {n for n in names - own if artifacts.TEMPORARY_MARK not in n}
    # Of a package that was stopped, the work is there.
    if foreign or names & set(_PARTS) and not names & {_WORK, packages.PACKAGE_NAME}:
        raise UserError(
            "--package_dir must be a new or empty folder, or hold a package and "
            f"nothing else. Received: {folder}, which holds "
            f"{sorted(foreign or names)[:3]}."
        )
    if packages.PACKAGE_NAME not in names or overwrite:
        return False
    description = package.description
    # Settings that came later have their defaults.
    stored = PackageConfig.from_json(description["config"]).to_json()
    if {"config": stored, **description["made_from"]} != deciding:
        raise UserError(
            f"{folder} holds another package: of other settings, or of other query "
            "outputs. Choose another --package_dir, or replace it with --overwrite."
        )
    return True


def _begin(work: pathlib.Path, deciding: dict[str, Any]) -> None:
    """Makes the folder for work; what is there of another package is removed."""
    path = work / "made_from.json"
    stored = None
    if path.exists():
        stored = artifacts.read_json(path, wanted="package", make_with="package_zoo")
    if stored != deciding:
        for name in (_NEW, crafted_queries.KENNEN_IO, crafted_queries.KENNEN_I):
            shutil.rmtree(work / name, ignore_errors=True)
        (work / _CHOSEN).unlink(missing_ok=True)
        artifacts.write_json(path, deciding)
    (work / _NEW).mkdir(exist_ok=True)


def _move_in(new: pathlib.Path, folder: pathlib.Path) -> None:
    """Replaces a package; package.json goes first and comes last."""
    (folder / packages.PACKAGE_NAME).unlink(missing_ok=True)
    for name in _PARTS:
        # Also what a new one lacks.
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    for path in sorted(new.iterdir(), key=lambda p: p.name == packages.PACKAGE_NAME):
        os.replace(path, folder / path.name)


class _Making:
    """A package on its way."""

    def __init__(
        self,
        config: PackageConfig,
        info: QueryOutputsInfo,
        zoo: Zoo | None,
        work: pathlib.Path,
    ):
        self._config, self._info, self._zoo = config, info, zoo
        self._work, self._new = work, work / _NEW

    def run(self) -> None:
        """Makes all parts that are not there yet, and what is said of them."""
        config, info = self._config, self._info
        chosen = self._choose()
        parts = {packages.NATURAL: self._write_natural(chosen)}
        said: dict[str, Any] = {"chosen": chosen}
        if config.crafted_queries and self._zoo is not None:
            given = QueryOutputsInfo.open(config.crafted_queries).query_inputs
            parts[packages.CRAFTED] = self._write_crafted(self._zoo, given)
            # They descended through none of these classifiers.
            said |= {"has_kennen_i": False, "descended_through": [], "crafting": None}
        elif config.num_crafted and self._zoo is not None:
            crafted = crafted_queries.craft(config, info, self._work)
            queries = crafted.kennen_io.query_inputs
            parts[packages.CRAFTED] = self._write_crafted(self._zoo, queries)
            said |= self._export_kennen_i(crafted)
        if config.strangers and self._zoo is not None:
            said["strangers"] = self._write_strangers(self._zoo, parts)
        if self._zoo is not None:
            self._write_zoo(self._zoo)
        split = splits.make_split(
            info.entries, splits.RANDOM, info.attributes, config.seed
        )
        description = describing.describe(config, info, self._zoo, split, parts, said)
        describing.write(self._new, description)

    def _write_natural(self, places: list[int]) -> QueryOutputsInfo:
        return self._write(
            packages.NATURAL,
            self._info.query_inputs.take(places),
            lambda entries: self._read(entries, places),
        )

    def _choose(self) -> list[int]:
        """Chooses the natural queries, or reads which were."""
        path = self._work / _CHOSEN
        if path.exists():
            stored = artifacts.read_json(path, wanted="choice", make_with="package_zoo")
            return [int(place) for place in stored]
        config = self._config
        job = Job(
            config=crafted_queries.make_config(
                config, "kennen-s", config.num_queries, self._work / "kennen-s"
            ),
            info=self._info,
            strategy=distribution.make_strategy("one_device"),
        )
        places = job.choose_queries()
        artifacts.write_json(path, places)
        return places

    def _read(
        self, entries: tuple[QueriedEntry, ...], places: list[int]
    ) -> Iterator[tuple[str, np.ndarray]]:
        ids = [entry.id for entry in entries]
        answers, _ = query_outputs.load_arrays(self._info, ids, places, None)
        return zip(ids, answers, strict=True)

    def _write_strangers(
        self, zoo: Zoo, parts: Mapping[str, QueryOutputsInfo]
    ) -> dict[str, Any]:
        """Trains and asks strangers; returns how many there are, and a fingerprint."""
        path = self._new / packages.STRANGERS_NAME
        built: Any = zoo.config  # As `_check_wanted` says.
        if not path.exists():
            images = datasets.load_zoo_images(built.design, built.dataset)
            sent = {part: own.query_inputs.pixels for part, own in parts.items()}
            strangers.write(path, strangers.ask(images, sent, self._config.seed))
        return {
            "count": len(strangers.list_strangers()),
            "fingerprint": artifacts.sha256_of_file(path)[:16],
        }

    def _write_crafted(self, zoo: Zoo, queries: QueryInputs) -> QueryOutputsInfo:
        return self._write(
            packages.CRAFTED,
            queries,
            lambda entries: self._ask(zoo, entries, queries),
        )

    def _ask(
        self, zoo: Zoo, entries: tuple[QueriedEntry, ...], queries: QueryInputs
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Sends queries to all classifiers."""
        members = asking.find_records(zoo, entries)
        path = self._work / "answers"
        shape = (len(queries), zoo.num_classes)
        with AnswerFile(path, (record.id for record in members), shape) as answers:
            with tqdm.tqdm(
                total=len(members), desc="crafted queries", unit="classifier"
            ) as bar:

                def keep(record: ClassifierRecord, probabilities: np.ndarray) -> None:
                    answers.keep(record.id, probabilities)
                    bar.update()

                querying.query_classifiers(zoo, members, queries.pixels, keep)
            for entry in entries:
                yield entry.id, answers.mean(entry.members)

    def _write(
        self,
        part: str,
        queries: QueryInputs,
        answer: Callable[[tuple[QueriedEntry, ...]], Iterator[tuple[str, np.ndarray]]],
    ) -> QueryOutputsInfo:
        """Writes query outputs, unless they are there as a whole."""
        info, folder = self._info, self._new / part
        if not (folder / CONFIG_NAME).exists():
            answers = dict(answer(info.entries))
            with output_folder.work_folder(folder) as work:
                writing.write(
                    work,
                    self._config,
                    queries,
                    info.attributes,
                    info.num_classes,
                    info.entries,
                    lambda entry: answers[entry.id],
                    info.zoo_fingerprint,
                    is_half=True,
                    command=describing.command(),
                )
        (folder / ".lock").unlink(missing_ok=True)
        return QueryOutputsInfo.open(folder)

    def _export_kennen_i(self, crafted: Crafted) -> dict[str, Any]:
        """Exports kennen-i; returns what package.json says of crafted queries."""
        metamodel = crafted.kennen_i
        if metamodel is not None:
            logging.info("Scoring and exporting kennen-i.")
            results = scoring.score(metamodel, self._info, self._config.zoo_dir)
            settings = metamodel.config.to_json()
            exporting_trained.export(
                metamodel,
                results,
                self._new / packages.KENNEN_I,
                changes={
                    # Where the files of a machine are is nobody's concern.
                    "config": {
                        n: v for n, v in settings.items() if not n.endswith("_dir")
                    },
                    "provenance": artifacts.provenance(describing.command()),
                },
            )
        return {
            "has_kennen_i": metamodel is not None,
            "descended_through": list(crafted.descended_through),
            "crafting": crafted.kennen_io.config.make_crafting_recipe().to_json(),
        }

    def _write_zoo(self, zoo: Zoo) -> None:
        """Writes what a zoo says of its classifiers, for `Zoo.open`."""
        folder = artifacts.make_folder(self._new / packages.ZOO)
        table = (zoo.zoo_dir / store.ATTRIBUTES_NAME).read_bytes()
        artifacts.write_bytes(folder / store.ATTRIBUTES_NAME, table)
        manifest = (zoo.zoo_dir / store.MANIFEST_NAME).read_bytes()
        # The same manifest gives the same bytes, whenever.
        packed = gzip.compress(manifest, mtime=0)
        artifacts.write_bytes(folder / store.PACKED_MANIFEST_NAME, packed)
        header = artifacts.read_json(
            zoo.zoo_dir / store.CONFIG_NAME,
            wanted="zoo",
            make_with="build_zoo",
        )
        header["config"]["zoo_dir"] = packages.ZOO
        made = header["provenance"]
        made["command"] = describing.without_places(made["command"])
        artifacts.write_json(folder / store.CONFIG_NAME, header)
