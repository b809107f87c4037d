"""The folder of query outputs while they are made: locked, and whole or as before."""

import contextlib
import pathlib
import shutil
from collections.abc import Iterator

from kennen_tf.queries import query_inputs
from kennen_tf.queries.query_outputs import (
    ATTRIBUTES_NAME,
    CONFIG_NAME,
    ENTRIES_NAME,
    KIND,
    read_json,
)
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

SHARD_PREFIX = "query_outputs-"
_WORK_FOLDER = ".incomplete"
# The names that query_zoo gives; a folder with any other file is somebody else's.
_OWN_NAMES = (
    _WORK_FOLDER,
    ".lock",
    CONFIG_NAME,
    ATTRIBUTES_NAME,
    query_inputs.FILE_NAME,
    ENTRIES_NAME,
    "features.json",
    "dataset_info.json",
)
_LABELS_SUFFIX = ".labels.txt"


def holds_query_outputs(query_dir: artifacts.Path) -> bool:
    """Says whether there are whole query outputs, of whatever zoo and settings.

    Raises:
        UserError: If the folder holds anything else.
    """
    folder = pathlib.Path(query_dir)
    if not folder.is_dir():
        return False
    foreign = [path.name for path in folder.iterdir() if not _is_own(path.name)]
    is_there = (folder / CONFIG_NAME).exists()
    # A damaged config may be replaced, if nothing but query outputs is beside it.
    with contextlib.suppress(UserError):
        kind = read_json(folder / CONFIG_NAME).get("kind")
        foreign += [CONFIG_NAME] if kind != KIND else []
    if foreign:
        raise UserError(
            "--query_dir must be a new or empty folder, or hold query outputs and "
            f"nothing else. Received: {folder}, which holds {sorted(foreign)[:3]}."
        )
    return is_there


def _is_own(name: str) -> bool:
    return (
        name in _OWN_NAMES
        or name.startswith(SHARD_PREFIX)
        or name.endswith(_LABELS_SUFFIX)
        or artifacts.TEMPORARY_MARK in name
    )


@contextlib.contextmanager
def work_folder(query_dir: artifacts.Path) -> Iterator[pathlib.Path]:
    """Locks `query_dir` and yields a folder in it that is removed at the end.

    Raises:
        UserError: If it cannot be written to, holds something else, or another
            process writes there.
    """
    holds_query_outputs(query_dir)
    folder = artifacts.make_folder(query_dir)
    with artifacts.folder_lock(folder, "querying a zoo"):
        work = folder / _WORK_FOLDER
        # A killed run leaves it.
        shutil.rmtree(work, ignore_errors=True)
        artifacts.remove_incomplete(folder)
        work.mkdir()
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
