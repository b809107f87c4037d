"""What the flags of all binaries share, and how a binary is run.

A module of this package has `define(flag_values)`, which defines one binary's flags
and returns a function without arguments that makes the binary's config from them.
Each field of the config has the flag of the same name and takes its default.

Flag files (`--flagfile`) hold one flag a line and, unlike absl's own, may have
sections: flags after a line `[build_zoo]` are for that binary alone, so that one file
sets up the whole chain although binaries share names of flags. Flags typed on the
command line win over those of a file, wherever they stand.
"""

import errno
import pathlib
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from absl import app, logging
from absl import flags as absl_flags

from kennen_tf.configs.base import Config
from kennen_tf.machine import environment
from kennen_tf.vocabulary.errors import UserError

ConfigType = TypeVar("ConfigType", bound=Config)
Define = Callable[[absl_flags.FlagValues], Callable[[], Any]]

_USERS_ERRNOS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
)

_HELP = {"--help", "-help", "-h", "-?", "--helpshort", "-helpshort"}
_ROOT = pathlib.Path(__file__).parent.parent  # The checkout, or site-packages.
_FLAG_FILE = re.compile("--?flagfile(=.*)?")
_FLAG_FILE_HELP = """\
  --flagfile: Path of a file with flags, one a line, e.g. flags/presets/laptop.flags;
    flags after a line [build_zoo] are for that binary alone. Flags typed on the
    command line win.
"""


class Definer:
    """Defines flags whose defaults come from a config class, then makes the config.

    Attributes:
        holders: Flag holder of each field defined so far.
    """

    def __init__(
        self, config_class: type[ConfigType], flag_values: absl_flags.FlagValues
    ):
        self._config_class = config_class
        self._flag_values = flag_values
        self._fields = config_class.__dataclass_fields__
        self.holders: dict[str, absl_flags.FlagHolder[Any]] = {}

    def _define(self, kind: Callable[..., Any], name: str, *args: Any) -> None:
        self.holders[name] = kind(
            name, self._fields[name].default, *args, flag_values=self._flag_values
        )

    def integer(self, name: str, help_text: str) -> None:
        self._define(absl_flags.DEFINE_integer, name, help_text)

    def number(self, name: str, help_text: str) -> None:
        self._define(absl_flags.DEFINE_float, name, help_text)

    def string(self, name: str, help_text: str) -> None:
        self._define(absl_flags.DEFINE_string, name, help_text)

    def boolean(self, name: str, help_text: str) -> None:
        self._define(absl_flags.DEFINE_boolean, name, help_text)

    def choice(self, name: str, choices: Sequence[str], help_text: str) -> None:
        self._define(absl_flags.DEFINE_enum, name, list(choices), help_text)

    def make_config(self) -> Any:
        """Returns the config that the parsed flags describe.

        Raises:
            UserError: If the config refuses a value.
        """
        missing = set(self._fields) - set(self.holders)
        if missing:
            raise TypeError(f"Fields without a flag: {sorted(missing)}.")
        values = {name: holder.value for name, holder in self.holders.items()}
        return self._config_class(**values)


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


def run(main: Callable[[Any], object], define: Define) -> None:
    """Parses the command line, calls `main` with the config and ends the process.

    `--help` prints the main module's docstring and its flags. A `UserError`, a full
    disk or a missing permission is told in one line. Exit status: 0; 1 after an error;
    2 after a wrong flag; 130 after Ctrl-C.

    Args:
        main: The binary's function; its name is the binary's.
        define: Defines the binary's flags; returns what makes the config from them.
    """
    binary = main.__name__
    make_config = define(absl_flags.FLAGS)

    def parse(argv: list[str]) -> Any:
        if _HELP & set(argv):
            print(_help_text(binary))
            sys.exit(0)
        try:
            expanded = [argv[0], *expand_flag_files(argv[1:], binary)]
            leftover = absl_flags.FLAGS(expanded)[1:]
            if leftover:
                raise UserError(f"Only flags are taken. Received: {leftover}.")
            return make_config()
        except (absl_flags.Error, UserError) as error:
            _fail(error, status=2)

    app.run(lambda config: _call(main, config), flags_parser=parse)


def _help_text(binary: str) -> str:
    # Flags belong to the module whose code called absl: this one.
    _, _, flags = absl_flags.FLAGS.module_help(__name__).partition(":\n")
    doc = textwrap.dedent(sys.modules["__main__"].__doc__ or "").strip()
    return f"{doc}\n\nFlags of {binary}:\n{flags}\n{_FLAG_FILE_HELP}"


def _call(main: Callable[[Any], object], config: Any) -> None:
    """Calls `main`; turns what a user can mend into a line and an exit status."""
    logging.use_absl_handler()
    # `main` imports TensorFlow and Keras.
    environment.set_environment()
    try:
        main(config)
    except UserError as error:
        _fail(error, status=1)
    except OSError as error:
        if error.errno not in _USERS_ERRNOS:
            raise
        _fail(error, status=1)
    except KeyboardInterrupt:
        needs_flag = not absl_flags.FLAGS.flag_values_dict().get("resume", True)
        command = "the same command" + (" with --resume" if needs_flag else "")
        _fail(f"stopped; {command} goes on from here.", status=130)


def _fail(error: object, status: int) -> NoReturn:
    text = " ".join(str(error).split())
    print(f"error: {text}", file=sys.stderr)
    sys.exit(status)
