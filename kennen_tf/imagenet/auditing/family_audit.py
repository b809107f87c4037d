"""The audit of an attack: the family given away, and what attackers gain by it.

For each defence, two attackers name the family from defended answers, over several
draws of queries, and send AIPs of the family that they named. A defence that changes no
label stops no AIP, but may have worse ones chosen; one that does counts with the labels
that it answers AIPs with.

Metamodels of families give scores and no probabilities, so there are no bits here: what
is told is how often the family is named, against chance.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.auditing import costs
from kennen_tf.auditing.attackers import ATTACKERS, UNAWARE
from kennen_tf.auditing.costs import Cost
from kennen_tf.auditing.defences import Defence, find
from kennen_tf.evaluation.printing import percent
from kennen_tf.imagenet.aips.generator_sets import ONE_OF_EACH
from kennen_tf.imagenet.attacks import grading
from kennen_tf.imagenet.attacks.grading import Rate
from kennen_tf.imagenet.auditing.attack_folder import AttackAnswers
from kennen_tf.imagenet.auditing.family_namers import (
    BLACK_BOX,
    NONE,
    FamilyNamers,
    Naming,
    defend,
    normalise,
)
from kennen_tf.imagenet.families import plausibility, prediction
from kennen_tf.vocabulary.errors import UserError

SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """What AIPs of the family that is named reach, over the draws.

    Attributes:
        least: Share misclassified of the images right before, if AIPs of families that
            the run has none of reached nothing.
        unknown: Share of draws in which such a family is named. If all of its AIPs
            reached their aim, `least + unknown` were misclassified.
    """

    least: float
    unknown: float

    @property
    def most(self) -> float:
        return self.least + self.unknown

    @property
    def is_known(self) -> bool:
        return self.unknown == 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attacked:
    """What an attacker makes of a defence.

    Attributes:
        naming: What is named.
        right: Share of draws that name the family that counts, with the 95% interval of
            Wilson: how sure the share is for this black box and other draws of these
            images, not for other black boxes.
        expected: What AIPs of the family named reach.
    """

    naming: Naming
    right: Rate
    expected: Expected

    def to_json(self) -> dict[str, Any]:
        return {
            **self.naming.to_json(),
            "right": _to_json(self.right),
            "expected": dataclasses.asdict(self.expected),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditedDefence:
    """What becomes of both attackers under a defence, and what it costs.

    Attributes:
        name: As it was asked for.
        is_fresh: Whether it draws noise anew whenever it is asked.
        attackers: By `attackers.ATTACKERS`.
        misclassified: Of the images right before, without a defence: how many are
            named wrongly when the AIPs of each set are answered with it.
        cost: On clean images.
    """

    name: str
    is_fresh: bool
    attackers: dict[str, Attacked]
    misclassified: dict[str, Rate]
    cost: Cost

    @property
    def worst(self) -> str:
        """The attacker who names the family more often, the unaware of equals."""
        return max(ATTACKERS, key=lambda name: self.attackers[name].right.rate or 0.0)

    @property
    def one_of_each(self) -> Rate:
        """What becomes of AIPs of who does not name a family."""
        return self.misclassified[ONE_OF_EACH]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "is_fresh": self.is_fresh,
            "worst": self.worst,
            "attackers": {n: own.to_json() for n, own in self.attackers.items()},
            "misclassified": {n: _to_json(r) for n, r in self.misclassified.items()},
            "cost": self.cost.to_json(),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class FamilyAudit:
    """What an attack says of its target.

    Attributes:
        attack_dir, black_box: The run's folder, and what it attacked.
        family: The family that a leak is counted against.
        is_truth: Whether it was given; else, it is what is named without a defence.
        families: Names of the classifiers at hand, by family.
        generators: Names of who made the AIPs of each set that the run has.
        num_images, num_queries, num_draws: Clean images; of these, asked in a draw;
            draws.
        num_asked: How often each query is asked where noise is drawn anew.
        metamodel: Who names families.
        clean_error: Share of clean images that the black box names wrongly, and of how
            many, without a defence.
        defences: The first is `NONE`.
    """

    attack_dir: str
    black_box: str
    family: str
    is_truth: bool
    families: dict[str, tuple[str, ...]]
    generators: dict[str, tuple[str, ...]]
    num_images: int
    num_queries: int
    num_draws: int
    num_asked: int
    metamodel: str
    clean_error: Rate
    defences: tuple[AuditedDefence, ...]

    @property
    def chance(self) -> float:
        """The share in which a family is named by who knows nothing."""
        return 1 / len(self.families)

    @property
    def without_aips(self) -> list[str]:
        """Families whose AIPs the run has not."""
        return [name for name in self.families if name not in self.generators]

    def to_json(self) -> dict[str, Any]:
        """Returns every number, for a JSON file."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {
            **fields,
            "schema_version": SCHEMA_VERSION,
            "chance": self.chance,
            "without_aips": self.without_aips,
            "clean_error": _to_json(self.clean_error),
            "defences": [defence.to_json() for defence in self.defences],
        }


def audit(
    answers: AttackAnswers,
    defences: Sequence[str],
    *,
    family: str | None = None,
    metamodel: str | None = None,
    num_queries: int | None = None,
    num_draws: int = prediction.NUM_DRAWS,
    num_asked: int = 1,
    seed: int = 0,
    on_defence: Callable[[], object] = lambda: None,
) -> FamilyAudit:
    """Audits the black box of an attack.

    Args:
        answers: `attack_folder.open_answers`.
        defences: Names as `defences.find` takes them; "none" goes first in any case.
        family: The black box's, which its owner knows; None: the one named most often
            without a defence counts.
        metamodel: Who names families, of `configs.family_prediction.METAMODELS`; None:
            as in the attack.
        num_queries: Images asked in each draw; None: as in the attack.
        num_draws: Draws of them.
        num_asked: How often each is asked where noise is drawn anew.
        seed: Of draws, noise and metamodels.
        on_defence: Called after each defence.

    Raises:
        UserError: If a defence is none, the family is not among those at hand, or the
            black box is at chance.
    """
    found = [find(name) for name in dict.fromkeys([NONE, *defences])]
    names = list(answers.families.families)
    if family is not None and family not in names:
        raise UserError(
            "The true family must be one of those that the attack knows, "
            f"{', '.join(names)}. Received: {family}. Attack again with --classifiers "
            "that have it, or give no truth: then what is named without a defence "
            "counts."
        )
    ranks = grading.rank_labels(answers.clean, answers.labels)
    clean_error = grading.make_rate(ranks > 0)
    _check_worth(clean_error, answers)
    namers = FamilyNamers(
        answers,
        metamodel or answers.config["metamodel"],
        num_queries or answers.config["num_queries"],
        num_draws,
        seed,
        num_asked,
    )
    counted = family or ""
    audited = []
    for defence in found:
        named = namers.name(defence)
        counted = counted or named[UNAWARE].most_named
        audited.append(_audit_defence(defence, named, counted, answers, ranks, seed))
        on_defence()
    return FamilyAudit(
        attack_dir=str(answers.folder),
        black_box=str(answers.config["black_box"]),
        family=counted,
        is_truth=family is not None,
        families={
            name: tuple(c.name for c in own)
            for name, own in answers.families.families.items()
        },
        generators=dict(answers.generators),
        num_images=len(answers.clean),
        num_queries=namers.num_queries,
        num_draws=namers.num_draws,
        num_asked=num_asked,
        metamodel=metamodel or answers.config["metamodel"],
        clean_error=clean_error,
        defences=tuple(audited),
    )


def expect(named: Iterable[str], reached: dict[str, Rate]) -> Expected:
    """Returns what AIPs of the families named reach.

    Args:
        named: The family named in each draw; at least one.
        reached: What AIPs of each family reach, of those that are known.
    """
    rates = [reached[name].rate if name in reached else None for name in named]
    known = [rate for rate in rates if rate is not None]
    return Expected(
        least=sum(known) / len(rates), unknown=(len(rates) - len(known)) / len(rates)
    )


def _audit_defence(
    defence: Defence,
    named: dict[str, Naming],
    family: str,
    answers: AttackAnswers,
    clean_ranks: npt.NDArray[np.int32],
    seed: int,
) -> AuditedDefence:
    misclassified = {}
    for made_on, rows in answers.perturbed.items():
        # Asked once, unlike queries: it is the label that is wanted.
        defended = defend(defence, normalise(rows), seed, BLACK_BOX, made_on)
        is_wrong = grading.rank_labels(defended, answers.labels) > 0
        misclassified[made_on] = grading.make_rate(is_wrong[clean_ranks == 0])
    clean = normalise(answers.clean)
    given = defend(defence, clean, seed, BLACK_BOX).astype(np.float64)
    return AuditedDefence(
        name=defence.name,
        is_fresh=defence.is_fresh,
        attackers={
            attacker: Attacked(
                naming=own,
                right=grading.make_rate(np.array(own.target) == family),
                expected=expect(own.target, misclassified),
            )
            for attacker, own in named.items()
        },
        misclassified=misclassified,
        cost=costs.measure(clean, given, answers.labels),
    )


def _check_worth(clean_error: Rate, answers: AttackAnswers) -> None:
    accuracy = 1 - (clean_error.rate or 0.0)
    count = len(answers.clean)
    if plausibility.is_near_chance(accuracy, count, answers.num_classes):
        raise UserError(
            "A black box must be right more often than by chance to be audited. "
            f"Received: one that names {percent(1 - accuracy)}% of {count} clean "
            "images wrongly. See the attack's own warnings for likely causes."
        )


def _to_json(rate: Rate) -> dict[str, Any]:
    # A rate's "wrong" is what it counts, here draws that are right.
    return {"count": rate.count, "rate": rate.rate, "interval": rate.interval}
