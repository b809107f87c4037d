"""Settings of `train_metamodel`."""

import dataclasses
from typing import Any

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs import base, crafting
from kennen_tf.configs.crafting import CraftingRecipe
from kennen_tf.configs.recipes import RECIPES, AnyRecipe, Recipe
from kennen_tf.vocabulary.errors import UserError

METHODS = ("kennen-o", "kennen-s", "kennen-i", "kennen-io", "linear")
# Those that make their queries, by descending through training classifiers.
CRAFTED = ("kennen-i", "kennen-io")
# Those whose queries depend on the training classifiers.
MADE = ("kennen-s", *CRAFTED)
ALL_ATTRIBUTES = "all"
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")
REPRESENTATIONS = ("probabilities", "ranking", "top-k", "top-1", "bottom-1")

# What `evaluate_every` is by default.
_MOST_EVALUATIONS = 100
_IMAGE_EPOCHS_BETWEEN = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetamodelConfig(base.Config):
    """Settings of `train_metamodel`."""

    method: str = base.setting(
        "kennen-o",
        "kennen-o reads outputs for validation images; kennen-s chooses the "
        "images that tell most; kennen-i crafts an image for each attribute and reads "
        "its label; kennen-io crafts images whose outputs are read; linear is logistic "
        "regression on kennen-o's features, a yardstick.",
        choices=METHODS,
    )
    attribute: str = base.setting(
        ALL_ATTRIBUTES,
        "What kennen-i crafts an image for: the name of an attribute of the zoo, which "
        "has at most as many values as classifiers have classes; or all, an image for "
        "each.",
    )
    recipe: str = base.setting(
        "joined",
        "How the metamodel is trained and images are crafted: this project's way, by "
        "MLPs that are trained and a kernel regression that is solved for, joined, or "
        "by either alone (mlp, kernel); by linear support vector machines (svm) or "
        "ridge regressions, for few classifiers of many classes; or the paper's.",
        choices=RECIPES,
    )
    start: str = base.setting(
        "",
        f"Where crafted images begin: some of {', '.join(crafting.STARTS)}, separated "
        "by commas. kennen-io deals its images out to them, kennen-i tries each. By "
        "default, what the recipe says.",
    )
    epochs: int = base.setting(
        0,
        "Passes over the training entries, in each phase that trains MLPs; 0 is the "
        "recipe's number. --recipe=kernel, svm and ridge have none.",
        minimum=0,
    )
    image_epochs: int = base.setting(
        0,
        "Passes over the training entries in each phase that crafts images; 0 is the "
        "recipe's number.",
        minimum=0,
    )
    batch_size: int = base.setting(
        0,
        "Number of entries of a training step, over all devices; 0 is the recipe's. "
        "--recipe=kernel, svm and ridge have none.",
        minimum=0,
    )
    seed: int = base.setting(
        0, "Root seed of split, choice of queries and training.", minimum=0
    )
    query_seed: int = base.setting(
        -1,
        "Root seed of the choice of queries alone, or of where crafted ones begin, so "
        "that it can vary while the split stays; -1 is --seed.",
        minimum=-1,
    )
    query_dir: str = base.setting(
        "queries", "Folder of the query outputs that query_zoo wrote.", required=True
    )
    zoo_dir: str = base.setting(
        "",
        "Folder of the zoo that was queried; kennen-i and kennen-io descend through "
        "its training classifiers.",
    )
    num_queries: int = base.setting(
        100,
        "Number of queries to read, of those stored, or to craft; kennen-i has one for "
        "each attribute that it names.",
        minimum=1,
    )
    representation: str = base.setting(
        "probabilities",
        "How much of an output is read: its probabilities, the ranking of all labels "
        "or of the first --top_k, the likeliest label, or the least likely one.",
        choices=REPRESENTATIONS,
    )
    top_k: int = base.setting(
        0, "Number of labels that top-k ranks; 0 is all.", minimum=0
    )
    split: str = base.setting(
        "R",
        "Who is held out: R (random combinations, a fifth of all entries), development "
        "(as R, among the four tenths of the combinations that R does not hold out "
        "with --seed=0, 1 or 2: to choose settings by), group (a "
        "fifth of the combinations, of whatever size), leave-one-out:ATTRIBUTE (one of "
        "each value with two combinations or more; with the next --seed, the next "
        "one), the paper's E-conv, E-conv-fc, E-alg, E-alg-bs, E-split, E-size, or "
        "training values > test values, e.g. 'pool:no>yes' or "
        "'conv:2,3>4;bs:64,128>256'. Entries whose value is unknown are on neither "
        "side.",
        required=True,
    )
    num_train: int = base.setting(
        0,
        "Number of entries to train on; 0 is all that the test leaves.",
        minimum=0,
    )
    num_test: int = base.setting(
        0,
        "Number of entries to test on; 0 is a fifth, or what --split says.",
        minimum=0,
    )
    metamodel_dir: str = base.setting(
        "runs/metamodel", "Folder to write the metamodel to.", required=True
    )
    resume: bool = base.setting(
        False, "Whether to go on with a training that was stopped."
    )
    checkpoint_every: int = base.setting(
        10, "Number of epochs between checkpoints.", minimum=1
    )
    evaluate_every: int = base.setting(
        0,
        "Number of epochs between evaluations, on training and test entries, for "
        "TensorBoard and metrics.jsonl; 0 is each, of a long training so many that "
        "there are a hundred, and of images every tenth, as the test entries are asked "
        "each time.",
        minimum=0,
    )
    strategy: str = base.setting(
        "auto",
        "Devices to train on: auto is mirrored with several GPUs, else one_device; "
        "multi_worker takes its cluster from TF_CONFIG.",
        choices=STRATEGIES,
    )
    logical_cpus: int = base.setting(
        1,
        "Number of devices that the CPU is divided into, for --strategy=mirrored on a "
        "machine without a GPU: to try what several GPUs would do. It is no faster.",
        minimum=1,
    )
    max_memory_mb: int = base.setting(
        4096,
        "Bound, in MB, on what crafting keeps of the zoo's classifiers in memory; what "
        "does not fit is read and computed again at each use.",
        minimum=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for start in self.starts:
            base.check_choice("start", start, crafting.STARTS)
        if self.attribute != ALL_ATTRIBUTES and self.method != "kennen-i":
            raise UserError(
                "--attribute is for --method=kennen-i; other metamodels name all "
                f"attributes. Received: method={self.method!r}, "
                f"attribute={self.attribute!r}."
            )
        if self.is_crafted and not self.zoo_dir:
            raise UserError(
                f"--zoo_dir must be given: {self.method} needs a zoo's classifiers, "
                "and query outputs, a package's too, have their answers only. "
                "Received: nothing."
            )
        # Each of several processes would make queries of its own.
        if self.strategy == "multi_worker" and self.method in MADE:
            raise UserError(
                f"--strategy of {self.method} must be one of one_device, mirrored, "
                f"auto. Received: strategy={self.strategy!r}."
            )
        if self.logical_cpus > 1 and self.strategy != "mirrored":
            raise UserError(
                "--logical_cpus is for --strategy=mirrored; others take one CPU. "
                f"Received: logical_cpus={self.logical_cpus}, "
                f"strategy={self.strategy!r}."
            )
        if self.method == "kennen-i":
            if self.representation not in ("probabilities", "top-1"):
                raise UserError(
                    "kennen-i reads one label: --representation must be top-1. "
                    f"Received: representation={self.representation!r}."
                )
            object.__setattr__(self, "representation", "top-1")

    def check_strategy(self) -> None:
        """Raises `UserError` if there is nothing that the strategy could share.

        Metamodels of before may say that they were made so, each process for itself.
        """
        if self.strategy == "multi_worker" and self.is_solved:
            what = "linear" if self.method == "linear" else f"--recipe={self.recipe}"
            raise UserError(
                "--strategy=multi_worker is for what is trained step by step: kennen-o "
                f"with --recipe=joined, mlp or paper. Received: {what}, which is "
                "solved for at once, by one process; take --strategy=auto."
            )

    @property
    def is_crafted(self) -> bool:
        """Whether the queries are made, and not drawn from validation images."""
        return self.method in CRAFTED

    @property
    def is_solved(self) -> bool:
        """Whether the metamodel is solved for, without epochs and batches."""
        has_epochs = isinstance(RECIPES[self.recipe], Recipe)
        return not has_epochs or self.method in ("kennen-i", "linear")

    @property
    def seed_of_queries(self) -> int:
        """Root seed of the choice of queries, and of where crafted ones begin."""
        return self.seed if self.query_seed < 0 else self.query_seed

    @property
    def starts(self) -> tuple[str, ...]:
        """Where crafted images begin, if that is given."""
        return tuple(filter(None, self.start.replace(" ", "").split(",")))

    def epochs_between(self, num_epochs: int) -> int:
        """Returns after how many epochs of so many a metamodel is evaluated."""
        return self.evaluate_every or -(-num_epochs // _MOST_EVALUATIONS)

    @property
    def image_epochs_between(self) -> int:
        """After how many epochs images are evaluated."""
        return self.evaluate_every or _IMAGE_EPOCHS_BETWEEN

    def named(self, table: AttributeTable) -> AttributeTable:
        """Returns the attributes of a table that are named."""
        if self.attribute == ALL_ATTRIBUTES:
            return table
        return table.select([table[self.attribute].name])

    def for_zoo(self, table: AttributeTable, num_classes: int) -> "MetamodelConfig":
        """Returns the settings with what a zoo decides in place of what it does not.

        Args:
            table: Its attributes.
            num_classes: Between how many classes its classifiers choose.

        Raises:
            UserError: If it has no such attribute, or not as many classes.
        """
        base.check_range("top_k", self.top_k, 0, num_classes)
        decided: dict[str, Any] = {"top_k": self.top_k or num_classes}
        if self.attribute != ALL_ATTRIBUTES:
            codes = [attribute.code for attribute in table]
            if self.attribute not in (*table.names, *codes):
                names = (ALL_ATTRIBUTES, *table.names)
                base.check_choice("attribute", self.attribute, names)
            decided["attribute"] = table[self.attribute].name
        if self.method == "kennen-i":
            decided["num_queries"] = len(self.named(table))
        return dataclasses.replace(self, **decided)

    def make_recipe(self, table: AttributeTable) -> AnyRecipe:
        """Returns the recipe for a table, with the numbers that were given."""
        recipe = RECIPES[self.recipe]
        if not isinstance(recipe, Recipe):
            return recipe
        given: dict[str, Any] = {"epochs": self.epochs, "batch_size": self.batch_size}
        return dataclasses.replace(
            recipe.for_table(table), **{name: n for name, n in given.items() if n}
        )

    def make_crafting_recipe(self) -> CraftingRecipe:
        """Returns how queries are crafted, with the numbers that were given.

        The method is one of `CRAFTED`.
        """
        recipe = crafting.RECIPES[self.method][self.recipe]
        given = {crafting.IMAGES: self.image_epochs, crafting.METAMODEL: self.epochs}
        phases = tuple((name, given[name] or epochs) for name, epochs in recipe.phases)
        starts = self.starts or recipe.starts
        return dataclasses.replace(recipe, phases=phases, starts=starts)
