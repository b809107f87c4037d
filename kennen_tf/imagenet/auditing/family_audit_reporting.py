"""Table and figure of an audit of families; rounding happens here and nowhere else."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.table import Table

from kennen_tf.auditing.attackers import AWARE, UNAWARE
from kennen_tf.evaluation import figures
from kennen_tf.evaluation.printing import (
    NOTHING,
    count_queries,
    make_table,
    percent,
    percents,
)
from kennen_tf.imagenet.aips.generator_sets import ONE_OF_EACH
from kennen_tf.imagenet.auditing.family_audit import (
    Attacked,
    AuditedDefence,
    Expected,
    FamilyAudit,
)

# Fewer classifiers held out say hardly more than that it can happen.
_FEW = 5
_LEGEND: dict[str, dict[str, Any]] = {
    "unaware": {"marker": "o", "markerfacecolor": "white"},
    "aware": {"marker": "o", "markerfacecolor": "black"},
    "aware, others held out": {"marker": "s", "markerfacecolor": "0.7"},
    "one of each family": {"marker": "x", "markerfacecolor": "black"},
}
_AWARE_HELD_OUT, _EACH = list(_LEGEND)[2:]
_SHIFT = 0.2


def audit_table(audit: FamilyAudit) -> Table:
    """Returns a table with a row for each defence, in per cent."""
    table = make_table(
        f"{audit.family} named, from {count_queries(audit.num_queries)} of "
        f"{audit.num_images} images, chance {percent(audit.chance)}; misclassified by "
        "AIPs of what is named",
        "defence",
    )
    for column in (
        "unaware",
        "aware",
        "95% interval",
        "others: unaware",
        "others: aware",
        "95% interval",
        "misclassified: unaware",
        "misclassified: aware",
        ONE_OF_EACH,
        "labels flipped",
        "accuracy lost",
        "L1",
        "ranking kept",
    ):
        table.add_column(column, justify="right")
    for own in audit.defences:
        unaware, aware = own.attackers[UNAWARE], own.attackers[AWARE]
        others = aware.naming.held_out
        table.add_row(
            own.name,
            percent(unaware.right.rate),
            percent(aware.right.rate),
            percents(aware.right.interval),
            _held_out(unaware),
            _held_out(aware),
            percents(others.interval if others else None),
            _expected(unaware.expected),
            _expected(aware.expected),
            percent(own.one_of_each.rate),
            percent(own.cost.flipped),
            percent(own.cost.accuracy_lost),
            f"{own.cost.l1:.3f}",
            f"{own.cost.ranking_kept:.3f}",
        )
    return table


def audit_notes(audit: FamilyAudit) -> list[str]:
    """Returns what a reader of `audit_table` has to know."""
    first = audit.defences[0]
    counted = (
        f"The leak is counted against {audit.family}, the truth that was given."
        if audit.is_truth
        else f"The leak is counted against {audit.family}, which is named most often "
        "without a defence: the truth was not given."
    )
    draws = (
        f"Share of {audit.num_draws} different draws of queries"
        if audit.num_draws > 1
        else "One draw, as all images are queries"
    )
    notes = [
        counted,
        f"{draws}, named by {audit.metamodel}. Its interval speaks of other draws of "
        "these images, not of other black boxes: from answers that tell nothing, one "
        "family is named always, and that may be the right one. Scores of families are "
        "no probabilities, so no bits are given.",
        "unaware: the metamodel learned from the classifiers at hand as they are; "
        "aware: from their answers defended alike.",
        _others_note(first),
        "Misclassified: of the "
        f"{first.one_of_each.count} images right before, AIPs of whatever family each "
        "draw names being sent, and answered with the defence; what a defence gets "
        f"wrong by itself counts. {ONE_OF_EACH}: what becomes of AIPs of who names no "
        "family.",
        "Made on (without a defence): "
        + "; ".join(
            f"{made_on} {percent(rate.rate)} ({percents(rate.interval)})"
            for made_on, rate in first.misclassified.items()
        )
        + ".",
        _gain_note(audit),
    ]
    if audit.without_aips:
        notes.append(
            f"The run has no AIPs of {', '.join(audit.without_aips)}: where one of "
            "these is named, from 0 to 100% may be misclassified. Run attack_black_box "
            "with --every_family --resume to know."
        )
    if any(own.is_fresh for own in audit.defences):
        times = "once" if audit.num_asked == 1 else f"{audit.num_asked} times"
        notes.append(f"Where noise is drawn anew, each query is asked {times}.")
    return notes


def audit_figure(audit: FamilyAudit) -> Figure:
    """Draws, for each defence, how often the family is named and how many images err.

    Where AIPs are missing, a bar spans what may be.
    """
    names = [figures.shorten(own.name) for own in audit.defences]
    figure = figures.make_figure(7.5, 0.36 * len(names) + 2.2)
    left, right = figure.subplots(1, 2, sharey=True)
    handles = {
        name: Line2D([], [], color="black", linestyle="none", **style)
        for name, style in _LEGEND.items()
    }
    for place, own in enumerate(audit.defences):
        for attacker, shift in ((UNAWARE, -_SHIFT), (AWARE, 0.0)):
            attacked = own.attackers[attacker]
            _point(
                *(left, place + shift, attacked.right.rate or 0.0),
                *(attacked.right.interval, attacker),
            )
            expected = attacked.expected
            middle = (expected.least + expected.most) / 2
            _point(
                *(right, place + shift, middle),
                *((expected.least, expected.most), attacker),
            )
        others = own.attackers[AWARE].naming.held_out
        if others:
            _point(
                *(left, place + _SHIFT, others.accuracy, others.interval),
                _AWARE_HELD_OUT,
            )
        each = own.one_of_each
        _point(right, place + _SHIFT, each.rate or 0.0, each.interval, _EACH)
    if audit.defences[0].attackers[AWARE].naming.held_out is None:
        del handles[_AWARE_HELD_OUT]
    chance = left.axvline(100 * audit.chance, color="black", linestyle=":")
    left.set_yticks(range(len(names)), names, fontsize=8)
    left.set_ylim(len(names) - 0.4, -0.6)
    left.set_ylabel("defence")
    left.set_xlabel(f"{figures.shorten(audit.family)} named (%)")
    right.set_xlabel("misclassified (%)")
    for axes in (left, right):
        axes.set_xlim(-3, 103)
        axes.spines[["top", "right"]].set_visible(False)
    figures.add_legend(figure, {**handles, "chance": chance})
    return figure


def _point(
    axes: Axes,
    height: float,
    rate: float,
    interval: tuple[float, float] | None,
    name: str,
) -> None:
    lowest, highest = interval or (rate, rate)
    axes.errorbar(
        [100 * rate],
        [height],
        xerr=[[100 * max(rate - lowest, 0.0)], [100 * max(highest - rate, 0.0)]],
        color="black",
        markersize=5,
        linewidth=0.8,
        **_LEGEND[name],
    )


def _held_out(attacked: Attacked) -> str:
    score = attacked.naming.held_out
    return percent(score.accuracy) if score else NOTHING


def _expected(expected: Expected) -> str:
    if expected.is_known:
        return percent(expected.least)
    return percents((expected.least, expected.most))


def _others_note(first: AuditedDefence) -> str:
    score = first.attackers[UNAWARE].naming.held_out
    if score is None:
        return (
            "No family at hand has two classifiers, so there is no other to hold out: "
            "what holds for this black box may not for others."
        )
    count = len(score.per_member)
    few = " So few say little." if count < _FEW else ""
    return (
        f"others: {count} classifiers at hand, one of each family held out in turn, "
        "which leaves metamodels one less of each than for the black box; mean over "
        f"families. The interval draws classifiers anew.{few}"
    )


def _gain_note(audit: FamilyAudit) -> str:
    """Says whether it is worth anything to attackers to know the family."""
    first = audit.defences[0]
    own, each = first.misclassified.get(audit.family), first.one_of_each
    if own is None or own.rate is None or each.rate is None:
        return (
            f"The run has no AIPs of {audit.family}, so what knowing the family is "
            "worth is not known."
        )
    if own.rate <= each.rate:
        return (
            f"AIPs of {audit.family} reach no more ({percent(own.rate)}) than those of "
            f"one of each family ({percent(each.rate)}): hiding the family protects "
            "from nothing here."
        )
    return (
        f"Knowing the family is worth {percent(own.rate - each.rate)} points: AIPs of "
        f"{audit.family} reach {percent(own.rate)}, those of one of each family "
        f"{percent(each.rate)}."
    )
