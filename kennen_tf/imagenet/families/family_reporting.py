"""Tables and figures of family prediction; rounding happens here and nowhere else."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from rich.table import Table

from kennen_tf.attributes import Attribute
from kennen_tf.configs.family_prediction import MLP
from kennen_tf.configs.imagenet import PAPER
from kennen_tf.evaluation import figures, result_figures
from kennen_tf.evaluation.printing import count_queries, make_table, percent, percents
from kennen_tf.imagenet.classifiers.registry import Registry
from kennen_tf.imagenet.families.family_outputs import FamilyOutputs
from kennen_tf.imagenet.families.scoring import FamilyScore

# Accuracy in per cent by number of queries (paper, section 4; anonymous submission).
PAPER_ACCURACY = {100: 90.4, 1000: 94.8}
_STYLES = (("o", "-"), ("s", "--"), ("^", "-."))


def curve_table(scores: Sequence[FamilyScore], classifiers: str, title: str) -> Table:
    """Returns a table with a row for each metamodel and number of queries."""
    table = make_table(title, "metamodel")
    for column in ("queries", "accuracy", "95% interval", "chance", "guesses"):
        table.add_column(column, justify="right")
    is_paper = classifiers == PAPER
    if is_paper:
        table.add_column("paper", justify="right")
    last = ""
    for score in scores:
        if last and score.metamodel != last:
            table.add_section()
        cells = [
            score.metamodel if score.metamodel != last else "",
            str(score.num_queries),
            percent(score.accuracy),
            percents(score.interval),
            percent(score.chance),
            str(score.count),
        ]
        if is_paper:
            paper = PAPER_ACCURACY.get(score.num_queries)
            cells.append(f"{paper:.1f}" if paper and score.metamodel == MLP else "-")
        table.add_row(*cells)
        last = score.metamodel
    return table


def curve_notes(num_folds: int, num_draws: int) -> list[str]:
    """Returns what a reader of `curve_table` has to know."""
    return [
        "Accuracy is the mean over families of the right guesses about classifiers "
        f"held out, one of each family, in {num_folds} folds x {num_draws} draws of "
        "queries. Intervals draw the classifiers held out anew: with few of them they "
        "are wide, however many folds and draws there are."
    ]


def classifiers_table(
    score: FamilyScore, registry: Registry, outputs: FamilyOutputs
) -> Table:
    """Returns a table with a row for each classifier."""
    table = make_table(
        f"the classifiers, named by {score.metamodel} from "
        f"{count_queries(score.num_queries)}",
        "family",
    )
    table.add_column("classifier", no_wrap=True)
    for column in ("top-1", "top-5", "named rightly"):
        table.add_column(column, justify="right")
    for family, classifiers in registry.families.items():
        for place, classifier in enumerate(classifiers):
            table.add_row(
                family if not place else "",
                classifier.name,
                percent(outputs.accuracy[classifier.name]),
                percent(outputs.top_5_accuracy[classifier.name]),
                percent(score.per_member.get(classifier.name)),
            )
    return table


def classifiers_notes(score: FamilyScore, registry: Registry) -> list[str]:
    """Returns what a reader of `classifiers_table` has to know."""
    alone = [name for name, own in registry.families.items() if len(own) == 1]
    never = [
        classifier.name
        for name, own in registry.families.items()
        for classifier in own
        if name not in alone and classifier.name not in score.per_member
    ]
    notes = ["Top-1 and top-5: accuracy on these images."]
    if alone:
        notes.append(
            f"Never held out, as nobody else could teach their family: {_list(alone)}."
        )
    if never:
        notes.append(f"Not held out in any fold: {_list(never)}.")
    return notes


def curve_figure(
    scores: Sequence[FamilyScore], classifiers: str, title: str = ""
) -> Figure:
    """Draws accuracy against the number of queries, a line for each metamodel."""
    figure = figures.make_figure(6.0, 4.0)
    axes = figure.add_subplot()
    by_metamodel: dict[str, list[FamilyScore]] = {}
    for score in scores:
        by_metamodel.setdefault(score.metamodel, []).append(score)
    shift = 1.0  # On a logarithmic axis, so that intervals do not cover each other.
    for (name, own), (marker, line) in zip(by_metamodel.items(), _STYLES, strict=False):
        accuracies = [100 * score.accuracy for score in own]
        below, above = (
            [abs(100 * score.interval[side] - 100 * score.accuracy) for score in own]
            for side in (0, 1)
        )
        axes.errorbar(
            [shift * score.num_queries for score in own],
            accuracies,
            yerr=[below, above],
            color="black",
            marker=marker,
            markerfacecolor="white" if shift > 1 else "black",
            linestyle=line,
            capsize=3,
            label=f"{name}, 95% interval",
        )
        shift *= 1.06
    if classifiers == PAPER:
        axes.plot(
            list(PAPER_ACCURACY),
            list(PAPER_ACCURACY.values()),
            color="0.4",
            marker="x",
            linestyle="none",
            zorder=3,  # Above the lines, which are nearly as high.
            label="paper",
        )
    axes.axhline(100 * scores[0].chance, color="black", linestyle=":", label="chance")
    axes.set_xscale("log")
    axes.set_xticks(sorted({score.num_queries for score in scores}))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.minorticks_off()
    axes.set_xlabel("queries")
    axes.set_ylabel("families named rightly (%)")
    axes.set_ylim(0, 104)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    if title:
        axes.set_title(title, fontsize=10)
    return figure


def confusion_figure(score: FamilyScore, families: Sequence[str]) -> Figure:
    """Draws the confusion matrix of a score; a family is an attribute, too."""
    family = Attribute(
        name="family",
        description=f"{score.metamodel} with {count_queries(score.num_queries)}",
        values=tuple(families),
        group="architecture",
    )
    return result_figures.confusion_figure(score.confusion, family)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
