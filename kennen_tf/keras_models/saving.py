"""Saved Keras models whose bytes depend on the models alone.

Keras writes the time of saving, addresses in memory and names that count all layers of
the process into a model's file. Here they are a constant, or counted in the model, so
that hashes name models.
"""

import collections
import contextlib
import json
import os
import re
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kennen_tf.vocabulary import artifacts

if TYPE_CHECKING:
    import keras

_DATE = "1980-01-01@00:00:00"


def save_model(model: "keras.Model", path: artifacts.Path) -> None:
    """Writes a `.keras` file, atomically; equal models give equal bytes.

    Layers of a functional model that are named as Keras names them ("dense_7") are
    counted from the model's first one in the file ("dense"); others keep their names.
    """
    with artifacts.atomic_path(path) as temporary:
        dated = temporary.with_name(f"{temporary.stem}-dated.keras")
        try:
            with _counted_names(model):
                model.save(dated)
            _copy(dated, temporary)
        finally:
            dated.unlink(missing_ok=True)


@contextlib.contextmanager
def _counted_names(model: "keras.Model") -> Iterator[None]:
    """Names a model and its layers as if no other had been made before; then undoes it.

    Models within it have counts of their own.
    """
    operations = [model, *getattr(model, "operations", ())]
    before = [operation.name for operation in operations]
    taken = {operation.name for operation in operations if not _is_counted(operation)}
    counts: collections.Counter[str] = collections.Counter()
    with contextlib.ExitStack() as stack:
        for operation in operations[1:]:
            if getattr(operation, "operations", None):
                stack.enter_context(_counted_names(operation))
        try:
            for operation in filter(_is_counted, operations):
                stem = _automatic_name(operation)
                while (
                    name := f"{stem}_{counts[stem]}" if counts[stem] else stem
                ) in taken:
                    counts[stem] += 1
                counts[stem] += 1
                operation.name = name
            yield
        finally:
            for operation, name in zip(operations, before, strict=True):
                operation.name = name


def _is_counted(operation: Any) -> bool:
    return bool(re.fullmatch(rf"{_automatic_name(operation)}(_\d+)?", operation.name))


def _automatic_name(operation: Any) -> str:
    """Returns what Keras names the first object of a class."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(operation).__name__)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _copy(source: artifacts.Path, target: os.PathLike[str]) -> None:
    """Copies a model's file without dates and addresses."""
    with zipfile.ZipFile(source) as theirs, zipfile.ZipFile(target, "w") as ours:
        for name in sorted(theirs.namelist()):
            content = theirs.read(name)
            if name.endswith(".json"):
                values = json.loads(content)
                if name == "metadata.json":
                    values["date_saved"] = _DATE
                _number_objects(values, {})
                # Not sorted: the order of e.g. outputs means something.
                content = json.dumps(values).encode()
            ours.writestr(zipfile.ZipInfo(name), content)


def _number_objects(value: Any, numbers: dict[int, int]) -> None:
    """Counts shared objects from 0 in the order in which they are met."""
    if isinstance(value, dict):
        if "shared_object_id" in value:
            own = value["shared_object_id"]
            value["shared_object_id"] = numbers.setdefault(own, len(numbers))
        for inner in value.values():
            _number_objects(inner, numbers)
    elif isinstance(value, list):
        for inner in value:
            _number_objects(inner, numbers)
