"""Losses and accuracies over the epochs, in files and for TensorBoard."""

import dataclasses
import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.evaluation import figures, result_figures
from kennen_tf.evaluation.accuracy import class_balanced_accuracy, confusion_matrix
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels.recipes import heads
from kennen_tf.metamodels.tensorboard_log import SIDES, TensorBoardLog
from kennen_tf.vocabulary import artifacts

# From features to the logits of all heads side by side.
Predict = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


@dataclasses.dataclass(frozen=True)
class Side:
    """Entries to train on, or to test on.

    Attributes:
        features: Represented outputs `(entries, num_queries, classes)`.
        labels: For each attribute, `(entries,)`, `MISSING` without a value.
    """

    features: npt.NDArray[np.float32]
    labels: heads.Labels

    def __len__(self) -> int:
        return len(self.features)

    def take(self, chosen: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> "Side":
        """Returns some entries: their places, or whether each is one of them."""
        labels = {name: own[chosen] for name, own in self.labels.items()}
        return Side(self.features[chosen], labels)


def score(
    table: AttributeTable,
    labels: heads.Labels,
    logits: npt.NDArray[np.float32],
    skip: Collection[str],
) -> dict[str, Any]:
    """Scores the logits of all heads side by side.

    Of each attribute, entries count that have a value. Attributes with one value only
    among them, or none, and those to skip, have no accuracy and are left out of the
    average.

    Returns:
        "loss", the sum of the cross-entropies, each entry counting alike; "accuracy",
        class-balanced, by attribute; "average", of those.
    """
    accuracies: dict[str, float] = {}
    loss = 0.0
    for name, own in heads.split_logits(table, logits.astype(np.float64)).items():
        is_known = labels[name] >= 0
        if not is_known.any():
            continue
        own, true = own[is_known], labels[name][is_known]
        shifted = own - own.max(axis=1, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        loss -= float(np.mean(log_probabilities[np.arange(len(true)), true]))
        if name not in skip and len(np.unique(true)) > 1:
            accuracy = class_balanced_accuracy(true, own.argmax(axis=1), own.shape[1])
            accuracies[name] = float(accuracy or 0.0)
    average = float(np.mean(list(accuracies.values()))) if accuracies else None
    return {"loss": loss, "accuracy": accuracies, "average": average}


def score_queries(
    side: Side, labels: npt.NDArray[np.int32], representation: str
) -> tuple[float, ...]:
    """Returns which share of entries names each query rightly, if features tell it.

    Of those that tell most, few do: they are no images to find out by how a black box
    is asked.

    Args:
        side: Entries, usually those trained on.
        labels: The class that each query shows, `(num_queries,)`.
        representation: What features are of outputs.
    """
    if representation == "bottom-1":  # They are largest at the least likely label.
        return ()
    named = side.features.argmax(axis=-1)
    return tuple(np.mean(named == labels, axis=0).tolist())


def say(row: dict[str, Any]) -> str:
    """Returns the average accuracies of a row of metrics, for people."""

    def percent(side: str) -> str:
        average = row[side]["average"]
        return "not scored" if average is None else f"{100 * average:.1f}%"

    return f"class-balanced accuracy {percent('train')} train, {percent('test')} test"


class MetricsLog:
    """Writes how a training goes: to files, and from them for TensorBoard.

    Evaluated epochs have a row in metrics.jsonl; what training itself says of every
    epoch is in epochs.jsonl. TensorBoard's events are written anew from both whenever a
    training is resumed, so what a killed run left there is not seen twice.

    Attributes:
        rows: Of metrics.jsonl, what has been written so far.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        table: AttributeTable,
        config: MetamodelConfig,
        skip: Collection[str],
        last_epoch: int,
        num_train: int,
    ):
        """Opens the log of the metamodel in `folder`.

        Args:
            folder: Of the metamodel.
            table: The attributes of the zoo.
            config: Its settings, for TensorBoard.
            skip: Attributes without an accuracy.
            last_epoch: What was written of later ones is forgotten.
            num_train: Number of entries that are trained on, for TensorBoard.
        """
        self._table = table
        self._skip = skip
        self._path = folder / folder_lib.METRICS_NAME
        self._epochs_path = folder / folder_lib.EPOCHS_NAME
        self.rows = _forget(self._path, last_epoch)
        self._board = TensorBoardLog(folder, table, config, skip, num_train)
        for row in self.rows:
            self._board.add_row(row)
        for row in _forget(self._epochs_path, last_epoch):
            self._board.add_scalars(row.pop("epoch"), row)

    def evaluate(self, epoch: int, predict: Predict, train: Side, test: Side) -> None:
        """Scores both sides after so many epochs and writes a row."""
        logits = predict(train.features), predict(test.features)
        self.add_scores(epoch, logits, (train.labels, test.labels))

    def add_scores(
        self,
        epoch: int,
        logits: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
        labels: tuple[heads.Labels, heads.Labels],
    ) -> None:
        """Scores the logits of both sides and writes a row."""
        row: dict[str, Any] = {"epoch": epoch}
        for name, own, true in zip(SIDES, logits, labels, strict=True):
            row[name] = score(self._table, true, own, self._skip)
        self.add_row(row)

    def add_row(self, row: dict[str, Any]) -> None:
        """Writes a row: "epoch", and for each of `SIDES` what `score` returns."""
        artifacts.append_json_line(self._path, row)
        self.rows.append(row)
        self._board.add_row(row)

    def add_epoch(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Writes what training says of an epoch, e.g. its loss as "fit/loss"."""
        artifacts.append_json_line(self._epochs_path, {"epoch": epoch, **numbers})
        self._board.add_scalars(epoch, numbers)

    def add_image(self, name: str, epoch: int, png: bytes) -> None:
        """Writes an image for TensorBoard."""
        self._board.add_image(name, epoch, png)

    def end(self, epoch: int, predict: Predict, test: Side) -> None:
        """Writes the test entries' confusion matrices as images, and closes."""
        logits = heads.split_logits(self._table, predict(test.features))
        for attribute in self._table:
            own = test.labels[attribute.name]
            matrix = confusion_matrix(
                own[own >= 0],
                logits[attribute.name].argmax(axis=1)[own >= 0],
                len(attribute.values),
            )
            figure = result_figures.confusion_figure(matrix, attribute)
            tag = f"confusion/{attribute.name}"
            self.add_image(tag, epoch, figures.png_bytes(figure))
        self.close()

    def close(self) -> None:
        self._board.close()


def _forget(path: pathlib.Path, last_epoch: int) -> list[dict[str, Any]]:
    """Returns the rows of a file up to an epoch, and takes the others out of it."""
    if not path.exists():
        return []
    rows = artifacts.read_json_lines(path)
    kept = [row for row in rows if row["epoch"] <= last_epoch]
    with artifacts.atomic_path(path) as temporary:
        lines = [artifacts.canonical_json(row) + "\n" for row in kept]
        temporary.write_text("".join(lines))
    return kept
