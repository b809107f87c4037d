"""A trained metamodel, opened from its folder."""

import dataclasses
import pathlib
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.evaluation import limits as limits_lib
from kennen_tf.evaluation.limits import Limits
from kennen_tf.evaluation.splits import Split
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.queries import query_inputs as query_inputs_lib
from kennen_tf.queries import representations
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

_BATCH_SIZE = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metamodel:
    """A classifier of classifiers.

    Attributes:
        config: The settings it was trained with.
        attributes: The table of the zoo that it was trained on.
        split: Who it was trained on, and who was held out.
        query_indices: Which of the stored queries it reads, in order, or begins with,
            if it crafts its own.
        query_inputs: What it sends.
        fingerprints: Of "query_outputs", "query_inputs" (all that are stored), "zoo"
            and the "metamodel" itself.
        keras_model: From represented outputs `(batch, num_queries, classes)` to a dict
            from attribute to probabilities.
        limits: What is known of its limits, the finest level first; empty if it was
            trained before they were found.
        query_accuracies: Which share of the training entries names each query rightly;
            empty if features do not tell it, or it was trained before that was counted.
        folder: Where it was opened; None if it is in memory only.
    """

    config: MetamodelConfig
    attributes: AttributeTable
    split: Split
    query_indices: tuple[int, ...]
    query_inputs: QueryInputs
    fingerprints: dict[str, str]
    keras_model: keras.Model
    limits: tuple[Limits, ...] = ()
    query_accuracies: tuple[float, ...] = ()
    folder: pathlib.Path | None = None

    @classmethod
    def load(cls, metamodel_dir: artifacts.Path) -> "Metamodel":
        """Opens a finished metamodel.

        Raises:
            UserError: If there is none, it is not finished, of another schema version,
                or its model was altered.
        """
        folder = pathlib.Path(metamodel_dir)
        stored = folder_lib.read_config(folder)
        if not (folder / folder_lib.FINISHED_NAME).exists():
            raise UserError(
                f"The metamodel in {folder} must be trained to the end. Received: a "
                "training that was stopped. Go on with train_metamodel --resume."
            )
        finished = _read(folder / folder_lib.FINISHED_NAME)
        table_path = folder / folder_lib.ATTRIBUTES_NAME
        table = AttributeTable.from_json(_read(table_path), table_path)
        path = folder / folder_lib.MODEL_NAME
        if not path.exists() or artifacts.sha256_of_file(path) != finished["sha256"]:
            raise UserError(
                f"{path} is missing or was altered: its SHA-256 is not the one in "
                f"{folder_lib.FINISHED_NAME}. Train the metamodel again."
            )
        split = _read(folder / folder_lib.SPLIT_NAME)
        return cls(
            config=MetamodelConfig.from_json(stored["config"]),
            attributes=table,
            split=Split(
                train_ids=tuple(split["train"]),
                test_ids=tuple(split["test"]),
                split_attributes=tuple(split["split_attributes"]),
            ),
            query_indices=tuple(split["query_indices"]),
            query_inputs=QueryInputs.load(folder / query_inputs_lib.FILE_NAME),
            fingerprints={
                **stored["fingerprints"],
                "metamodel": finished["sha256"][:16],
            },
            keras_model=keras.models.load_model(path, compile=False),
            limits=limits_lib.load(folder),
            query_accuracies=tuple(finished.get("query_accuracies", ())),
            folder=folder,
        )

    def load_coarse(self) -> list[keras.Model]:
        """Opens what reads coarser answers, one model for each of the later limits.

        Where a recipe has none, as those that are trained in epochs, the list is empty.
        """
        if self.folder is None:
            return []
        paths = [
            self.folder / folder_lib.COARSE_NAME.format(number)
            for number in range(1, len(self.limits))
        ]
        return [keras.models.load_model(path, compile=False) for path in paths]

    def represent(
        self, probabilities: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Returns what is read of answers, of the same shape."""
        config = self.config
        return representations.represent(
            probabilities, config.representation, config.top_k
        ).numpy()

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The attributes that it names, in the order of the table."""
        return tuple(n for n in self.attributes.names if n in self.keras_model.output)

    @property
    def num_classes(self) -> int:
        """Between how many classes the black boxes that it reads choose."""
        return self.keras_model.input_shape[-1]

    def predict(
        self, probabilities: npt.NDArray[np.float32]
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Says what it makes of black boxes.

        Args:
            probabilities: float32 `(black boxes, num_queries, classes)`, answers to
                `query_inputs` in their order.

        Returns:
            For each of `attribute_names`, probabilities `(black boxes, values)`.
        """
        expected = (len(self.query_inputs), self.num_classes)
        if probabilities.ndim != 3 or probabilities.shape[1:] != expected:
            raise ValueError(
                f"`probabilities` must have shape (black boxes, {expected[0]}, "
                f"{expected[1]}). Received: {probabilities.shape}."
            )
        batches = [
            self.keras_model(
                representations.represent(
                    probabilities[start : start + _BATCH_SIZE],
                    self.config.representation,
                    self.config.top_k,
                ),
                training=False,
            )
            for start in range(0, len(probabilities), _BATCH_SIZE)
        ]
        return {
            name: np.concatenate([batch[name].numpy() for batch in batches])
            for name in self.attribute_names
        }


def _read(path: pathlib.Path) -> Any:
    return artifacts.read_json(
        path, wanted=folder_lib.KIND, make_with=folder_lib.MAKE_WITH
    )
