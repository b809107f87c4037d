"""All classifiers that are asked: other people's files, and strangers made here."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from kennen_tf.auditing import sources
from kennen_tf.black_boxes.forms import Form
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.experiments.shared.runs import Runs
from kennen_tf.experiments.wild import files, strangers
from kennen_tf.experiments.wild.answers import Answered, Asking
from kennen_tf.images import datasets
from kennen_tf.queries import packages
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.revealing import ready
from kennen_tf.revealing.solved_readers import Solving

# Who read other people's files before there was a world of theirs.
PAPERS = f"{packages.MNIST_NET}/kennen-s"
# What they are called.
_DIGITS, _FOREIGN, _MADE = "networks", "of other images", "no networks"


class _Queries(Protocol):
    @property
    def part(self) -> str: ...

    @property
    def info(self) -> QueryOutputsInfo: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """Who was asked.

    Attributes:
        digits: Files of networks of the zoo's images, one for each network.
        foreign: Files of networks of other images.
        made: Classifiers of the zoo's images that are no networks.
        num_files: Files that are listed, with trained weights.
        failed: Why files could not be asked, by id.
    """

    digits: tuple[Answered, ...] = ()
    foreign: tuple[Answered, ...] = ()
    made: tuple[Answered, ...] = ()
    num_files: int = 0
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls, runs: Runs, queries: Mapping[str, _Queries], folder: pathlib.Path
    ) -> "Asked":
        """Asks all, with the queries of every method.

        Args:
            runs: With the zoo, its query outputs and the folder of files.
            queries: Of each method.
            folder: For answers.

        Raises:
            UserError: If the folder of files is not as it should be.
        """
        zoo, info = runs.zoo, runs.info
        form = Form.of(zoo.image_shape, zoo.num_classes)
        parts = {packages.NATURAL: info.query_inputs}
        parts |= {own.part: own.info.query_inputs for own in queries.values()}
        papers = _open_papers()
        if form == Form.of(papers.info.image_shape, papers.info.num_classes):
            parts[PAPERS] = papers.queries
        asking = Asking(parts, sources.query_accuracies(info), form, folder)
        made: tuple[Answered, ...] = ()
        dataset = ""
        if isinstance(zoo.config, ZooConfig):
            dataset = zoo.config.dataset
            images = datasets.load_zoo_images(zoo.config.design, dataset)
            opened = strangers.open_strangers(images, form, zoo.config.seed)
            made = tuple(asking.ask_box(file, box) for file, box in opened)
        if not runs.config.files_dir:
            return cls(made=made)
        listed = files.read_files(runs.config.files_dir, info.attributes)
        answered, failed = asking.ask_all(pathlib.Path(runs.config.files_dir), listed)
        is_own = [not own.file.is_stranger(dataset) for own in answered]
        return cls(
            digits=_merge(
                own for own, is_ in zip(answered, is_own, strict=True) if is_
            ),
            foreign=_merge(
                own for own, is_ in zip(answered, is_own, strict=True) if not is_
            ),
            made=made,
            num_files=len(listed),
            failed=failed,
        )

    def by_kind(self) -> dict[str, tuple[Answered, ...]]:
        """Returns who was asked, by what they are."""
        return {_DIGITS: self.digits, _FOREIGN: self.foreign, _MADE: self.made}

    def count(self) -> dict[str, Any]:
        """Returns how many files and networks there are, and why some are not."""
        return {
            "num_files": self.num_files,
            "num_networks": len(self.digits),
            "num_foreign": len(self.foreign),
            "failed": dict(self.failed),
        }


def _open_papers() -> Solving:
    """Returns the metamodel of `PAPERS`, which is not solved for yet."""
    found = ready.find(PAPERS)
    if found is None:
        raise ValueError(f"{PAPERS} must come with this project.")
    return Solving(found.package, found.kind)


def _merge(answered: Iterable[Answered]) -> tuple[Answered, ...]:
    """Returns one for each network: the first file, and what is known of any."""
    networks: dict[str, list[Answered]] = {}
    for own in answered:
        networks.setdefault(own.file.network, []).append(own)
    return tuple(
        # What is finest, and was answered to most.
        dataclasses.replace(
            min(same, key=lambda own: (-len(own.answers), own.resolution)),
            file=files.merge([own.file for own in same]),
        )
        for same in networks.values()
    )
