"""Tables of an audit, as cells: for the terminal, the page and a CSV.

Rounding happens here and nowhere before; the CSV has all digits.
"""

import csv
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

from rich import markup
from rich.table import Table

from kennen_tf.auditing.attackers import AWARE, UNAWARE
from kennen_tf.auditing.audits import Audit, Told
from kennen_tf.auditing.sources import SOURCES
from kennen_tf.evaluation.printing import NOTHING, make_table, percent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cells:
    """A table.

    Attributes:
        caption: What it shows.
        columns: Names.
        rows: A cell for each column.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def from_rich(cls, table: Table) -> "Cells":
        """Takes the texts of a table that is printed."""
        columns = [[str(cell) for cell in column.cells] for column in table.columns]
        return cls(
            caption=str(table.title or ""),
            columns=tuple(str(column.header) for column in table.columns),
            rows=tuple(zip(*columns, strict=True)),
        )

    def to_rich(self) -> Table:
        """Returns it as it is printed."""
        first, *others = self.columns
        table = make_table(markup.escape(self.caption), first)
        for column in others:
            table.add_column(column, justify="right")
        for row in self.rows:
            table.add_row(*map(markup.escape, row))
        return table


def findings(audit: Audit) -> Cells:
    """Returns what is named of each attribute, and how much that is."""
    told = audit.as_it_is
    rows: list[tuple[str, ...]] = []
    for answer in audit.revelation.answers:
        value, probability = answer.ranked()[0]
        leak, name = told.leaks.get(answer.name), answer.name
        truth = NOTHING
        if name in audit.truth:
            truth = str(audit.truth[name])
            truth += "" if truth == str(value) else " (!)"
        plausible = NOTHING
        if answer.cannot_tell:
            plausible = "cannot tell"
        elif answer.plausible is not None:
            plausible = ", ".join(map(str, answer.plausible)) or "none fits"
        rows.append(
            (
                answer.code,
                answer.description.split(",")[0],
                str(value),
                f"{100 * probability:.0f}%",
                plausible,
                truth,
                f"{told.own[name]:.1f}",
                f"{100 * audit.ranks[name]:.0f}%",
                NOTHING if leak is None else _bits(leak.bits, leak.interval),
                NOTHING if leak is None else f"{leak.entropy:.1f}",
                percent(audit.accuracies.get(name)),
            )
        )
    total = told.total
    rows.append(
        (
            "all",
            "those that may be added up",
            *[""] * 4,
            f"{told.own_total:.1f}",
            f"{100 * told.rank:.0f}%",
            _bits(total.bits, total.interval),
            f"{total.entropy:.1f}",
            "",
        )
    )
    return Cells(
        caption=f"{audit.name}: what its answers give away",
        columns=(
            *("attribute", "", "named", "sure", "not ruled out", "truth"),
            *("bits", "more than", "held out: bits", "of", "accuracy"),
        ),
        rows=tuple(rows),
    )


def defences(audit: Audit) -> Cells:
    """Returns what each defence leaves, and what it costs."""
    rows = []
    for tried in audit.tried:
        cost, worst = tried.cost, tried.worst
        calibration = NOTHING
        if cost.calibration is not None:
            calibration = percent(cost.calibration[1])
        rows.append(
            (
                tried.name,
                _bits(worst.total.bits, worst.total.interval),
                *(_total(tried.find(attacker)) for attacker in (UNAWARE, AWARE)),
                f"{worst.own_total:.1f}",
                percent(cost.flipped),
                percent(cost.tied),
                percent(cost.accuracy_lost),
                f"{cost.l1:.3f}",
                f"{cost.l2:.3f}",
                f"{cost.kl:.3f}",
                calibration,
                f"{cost.ranking_kept:.2f}",
            )
        )
    return Cells(
        caption=f"Defences, against {audit.source} queries",
        columns=(
            *("defence", "bits left", "unaware", "aware", "this one"),
            *("flipped %", "tied %", "accuracy lost", "L1", "L2", "KL"),
            *("calibration error %", "ranking kept"),
        ),
        rows=tuple(rows),
    )


def counts(audit: Audit) -> Cells:
    """Returns bits by number and kind of queries, of answers as they are."""
    numbers = sorted({point.num_queries for point in audit.points})
    rows = []
    for source in SOURCES:
        own = {p.num_queries: p for p in audit.points if p.source == source}
        if own:
            cells = (
                f"{own[n].bits:.1f} ({own[n].own_bits:.1f})" if n in own else NOTHING
                for n in numbers
            )
            rows.append((source, *cells))
    return Cells(
        caption="Bits of classifiers held out, in brackets of this one, by queries",
        columns=("queries", *map(str, numbers)),
        rows=tuple(rows),
    )


def alarms(audit: Audit) -> Cells | None:
    """Returns after how many queries detectors raise alarms; None if none watched."""
    if not audit.alarms:
        return None
    return Cells(
        caption="Queries before an alarm",
        columns=("detector", "queries", "asked", "alarm after", "false alarms %"),
        rows=tuple(
            (
                own.detector,
                own.source,
                str(own.num_queries),
                "never" if own.after is None else str(own.after),
                percent(own.false_alarms),
            )
            for own in audit.alarms
        ),
    )


def to_csv(audit: Audit) -> str:
    """Returns a line for each defence and attacker, with all numbers."""
    rows: list[dict[str, Any]] = []
    for tried in audit.tried:
        cost = tried.cost.to_json()
        before, after = cost.pop("calibration") or (None, None)
        for told in tried.told:
            rows.append(
                {
                    "defence": tried.name,
                    "attacker": told.attacker,
                    "num_asked": told.num_asked,
                    "bits": told.total.bits,
                    "bits_low": told.total.interval[0],
                    "bits_high": told.total.interval[1],
                    "own_bits": told.own_total,
                    "rank": told.rank,
                    **cost,
                    "calibration_before": before,
                    "calibration_after": after,
                    **{f"bits_{name}": own.bits for name, own in told.leaks.items()},
                    **{f"own_bits_{name}": own for name, own in told.own.items()},
                }
            )
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def _bits(bits: float, interval: Sequence[float]) -> str:
    return f"{bits:.1f} ({interval[0]:.1f} to {interval[1]:.1f})"


def _total(told: Told | None) -> str:
    return NOTHING if told is None else f"{told.total.bits:.1f}"
