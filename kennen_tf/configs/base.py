"""What all configs share: JSON round trip and checks with both values in the text."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from kennen_tf.vocabulary.errors import UserError

ConfigType = TypeVar("ConfigType", bound="Config")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Base of the configs: plain values, checked when made."""

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

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
