"""Flags of any config: one for each of its fields, which say what they are."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar

from absl import flags as absl_flags

from kennen_tf.configs.base import Config

ConfigType = TypeVar("ConfigType", bound=Config)

# By the type that a field is annotated with.
_KINDS: dict[Any, Callable[..., absl_flags.FlagHolder[Any]]] = {
    bool: absl_flags.DEFINE_boolean,
    int: absl_flags.DEFINE_integer,
    float: absl_flags.DEFINE_float,
    str: absl_flags.DEFINE_string,
}


def define(
    config_class: type[ConfigType],
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], ConfigType]:
    """Defines a flag for each field of a config class, with its name and default.

    Args:
        config_class: Its fields are made with `base.setting`, which has their help.
        flag_values: Where to define them.

    Returns:
        A function that makes the config from the flags, once they are parsed. It raises
        `UserError` if the config refuses a value.

    Raises:
        TypeError: If a field says nothing of itself, or is of a type without a flag.
    """
    settings = config_class.settings()
    holders: dict[str, absl_flags.FlagHolder[Any]] = {}
    for field in dataclasses.fields(config_class):
        if field.name not in settings or field.type not in _KINDS:
            raise TypeError(
                f"A field must be a `setting` of a plain type. Received: {field.name}, "
                f"{field.type}, of {config_class.__name__}."
            )
        said = settings[field.name]
        kind = _KINDS[field.type]
        if said.choices:
            kind = functools.partial(
                absl_flags.DEFINE_enum, enum_values=list(said.choices)
            )
        holders[field.name] = kind(
            field.name, field.default, help=said.help, flag_values=flag_values
        )
    return lambda: config_class(**{name: h.value for name, h in holders.items()})


def describe() -> str:
    """Returns the help of all flags that were defined here for the command line."""
    # Flags belong to the module whose code called absl: this one.
    return absl_flags.FLAGS.module_help(__name__).partition(":\n")[2]
