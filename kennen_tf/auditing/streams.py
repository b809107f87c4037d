"""Whether attackers' queries are noticed: each kind of them through each detector."""

import dataclasses
from typing import Any

import numpy as np

from kennen_tf.auditing.detectors import Detector, Prada, UnusualImages
from kennen_tf.auditing.sources import Knowledge
from kennen_tf.auditing.targets import Target
from kennen_tf.configs.auditing import AuditConfig
from kennen_tf.vocabulary.seeds import derive_seed

# Fewer images of users tell no detector what is usual.
LEAST_IMAGES = 200
# Users that were not learned from, to count false alarms on.
_NUM_USERS = 50

PRADA, UNUSUAL = "PRADA", "unusual images"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Alarm:
    """What one detector makes of queries of one kind.

    Attributes:
        detector: `PRADA` or `UNUSUAL`.
        source: Kind of the queries, as `Source.name`.
        num_queries: How many were asked.
        after: After how many an alarm was raised; None: never.
        false_alarms: Share of other users with as many queries who raise one, in
            [0, 1].
    """

    detector: str
    source: str
    num_queries: int
    after: int | None
    false_alarms: float

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def watch(config: AuditConfig, knowledge: Knowledge, target: Target) -> list[Alarm]:
    """Sends each kind of queries past each detector.

    Half of the users' images say what is usual, the other half counts false alarms.

    Returns:
        Nothing where there are too few images of users.
    """
    users = target.users
    if users.are_queries or len(users.images) < LEAST_IMAGES:
        return []
    named = users.answers.argmax(axis=1)
    half = len(named) // 2
    alarms = []
    for source in knowledge.sources:
        order = source.orders[0][: max(config.query_counts)]
        images = source.info.query_inputs.pixels[list(order)]
        labels = target.answers(source, order).argmax(axis=1)
        num_queries = min(len(order), half)
        detectors: dict[str, Detector] = {
            PRADA: Prada.fit(
                users.images[:half],
                named[:half],
                num_queries,
                derive_seed(config.seed, "users of PRADA"),
            ),
            UNUSUAL: UnusualImages.fit(
                users.images[:half], derive_seed(config.seed, "usual images")
            ),
        }
        random = np.random.default_rng(derive_seed(config.seed, "other users"))
        others = [
            half + random.permutation(len(named) - half)[:num_queries]
            for _ in range(_NUM_USERS)
        ]
        for name, detector in detectors.items():
            raised = [
                detector.find_alarm(users.images[own], named[own]) for own in others
            ]
            alarms.append(
                Alarm(
                    detector=name,
                    source=source.name,
                    num_queries=len(order),
                    after=detector.find_alarm(images, labels),
                    false_alarms=float(np.mean([own is not None for own in raised])),
                )
            )
    return alarms
