"""Published weights: from a folder, Keras's cache or the network, or a clear error."""

import contextlib
import hashlib
import pathlib
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras.src import backend
from keras.src.utils import file_utils

from kennen_tf.vocabulary.errors import UserError

# How long a server may take to answer at all, and to go on with an answer.
_ANSWER_SECONDS = 20
_STALL_SECONDS = 60


def missing_weights(
    file: str, source: str, place: str | pathlib.Path, problem: str
) -> UserError:
    """Returns the error that says which file, from where, and where to put it.

    Args:
        file: Name of the file.
        source: Its URL.
        place: Folder that it belongs into.
        problem: What is wrong: "The weights FILE ...".
    """
    return UserError(
        f"The weights {file} {problem}. Get the file from {source} and put it into "
        f"{place} as {file}."
    )


def cache_folder() -> pathlib.Path:
    """Returns the folder that Keras downloads weights into."""
    return pathlib.Path(backend.config.keras_home()).expanduser() / "models"


@contextlib.contextmanager
def keras_weights(
    file: str, path: pathlib.Path | None = None, place: pathlib.Path | None = None
) -> Iterator[None]:
    """While the body runs, Keras gets the weights "imagenet" as they are wanted here.

    Keras must be asked for "imagenet", and not for the weights at a path: it builds
    some classifiers otherwise then (EfficientNet has one layer less), and they load
    without complaint. So the function that it gets the file from is replaced meanwhile.
    `keras.utils.get_file` alone would not do: URLs and hashes of the 48 files are in no
    public table, and only a call tells them. Where that function is looked up is
    private, but the same in all of Keras 3, and if it should change, that is noticed.
    For one thread at a time.

    Args:
        file: Name of the file that Keras is expected to ask for.
        path: The file; None to take it from Keras's cache, or download it there.
        place: Where errors say to put it; None for that cache.

    Raises:
        UserError: If the weights cannot be had, are damaged, or do not fit.
    """
    get_file = file_utils.get_file
    where = str(place or f"{cache_folder()}, or the folder of --weights_dir,")
    origins: list[str] = []

    def supply(fname: str, origin: str, **settings: Any) -> str:
        if fname != file:
            raise RuntimeError(f"Keras {keras.__version__} wants {fname}, not {file}.")
        origins.append(origin)
        if path is not None:
            problem = _find_damage(path, settings.get("file_hash"))
            if problem:
                raise missing_weights(file, origin, where, problem)
            return str(path)
        try:
            return _find_or_download(get_file, fname, origin, **settings)
        except Exception as error:
            problem = f"are needed, and cannot be downloaded ({_first_line(error)})"
            raise missing_weights(file, origin, where, problem) from error

    file_utils.get_file = supply
    try:
        yield
    except Exception as error:
        if not origins or isinstance(error, UserError):
            raise
        problem = (
            f"in {path.parent if path else cache_folder()} are damaged, or those of "
            f"another classifier ({_first_line(error)})"
        )
        raise missing_weights(file, origins[0], where, problem) from error
    finally:
        file_utils.get_file = get_file
    if not origins:
        raise RuntimeError(f"Keras {keras.__version__} did not ask for {file}.")


def _find_damage(path: pathlib.Path, wanted: str | None) -> str:
    """Returns what is wrong with a file of this hash, MD5 or SHA-256, or ""."""
    if wanted is None:
        return ""
    sha256 = len(wanted) == hashlib.sha256().digest_size * 2
    digest = hashlib.new("sha256" if sha256 else "md5", usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() == wanted:
        return ""
    return (
        f"in {path.parent} are damaged, or not those that Keras publishes: their "
        f"{digest.name.upper()} is {digest.hexdigest()}, not {wanted}"
    )


def _find_or_download(
    get_file: Callable[..., str], fname: str, origin: str, **settings: Any
) -> str:
    # Keras would find it, too, but not in a folder that may only be read.
    cached = cache_folder() / fname
    if cached.is_file() and not _find_damage(cached, settings.get("file_hash")):
        return str(cached)
    _check_answer(origin)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALL_SECONDS)  # Keras sets none.
    try:
        return get_file(fname, origin, **settings)
    finally:
        socket.setdefaulttimeout(before)


def _check_answer(url: str) -> None:
    """Raises an exception if there is no answer from `url` soon.

    A timeout of the connection is not enough: it counts for each of the server's many
    addresses, and not for looking these up.
    """
    errors: list[Exception] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=_ANSWER_SECONDS).close()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_ANSWER_SECONDS)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {_ANSWER_SECONDS} s")
    if errors:
        raise errors[0]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
