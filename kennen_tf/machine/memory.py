"""How much memory there is, and what is refused as it needs more."""

import pathlib

from kennen_tf.vocabulary.errors import UserError

_INFO = pathlib.Path("/proc/meminfo")
_CONTAINER = pathlib.Path("/sys/fs/cgroup")


# Where it is not known how much there is: little enough for any machine.
_UNKNOWN = 2 << 30


def available_memory() -> int:
    """Returns the bytes of main memory that are free, for this container at least."""
    found = _find_available()
    return _UNKNOWN if found is None else found


def check_memory(num_bytes: int, what: str, instead: str) -> None:
    """Raises `UserError` if less memory is free than is needed.

    Where it is not known how much is, as elsewhere than on Linux, nothing is refused.

    Args:
        num_bytes: How much is needed.
        what: For what, e.g. "--recipe=kernel with 50,000 entries to train on".
        instead: What to do then.
    """
    available = _find_available()
    if available is not None and num_bytes > available:
        raise UserError(
            f"{what} needs about {num_bytes / 1e9:.1f} GB of memory. Received: "
            f"{available / 1e9:.1f} GB that are free. {instead}"
        )


def _find_available() -> int | None:
    amounts = []
    for line in _lines(_INFO):
        if line.startswith("MemAvailable:"):
            amounts.append(1024 * int(line.split()[1]))
    limit, used = (_lines(_CONTAINER / f"memory.{n}") for n in ("max", "current"))
    if limit and used and limit[0] != "max":
        amounts.append(int(limit[0]) - int(used[0]) + _reclaimable())
    return max(min(amounts), 0) if amounts else None


def _reclaimable() -> int:
    """Returns the bytes of files that the container counts as used, and gives up."""
    for line in _lines(_CONTAINER / "memory.stat"):
        if line.startswith("inactive_file "):
            return int(line.split()[1])
    return 0


def _lines(path: pathlib.Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
