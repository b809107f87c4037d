"""Which black boxes are to be revealed, and how each is reached."""

import dataclasses
import pathlib
import re
from typing import Any

from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.black_boxes.formats.opened import Opened
from kennen_tf.black_boxes.forms import Form
from kennen_tf.black_boxes.kept_answers import SUFFIX, KeptAnswers
from kennen_tf.black_boxes.opening import Access, open_black_box, open_recorded, wrap
from kennen_tf.configs.revealing import RevealConfig
from kennen_tf.vocabulary import artifacts, sheets
from kennen_tf.vocabulary.errors import UserError

_WHERE = "black_box"
# Flags that a line of the CSV may have for its own.
_SETTINGS = (
    *("outputs", "pixels", "signature", "answers", "headers", "token_variable"),
    *("timeout", "batch_size", "max_queries_per_second", "resolution", "zoo_dir"),
)


def list_boxes(config: RevealConfig) -> list[RevealConfig]:
    """Returns the settings of each black box, one in each.

    Raises:
        UserError: If the CSV cannot be read, or a line of it is not as it should be.
    """
    if not config.black_boxes:
        return [dataclasses.replace(config, black_box=where) for where in config.wheres]
    path = pathlib.Path(config.black_boxes)
    rows = sheets.read_rows(path, "--black_boxes must be a CSV.")
    columns = {key for row in rows for key in row}
    unknown = sorted(columns - {_WHERE, *_SETTINGS})
    if not rows or _WHERE not in columns or unknown:
        raise UserError(
            f"{path} must have a line for each black box, a column {_WHERE}, and may "
            f"have {', '.join(_SETTINGS)}. Received: {len(rows)} lines, columns "
            f"{sorted(columns)}."
        )
    return [_read_row(config, path, number, row) for number, row in enumerate(rows, 2)]


def _read_row(
    config: RevealConfig, path: pathlib.Path, number: int, row: dict[str, str]
) -> RevealConfig:
    given = dict(row)
    where = given.pop(_WHERE)
    try:
        values = {
            name: _to_value(name, text, getattr(config, name))
            for name, text in given.items()
            if text
        }
        return dataclasses.replace(
            config, black_boxes="", black_box=_beside(path, where), **values
        )
    except UserError as error:
        raise UserError(f"{path}, line {number}: {error}") from error


def _to_value(name: str, text: str, default: Any) -> Any:
    """Returns a text or a number, as the default is."""
    try:
        return type(default)(text)
    except ValueError as error:
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise UserError(f"{name} must be {kind}. Received: {text}.") from error


def _beside(path: pathlib.Path, where: str) -> str:
    """Returns the path of a file that a CSV names relative to itself, if it is one."""
    beside = path.parent / where
    return str(beside) if where and beside.exists() else where


def open_box(config: RevealConfig, form: Form) -> BlackBox:
    """Opens the black box of a config.

    Args:
        config: Of one black box.
        form: What black boxes take and answer.

    Raises:
        UserError: If it cannot be opened.
    """
    where = config.black_box
    if where.endswith(".npz"):
        return open_recorded(where, outputs_kind=config.outputs, form=form)
    return open_black_box(
        where,
        outputs_kind=config.outputs,
        pixels=config.pixels,
        form=form,
        access=_access_of(config),
        kept=open_kept(config),
    )


def wrap_function(function: Any, config: RevealConfig, form: Form) -> BlackBox:
    """Makes a black box of a function, or of a Keras model; see `open_box`."""
    shape = form.shapes[0]
    if isinstance(getattr(function, "input_shape", None), tuple):
        shape = function.input_shape[1:]
    return wrap(
        config.black_box,
        Opened(answer=function, shape=shape),
        outputs_kind=config.outputs,
        pixels=config.pixels,
        form=form,
        access=_access_of(config),
        kept=open_kept(config),
    )


def _access_of(config: RevealConfig) -> Access:
    names = (field.name for field in dataclasses.fields(Access))
    return Access(**{name: getattr(config, name) for name in names})


def open_kept(config: RevealConfig) -> KeptAnswers | None:
    """Returns what a black box answered before; None if nothing is to be kept.

    Raises:
        UserError: If the file is damaged, or of another black box.
    """
    where = config.black_box
    path = config.answers or (default_answers(where) if "://" in where else "")
    if not path:
        return None
    description = {"black_box": where}
    file = pathlib.Path(where)
    if file.is_file():  # It may be another one of the same name by now.
        description["sha256"] = artifacts.sha256_of_file(file)
    return KeptAnswers(path, description)


def default_answers(url: str) -> str:
    """Returns the name of the file that answers of a URL are kept in."""
    name = re.sub(r"[^A-Za-z0-9.]+", "-", url.partition("://")[2]).strip("-")
    return f"{name}{SUFFIX}"
