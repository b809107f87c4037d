"""Tables of what was revealed: of one black box, or of several."""

import itertools
from collections.abc import Iterable, Sequence

from rich import box, markup
from rich.table import Table

from kennen_tf.evaluation.printing import count_queries
from kennen_tf.queries import packages
from kennen_tf.revealing.naming import AttributeAnswer, Revelation

_NONE = "-"


def revelation_table(revelation: Revelation) -> Table:
    """Returns one row for each attribute: the likeliest value and the runner-up."""
    name = markup.escape(revelation.black_box)
    said = [count_queries(revelation.num_queries)]
    # Of a folder, its path would be most of the title; a note names it.
    if packages.is_shipped(revelation.metamodel):
        said.append(markup.escape(revelation.metamodel))
    table = Table(
        title=f"{name} ({', '.join(said)})",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    knows_truth = any(a.truth is not None for a in revelation.answers)
    knows_accuracy = any(a.test_accuracy is not None for a in revelation.answers)
    knows_plausible = any(a.plausible is not None for a in revelation.answers)
    table.add_column("attribute", no_wrap=True)
    table.add_column("", max_width=26)
    table.add_column("value", style="bold", no_wrap=True)
    table.add_column("probability", justify="right")
    table.add_column("runner-up", no_wrap=True)
    if knows_plausible:
        table.add_column("not ruled out", max_width=24)
    if knows_truth:
        table.add_column("truth", no_wrap=True)
    if knows_accuracy:
        table.add_column("test accuracy", justify="right")
    for answer in revelation.answers:
        if not answer.applies and answer.truth is None:
            table.add_row(answer.code, answer.description, _NONE)
            continue
        (first, first_p), *others = answer.ranked()
        value = f"{first} (?)" if answer.is_ruled_out else str(first)
        value = value if answer.applies else _NONE
        cells = [answer.code, answer.description, value, f"{100 * first_p:.1f}%"]
        # An attribute may have one value.
        runners_up = [f"{value} {100 * p:.1f}%" for value, p in others]
        cells.append(next(iter(runners_up), _NONE))
        if knows_plausible:
            cells.append(_say_plausible(answer))
        if knows_truth:
            is_wrong = answer.truth not in (None, first if answer.applies else None)
            truth = _NONE if answer.truth is None else str(answer.truth)
            cells.append(f"{truth} (!)" if is_wrong else truth)
        if knows_accuracy:
            accuracy = answer.test_accuracy
            cells.append(_NONE if accuracy is None else f"{100 * accuracy:.1f}%")
        table.add_row(*cells)
    return table


def revelation_notes(revelation: Revelation) -> list[str]:
    """Returns what a reader of `revelation_table` should know."""
    notes = [*revelation.notes]
    right, num_known = _count_right(revelation.answers)
    if num_known:
        notes.append(
            f"{right} of {num_known} attributes"
            + (" whose value is known" if num_known < len(revelation.answers) else "")
            + " are named rightly; (!) marks the others."
            if num_known > 1
            else "(!) marks an attribute that is not named rightly."
        )
    if any(a.test_accuracy is not None for a in revelation.answers):
        notes.append(
            "Test accuracy is how often the metamodel names the attribute rightly, "
            "class-balanced, on classifiers that it was not trained on."
        )
    if any(not answer.applies for answer in revelation.answers):
        notes.append(
            f"{_NONE}: what classifiers that are otherwise as is named have no value "
            "of, e.g. kernels without a convolution."
        )
    if any(a.plausible is not None for a in revelation.answers):
        notes.append(
            "Not ruled out: values that hold the true one for 90% of classifiers like "
            "the zoo's; of others, nobody knows."
            + (
                " (?) marks what is likeliest and ruled out all the same: classifiers "
                "that have it answer otherwise."
                if any(a.is_ruled_out for a in revelation.answers)
                else ""
            )
        )
    return notes


def _say_plausible(answer: AttributeAnswer) -> str:
    if answer.cannot_tell:
        return "cannot tell"
    if answer.plausible is None:
        return _NONE
    return ", ".join(map(str, answer.plausible)) or "none fits"


def revelations_table(revelations: Sequence[Revelation]) -> Table:
    """Returns one row for each black box: likeliest values and probabilities.

    Where truths are known, those that were missed stand below, and a last row counts.
    """
    attributes = list(zip(*(own.answers for own in revelations), strict=True))
    counts = [_count_right(answers) for answers in attributes]
    knows_truth = any(num_known for _, num_known in counts)
    table = Table(box=box.SIMPLE_HEAD, show_footer=knows_truth)
    table.add_column("black box", footer="named rightly")
    table.add_column("strange")
    for answers, (right, num_known) in zip(attributes, counts, strict=True):
        footer = f"{right}/{num_known}" if num_known else ""
        table.add_column(answers[0].code, footer=footer)
    for revelation in revelations:
        table.add_row(
            markup.escape(revelation.black_box),
            _say_strange(revelation),
            *map(_say_likeliest, revelation.answers),
        )
    return table


def _say_likeliest(answer: AttributeAnswer) -> str:
    value, probability = answer.ranked()[0]
    is_missed = answer.truth not in (None, value if answer.applies else None)
    truth = f"\n(! {answer.truth})" if is_missed else ""
    if not answer.applies:
        return f"{_NONE}{truth}"
    return f"{value}\n{100 * probability:.0f}%{truth}"


def _count_right(answers: Iterable[AttributeAnswer]) -> tuple[int, int]:
    """Returns how many are right, and of how many the truth is known."""
    known = [answer for answer in answers if answer.truth is not None]
    right = [own.applies and own.ranked()[0][0] == own.truth for own in known]
    return sum(right), len(known)


def _say_strange(revelation: Revelation) -> str:
    if revelation.p_value is None:
        return _NONE
    return "yes" if revelation.is_strange else "no"


def revelations_notes(revelations: Sequence[Revelation]) -> list[str]:
    """Returns what a reader of `revelations_table` should know, box by box."""
    worlds = list(dict.fromkeys(packages.say_world(o.metamodel) for o in revelations))
    notes = worlds + [
        f"{own.black_box}: {note}"
        for own in revelations
        for note in own.notes
        if note not in worlds
    ]
    answers = itertools.chain.from_iterable(own.answers for own in revelations)
    right, num_known = _count_right(answers)
    if num_known:
        notes.append(
            f"{right} of {num_known} values are named rightly; (! ...) is the truth "
            "where another was named."
        )
    return notes
