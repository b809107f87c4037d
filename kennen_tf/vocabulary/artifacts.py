"""Files that runs leave: atomic writes, JSON, fingerprints, schema versions, locks.

Nothing half-written ever has a final name: every writer here fills a temporary file
in the same folder, flushes it to disk and renames it.
"""

import contextlib
import datetime
import gzip
import hashlib
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import filelock

from kennen_tf.vocabulary.errors import UserError

Path = str | os.PathLike[str]

TEMPORARY_MARK = ".incomplete-"
_BLOCK = 1 << 20
_LIBRARIES = ("kennen_tf", "tensorflow", "keras", "numpy", "scikit-learn")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`, renamed to it if the body succeeds.

    The temporary name keeps the suffix (Keras looks at it). If the body fails, the
    temporary file is removed and `path` stays as it was.
    """
    path = pathlib.Path(path)
    mark = f"{TEMPORARY_MARK}{uuid.uuid4().hex[:8]}"
    temporary = path.with_name(f"{path.stem}{mark}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_incomplete(folder: Path) -> None:
    """Removes temporary files that a killed run left directly in `folder`."""
    for path in pathlib.Path(folder).glob(f"*{TEMPORARY_MARK}*"):
        path.unlink(missing_ok=True)


def make_folder(folder: Path) -> pathlib.Path:
    """Makes `folder`, parents included, and checks that it can be written to.

    Raises:
        UserError: If it cannot be made or written to.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f"{TEMPORARY_MARK}{uuid.uuid4().hex[:8]}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"A folder that can be written to is needed. Received: {folder} "
            f"({error.strerror}). Choose another folder, or change its permissions."
        ) from error
    return folder


@contextlib.contextmanager
def folder_lock(folder: Path, purpose: str) -> Iterator[None]:
    """Holds `folder` for one process; the system releases it if the process dies.

    Raises:
        UserError: If another process holds it.
    """
    lock = filelock.FileLock(pathlib.Path(folder) / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise UserError(
            f"Another process is {purpose} in {folder}. Wait for it to end, stop it, "
            "or choose another folder."
        ) from error
    try:
        yield
    finally:
        lock.release()


def canonical_json(value: Any) -> str:
    """Returns one line of JSON with sorted keys and full precision."""
    return json.dumps(value, sort_keys=True, allow_nan=False)


def write_json(path: Path, value: Any, *, sort_keys: bool = True) -> None:
    """Writes indented JSON, atomically; `sort_keys` is whether order means nothing."""
    text = json.dumps(value, indent=1, sort_keys=sort_keys, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def read_json(path: Path, *, wanted: str, make_with: str) -> Any:
    """Reads a JSON file.

    Args:
        path: The file.
        wanted: What the user meant to give, e.g. "zoo"; used in errors.
        make_with: The command that makes one; used in errors.

    Raises:
        UserError: If the file is missing or is not JSON.
    """
    path = pathlib.Path(path)
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"No {wanted} at {path.parent}: {path.name} is missing. Make one with "
            f"`{make_with}`."
        ) from error
    except (ValueError, IsADirectoryError) as error:
        raise UserError(f"{path} is damaged: {error}. Make it again.") from error


def check_schema(config: Any, version: int, where: Path) -> None:
    """Raises `UserError` if what was read is no artifact of this schema version."""
    received = config.get("schema_version") if isinstance(config, Mapping) else None
    if received != version:
        raise UserError(
            f"{where} must have schema version {version}. Received: {received}. It "
            "was made by another version of kennen_tf: use that one, or make it again."
        )


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def append_json_line(path: Path, value: Mapping[str, Any]) -> None:
    """Appends one object to a JSON-lines file and flushes it to disk."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(canonical_json(value) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Reads a JSON-lines file as a whole; see `iterate_json_lines`."""
    return list(iterate_json_lines(path))


def iterate_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Reads a JSON-lines file line by line, without a last one that a kill cut off.

    Of a file that is not there, there are none; one whose name ends in .gz is unpacked.

    Raises:
        UserError: If any other line is not JSON.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return
    unpacked = gzip.open(path) if path.suffix == ".gz" else open(path, "rb")
    with unpacked as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line)
            except ValueError as error:  # UnicodeDecodeError is one, too.
                raise UserError(
                    f"{path}, line {number}, is damaged: {error}."
                ) from error
            yield row


def mend_json_lines(path: Path) -> None:
    """Removes a last line that a kill or a full disk cut off."""
    path = pathlib.Path(path)
    if not path.exists():
        return
    with open(path, "rb+") as file:
        end = size = file.seek(0, os.SEEK_END)
        # From the end, as the file may be large.
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            if found := file.read(end - start).rfind(b"\n") + 1:
                end = start + found
                break
            end = start
        if end < size:
            file.truncate(end)


def sha256_of_file(path: Path) -> str:
    """Returns the SHA-256 of a file, as hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(value: Any) -> str:
    """Returns 16 hexadecimal digits that name a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def provenance(command: Sequence[str] | None = None) -> dict[str, Any]:
    """Returns what an artifact was made from and when: versions, command, commit."""
    return {
        "command": list(command if command is not None else sys.argv),
        "commit": _commit(),
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(
            timespec="seconds"
        ),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Returns the versions of Python and of what decides what is computed."""
    found = {"python": sys.version.split()[0]}
    for library in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[library] = importlib.metadata.version(library)
    return found


def _commit() -> str | None:
    """Returns the commit of the checkout that this package runs from, if any."""
    root = pathlib.Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
