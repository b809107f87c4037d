"""Tables of AIPs; rounding happens here and nowhere else."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from rich.table import Table

from kennen_tf.configs.aips import L2, LINF, Budget, PerturbationConfig
from kennen_tf.configs.imagenet import PAPER
from kennen_tf.evaluation.printing import make_table, percent, percents
from kennen_tf.imagenet.aips import transfer
from kennen_tf.imagenet.aips.generator_sets import GeneratorSet
from kennen_tf.imagenet.aips.transfer import Graded, Scenario
from kennen_tf.imagenet.attacks import grading
from kennen_tf.imagenet.attacks.grading import Rate
from kennen_tf.imagenet.classifiers.family_classifier import FamilyClassifier

# Misclassification in per cent (paper, section 4; anonymous submission), for its 19
# classifiers and 100 images: rows by who generates, columns as its families come.
PAPER_TRANSFER = {
    "clean": (38, 32, 28, 30, 29),
    "squeezenet": (64, 49, 45, 39, 35),
    "vgg": (62, 96, 96, 57, 52),
    "vgg_bn": (50, 85, 95, 47, 44),
    "resnet": (64, 72, 78, 87, 77),
    "densenet": (58, 63, 70, 76, 90),
    "one of each": (70, 93, 93, 75, 80),
}
PAPER_SCENARIOS = {
    transfer.TARGET_KNOWN: 100.0,
    transfer.FAMILY_KNOWN: 86.2,
    transfer.FAMILY_PREDICTED: 85.7,
    transfer.SEVERAL_FAMILIES: 82.2,
}


def describe_attack(config: PerturbationConfig, budget: Budget, num_images: int) -> str:
    """Returns e.g. "gaman, L2 norm at most 1000 levels, 100 steps, 200 images"."""
    norm = "L-infinity" if config.is_linf else "L2"
    return (
        f"{config.method}, {norm} norm at most {budget.epsilon:.6g} levels, "
        f"{config.num_steps} steps, {num_images} images"
    )


def sizes_notes(
    sizes: Mapping[GeneratorSet, Mapping[str, npt.NDArray[np.float64]]],
) -> list[str]:
    """Returns what the norms of perturbations come to, a sentence for each set."""
    return [
        f"Perturbations made on {generators.name}: L2 {own[L2].mean():.1f} on average, "
        f"{own[L2].max():.1f} at most; L-infinity {own[LINF].mean():.1f} and "
        f"{own[LINF].max():.0f}."
        for generators, own in sizes.items()
    ]


def families_table(scores: Mapping[str, float], title: str) -> Table:
    """Returns a metamodel's scores of the families, the best first."""
    table = make_table(title, "family")
    table.add_column("score", justify="right")
    for family, score in sorted(scores.items(), key=lambda item: -item[1]):
        table.add_row(family, f"{score:.3f}")
    return table


def families_notes(config: PerturbationConfig, num_images: int) -> list[str]:
    """Returns what a reader of `families_table` has to know."""
    num_queries = min(config.num_queries, num_images)
    return [
        f"By the metamodel {config.metamodel}, from the outputs for {num_queries} "
        "images. Scores order the families; they are no probabilities."
    ]


def grades_table(graded: Sequence[Graded], title: str) -> Table:
    """Returns a table with a row for each target, in per cent."""
    table = make_table(title, "generated on")
    for column in ("target", "family"):
        table.add_column(column)
    for column in (
        "clean error",
        "misclassified",
        "95% interval",
        "of those right before",
        "95% interval",
        "top-5: clean error",
        "top-5: misclassified",
        "top-5: of those right before",
    ):
        table.add_column(column, justify="right")
    for one in graded:
        pairing = one.pairing
        is_white = pairing.target in pairing.generators.classifiers
        grades = grading.grade(one.clean_ranks, one.ranks)
        top1, top5 = grades["top1"], grades["top5"]
        table.add_row(
            pairing.generated_on,
            pairing.target.name + (" *" if is_white else ""),
            pairing.target.family,
            percent(top1["clean"].rate),
            percent(top1["all"].rate),
            _interval(top1["all"]),
            _of_those(top1["right_before"]),
            _interval(top1["right_before"]),
            percent(top5["clean"].rate),
            percent(top5["all"].rate),
            _of_those(top5["right_before"]),
        )
    return table


def grades_notes(graded: Sequence[Graded]) -> list[str]:
    """Returns what a reader of `grades_table` has to know."""
    notes = [
        "Misclassified: top-1, graded on the stored 8-bit images. Of those right "
        "before: images whose clean version the target classified rightly."
    ]
    if any(g.pairing.target in g.pairing.generators.classifiers for g in graded):
        notes.append("* white box: the target is among the generators.")
    return notes


def transfer_table(
    matrix: Mapping[str, Mapping[str, float | None]], title: str
) -> Table:
    """Returns the transfer matrix, in per cent."""
    table = make_table(title, "generated on \\ target")
    columns = list(next(iter(matrix.values())))
    for column in (*columns, "mean"):
        table.add_column(column, justify="right")
    for generated_on, row in matrix.items():
        known = [rate for rate in row.values() if rate is not None]
        cells = [percent(rate) for rate in row.values()]
        if generated_on in row:  # Within the family.
            place = columns.index(generated_on)
            cells[place] = f"[bold]{cells[place]}[/bold]"
        table.add_row(
            generated_on, *cells, percent(float(np.mean(known)) if known else None)
        )
    return table


def transfer_notes(classifiers: str) -> list[str]:
    """Returns what a reader of the transfer matrix has to know."""
    notes = [
        "Top-1 misclassification, mean over the members of the target family. Within a "
        "family, all members but the target generate; across, as many of the other."
    ]
    if classifiers == PAPER:
        notes.append(
            "The paper's (its own weights and 100 images), in the same order: "
            + "; ".join(
                f"{name} {' '.join(map(str, row))}"
                for name, row in PAPER_TRANSFER.items()
            )
            + "."
        )
    return notes


def scenarios_table(scenarios: Sequence[Scenario], title: str) -> Table:
    """Returns the four scenarios beside the paper's, in per cent."""
    table = make_table(title, "what is known of the target")
    for column in ("misclassified", "95% interval", "targets", "paper (its 19)"):
        table.add_column(column, justify="right")
    for scenario in scenarios:
        table.add_row(
            scenario.name,
            percent(scenario.rate),
            percents(scenario.interval),
            str(scenario.num_targets),
            f"{PAPER_SCENARIOS[scenario.name]:.1f}",
        )
    return table


def scenarios_notes(
    predicted: Mapping[FamilyClassifier, Sequence[str]],
    config: PerturbationConfig,
    num_images: int,
) -> list[str]:
    """Returns what a reader of the scenarios has to know.

    Args:
        predicted: The families named of each target, one for each draw of queries.
        config: Whose queries they are.
        num_images: Images that queries were drawn from.
    """
    notes = [
        "Mean over the families of the misclassification of targets whose family has "
        "another member. Intervals: bootstrap over images."
    ]
    hits = [
        family == classifier.family
        for classifier, own in predicted.items()
        for family in own
    ]
    if hits:
        num_draws = len(hits) // len(predicted)
        draws = (
            f"{num_draws} different draws of {config.num_queries} queries out of "
            f"{num_images} images"
            if num_draws > 1
            else f"one draw, as all {num_images} images are queries"
        )
        notes.append(
            f"The metamodel {config.metamodel}, which had not seen the target, named "
            f"the right family in {percent(float(np.mean(hits)))}% of {len(hits)} "
            f"cases: for each target, {draws}."
        )
    return notes


def _interval(rate: Rate) -> str:
    return percents(rate.interval)


def _of_those(rate: Rate) -> str:
    return f"{percent(rate.rate)} of {rate.count}"
