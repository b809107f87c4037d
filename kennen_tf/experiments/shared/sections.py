"""A section of the report: what an experiment has to say, before it has a form."""

import dataclasses
from collections.abc import Sequence

from kennen_tf.attributes import AttributeTable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table of texts.

    Attributes:
        caption: What it shows, with units.
        columns: Headings.
        rows: As many cells each.
        paper_rows: Places of rows that hold the paper's numbers.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    paper_rows: Sequence[int] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of a section.

    Attributes:
        stem: Its file's name, without ".png".
        caption: What it shows, in one sentence.
    """

    stem: str
    caption: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """What an experiment has to say.

    Attributes:
        title: Heading.
        about: What was done, in a few sentences.
        tables: In order.
        pictures: In order, after the tables.
        notes: What else a reader should know, a sentence or two each.
    """

    title: str
    about: str
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    notes: Sequence[str] = ()


def explain_codes(table: AttributeTable) -> list[str]:
    """Returns a note on what columns are called, if that is not clear."""
    names = [
        f"{attribute.code}: {attribute.description}"
        for attribute in table
        if attribute.description
    ]
    return [f"{'; '.join(names)}."] if names else []
