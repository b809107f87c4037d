"""Running a binary: its flags, its help, and what its exit status says.

Each field of a binary's config has the flag of the same name; `definition.py` makes
them, `flag_files.py` reads those of files. A binary has a function `main` that calls
`run`: for `python -m`, and for its console script, which `setup.cfg` names.
"""

import errno
import sys
import textwrap
from collections.abc import Callable
from typing import NoReturn

from absl import app, logging
from absl import flags as absl_flags

from flags import definition, flag_files
from flags.definition import ConfigType
from kennen_tf.machine import environment
from kennen_tf.vocabulary.errors import UserError

# What a user can mend: a full disk, a missing permission.
_USERS_ERRNOS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
)
_HELP = {"--help", "-help", "-h", "-?", "--helpshort", "-helpshort"}


def run(binary: Callable[[ConfigType], object], config_class: type[ConfigType]) -> None:
    """Parses the command line, calls a binary with its config and ends the process.

    `--help` prints the docstring of the binary's module and its flags. A `UserError`, a
    full disk or a missing permission is told in one line. Exit status: 0; 1 after an
    error; 2 after a wrong flag; 130 after Ctrl-C.

    Args:
        binary: Its function, of the same name.
        config_class: Its only argument's; each field has a flag.
    """
    name = binary.__name__
    make_config = definition.define(config_class)

    def parse(argv: list[str]) -> ConfigType:
        if _HELP & set(argv):
            print(_help_text(binary))
            sys.exit(0)
        try:
            expanded = [argv[0], *flag_files.expand_flag_files(argv[1:], name)]
            leftover = absl_flags.FLAGS(expanded)[1:]
            if leftover:
                raise UserError(f"Only flags are taken. Received: {leftover}.")
            return make_config()
        except (absl_flags.Error, UserError) as error:
            _fail(error, status=2)

    app.run(lambda config: _call(binary, config), flags_parser=parse)


def _help_text(binary: Callable[..., object]) -> str:
    # "__main__" with `python -m`, but not in a console script.
    doc = textwrap.dedent(sys.modules[binary.__module__].__doc__ or "").strip()
    flags = definition.describe()
    return f"{doc}\n\nFlags of {binary.__name__}:\n{flags}\n{flag_files.HELP}"


def _call(binary: Callable[[ConfigType], object], config: ConfigType) -> None:
    """Calls a binary; turns what a user can mend into a line and an exit status."""
    logging.use_absl_handler()
    # The binary imports TensorFlow and Keras.
    environment.set_environment()
    try:
        binary(config)
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
