"""Settings of `reproduce`: which of the paper's experiments, and how large."""

import dataclasses
import shlex

from kennen_tf.configs import base
from kennen_tf.configs.metamodels import CRAFTED, MADE
from kennen_tf.vocabulary.errors import UserError

EXPERIMENTS = (
    "attributes",
    "table2",
    "readers",
    "table3",
    "num-train",
    "num-queries",
    "top-k",
    "query-choice",
    "embedding",
    "confusion",
    "crafted",
)
ALL = "all"
# Whose curves num-queries draws.
NUM_QUERIES_METHODS = ("kennen-o", "kennen-s", "kennen-io")

# What changes neither a number nor which runs there are.
_FREE_FIELDS = ("experiment", "zoo_dir", "query_dir", "report_dir", "max_memory_mb")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReproductionConfig(base.Config):
    """Settings of `reproduce`.

    What to run, and where:
        experiment: One of `EXPERIMENTS`, or `ALL`.
        zoo_dir: Folder of the zoo.
        query_dir: Folder of its query outputs.
        report_dir: Folder to write.

    How often:
        num_seeds: Seeds of split, queries and training, for metamodels that read
            stored outputs.
        num_crafted_seeds: The same for kennen-i and kennen-io, which take far longer.
        query_draws: Draws of queries of query-choice.
        curve_draws: Draws of queries at each point of num-queries.
        curve_crafted_draws: The same for metamodels that choose or craft queries.

    How large:
        num_queries: Queries of all experiments but num-queries.
        num_train: Entries to train on; 0 is all that the test leaves.
        num_test: Entries to test on; 0 is a fifth.
        train_sizes: Points of num-train, separated by commas; all training entries
            are one more.
        query_counts: Points of num-queries, separated by commas.
        crafted_query_counts: The same for metamodels that choose or craft queries.
        epochs, image_epochs: Passes over the training entries in each phase; 0 is the
            recipe's number.
        max_memory_mb: Bound on what crafting keeps of the zoo's classifiers, in MB.
    """

    experiment: str = ALL
    zoo_dir: str = "zoo"
    query_dir: str = "queries"
    report_dir: str = "report"
    num_seeds: int = 3
    num_crafted_seeds: int = 1
    query_draws: int = 100
    curve_draws: int = 5
    curve_crafted_draws: int = 1
    num_queries: int = 100
    num_train: int = 0
    num_test: int = 0
    train_sizes: str = "100,200,500,1000,2000"
    query_counts: str = "1,3,10,30,100,300,1000"
    crafted_query_counts: str = "1,3,10,30,100"
    epochs: int = 0
    image_epochs: int = 0
    max_memory_mb: int = 4096

    def __post_init__(self) -> None:
        base.check_choice("experiment", self.experiment, (*EXPERIMENTS, ALL))
        for name in ("zoo_dir", "query_dir", "report_dir"):
            base.check_given(name, getattr(self, name))
        for name in (
            *("num_seeds", "num_crafted_seeds", "query_draws", "curve_draws"),
            *("curve_crafted_draws", "num_queries"),
        ):
            base.check_range(name, getattr(self, name), 1)
        for name in ("num_train", "num_test", "epochs", "image_epochs"):
            base.check_range(name, getattr(self, name), 0)
        for name in ("train_sizes", "query_counts", "crafted_query_counts"):
            _parse_counts(name, getattr(self, name))
        base.check_range("max_memory_mb", self.max_memory_mb, 0)

    @property
    def experiments(self) -> tuple[str, ...]:
        """The experiments to run."""
        return EXPERIMENTS if self.experiment == ALL else (self.experiment,)

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
