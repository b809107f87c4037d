"""What all configs share: fields that explain themselves, checks, JSON round trip.

A field made with `setting` says what its flag says: help, choices, bounds. All of that
is checked here, when a config is made; what relates several fields, the class checks.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from kennen_tf.vocabulary.errors import UserError

ConfigType = TypeVar("ConfigType", bound="Config")

_KEY = "setting"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What a field says of itself, beside its type and default.

    Attributes:
        help: What it is, with its unit: the help of its flag.
        choices: The only values; empty if there are others.
        minimum, maximum: Bounds of a number, both included; None: no bound.
        required: Whether a text must not be empty.
        stored: Whether `to_json` has it; not what nothing that is made depends on.
    """

    help: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    required: bool = False
    stored: bool = True

    def check(self, name: str, value: Any) -> None:
        """Raises `UserError` if a value is not allowed."""
        if self.required:
            check_given(name, value)
        if self.choices:
            check_choice(name, value, self.choices)
        check_range(name, value, self.minimum, self.maximum)


def setting(
    default: Any,
    help_text: str,
    *,
    choices: Iterable[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    required: bool = False,
    stored: bool = True,
) -> Any:
    """Makes a field with a `Setting`; arguments are those of one, and the default."""
    said = Setting(
        help=help_text,
        choices=tuple(choices),
        minimum=minimum,
        maximum=maximum,
        required=required,
        stored=stored,
    )
    return dataclasses.field(default=default, metadata={_KEY: said})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Base of the configs: plain values, checked when made."""

    def __post_init__(self) -> None:
        for name, said in self.settings().items():
            said.check(name, getattr(self, name))

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """Returns what each field that was made with `setting` says, by its name."""
        return {
            field.name: field.metadata[_KEY]
            for field in dataclasses.fields(cls)
            if _KEY in field.metadata
        }

    def to_json(self) -> dict[str, Any]:
        """Returns the fields that are stored, as plain values."""
        values = dataclasses.asdict(self)
        for name, said in self.settings().items():
            if not said.stored:
                del values[name]
        return values

    @classmethod
    def from_json(cls: type[ConfigType], values: Mapping[str, Any]) -> ConfigType:
        """Makes a config from `to_json`'s result. Unknown keys are an error."""
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise UserError(
                f"Unknown keys for {cls.__name__}: {unknown}. Expected some of "
                f"{sorted(known)}."
            )
        return cls(**values)


def check_range(
    name: str, value: float, lower: float | None = None, upper: float | None = None
) -> None:
    """Raises `UserError` unless lower <= value <= upper (None: no bound)."""
    if (lower is not None and not value >= lower) or (
        upper is not None and not value <= upper
    ):
        bounds = [
            f"at least {lower}" if lower is not None else "",
            f"at most {upper}" if upper is not None else "",
        ]
        raise UserError(
            f"--{name} must be {' and '.join(filter(None, bounds))}. "
            f"Received: {name}={value}."
        )


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raises `UserError` unless `value` is one of `choices`."""
    choices = tuple(choices)
    if value not in choices:
        raise UserError(
            f"--{name} must be one of {choices}. Received: {name}={value!r}."
        )


def check_given(name: str, value: str) -> None:
    """Raises `UserError` if a text that has no default was not given."""
    if not value:
        raise UserError(f"--{name} must be given. Received: nothing.")
