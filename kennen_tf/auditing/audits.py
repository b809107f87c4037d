"""The audit: what a classifier gives away, and what each defence leaves of that."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tqdm

from kennen_tf.attributes import AttributeTable, Value
from kennen_tf.auditing import costs, defences, leaks, sources, streams, targets
from kennen_tf.auditing.attackers import AWARE, UNAWARE, Attack, Attackers
from kennen_tf.auditing.costs import Cost
from kennen_tf.auditing.defences import Defence
from kennen_tf.auditing.leaks import Leak
from kennen_tf.auditing.sources import CHOSEN, CRAFTED, Knowledge, Source
from kennen_tf.auditing.streams import Alarm
from kennen_tf.auditing.targets import Target
from kennen_tf.black_boxes.black_box import BlackBox
from kennen_tf.configs.auditing import AuditConfig
from kennen_tf.evaluation import scores
from kennen_tf.queries import representations
from kennen_tf.revealing import assessments, naming
from kennen_tf.revealing.naming import Revelation
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.seeds import derive_seed

_SEEDS = np.arange(2, dtype=np.uint64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """What one attacker is told.

    Attributes:
        attacker: One of `ATTACKERS`.
        num_asked: How often he asks each query.
        total: Of classifiers held out, all attributes that may be added up.
        leaks: Of classifiers held out, by attribute.
        own: Of the classifier itself, in bits, by attribute: learned where the truth is
            known, believed to have been learned where it is not.
        own_total: Sum of these, as of `total`.
        rank: Share of classifiers held out of which less is believed to be learned.
    """

    attacker: str
    num_asked: int
    total: Leak
    leaks: Mapping[str, Leak]
    own: Mapping[str, float]
    own_total: float
    rank: float

    def to_json(self) -> dict[str, Any]:
        return {
            **dataclasses.asdict(self),
            "leaks": {name: leak.to_json() for name, leak in self.leaks.items()},
            "own": dict(self.own),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """What so many queries of one kind tell, of answers as they are.

    Attributes:
        source: Kind of the queries.
        num_queries: How many.
        told: In each draw.
    """

    source: str
    num_queries: int
    told: tuple[Told, ...]

    @property
    def bits(self) -> float:
        """Mean over draws, of classifiers held out."""
        return float(np.mean([own.total.bits for own in self.told]))

    @property
    def own_bits(self) -> float:
        """Mean over draws, of the classifier itself."""
        return float(np.mean([own.own_total for own in self.told]))

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "num_queries": self.num_queries,
            "bits": self.bits,
            "own_bits": self.own_bits,
            "draws": [own.to_json() for own in self.told],
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """A defence: what it leaves, and what it costs.

    Attributes:
        name: As it was asked for.
        cost: On users' images.
        told: What each attacker is told.
    """

    name: str
    cost: Cost
    told: tuple[Told, ...]

    @property
    def worst(self) -> Told:
        """The attacker who learns most of classifiers held out: the headline."""
        return max(self.told, key=lambda own: own.total.bits)

    def find(self, attacker: str) -> Told | None:
        """Returns what the better of an attacker's ways is told."""
        own = [told for told in self.told if told.attacker == attacker]
        return max(own, key=lambda told: told.total.bits) if own else None

    def to_json(self) -> dict[str, Any]:
        return {
            "defence": self.name,
            "cost": self.cost.to_json(),
            "worst": self.worst.attacker,
            "attackers": [own.to_json() for own in self.told],
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Audit:
    """All that is found of a classifier.

    Attributes:
        revelation: What an attacker names, of answers as they are.
        table: The attributes.
        truth: What is known.
        twin: Id of the zoo's entry that it is; "" if it is none.
        deployed: The defence that it has as it is.
        source: Kind of the queries that tell most; defences are tried against these.
        num_queries: How many of them.
        accuracies: Class-balanced, of classifiers held out, by attribute, in [0, 1].
        ranks: By attribute; see `Told.rank`.
        points: By number and kind of queries.
        tried: Defences, "none" first.
        alarms: Of detectors; empty if there were too few images of users.
        num_train, num_held_out: Classifiers and ensembles that attackers learned from,
            and those held out.
        num_users: Images that costs are measured on.
        users_are_queries: Whether these are attackers' natural queries.
        made_from: Fingerprints of the zoo's answers.
    """

    revelation: Revelation
    table: AttributeTable
    truth: Mapping[str, Value]
    twin: str
    deployed: str
    source: str
    num_queries: int
    accuracies: Mapping[str, float]
    ranks: Mapping[str, float]
    points: tuple[Point, ...]
    tried: tuple[Tried, ...]
    alarms: tuple[Alarm, ...]
    num_train: int
    num_held_out: int
    num_users: int
    users_are_queries: bool
    made_from: Mapping[str, str]

    @property
    def name(self) -> str:
        """Of the classifier: of a file, without its folder."""
        name = self.revelation.black_box
        return name if "://" in name else pathlib.PurePath(name).name

    @property
    def as_it_is(self) -> Told:
        """What is given away without another defence: the headline."""
        return self.tried[0].worst

    def to_json(self) -> dict[str, Any]:
        return {
            "revelation": self.revelation.to_json(),
            "attributes": self.table.to_json(),
            "truth": dict(self.truth),
            "twin": self.twin,
            "deployed": self.deployed,
            "source": self.source,
            "num_queries": self.num_queries,
            "counted": list(leaks.counted(self.table)),
            "accuracies": dict(self.accuracies),
            "ranks": dict(self.ranks),
            "points": [own.to_json() for own in self.points],
            "defences": [own.to_json() for own in self.tried],
            "alarms": [own.to_json() for own in self.alarms],
            "num_train": self.num_train,
            "num_held_out": self.num_held_out,
            "num_users": self.num_users,
            "users_are_queries": self.users_are_queries,
            "made_from": dict(self.made_from),
        }


def audit(config: AuditConfig, knowledge: Knowledge, box: BlackBox) -> Audit:
    """Audits a classifier.

    Args:
        config: Settings.
        knowledge: What attackers learn from.
        box: The classifier.

    Raises:
        UserError: See `targets.ask`; or if a defence or the truth is not as it should
            be.
    """
    num_classes = knowledge.info.num_classes
    chosen = [defences.find(name) for name in config.defence_names]
    table = knowledge.info.attributes
    # Before anything is asked, which may cost, whether all of it makes sense.
    targets.find_truth(config, table, None)
    for defence in chosen:
        defence.apply(np.full((2, num_classes), 1 / num_classes), _SEEDS)
    target = targets.ask(config, knowledge, box)
    return _Auditing(config, knowledge, target, chosen).run()


class _Auditing:
    """An audit on its way."""

    def __init__(
        self,
        config: AuditConfig,
        knowledge: Knowledge,
        target: Target,
        chosen: list[Defence],
    ):
        self._config, self._knowledge, self._target = config, knowledge, target
        self._defences = chosen
        self._table = knowledge.info.attributes
        # Who answers coarsely may be like many.
        twin = None
        if target.deployed.name == "none":
            twin = sources.find_twin(knowledge, *target.natural)
        self._twin = twin
        self._truth = targets.find_truth(
            config, self._table, twin.values if twin else None
        )

    def run(self) -> Audit:
        config, knowledge, target = self._config, self._knowledge, self._target
        points = [
            (s, count)
            for s in knowledge.sources
            for count in s.cap(config.query_counts)
        ]
        num_steps = len(points) + len(self._defences) + 1
        with tqdm.tqdm(total=num_steps, desc="audit", unit="step") as bar:
            found = []
            for source, count in points:
                found.append(self._measure_point(source, count))
                bar.update()
            source, attackers = self._choose_source()
            answers = target.answers(source, self._order(source))
            plain = attackers.attack(UNAWARE, self._defences[0], answers)
            revelation, accuracies = self._reveal(attackers, plain, answers)
            bar.update()
            tried = []
            for defence in self._defences:
                tried.append(self._try(defence, attackers, answers))
                bar.update()
        ranks = {
            name: leaks.rank(
                float(leaks.believed_bits(own[np.newaxis], attackers.priors[name])[0]),
                leaks.believed_bits(plain.held_out[name], attackers.priors[name]),
            )
            for name, own in plain.target.items()
        }
        users = target.users
        return Audit(
            revelation=revelation,
            table=self._table,
            truth=self._truth,
            twin=self._twin.id if self._twin else "",
            deployed=target.deployed.name,
            source=source.name,
            num_queries=len(self._order(source)),
            accuracies=accuracies,
            ranks=ranks,
            points=tuple(found),
            tried=tuple(tried),
            alarms=tuple(streams.watch(config, knowledge, target)),
            num_train=attackers.num_train,
            num_held_out=len(attackers.combination_ids),
            num_users=len(users.images),
            users_are_queries=users.are_queries,
            made_from={
                "query_outputs": knowledge.info.fingerprint,
                "zoo": knowledge.info.zoo_fingerprint,
            },
        )

    def _order(self, source: Source) -> tuple[int, ...]:
        return source.orders[0][: self._config.num_queries]

    def _start(self, source: Source, order: tuple[int, ...]) -> Attackers:
        return Attackers(
            source.info,
            order,
            self._knowledge.seed,
            without=[self._twin.combination_id] if self._twin else [],
            descended=source.descended,
            deployed=self._target.deployed,
            strangers=None
            if source.strangers is None
            else source.strangers[:, list(order)],
        )

    def _measure_point(self, source: Source, count: int) -> Point:
        told = []
        # All of the queries are the same in whatever order.
        orders = {tuple(sorted(own[:count])): own[:count] for own in source.orders}
        for order in orders.values():
            attackers = self._start(source, order)
            attack = attackers.attack(
                UNAWARE, self._none, self._target.answers(source, order)
            )
            told.append(self._tell(attackers, attack, UNAWARE, 1))
        return Point(source=source.name, num_queries=count, told=tuple(told))

    @property
    def _none(self) -> Defence:
        return self._defences[0]

    def _choose_source(self) -> tuple[Source, Attackers]:
        """Returns the queries that tell most of classifiers held out."""
        best: tuple[float, Source, Attackers] | None = None
        for name in (CHOSEN, CRAFTED):
            source = self._knowledge.find(name)
            if source is None:
                continue
            order = self._order(source)
            attackers = self._start(source, order)
            attack = attackers.attack(
                UNAWARE, self._none, self._target.answers(source, order)
            )
            bits = attackers.measure_total(attack).bits
            if best is None or bits > best[0]:
                best = bits, source, attackers
        if best is None:
            raise UserError("One kind of queries is needed. Received: none.")
        return best[1], best[2]

    def _reveal(
        self, attackers: Attackers, plain: Attack, answers: defences.Probabilities
    ) -> tuple[Revelation, dict[str, float]]:
        results = scores.evaluate(
            self._table,
            attackers.labels,
            plain.held_out,
            combination_ids=attackers.combination_ids,
        )
        accuracies = {
            own.name: own.accuracy
            for own in results.attributes
            if own.accuracy is not None
        }
        [assessed] = assessments.assess(
            self._table,
            {name: own[np.newaxis] for name, own in plain.target.items()},
            attackers.find_limits(),
            representations.represent(
                answers[np.newaxis].astype(np.float32), "probabilities"
            ).numpy(),
        )
        revelation = naming.make_revelation(
            self._table,
            self._target.box,
            self._target.asked,
            assessed,
            accuracies,
            self._truth,
            name=self._knowledge.name,
        )
        return revelation, accuracies

    def _try(
        self, defence: Defence, attackers: Attackers, answers: defences.Probabilities
    ) -> Tried:
        told = []
        ways = [UNAWARE] if defence is self._none else [UNAWARE, AWARE]
        rounds = {1, self._config.num_asked} if defence.is_fresh else {1}
        for attacker in ways:
            for num_asked in sorted(rounds):
                attack = attackers.attack(
                    attacker, defence, answers, num_asked=num_asked
                )
                told.append(self._tell(attackers, attack, attacker, num_asked))
        users = self._target.users
        own = derive_seed(self._config.seed, "noise of users' answers")
        seeds = np.random.default_rng(own).integers(
            0, 2**63, len(users.answers), np.uint64
        )
        return Tried(
            name=defence.name,
            cost=costs.measure(
                users.answers, defence.apply(users.answers, seeds), users.labels
            ),
            told=tuple(told),
        )

    def _tell(
        self, attackers: Attackers, attack: Attack, attacker: str, num_asked: int
    ) -> Told:
        counted = leaks.counted(self._table)
        own, believed, others = {}, 0.0, np.zeros(len(attackers.combination_ids))
        for attribute in self._table:
            name, prior = attribute.name, attackers.priors[attribute.name]
            said = attack.target[name][np.newaxis]
            own[name] = float(leaks.believed_bits(said, prior)[0])
            if name in counted:
                believed += own[name]
                others += leaks.believed_bits(attack.held_out[name], prior)
            if name in self._truth:
                label = np.array([attribute.label(self._truth[name])])
                own[name] = float(leaks.learned_bits(said, label, prior)[0])
        return Told(
            attacker=attacker,
            num_asked=num_asked,
            total=attackers.measure_total(attack),
            leaks=attackers.measure(attack),
            own=own,
            own_total=sum(own[name] for name in counted),
            rank=leaks.rank(believed, others),
        )
