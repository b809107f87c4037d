"""Exported metamodels: SavedModels that need nothing but TensorFlow.

    export_dir/
      saved_model.pb, variables/    signatures "queries", "reveal" and "values";
                                    functions queries() and table()
      assets/attributes.json        the attribute table: those that it names
      export.json                   settings, image shape, number of classes, labels of
                                    the queries, fingerprints, test accuracy, provenance
      limits.json, novelty.npz      what the metamodel knows of its limits, if it does;
                                    see kennen_tf/evaluation/limits.py

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
Exports of before have the signature "reveal" and the functions, and no others. The list
"coarse" has functions like "reveal" for answers of fewer decimals, one for each of the
later levels of limits.json.
"""

import contextlib
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kennen_tf.attributes import AttributeTable
from kennen_tf.evaluation import limits as limits_lib
from kennen_tf.evaluation.limits import Limits
from kennen_tf.revealing.exported_metamodel import (
    CONFIG_NAME,
    KIND,
    SCHEMA_VERSION,
    read_config,
)
from kennen_tf.revealing.saved_module import FloatArray, SavedModule
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

if TYPE_CHECKING:
    import keras

ATTRIBUTES_NAME = "attributes.json"


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
    coarse: "Sequence[keras.Model]" = (),
    limits: Sequence[Limits] = (),
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
        coarse: As `model`, for coarser answers, one for each of the later limits.
        limits: What is known of its limits, the finest level first.

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
            module = SavedModule(
                model, representation, top_k, pixels, attributes_path, coarse
            )
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
        if limits:
            limits_lib.save(temporary, limits)
        artifacts.write_json(temporary / CONFIG_NAME, header)
    return folder


def copy(
    source: artifacts.Path, export_dir: artifacts.Path, *, overwrite: bool = False
) -> pathlib.Path:
    """Copies an exported metamodel; it is there as a whole or not at all.

    Args:
        source: What `export` wrote.
        export_dir, overwrite: As those of `export`.

    Raises:
        UserError: As `export`.
    """
    folder = pathlib.Path(export_dir)
    if not _is_there(folder, read_config(pathlib.Path(source)), overwrite):
        with _atomic_folder(folder) as temporary:
            shutil.copytree(source, temporary, dirs_exist_ok=True)
    return folder


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
    stored = read_config(folder)
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
