"""Tables for the terminal: how all of them look, and how numbers become cells.

Rounding happens here and nowhere before.
"""

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from kennen_tf.evaluation.intervals import Interval

NOTHING = "-"


def make_table(title: str, first: str) -> Table:
    """Returns an empty table whose first column is called `first`."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(first, no_wrap=True)
    return table


def print_table(table: Table, notes: Sequence[str]) -> None:
    """Prints a table and notes to stdout; outside a terminal, as wide as it needs."""
    console = Console()
    if not console.is_terminal:
        widest = console.measure(table, options=console.options.update(width=1000))
        console = Console(width=max(80, widest.maximum))
    console.print(table)
    for note in notes:
        console.print(note, highlight=False, markup=False)


def to_text(table: Table, notes: Sequence[str]) -> str:
    """Returns what `print_table` prints, as wide as it needs."""
    console = Console(width=1000, file=io.StringIO(), color_system=None)
    width = console.measure(table).maximum
    written = io.StringIO()
    console = Console(width=max(80, width), file=written, color_system=None)
    console.print(table)
    for note in notes:
        console.print(note, highlight=False, markup=False)
    return written.getvalue().rstrip()


def percent(value: float | None) -> str:
    """Returns e.g. "86.2" for 0.862, "-" if there is none."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def percents(interval: Interval | None) -> str:
    """Returns e.g. "80.1 - 91.0", "-" if there is none."""
    if interval is None:
        return NOTHING
    return f"{100 * interval[0]:.1f} - {100 * interval[1]:.1f}"


def count_queries(number: int) -> str:
    """Returns e.g. "1 query"."""
    return f"{number} {'query' if number == 1 else 'queries'}"
