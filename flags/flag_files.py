"""Flag files: `--flagfile` holds one flag a line and, unlike absl's own, has sections.

Flags after a line `[build_zoo]` are for that binary alone, so that one file sets up the
whole chain although binaries share names of flags. Flags typed on the command line win
over those of a file, wherever they stand.
"""

import pathlib
import re
from collections.abc import Sequence

from kennen_tf.vocabulary.errors import UserError

HELP = """\
  --flagfile: Path of a file with flags, one a line, e.g. flags/presets/laptop.flags;
    flags after a line [build_zoo] are for that binary alone. Flags typed on the
    command line win.
"""

_ROOT = pathlib.Path(__file__).parent.parent  # The checkout, or site-packages.
_FLAG_FILE = re.compile("--?flagfile(=.*)?")


def read_flag_file(path: str, binary: str) -> list[str]:
    """Returns the flags that a file holds for one binary.

    Args:
        path: The file; if there is none, it is looked for beside the installed
            packages, so that `flags/presets/demo.flags` works from any folder.
        binary: Name of the binary. Flags in the sections of others are left out.

    Raises:
        UserError: If the file cannot be read, or a line is neither a flag, a section, a
            comment (#) nor empty.
    """
    found = pathlib.Path(path).expanduser()
    if not found.exists():
        found = _ROOT / found
    try:
        lines = found.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"--flagfile must be a text file with one flag a line. Received: "
            f"{path!r} ({reason})."
        ) from error
    flags, section = [], binary
    for number, line in enumerate(map(str.strip, lines), start=1):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            if not (_ROOT / "kennen_tf" / f"{section}.py").is_file():
                raise UserError(
                    f"{path}, line {number}: a section must be named after a binary, "
                    f"e.g. [{binary}]. Received: {line}."
                )
        elif line.startswith("-"):
            if section == binary:
                flags.append(line)
        elif line and not line.startswith("#"):
            raise UserError(
                f"{path}, line {number}: expected a flag (--name=value), a section "
                f"([{binary}]) or a comment (#). Received: {line}."
            )
    return flags


def expand_flag_files(arguments: Sequence[str], binary: str) -> list[str]:
    """Returns the flags of every `--flagfile`, then the other arguments."""
    from_files, others = [], []
    rest = list(arguments)
    while rest and rest[0] != "--":
        argument = rest.pop(0)
        if not _FLAG_FILE.fullmatch(argument):
            others.append(argument)
            continue
        _, is_joined, path = argument.partition("=")
        if not is_joined and rest:
            path = rest.pop(0)
        from_files += read_flag_file(path, binary)
    return from_files + others + rest
