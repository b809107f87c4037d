"""Exported metamodels: SavedModels that need nothing but TensorFlow.

    export_dir/
      saved_model.pb, variables/    signatures "queries", "reveal" and "values";
                                    functions queries() and table()
      assets/attributes.json        the attribute table: those that it names
      export.json                   settings, image shape, number of classes,
                                    fingerprints, test accuracy, provenance

Whoever has only TensorFlow loads one and asks, by names that `saved_model_cli show`
tells:

    loaded = tf.saved_model.load(export_dir)
    sent = loaded.signatures["queries"]()
    sent["images"]         # float32 (n, height, width, channels), what to send
    sent["pixel_range"]    # [0., 1.]
    sent["num_queries"]    # n
    sent["num_classes"]    # how many numbers a black box answers to each image

    reveal = loaded.signatures["reveal"]
    answers = reveal(probabilities=...)    # float32 (black boxes, n, classes), what
                                           # each image was answered with, in that
                                           # order; "top-1" reads no more of them than
                                           # which is largest
    values = loaded.signatures["values"]()
    answers["act"][0]    # probabilities of the values of the attribute "act" ...
    values["act"]        # ... in this order, as text

    json.loads(loaded.table().numpy())    # all that is known of the attributes

What is no probability, or answers another number of queries, fails with a sentence.
Exports of before have the signature "reveal" and the functions, and no others.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf.attributes import AttributeTable
from kennen_tf.black_boxes import answers as answers_lib
from kennen_tf.queries import representations
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

if TYPE_CHECKING:
    import keras

SCHEMA_VERSION = 1
KIND = "exported metamodel"
SIGNATURE = "reveal"
QUERIES_SIGNATURE = "queries"
VALUES_SIGNATURE = "values"
CONFIG_NAME = "export.json"
ATTRIBUTES_NAME = "attributes.json"
_MAKE_WITH = "python -m kennen_tf.export_metamodel --metamodel_dir=... --export_dir=..."

FloatArray = npt.NDArray[np.float32]


class _Module(tf.Module):
    """What is saved: a metamodel with its representation, queries and table."""

    def __init__(
        self,
        model: "keras.Model",
        representation: str,
        top_k: int,
        pixels: FloatArray,
        attributes_path: pathlib.Path,
    ):
        super().__init__()
        # The variables and not the model: what Keras hangs on a model would need
        # Keras, or warn, when it is loaded.
        self.weights = [variable.value for variable in model.variables]
        self.pixels = tf.Variable(pixels, trainable=False, name="queries")
        self.attributes_file = tf.saved_model.Asset(str(attributes_path))
        text = attributes_path.read_text()
        table = AttributeTable.from_json(json.loads(text), attributes_path)
        num_queries, num_classes = model.input_shape[1:]

        def reveal(probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
            checked = _check_probabilities(probabilities, num_queries)
            features = representations.represent(checked, representation, top_k)
            answers = model(features, training=False)
            return {name: tf.identity(answers[name]) for name in answers}

        def describe_queries() -> dict[str, tf.Tensor]:
            return {
                "images": tf.identity(self.pixels),
                "pixel_range": tf.constant([0.0, 1.0]),
                "num_queries": tf.constant(num_queries),
                "num_classes": tf.constant(num_classes),
            }

        def list_values() -> dict[str, tf.Tensor]:
            return {a.name: tf.constant([str(v) for v in a.values]) for a in table}

        # Any number of queries, so that a wrong one gets to the sentence about it.
        spec = tf.TensorSpec((None, None, num_classes), tf.float32, "probabilities")
        self.reveal = tf.function(reveal, input_signature=[spec])
        self.describe_queries = tf.function(describe_queries, input_signature=[])
        self.list_values = tf.function(list_values, input_signature=[])
        self.queries = tf.function(lambda: tf.identity(self.pixels), input_signature=[])
        self.table = tf.function(lambda: tf.constant(text), input_signature=[])

    @property
    def signatures(self) -> dict[str, Any]:
        """What is saved under a name that other programs ask for."""
        return {
            SIGNATURE: self.reveal,
            QUERIES_SIGNATURE: self.describe_queries,
            VALUES_SIGNATURE: self.list_values,
        }


def _check_probabilities(probabilities: tf.Tensor, num_queries: int) -> tf.Tensor:
    """Returns them, once it is sure that they are some; in a graph."""
    sums = tf.reduce_sum(probabilities, axis=-1)
    is_wrong = tf.logical_or(
        tf.abs(sums - 1.0) > answers_lib.SUM_TOLERANCE,
        tf.reduce_any(probabilities < answers_lib.LEAST, axis=-1),
    )
    # Of NaN, neither is true.
    is_wrong = tf.logical_or(is_wrong, tf.math.is_nan(sums))
    checks = [
        tf.debugging.assert_equal(
            tf.shape(probabilities)[1],
            num_queries,
            f"`probabilities` must hold the answers to all {num_queries} queries, in "
            "their order: shape (black boxes, queries, classes). The signature "
            f'"{QUERIES_SIGNATURE}" returns the queries.',
        ),
        tf.debugging.assert_equal(
            tf.reduce_any(is_wrong),
            False,
            "`probabilities` must be probabilities: at least 0, the classes of each "
            "answer with sum 1. If they are logits, send their softmax.",
        ),
    ]
    with tf.control_dependencies(checks):
        checked = tf.identity(probabilities)
    return tf.ensure_shape(checked, (None, num_queries, probabilities.shape[-1]))


def export(
    model: "keras.Model",
    *,
    table: AttributeTable,
    representation: str,
    top_k: int,
    pixels: FloatArray,
    description: Mapping[str, Any],
    export_dir: artifacts.Path,
    overwrite: bool = False,
) -> pathlib.Path:
    """Writes an exported metamodel; it is there as a whole or not at all.

    Args:
        model: From features `(batch, n, classes)` to probabilities `(batch, values)`
            of every attribute that it names.
        table: Its attributes; those that it does not name are left out.
        representation: How `model` reads outputs, one of `outputs.REPRESENTATIONS`.
        top_k: Labels that "top-k" ranks.
        pixels: The n queries, float32 `(n, height, width, channels)` in [0, 1].
        description: JSON for `export.json`. Under "fingerprints" it holds
            "metamodel": another export of the same metamodel may be replaced, and is
            left alone if its description is the same.
        export_dir: A folder that is new, empty, or holds an exported metamodel.
        overwrite: Whether another exported metamodel there is replaced.

    Raises:
        UserError: If the folder holds something else, or another metamodel that is
            not to be replaced.
    """
    folder = pathlib.Path(export_dir)
    if _is_there(folder, description, overwrite):
        return folder
    with _atomic_folder(folder) as temporary:
        # The name of the asset is the name of this file, which is not kept.
        rows = table.select(model.output).to_json()
        with _attributes_file(temporary, rows) as attributes_path:
            module = _Module(model, representation, top_k, pixels, attributes_path)
            tf.saved_model.save(module, str(temporary), signatures=module.signatures)
        header = {
            "kind": KIND,
            "schema_version": SCHEMA_VERSION,
            "num_queries": len(pixels),
            "image_shape": list(pixels.shape[1:]),
            "num_classes": model.input_shape[-1],
            "representation": representation,
            "top_k": top_k,
            "attributes": rows,
            "provenance": artifacts.provenance(),
            **description,
        }
        artifacts.write_json(temporary / CONFIG_NAME, header)
    return folder


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
        """Loads what `export` wrote.

        Raises:
            UserError: If there is none, or it is damaged or of another version.
        """
        path = pathlib.Path(export_dir)
        description = _read_config(path)
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


def _read_config(folder: pathlib.Path) -> dict[str, Any]:
    wanted = artifacts.read_json(
        folder / CONFIG_NAME, wanted=KIND, make_with=_MAKE_WITH
    )
    if not isinstance(wanted, dict) or wanted.get("kind") != KIND:
        raise UserError(
            f"{folder / CONFIG_NAME} must be of an exported metamodel. Make one with "
            f"`{_MAKE_WITH}`."
        )
    return wanted


def _is_there(
    folder: pathlib.Path, description: Mapping[str, Any], overwrite: bool
) -> bool:
    """Says whether this very export exists; refuses what must not be replaced.

    An export of the same metamodel may be replaced: one made after an evaluation
    knows more.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not (folder / CONFIG_NAME).exists():
        raise UserError(
            "--export_dir must be a new or empty folder, or hold an exported "
            f"metamodel. Received: {folder}, which holds something else. Choose "
            "another folder."
        )
    if overwrite:
        return False
    stored = _read_config(folder)
    name = "metamodel"
    if stored["fingerprints"][name] != description["fingerprints"][name]:
        raise UserError(
            f"--export_dir={folder} holds another exported metamodel. Choose another "
            "folder, or replace it with --overwrite."
        )
    return stored.get("schema_version") == SCHEMA_VERSION and all(
        stored.get(key) == value for key, value in description.items()
    )


@contextlib.contextmanager
def _attributes_file(
    folder: pathlib.Path, table: Mapping[str, Any]
) -> Iterator[pathlib.Path]:
    path = folder / ATTRIBUTES_NAME
    artifacts.write_json(path, table)
    try:
        yield path
    finally:
        path.unlink()


@contextlib.contextmanager
def _atomic_folder(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary folder beside `folder`, which takes its place at the end."""
    parent = artifacts.make_folder(folder.absolute().parent)
    mark = f"{folder.name}{artifacts.TEMPORARY_MARK}"
    for left_by_a_killed_run in parent.glob(f"{mark}*"):
        shutil.rmtree(left_by_a_killed_run, ignore_errors=True)
    temporary = parent / f"{mark}{uuid.uuid4().hex[:8]}"
    old = parent / f"{mark}{uuid.uuid4().hex[:8]}"
    temporary.mkdir()
    try:
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                with open(path, "rb+") as file:
                    os.fsync(file.fileno())
        if folder.exists():
            os.replace(folder, old)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
