"""Settings of `train_metamodel`, and the recipes by which kennen-o is trained."""

import dataclasses
from typing import Any

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs import base, crafting
from kennen_tf.configs.crafting import CraftingRecipe
from kennen_tf.vocabulary.errors import UserError

METHODS = ("kennen-o", "kennen-s", "kennen-i", "kennen-io", "linear")
# Those that make their queries, by descending through training classifiers.
CRAFTED = ("kennen-i", "kennen-io")
# Those whose queries depend on the training classifiers.
MADE = ("kennen-s", *CRAFTED)
ALL_ATTRIBUTES = "all"
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")
REPRESENTATIONS = ("probabilities", "ranking", "top-k", "top-1", "bottom-1")
OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("constant", "cosine")
# In a recipe's groups: every attribute that there is.
EVERY = "*"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(base.Config):
    """How the MLP of kennen-o is made and trained.

    What it reads:
        center: Whether each output's mean over the classes is taken off.
        separate_scale: Whether each output's root mean square over the classes is
            divided off, and its logarithm read beside.
        standardize: Whether each feature gets mean 0 and deviation 1 in training.
        deviation_floor: Least deviation to divide by, as a share of the root mean
            square of all features' deviations; features that hardly vary in training
            would explode in testing.

    The networks:
        groups: Names of the attributes that share a network, or `EVERY`; each is in one
            group at most. See `for_table`.
        members: Networks of each group, whose probabilities are averaged.
        hidden_units: Width of each hidden layer.
        activation: Of the hidden layers; any name that Keras knows.
        input_noise: Deviation of Gaussian noise on the features, in training only.
        dropout: Share of each hidden layer's units dropped, in training only.

    The loss:
        balance: Weight of an entry's value is (its number of entries) ** -balance: 0
            counts entries alike, 1 counts values alike, as the evaluation does.
        max_weight: Largest weight, the mean over entries being 1.
        label_smoothing: Share of the target spread evenly over all values.

    The optimizer:
        optimizer: One of `OPTIMIZERS`.
        momentum: Of "sgd".
        learning_rate: At the start.
        schedule: One of `SCHEDULES`; "cosine" falls to 0 over all epochs.
        weight_decay: Share of the weights taken off at each step, times the learning
            rate.
        batch_size: Entries of a step, over all replicas.
        epochs: Passes over the training entries.
        compile_with_xla: Whether XLA compiles the step of a long training on one
            device: it pays for small layers, not for large ones.
    """

    center: bool = False
    separate_scale: bool = False
    standardize: bool = False
    deviation_floor: float = 0.1
    groups: tuple[tuple[str, ...], ...] = ((EVERY,),)
    members: int = 1
    hidden_units: tuple[int, ...]
    activation: str = "relu"
    input_noise: float = 0.0
    dropout: float = 0.0
    balance: float = 0.0
    max_weight: float = 10.0
    label_smoothing: float = 0.0
    optimizer: str
    momentum: float = 0.0
    learning_rate: float
    schedule: str = "constant"
    weight_decay: float
    batch_size: int
    epochs: int
    compile_with_xla: bool = False

    def __post_init__(self) -> None:
        # JSON makes lists of them.
        object.__setattr__(self, "hidden_units", tuple(self.hidden_units))
        object.__setattr__(self, "groups", tuple(map(tuple, self.groups)))
        named = sorted(name for group in self.groups for name in group)
        if len(set(named)) < len(named):
            raise UserError(
                f"groups must name an attribute once. Received: groups={self.groups}."
            )
        base.check_range("members", self.members, 1)
        base.check_choice("optimizer", self.optimizer, OPTIMIZERS)
        base.check_choice("schedule", self.schedule, SCHEDULES)
        base.check_range("dropout", self.dropout, 0.0, 0.99)
        base.check_range("batch_size", self.batch_size, 1)
        base.check_range("epochs", self.epochs, 1)

    def for_table(self, table: AttributeTable) -> "Recipe":
        """Returns the recipe with groups that have each attribute of a table once.

        Attributes that the table lacks fall away; those that no group names share a
        network with the others of their `Attribute.group`.
        """
        groups = [
            table.names if EVERY in group else tuple(n for n in group if n in table)
            for group in self.groups
        ]
        named = {name for group in groups for name in group}
        others: dict[str, tuple[str, ...]] = {}
        for attribute in table:
            if attribute.name not in named:
                own = others.get(attribute.group, ())
                others[attribute.group] = (*own, attribute.name)
        return dataclasses.replace(
            self, groups=tuple(filter(None, [*groups, *others.values()]))
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelRecipe(base.Config):
    """How a metamodel in closed form reads; see `metamodels/kernel.py`.

    What it reads:
        center, separate_scale, deviation_floor: As those of `Recipe`; features always
            get mean 0 and deviation 1.
        power: What a second regression reads: probabilities to this power. Answers are
            the mean of both regressions'.

    What is solved for:
        steepness: How fast likeness falls: it is 1 / sqrt(1 + steepness * the mean over
            features of the squared difference), which tells more here than a Gaussian.
        ridge: Strength of the regularisation; likeness of an entry to itself is 1.
        balance, max_weight: As those of `Recipe`.
    """

    center: bool = False
    separate_scale: bool = False
    deviation_floor: float = 0.1
    power: float
    steepness: float
    ridge: float
    balance: float = 0.0
    max_weight: float = 10.0

    @property
    def views(self) -> tuple[dict[str, Any], ...]:
        """What `features.relate` takes for each of the regressions."""
        related = {"center": self.center, "separate_scale": self.separate_scale}
        return related, {"power": self.power}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SvmRecipe(base.Config):
    """How support vector machines are fitted; see `metamodels/planes.py`.

    Attributes:
        cost: Of an entry on the wrong side of the margin, the mean square length of
            entries being 1.
        balance: Values always count alike, as with a `balance` of 1 in `Recipe`.
    """

    cost: float
    balance: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class RidgeRecipe(base.Config):
    """How ridge regressions are fitted; see `metamodels/planes.py`.

    Attributes:
        penalty: Strength of the regularisation, the mean square length of entries being
            1.
        balance: As that of `SvmRecipe`.
    """

    penalty: float
    balance: float = 1.0


PlanesRecipe = SvmRecipe | RidgeRecipe
SolvedRecipe = KernelRecipe | PlanesRecipe
AnyRecipe = Recipe | SolvedRecipe

KERNEL = KernelRecipe(
    center=True,
    separate_scale=True,
    # Two views of the same outputs tell over a point more than either.
    power=0.05,
    steepness=0.3,
    ridge=0.1,
    balance=1.0,
)
RECIPES: dict[str, AnyRecipe] = {
    "kernel": KERNEL,
    "mlp": Recipe(
        center=True,
        separate_scale=True,
        standardize=True,
        # What a network is made of, where its weights lie, how it was trained, on what:
        # one network for all tells over a point less.
        groups=(
            ("act", "drop", "pool", "ks"),
            ("conv", "fc", "par"),
            ("ens", "alg", "bs"),
            ("size", "split"),
        ),
        members=2,
        hidden_units=(256, 256),
        dropout=0.5,
        balance=1.0,
        optimizer="adamw",
        learning_rate=3e-3,
        schedule="cosine",
        weight_decay=0.1,
        batch_size=128,
        epochs=60,
        compile_with_xla=True,
    ),
    # From 1 to 100, a cost makes no difference of more than two points on the small
    # families of classifiers: with few entries, the margin is as good as hard.
    "svm": SvmRecipe(cost=10.0),
    "ridge": RidgeRecipe(penalty=1.0),
    # Paper, section 4, and where it is silent its code; but the heads are trained.
    "paper": Recipe(
        hidden_units=(1000, 1000),
        optimizer="sgd",
        learning_rate=1e-4,
        weight_decay=0.01,
        batch_size=100,
        epochs=200,
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetamodelConfig(base.Config):
    """Settings of `train_metamodel`.

    What to train:
        method: One of `METHODS`.
        attribute: Which attribute kennen-i crafts an image for; `ALL_ATTRIBUTES`: one
            image for each.
        recipe: Key of `RECIPES`; "linear" does not use it.
        start: Where crafted images begin: some of `crafting.STARTS`, separated by
            commas; "" is the recipe's.
        epochs: Passes over the training entries, in each phase of the metamodel; 0 is
            the recipe's number. "linear" and the recipes "kernel", "svm" and "ridge"
            are solved for at once, without epochs and batches.
        image_epochs: Passes over the training entries in each phase of the images; 0
            is the recipe's number.
        batch_size: Entries of a step, over all replicas; 0 is the recipe's number.
        seed: Root seed of the split, the choice of queries, and the training.
        query_seed: Root seed of the choice of queries alone, so that it can vary while
            the split stays; -1: `seed`.

    What it reads:
        query_dir: Folder of the query outputs.
        zoo_dir: Folder of the zoo that was queried; for crafted queries only.
        num_queries: How many of the stored queries, or to craft. kennen-i has one for
            each of its attributes, whatever is said here.
        representation: One of `REPRESENTATIONS`; kennen-i reads "top-1" always.
        top_k: Labels that "top-k" ranks; 0 is all.
        split: Who is held out; see `splits.py`.
        num_train: Entries to train on; 0 is all that the test leaves.
        num_test: Entries to test on; 0 is a fifth, or what the split says.

    How and where:
        metamodel_dir: Folder to write.
        resume: Whether to go on with a training that was stopped.
        checkpoint_every: Epochs between checkpoints.
        evaluate_every: Epochs between evaluations on training and test entries.
        strategy: One of `STRATEGIES`; "auto" is "mirrored" with several GPUs, else
            "one_device".
        max_memory_mb: Bound on what crafting keeps of the zoo's classifiers, in MB.
    """

    method: str = "kennen-o"
    attribute: str = ALL_ATTRIBUTES
    recipe: str = "kernel"
    start: str = ""
    epochs: int = 0
    image_epochs: int = 0
    batch_size: int = 0
    seed: int = 0
    query_seed: int = -1
    query_dir: str = "queries"
    zoo_dir: str = ""
    num_queries: int = 100
    representation: str = "probabilities"
    top_k: int = 0
    split: str = "R"
    num_train: int = 0
    num_test: int = 0
    metamodel_dir: str = "runs/metamodel"
    resume: bool = False
    checkpoint_every: int = 10
    evaluate_every: int = 10
    strategy: str = "auto"
    max_memory_mb: int = 4096

    def __post_init__(self) -> None:
        base.check_choice("method", self.method, METHODS)
        base.check_choice("recipe", self.recipe, RECIPES)
        for start in self.starts:
            base.check_choice("start", start, crafting.STARTS)
        base.check_range("epochs", self.epochs, 0)
        base.check_range("image_epochs", self.image_epochs, 0)
        base.check_range("batch_size", self.batch_size, 0)
        base.check_range("seed", self.seed, 0)
        base.check_range("query_seed", self.query_seed, -1)
        base.check_given("query_dir", self.query_dir)
        base.check_range("num_queries", self.num_queries, 1)
        base.check_choice("representation", self.representation, REPRESENTATIONS)
        base.check_range("top_k", self.top_k, 0)
        base.check_given("split", self.split)
        base.check_range("num_train", self.num_train, 0)
        base.check_range("num_test", self.num_test, 0)
        base.check_given("metamodel_dir", self.metamodel_dir)
        base.check_range("checkpoint_every", self.checkpoint_every, 1)
        base.check_range("evaluate_every", self.evaluate_every, 1)
        base.check_choice("strategy", self.strategy, STRATEGIES)
        base.check_range("max_memory_mb", self.max_memory_mb, 0)
        if self.attribute != ALL_ATTRIBUTES and self.method != "kennen-i":
            raise UserError(
                "--attribute is for --method=kennen-i; other metamodels name all "
                f"attributes. Received: method={self.method!r}, "
                f"attribute={self.attribute!r}."
            )
        if self.is_crafted:
            base.check_given("zoo_dir", self.zoo_dir)
        # Each of several processes would make queries of its own.
        if self.strategy == "multi_worker" and self.method in MADE:
            raise UserError(
                f"--strategy of {self.method} must be one of one_device, mirrored, "
                f"auto. Received: strategy={self.strategy!r}."
            )
        if self.method == "kennen-i":
            if self.representation not in ("probabilities", "top-1"):
                raise UserError(
                    "kennen-i reads one label: --representation must be top-1. "
                    f"Received: representation={self.representation!r}."
                )
            object.__setattr__(self, "representation", "top-1")

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
