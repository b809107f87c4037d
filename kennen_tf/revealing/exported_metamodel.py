"""Exported metamodels, opened: what to send, and what the answers reveal."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf.attributes import AttributeTable
from kennen_tf.black_boxes import answers as answers_lib
from kennen_tf.evaluation import limits as limits_lib
from kennen_tf.evaluation.limits import Limits
from kennen_tf.queries import representations
from kennen_tf.revealing import assessments
from kennen_tf.revealing.assessments import Assessment
from kennen_tf.revealing.saved_module import SIGNATURE, FloatArray
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

SCHEMA_VERSION = 1
KIND = "exported metamodel"
CONFIG_NAME = "export.json"
_MAKE_WITH = "python -m kennen_tf.export_metamodel --metamodel_dir=... --export_dir=..."


@dataclasses.dataclass(frozen=True)
class ExportedMetamodel:
    """A loaded export: what to send, and what the answers reveal.

    Attributes:
        path: Its folder.
        description: What `export.json` says.
        queries: float32 `(n, height, width, channels)` in [0, 1].
        table: The attributes that it names.
        num_classes: Between how many classes the black boxes choose.
        limits: What it knows of its limits, the finest level first; empty if it was
            made before there were any.
        name: As it was named, if that is not its folder.
        find_coarser: Where answers of the finest level are all that it reads, what
            opens that of a later level, by its place in `limits.COARSE`, from 1.
    """

    path: pathlib.Path
    description: Mapping[str, Any]
    queries: FloatArray
    table: AttributeTable
    num_classes: int
    limits: tuple[Limits, ...]
    _loaded: Any
    name: str = ""
    find_coarser: "Callable[[int], ExportedMetamodel] | None" = None

    def __str__(self) -> str:
        return self.name or str(self.path)

    @classmethod
    def load(cls, export_dir: artifacts.Path) -> "ExportedMetamodel":
        """Loads what `exporting.export` wrote.

        Raises:
            UserError: If there is none, or it is damaged or of another version.
        """
        path = pathlib.Path(export_dir)
        description = read_config(path)
        artifacts.check_schema(description, SCHEMA_VERSION, path / CONFIG_NAME)
        try:
            loaded = tf.saved_model.load(str(path))
            table = json.loads(loaded.table().numpy())
            queries = loaded.queries().numpy()
            [spec] = loaded.signatures[SIGNATURE].structured_input_signature[1].values()
        except Exception as error:
            raise UserError(
                f"The exported metamodel in {path} is damaged: {type(error).__name__}. "
                f"Export it again with `{_MAKE_WITH} --overwrite`."
            ) from error
        table = AttributeTable.from_json(table, path)
        levels = limits_lib.load(path)
        num_classes = spec.shape[-1]
        return cls(path, description, queries, table, num_classes, levels, loaded)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels of the queries."""
        return self.queries.shape[1:]

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        """The class that each query shows, int32 `(n,)`; -1 if it is not known."""
        unknown = [-1] * len(self.queries)
        return np.asarray(self.description.get("labels", unknown), np.int32)

    @property
    def query_accuracies(self) -> npt.NDArray[np.float64]:
        """Share of the zoo that names each query rightly, `(n,)`; 1 if unknown."""
        unknown = [1.0] * len(self.queries)
        return np.asarray(self.description.get("query_accuracies", unknown))

    @property
    def representation(self) -> str:
        """How much of an answer it reads."""
        return str(self.description["representation"])

    @property
    def reads_labels(self) -> bool:
        """Whether the likeliest label of an answer is all that it reads."""
        is_top_k = self.representation == "top-k" and self.description["top_k"] == 1
        return is_top_k or self.representation == "top-1"

    def reveal(self, probabilities: FloatArray) -> dict[str, FloatArray]:
        """Returns the probability of every value of every attribute named.

        Args:
            probabilities: float32 `(black boxes, n, num_classes)`, answers to
                `queries`.

        Raises:
            UserError: If they are no probabilities, or not as many.
        """
        probabilities = self._check(probabilities)
        return self._read(self._loaded.signatures[SIGNATURE], probabilities)

    def assess(
        self, probabilities: FloatArray, resolutions: Sequence[float] = ()
    ) -> list[Assessment]:
        """Returns what is revealed of black boxes, and how far that is to be trusted.

        Args:
            probabilities: As those of `reveal`.
            resolutions: Of each black box, the step between neighbouring answers, e.g.
                1e-4 for 4 decimals and 6e-8 for float16; 0, as for all if none is
                given: full precision. They are read no finer than that.

        Raises:
            UserError: As `reveal`.
        """
        probabilities = self._check(probabilities)
        wanted = np.asarray(resolutions or [0.0] * len(probabilities), float)
        if wanted.shape != (len(probabilities),):
            raise ValueError(
                f"`resolutions` must be one for each of {len(probabilities)} black "
                f"boxes. Received: {len(wanted)}."
            )
        places = np.array([self._choose_level(own) for own in wanted], int)
        assessed: dict[int, Assessment] = {}
        for place in np.unique(places).tolist():
            chosen = np.flatnonzero(places == place)
            found = self._assess_at(place, probabilities[chosen])
            assessed.update(zip(chosen.tolist(), found, strict=True))
        return [assessed[box] for box in range(len(probabilities))]

    def _choose_level(self, resolution: float) -> int:
        if self.find_coarser is not None:
            return limits_lib.choose(limits_lib.LEVELS, resolution)
        # Without functions for coarser answers, all are read in full.
        num_levels = 1 + len(getattr(self._loaded, "coarse", ()))
        return limits_lib.choose(self.limits[:num_levels], resolution)

    def _assess_at(self, place: int, probabilities: FloatArray) -> list[Assessment]:
        """Assesses answers at one level of precision."""
        if place > 0 and self.find_coarser is not None:
            return self.find_coarser(place)._assess_at(0, probabilities)
        read = self._loaded.signatures[SIGNATURE]
        if place > 0:
            read = self._loaded.coarse[place - 1]
        return assessments.assess(
            self.table,
            self._read(read, probabilities),
            self.limits[place] if self.limits else None,
            self._represent(probabilities),
        )

    def _represent(self, probabilities: FloatArray) -> FloatArray:
        """Returns what is read of answers, of the same shape."""
        representation, top_k = (
            self.description[n] for n in ("representation", "top_k")
        )
        return representations.represent(probabilities, representation, top_k).numpy()

    def _read(self, function: Any, probabilities: FloatArray) -> dict[str, FloatArray]:
        revealed = function(probabilities=tf.constant(probabilities, tf.float32))
        return {name: revealed[name].numpy() for name in self.table.names}

    def _check(self, probabilities: FloatArray) -> FloatArray:
        """Returns answers as an array. Raises `UserError` if they are none."""
        probabilities = np.asarray(probabilities)
        wanted = (len(self.queries), self.num_classes)
        if probabilities.ndim != 3 or probabilities.shape[1:] != wanted:
            raise UserError(
                f"The metamodel {self} reads answers of shape (black boxes, "
                f"{wanted[0]}, {wanted[1]}): to each of its {wanted[0]} queries, "
                f"{wanted[1]} probabilities. Received: shape {probabilities.shape}."
            )
        for answers in probabilities:
            answers_lib.validate_probabilities(answers, *wanted)
        return probabilities


def read_config(folder: pathlib.Path) -> dict[str, Any]:
    """Returns what `export.json` holds.

    Raises:
        UserError: If there is none, or it is of something else.
    """
    stored = artifacts.read_json(
        folder / CONFIG_NAME, wanted=KIND, make_with=_MAKE_WITH
    )
    if not isinstance(stored, dict) or stored.get("kind") != KIND:
        raise UserError(
            f"{folder / CONFIG_NAME} must be of an exported metamodel. Make one with "
            f"`{_MAKE_WITH}`."
        )
    return stored
