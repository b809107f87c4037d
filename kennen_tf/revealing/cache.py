"""Folders that are made once and kept for all later commands of a user."""

import atexit
import contextlib
import functools
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator

import filelock
from absl import logging

from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError


def keep(name: str, make: Callable[[pathlib.Path], object]) -> pathlib.Path:
    """Returns a folder of the cache, made if it is not there.

    Of several processes that want it, one makes it and the others wait.

    Args:
        name: Of the folder; another content has another name.
        make: Makes the folder at a path where there is none; what is there is whole.
    """
    folder = _root() / name
    with _lock(folder):
        if not folder.exists():
            make(folder)
    return folder


def forget(folder: pathlib.Path) -> None:
    """Removes a folder of the cache that turned out to be damaged."""
    with _lock(folder):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _lock(folder: pathlib.Path) -> Iterator[None]:
    lock = filelock.FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        logging.info("Another process makes %s: waiting for it.", folder)
        lock.acquire()
    with lock:
        lock.release()  # It was acquired twice.
        yield


def _root() -> pathlib.Path:
    """Returns the user's cache, or a folder that is gone with this process."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    # Of a user without a home, the tilde stays.
    folder = pathlib.Path(home or os.path.expanduser("~/.cache")) / "kennen_tf"
    if not folder.is_absolute():
        return _temporary(str(folder))
    try:
        return artifacts.make_folder(folder)
    except UserError:
        return _temporary(str(folder))


@functools.lru_cache(maxsize=1)
def _temporary(instead_of: str) -> pathlib.Path:
    folder = tempfile.mkdtemp(prefix="kennen_tf-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    logging.warning(
        "%s cannot be written to, so what is solved for now will be solved for again "
        "by the next command. Set XDG_CACHE_HOME to a folder that can be.",
        instead_of,
    )
    return pathlib.Path(folder)
