"""What other people's classifiers answer to a zoo's queries: asked once, and kept."""

import dataclasses
import pathlib
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import tqdm

from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.black_boxes.formats.opened import one_line
from kennen_tf.black_boxes.forms import Form
from kennen_tf.black_boxes.kept_answers import SUFFIX
from kennen_tf.configs.revealing import AUTO, RevealConfig
from kennen_tf.experiments.wild.files import OUTPUTS_NAME, PublishedFile
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.revealing import asking, boxes
from kennen_tf.vocabulary.errors import UserError

FloatArray = npt.NDArray[np.floating]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answered:
    """A classifier that was asked.

    Attributes:
        file: Which.
        answers: Probabilities, by part of the queries, `(queries, classes)`; of those
            whose file cannot be had, only parts that were recorded.
        resolution: Step between neighbouring answers; 0: as fine as they can be.
    """

    file: PublishedFile
    answers: Mapping[str, FloatArray]
    resolution: float


class Asking:
    """Sends queries to classifiers; who was asked before is not asked again."""

    def __init__(
        self,
        parts: Mapping[str, QueryInputs],
        query_accuracies: FloatArray,
        form: Form,
        folder: pathlib.Path,
    ):
        """Keeps what is asked.

        Args:
            parts: Queries by name; the first are natural ones.
            query_accuracies: Share of the zoo that names each of these rightly.
            form: What classifiers take and answer.
            folder: For their answers.
        """
        self._parts, self._form, self._folder = parts, form, folder
        [(self._first, natural), *_] = parts.items()
        self._questions = asking.GivenQuestions(
            name="",
            queries=natural.pixels,
            labels=natural.labels,
            query_accuracies=query_accuracies,
        )

    def ask_all(
        self, folder: pathlib.Path, files: Sequence[PublishedFile]
    ) -> tuple[list[Answered], dict[str, str]]:
        """Asks classifiers.

        Args:
            folder: With recorded answers of those that have no file.
            files: Which.

        Returns:
            Those that answered, and why others did not, by id.
        """
        recorded = _read_recorded(folder / OUTPUTS_NAME)
        answered, failed = [], {}
        for file in tqdm.tqdm(files, "files", unit="file"):
            try:
                answered.append(self._ask(file, recorded))
            except Exception as error:  # Whatever it is, the others are not lost.
                known = isinstance(error, UserError)
                failed[file.id] = str(error) if known else one_line(error)
        return answered, failed

    def ask_box(self, file: PublishedFile, box: BlackBox) -> Answered:
        """Asks one that is open."""
        recognised = {self._first: asking.ask(self._questions, box).recognised}
        for name, queries in self._parts.items():
            if name != self._first:
                recognised[name] = box.recognised(queries.pixels)
        return Answered(
            file=file,
            answers={name: own.probabilities for name, own in recognised.items()},
            resolution=max(own.resolution for own in recognised.values()),
        )

    def _ask(self, file: PublishedFile, recorded: Mapping[str, FloatArray]) -> Answered:
        if file.path is None:
            return self._find_recorded(file, recorded)
        config = RevealConfig(
            black_box=str(file.path),
            pixels=AUTO,
            answers=str(self._folder / f"{file.id}{SUFFIX}"),
        )
        try:
            return self.ask_box(file, boxes.open_box(config, self._form))
        except UserError:
            if file.id in recorded:
                return self._find_recorded(file, recorded)
            raise

    def _find_recorded(
        self, file: PublishedFile, recorded: Mapping[str, FloatArray]
    ) -> Answered:
        """Takes answers that were recorded in place of asking."""
        if file.id not in recorded:
            raise UserError(
                f"There is neither its file nor its line in {OUTPUTS_NAME}."
            )
        rows = recorded[file.id].astype(np.float64)
        found = {
            name: rows[queries.indices]
            for name, queries in self._parts.items()
            if ((queries.indices >= 0) & (queries.indices < len(rows))).all()
        }
        if self._first not in found:
            raise UserError(
                f"{OUTPUTS_NAME} must have answers to all natural queries, which are "
                f"validation images. Received: to the first {len(rows)}."
            )
        return Answered(
            file=file,
            answers={
                name: own / own.sum(axis=1, keepdims=True)
                for name, own in found.items()
            },
            resolution=0.0,
        )


def _read_recorded(path: pathlib.Path) -> dict[str, FloatArray]:
    """Returns recorded answers by id; none if there is no such file."""
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    # A single array has no names.
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} must hold probabilities by id. Received: {one_line(error)}"
        ) from error
