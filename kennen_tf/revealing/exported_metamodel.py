"""Exported metamodels, opened: what to send, and what the answers reveal."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kennen_tf.attributes import AttributeTable
from kennen_tf.black_boxes import answers as answers_lib
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
    """

    path: pathlib.Path
    description: Mapping[str, Any]
    queries: FloatArray
    table: AttributeTable
    num_classes: int
    _loaded: Any

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
        return cls(path, description, queries, table, spec.shape[-1], loaded)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels of the queries."""
        return self.queries.shape[1:]

    @property
    def reads_labels(self) -> bool:
        """Whether the likeliest label of an answer is all that it reads."""
        representation = self.description["representation"]
        is_top_k = representation == "top-k" and self.description["top_k"] == 1
        return is_top_k or representation == "top-1"

    def reveal(self, probabilities: FloatArray) -> dict[str, FloatArray]:
        """Returns the probability of every value of every attribute named.

        Args:
            probabilities: float32 `(black boxes, n, num_classes)`, answers to
                `queries`.

        Raises:
            UserError: If they are no probabilities, or not as many.
        """
        probabilities = np.asarray(probabilities)
        wanted = (len(self.queries), self.num_classes)
        if probabilities.ndim != 3 or probabilities.shape[1:] != wanted:
            raise UserError(
                f"The metamodel in {self.path} reads answers of shape (black boxes, "
                f"{wanted[0]}, {wanted[1]}): to each of its {wanted[0]} queries, "
                f"{wanted[1]} probabilities. Received: shape {probabilities.shape}."
            )
        for answers in probabilities:
            answers_lib.validate_probabilities(answers, *wanted)
        signature = self._loaded.signatures[SIGNATURE]
        revealed = signature(probabilities=tf.constant(probabilities, tf.float32))
        return {name: revealed[name].numpy() for name in self.table.names}


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
