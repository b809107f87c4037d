"""What classifiers answered, as somebody recorded it: arrays of an .npz file."""

import dataclasses
import pathlib
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np

from kennen_tf.attributes import AttributeTable
from kennen_tf.black_boxes.answers import to_probabilities
from kennen_tf.configs.importing import ImportOutputsConfig
from kennen_tf.configs.revealing import LABELS
from kennen_tf.imports import classifier_sheets
from kennen_tf.imports.classifier_sheets import NAME, WHO, Sheet
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.labeled_images import ValidationImages, check_labels
from kennen_tf.zoo.entries import QueriedEntry

_OUTPUTS, _NAMES = "outputs", "names"
_OPTIONAL = (_NAMES, "images", "labels")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedOutputs:
    """Answers of classifiers whose attributes are known.

    Attributes:
        attributes: The attribute table.
        num_classes: Between how many classes the classifiers choose.
        queries: What was sent; without images if these were not recorded.
        entries: The classifiers.
        probabilities: float32 `(queries, classes)` of each, by its id.
    """

    attributes: AttributeTable
    num_classes: int
    queries: QueryInputs
    entries: tuple[QueriedEntry, ...]
    probabilities: Mapping[str, np.ndarray]


def read(config: ImportOutputsConfig) -> RecordedOutputs:
    """Reads recorded outputs, and the CSV that says whose they are.

    Raises:
        UserError: If one of the files is not as its flag says, or the two do not fit.
    """
    sheet = classifier_sheets.read_sheet(config.attributes, WHO)
    table = sheet.make_table()
    arrays = _read_arrays(pathlib.Path(config.outputs))
    outputs = _check_outputs(arrays[_OUTPUTS], config)
    queries = _make_queries(arrays, outputs.shape[1], config.outputs)
    num_classes = _count_classes(outputs, queries, config)
    rows, who = _match(sheet, arrays.get(_NAMES), len(outputs), config.outputs)
    values = sheet.read_values(table)
    probabilities: dict[str, np.ndarray] = {}
    entries = []
    for place, row in enumerate(rows):
        name, group = who[row]
        where = f"{config.outputs}, {_OUTPUTS}[{place}] ({name})"
        answers = _to_probabilities(outputs[place], config, num_classes, where)
        probabilities[name] = answers
        entries.append(
            QueriedEntry(
                id=name,
                combination_id=group,
                members=(name,),
                accuracy=_accuracy(answers, queries.labels),
                values=values[row],
            )
        )
    return RecordedOutputs(
        attributes=table,
        num_classes=num_classes,
        queries=queries,
        entries=tuple(entries),
        probabilities=probabilities,
    )


def _read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {n: stored[n] for n in (_OUTPUTS, *_OPTIONAL) if n in stored}
            names = list(stored)
    # An .npy file is an array, which has no names.
    except (OSError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"--outputs must be a .npz file. Received: {path} ({error})."
        ) from error
    if _OUTPUTS not in arrays:
        raise UserError(
            f"{path} must hold an array {_OUTPUTS}, (classifiers, queries, classes). "
            f"Received: {names}."
        )
    return arrays


def _check_outputs(outputs: np.ndarray, config: ImportOutputsConfig) -> np.ndarray:
    is_labels = config.outputs_kind == LABELS
    form = "(classifiers, queries)" if is_labels else "(classifiers, queries, classes)"
    num_axes = 2 if is_labels else 3
    is_number = np.issubdtype(outputs.dtype, np.integer if is_labels else np.number)
    if (
        (outputs.ndim, is_number) != (num_axes, True)
        or not outputs.size
        or outputs.shape[2:] == (1,)
    ):
        raise UserError(
            f"The array {_OUTPUTS} in {config.outputs} must be numbers {form} with "
            f"--outputs_kind={config.outputs_kind}, of two classes or more; labels are "
            "whole numbers. Received: "
            f"{outputs.dtype} of shape {outputs.shape}."
        )
    return outputs


def _make_queries(
    arrays: Mapping[str, np.ndarray], num_queries: int, where: str
) -> QueryInputs:
    labels = arrays.get("labels", np.full(num_queries, -1, np.int32))
    if "labels" in arrays:
        check_labels(labels, num_queries, where)
    images = np.empty((num_queries, 0, 0, 0), np.uint8)
    if "images" in arrays:
        if len(arrays["images"]) != num_queries:
            raise UserError(
                f"{where} must hold an image for each of the {num_queries} queries in "
                f"{_OUTPUTS}. Received: {len(arrays['images'])} images."
            )
        # Labels are checked above; there need not be any.
        zeros = np.zeros(num_queries, np.int32)
        images = ValidationImages.from_arrays(arrays["images"], zeros, where).images
    return QueryInputs(
        images=images,
        labels=labels.astype(np.int32),
        indices=np.arange(num_queries, dtype=np.int32),
    )


def _count_classes(
    outputs: np.ndarray, queries: QueryInputs, config: ImportOutputsConfig
) -> int:
    if config.outputs_kind == LABELS:
        # How many there are, only the labels themselves tell.
        return max(2, 1 + int(outputs.max()), 1 + int(queries.labels.max()))
    num_classes = outputs.shape[2]
    if queries.labels.max() >= num_classes:
        raise UserError(
            f"Labels in {config.outputs} must be classes of the {_OUTPUTS}, 0 to "
            f"{num_classes - 1}. Received: {queries.labels.max()}. Are they numbered "
            "from 1?"
        )
    return num_classes


def _match(
    sheet: Sheet, names: np.ndarray | None, num_classifiers: int, where: str
) -> tuple[Sequence[int], list[tuple[str, str]]]:
    """Returns the row of each classifier's outputs, and name and group of each row."""
    num_rows = len(sheet.rows)
    if num_rows != num_classifiers:
        hint = " Is the header missing?" if num_rows == num_classifiers - 1 else ""
        raise UserError(
            f"{sheet.path} must have a line for each of the {num_classifiers} "
            f"classifiers in {where}, {_OUTPUTS}. Received: {num_rows} lines.{hint}"
        )
    if names is None:
        return range(num_rows), sheet.read_who(
            [f"classifier-{place:05d}" for place in range(num_rows)]
        )
    if names.shape != (num_classifiers,):
        raise UserError(
            f"{where} must hold {_NAMES} of the {num_classifiers} classifiers. "
            f"Received: shape {names.shape}."
        )
    texts = [str(name) for name in names]
    who = sheet.read_who(texts)
    if NAME not in sheet.rows[0].cells:
        return range(num_rows), who
    places = {name: row for row, (name, _) in enumerate(who)}
    unknown = [name for name in texts if name not in places]
    if unknown or len(set(texts)) < len(texts):
        raise UserError(
            f"{_NAMES} in {where} must be those of the column {NAME} in {sheet.path}, "
            f"each once. Received: {unknown[:3] or 'a name twice'}."
        )
    return [places[name] for name in texts], who


def _to_probabilities(
    answers: np.ndarray, config: ImportOutputsConfig, num_classes: int, where: str
) -> np.ndarray:
    try:
        return to_probabilities(answers, config.outputs_kind, num_classes)
    except UserError as error:
        text = str(error).replace("--outputs=", "--outputs_kind=")
        raise UserError(f"{where}: {text}") from error


def _accuracy(answers: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of right answers where labels are known; 0 if none is."""
    known = labels >= 0
    return (
        float(np.mean(answers.argmax(axis=1)[known] == labels[known]))
        if known.any()
        else 0.0
    )
