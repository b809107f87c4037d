"""Settings of `audit_classifier`."""

import dataclasses

from kennen_tf.configs import base
from kennen_tf.configs.revealing import AccessConfig, RevealConfig
from kennen_tf.vocabulary.errors import UserError

# Each kind of defence, at strengths that are usual; nothing is tuned.
DEFAULT_DEFENCES = (
    *("round:3", "round:2", "round:1"),
    *("top:5", "top:3", "top:2", "top-raw:5", "top-raw:3", "top-raw:1"),
    *("ranking", "label", "cut:0.99", "cut:0.9"),
    *("temperature:0.5", "temperature:3"),
    *("gaussian:0.01", "gaussian:0.05", "gaussian:0.05:fresh"),
    *("laplace:0.01", "laplace:0.01:fresh"),
    *("reverse-sigmoid:0.5", "l1:0.1", "l1:0.3"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditConfig(AccessConfig):
    """Settings of `audit_classifier`."""

    classifier: str = base.setting(
        "",
        "Whose answers are audited: a file, folder, URL, NAME.answers.npz or "
        "module:function, as --black_box of reveal_black_box.",
    )
    report_dir: str = base.setting(
        "", "Folder for the report; one of before is replaced.", required=True
    )
    query_dir: str = base.setting(
        "wild_net",
        "What attackers learn from: query outputs that query_zoo wrote, or a package "
        "of a zoo, of which there are crafted queries, too: wild_net, of classifiers "
        "as people publish them, or mnist_net, of the paper's design.",
        required=True,
    )
    zoo_dir: str = base.setting(
        "",
        "Folder of the zoo of --query_dir: for images that real users might send. By "
        "default, what a package says of its zoo; without one, queries take their "
        "place.",
    )
    truth: str = base.setting(
        "",
        "What is known of the classifier, e.g. act=relu,drop=yes. Of one that is in "
        "the zoo, it is found.",
    )
    defences: str = base.setting(
        ",".join(DEFAULT_DEFENCES),
        "Defences to try, separated by commas: none, round:DIGITS, top:K, top-raw:K, "
        "ranking, label, cut:C, temperature:T, gaussian:S, laplace:S, l1:D, each of "
        "these three also with :fresh, reverse-sigmoid:BETA, or module:function with "
        "your own, from probabilities (n, classes) to the same.",
    )
    num_queries: int = base.setting(
        100, "Queries that attackers ask, for all but their curve.", minimum=1
    )
    counts: str = base.setting(
        "1,3,10,30,100,200",
        "Numbers of queries of the curve, separated by commas; of those above what "
        "there is, all.",
        required=True,
    )
    num_asked: int = base.setting(
        10,
        "How often attackers ask the same where noise is drawn anew each time.",
        minimum=1,
    )
    num_images: int = base.setting(
        1000,
        "Images of real users that the classifier is asked for what defences cost, "
        "and for detectors; 0: none, the queries take their place.",
        minimum=0,
    )
    attack_dir: str = base.setting(
        "",
        "Folder that attack_black_box --compare wrote about an ImageNet classifier of "
        "yours: its family is audited, with --classifier or instead of it.",
    )
    family: str = base.setting(
        "", "The family of the classifier of --attack_dir, if it is one that is known."
    )
    fail_above: float = base.setting(
        -1.0,
        "End with exit status 3 if the classifier gives away more bits than this, as "
        "it answers now; -1: never.",
        minimum=-1.0,
    )
    seed: int = base.setting(0, "Root seed of every draw.", minimum=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.classifier and not self.attack_dir:
            raise UserError(
                "--classifier must be given, or --attack_dir for an ImageNet "
                "classifier. Received: neither."
            )
        if self.fail_above >= 0 and not self.classifier:
            raise UserError(
                "--fail_above is about the bits of a --classifier. Received: none."
            )

        self.query_counts  # noqa: B018 - It checks.

    @property
    def query_counts(self) -> tuple[int, ...]:
        """Numbers of queries of the curve, ascending."""
        try:
            counts = {int(part) for part in self.counts.split(",") if part.strip()}
        except ValueError:
            counts = {0}
        if min(counts, default=0) < 1:
            raise UserError(
                "--counts must be whole numbers from 1, separated by commas. Received: "
                f"counts={self.counts!r}."
            )
        return tuple(sorted(counts))

    @property
    def defence_names(self) -> tuple[str, ...]:
        """Defences, "none" first, each once."""
        named = (part.strip() for part in self.defences.split(","))
        return tuple(dict.fromkeys(["none", *filter(None, named)]))

    def to_reveal(self) -> RevealConfig:
        """Returns settings by which the classifier is asked as a black box."""
        access = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(AccessConfig)
        }
        return RevealConfig(black_box=self.classifier, **access)
