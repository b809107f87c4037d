"""Asks classifiers that are to be imported, and makes their records.

Nothing is written here: `import_folder.py` does it once every classifier has answered.
"""

import collections
import pathlib
from collections.abc import Sequence

import numpy as np
import tqdm
from absl import logging

from kennen_tf.black_boxes.forms import Form
from kennen_tf.black_boxes.opening import open_black_box
from kennen_tf.configs.revealing import LABELS
from kennen_tf.imports import import_rows
from kennen_tf.imports.import_rows import ImportRow
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.labeled_images import ValidationImages
from kennen_tf.vocabulary.seeds import derive_seed
from kennen_tf.zoo import imported, store
from kennen_tf.zoo.store import ClassifierRecord

# Images that tell a classifier's accuracy.
MOST_ASKED = 200
_CHANNELS = 3
# What messages about black boxes call by its flag is a column here.
_COLUMN_OF = {
    "--black_box": "file",
    "--outputs": "outputs",
    "--pixels": "pixels",
}


def find_size(rows: Sequence[ImportRow]) -> int:
    """Returns the side of the images that the first classifier takes that says it.

    Raises:
        UserError: If none says it.
    """
    any_square = Form(noun="images", shapes=((None, None, _CHANNELS),), num_classes=0)
    for row in rows:
        try:
            shape = open_black_box(
                row.file, outputs_kind=row.outputs, pixels=row.pixels, form=any_square
            ).image_shape
        except UserError:
            continue  # It is told with all others that cannot be opened.
        if shape[0] is not None and shape[0] == shape[1]:
            return shape[0]
    raise UserError(
        "--image_size must be given: none of the classifiers can be opened and says "
        f"what square RGB images it takes. Received: {len(rows)} classifiers, the "
        f"first {rows[0].file}."
    )


def ask_all(
    rows: Sequence[ImportRow],
    images: ValidationImages,
    *,
    resize: bool,
    num_classes: int = 0,
) -> tuple[list[ClassifierRecord], int]:
    """Asks every classifier about some images.

    Args:
        rows: The classifiers.
        images: Images; `MOST_ASKED` of them are drawn.
        resize: Whether they are resized for classifiers that take another size.
        num_classes: How many classes they must answer; 0: all as many.

    Returns:
        A record of each, its accuracy measured, and the number of classes.

    Raises:
        UserError: If some cannot be opened, or refuse the images, or answer another
            number of classes than most; all of them are named.
    """
    places = np.random.default_rng(derive_seed(0, "accuracy")).permutation(
        len(images.labels)
    )[:MOST_ASKED]
    pixels = images.images[places].astype(np.float32) / np.float32(255)
    labels = images.labels[places]
    problems: dict[str, str] = {}
    answers: dict[str, np.ndarray] = {}
    sizes: dict[str, int] = {}
    counts: collections.Counter[int] = collections.Counter()
    # Who answers labels does not say how many there are.
    for row in tqdm.tqdm(
        sorted(rows, key=lambda row: row.outputs == LABELS),
        desc="import_zoo",
        unit="classifier",
    ):
        wanted = num_classes
        if row.is_missing:
            problems[row.where] = f"{row.file} is no file, folder or module:function"
            continue
        if row.outputs == LABELS and not wanted:
            most = [count for count, _ in counts.most_common(1)]
            [wanted] = most or [max(2, 1 + int(images.labels.max()))]
        try:
            box = imported.open_box(
                *(row.file, row.outputs, row.pixels, images.image_shape, wanted),
                any_size=True,
            )
            side = sizes[row.name] = imported.resized_side(box, images.image_shape)
            if side and not resize:
                raise UserError(
                    f"{row.file} takes images of shape {box.image_shape}. Received: "
                    f"images of shape {images.image_shape}; --resize resizes them."
                )
            answers[row.name] = imported.ask(box, pixels)
        except UserError as error:
            problems[row.where] = _say(error)
            continue
        counts[answers[row.name].shape[1]] += 1
    if counts and not num_classes:
        [(num_classes, _)] = counts.most_common(1)
    for row in rows:
        count = answers[row.name].shape[1] if row.name in answers else num_classes
        if count != num_classes:
            problems[row.where] = (
                f"{row.file} answers {count} classes, but others {num_classes}"
            )
    import_rows.refuse_any(
        f"{row.where}: {problems[row.where]}" for row in rows if row.where in problems
    )
    records = [
        _make_record(row, sizes[row.name], _accuracy(answers[row.name], labels))
        for row in rows
    ]
    _warn_of_guesses(records, len(labels), num_classes)
    return records, num_classes


def _say(error: UserError) -> str:
    text = str(error).rstrip(".")
    for flag, column in _COLUMN_OF.items():
        text = text.replace(flag, column)
    return text


def _accuracy(answers: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(answers.argmax(axis=1) == labels))


def _make_record(row: ImportRow, image_size: int, accuracy: float) -> ClassifierRecord:
    return ClassifierRecord(
        spec=None,
        status=store.ACCEPTED,
        reason="",
        accuracy=accuracy,
        num_params=0,
        epochs=0,
        seconds=0.0,
        num_bytes=_num_bytes(pathlib.Path(row.file)) if row.sha256 else 0,
        sha256=row.sha256,
        values=row.values,
        name=row.name,
        group=row.group,
        file=row.file,
        pixels=row.pixels,
        outputs=row.outputs,
        image_size=image_size,
    )


def _num_bytes(path: pathlib.Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _warn_of_guesses(
    records: Sequence[ClassifierRecord], num_asked: int, num_classes: int
) -> None:
    """Warns of classifiers that are within two standard errors of guessing."""
    chance = 1 / num_classes
    bound = chance + 2 * (chance * (1 - chance) / num_asked) ** 0.5
    poor = [f"{r.id} ({r.accuracy:.3f})" for r in records if r.accuracy <= bound]
    if poor:
        logging.warning(
            "%d of %d classifiers are no better than guessing on %d images of %d "
            "classes: %s. If they are known to be better, the column pixels is wrong, "
            "or the labels are in another order than the classifiers' classes.",
            *(len(poor), len(records), num_asked, num_classes, ", ".join(poor)),
        )
