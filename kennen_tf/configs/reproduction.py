"""Settings of `reproduce`: which of the paper's experiments, and how large."""

import dataclasses
import shlex

from kennen_tf.configs import base
from kennen_tf.configs.engines import EngineConfig
from kennen_tf.configs.metamodels import CRAFTED, MADE
from kennen_tf.vocabulary.errors import UserError

EPOCHS, WILD = "epochs", "wild"
EXPERIMENTS = (
    "attributes",
    "table2",
    "readers",
    "table3",
    "num-train",
    EPOCHS,
    "num-queries",
    "top-k",
    "query-choice",
    "embedding",
    "confusion",
    "crafted",
    WILD,
)
ALL = "all"
# Whose curves num-queries draws.
NUM_QUERIES_METHODS = ("kennen-o", "kennen-s", "kennen-io")

# What changes neither a number nor which runs there are.
_FREE_FIELDS = (
    *("experiment", "zoo_dir", "query_dir", "other_zoos", "report_dir", "files_dir"),
    "max_memory_mb",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReproductionConfig(EngineConfig):
    """Settings of `reproduce`."""

    experiment: str = base.setting(
        ALL,
        "Which of the paper's tables and figures.",
        choices=(*EXPERIMENTS, ALL),
    )
    zoo_dir: str = base.setting(
        "zoo", "Folder of the zoo that build_zoo made.", required=True
    )
    query_dir: str = base.setting(
        "queries", "Folder of the query outputs that query_zoo wrote.", required=True
    )
    other_zoos: str = base.setting(
        "",
        "For the experiment epochs: zoos of other epochs and their query outputs, as "
        "ZOO_DIR:QUERY_DIR, separated by commas.",
    )
    files_dir: str = base.setting(
        "",
        "For the experiment wild: a folder with classifiers that others trained, and a "
        "truth.csv that says what is inside of them. Without one, it is on entries "
        "held out alone.",
    )
    report_dir: str = base.setting(
        "report",
        "Folder of the report and of the runs; runs that are there are used again.",
        required=True,
    )
    num_seeds: int = base.setting(
        3,
        "Number of seeds of split, queries and training, for metamodels that read "
        "stored outputs.",
        minimum=1,
    )
    num_crafted_seeds: int = base.setting(
        1,
        "Number of seeds for kennen-i and kennen-io, which take far longer.",
        minimum=1,
    )
    query_draws: int = base.setting(
        100, "Number of draws of queries of query-choice.", minimum=1
    )
    curve_draws: int = base.setting(
        5, "Number of draws of queries at each point of num-queries.", minimum=1
    )
    curve_crafted_draws: int = base.setting(
        1,
        "Number of draws at each point of num-queries of metamodels that choose or "
        "craft queries.",
        minimum=1,
    )
    num_queries: int = base.setting(
        100, "Number of queries of all experiments but num-queries.", minimum=1
    )
    num_train: int = base.setting(
        0,
        "Number of entries to train on; 0 is all that the test leaves.",
        minimum=0,
    )
    num_test: int = base.setting(
        0, "Number of entries to test on; 0 is a fifth.", minimum=0
    )
    train_sizes: str = base.setting(
        "100,200,500,1000,2000",
        "Points of num-train, separated by commas; all training entries are one more.",
    )
    query_counts: str = base.setting(
        "1,3,10,30,100,300,1000", "Points of num-queries, separated by commas."
    )
    crafted_query_counts: str = base.setting(
        "1,3,10,30,100",
        "Points of num-queries of metamodels that choose or craft queries, separated "
        "by commas.",
    )
    epochs: int = base.setting(
        0,
        "Passes over the training entries, in each phase that trains an MLP; 0 is the "
        "recipe's number.",
        minimum=0,
    )
    image_epochs: int = base.setting(
        0,
        "Passes over the training entries in each phase that crafts images; 0 is the "
        "recipe's number.",
        minimum=0,
    )
    max_memory_mb: int = base.setting(
        4096,
        "Bound, in MB, on what crafting keeps of the zoo's classifiers in memory.",
        minimum=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("train_sizes", "query_counts", "crafted_query_counts"):
            _parse_counts(name, getattr(self, name))
        others = self.others
        if self.experiment == EPOCHS and not others:
            raise UserError(
                "--experiment=epochs compares zoos: --other_zoos must name one more or "
                "several, as ZOO_DIR:QUERY_DIR. Received: none."
            )

    @property
    def experiments(self) -> tuple[str, ...]:
        """The experiments to run; of all, those that have what they need."""
        if self.experiment != ALL:
            return (self.experiment,)
        needed = {EPOCHS: self.others, WILD: self.files_dir}
        return tuple(name for name in EXPERIMENTS if needed.get(name, True))

    @property
    def others(self) -> tuple[tuple[str, str], ...]:
        """Folders of other zoos and of their query outputs."""
        found = []
        for part in filter(None, map(str.strip, self.other_zoos.split(","))):
            zoo_dir, _, query_dir = part.partition(":")
            if not (zoo_dir and query_dir):
                raise UserError(
                    "--other_zoos must be ZOO_DIR:QUERY_DIR, separated by commas. "
                    f"Received: {part!r}."
                )
            found.append((zoo_dir, query_dir))
        return tuple(found)

    @property
    def training_sizes(self) -> tuple[int, ...]:
        """Points of num-train, but for all training entries."""
        return _parse_counts("train_sizes", self.train_sizes)

    def seeds(self, method: str) -> range:
        """Returns the seeds of a method's runs."""
        is_crafted = method in CRAFTED
        return range(self.num_crafted_seeds if is_crafted else self.num_seeds)

    def draws(self, method: str) -> range:
        """Returns the draws of queries at each point of num-queries."""
        is_drawn = method not in MADE
        return range(self.curve_draws if is_drawn else self.curve_crafted_draws)

    def counts_of_queries(self, method: str) -> tuple[int, ...]:
        """Returns the points of num-queries."""
        if method in MADE:
            return _parse_counts("crafted_query_counts", self.crafted_query_counts)
        return _parse_counts("query_counts", self.query_counts)

    def deciding(self) -> dict[str, int | str]:
        """Returns the settings that decide what the experiments find."""
        values = self.to_json()
        return {name: values[name] for name in values if name not in _FREE_FIELDS}

    def command(self, experiment: str) -> str:
        """Returns the command that runs one experiment with these settings."""
        values = {**self.to_json(), "experiment": experiment}
        default = ReproductionConfig().to_json()
        always = ("experiment", "zoo_dir", "query_dir", "report_dir")
        flags = [
            f"--{name}={value}"
            for name, value in values.items()
            if name in always or value != default[name]
        ]
        return shlex.join(["python", "-m", "kennen_tf.reproduce", *flags])


def _parse_counts(name: str, text: str) -> tuple[int, ...]:
    """Returns numbers separated by commas, ascending."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UserError(
            f"--{name} must be numbers of at least 1, separated by commas. Received: "
            f"{name}={text!r}."
        )
    return tuple(sorted({int(part) for part in parts}))
