"""Exported metamodels: SavedModels that need nothing but TensorFlow.

    export_dir/
      saved_model.pb, variables/    signature "reveal", functions queries() and table()
      assets/attributes.json        the attribute table: those that it names
      export.json                   settings, image shape, number of classes,
                                    fingerprints, test accuracy, provenance

Whoever has only TensorFlow loads one and asks:

    loaded = tf.saved_model.load(export_dir)
    images = loaded.queries()    # float32 (n, height, width, channels) in [0, 1]
    reveal = loaded.signatures["reveal"]
    reveal(probabilities=...)    # float32 (black boxes, n, classes), what each image
                                 # was answered with, in that order; "top-1" reads no
                                 # more of them than the largest
    json.loads(loaded.table().numpy())    # names and values of the attributes
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
from kennen_tf.queries import representations
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

if TYPE_CHECKING:
    import keras

SCHEMA_VERSION = 1
KIND = "exported metamodel"
SIGNATURE = "reveal"
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

        def reveal(probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
            features = representations.represent(probabilities, representation, top_k)
            answers = model(features, training=False)
            return {name: tf.identity(answers[name]) for name in answers}

        shape = (None, *model.input_shape[1:])
        spec = tf.TensorSpec(shape, tf.float32, name="probabilities")
        self.reveal = tf.function(reveal, input_signature=[spec])
        self.queries = tf.function(lambda: tf.identity(self.pixels), input_signature=[])
        self.table = tf.function(lambda: tf.constant(text), input_signature=[])


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
            tf.saved_model.save(
                module, str(temporary), signatures={SIGNATURE: module.reveal}
            )
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
        """
        signature = self._loaded.signatures[SIGNATURE]
        answers = signature(probabilities=tf.constant(probabilities, tf.float32))
        return {name: answers[name].numpy() for name in self.table.names}


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
