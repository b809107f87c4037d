"""Settings of `train_metamodel`, and the recipes by which kennen-o is trained."""

import dataclasses
from typing import Any

from kennen_tf import splits
from kennen_tf.configs import base

METHODS = ("kennen-o", "linear")
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")
REPRESENTATIONS = ("probabilities", "ranking", "top-k", "top-1", "bottom-1")
OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("constant", "cosine")
NUM_CLASSES = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(base.Config):
    """How the MLP of kennen-o is made and trained.

    What it reads:
        center: Whether each output's mean over the ten classes is taken off.
        standardize: Whether each feature gets mean 0 and deviation 1 in training.
        deviation_floor: Least deviation to divide by, as a share of the root mean
            square of all features' deviations; features that hardly vary in training
            would explode in testing.

    The network:
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
    standardize: bool = False
    deviation_floor: float = 0.1
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
        # JSON makes a list of it.
        object.__setattr__(self, "hidden_units", tuple(self.hidden_units))
        base.check_choice("optimizer", self.optimizer, OPTIMIZERS)
        base.check_choice("schedule", self.schedule, SCHEDULES)
        base.check_range("dropout", self.dropout, 0.0, 0.99)
        base.check_range("batch_size", self.batch_size, 1)
        base.check_range("epochs", self.epochs, 1)


RECIPES: dict[str, Recipe] = {
    "default": Recipe(
        center=True,
        standardize=True,
        hidden_units=(256, 256),
        dropout=0.5,
        balance=1.0,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=0.01,
        batch_size=32,
        epochs=150,
        compile_with_xla=True,
    ),
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
        recipe: Key of `RECIPES`; "linear" does not use it.
        epochs: Passes over the training entries; 0 is the recipe's number.
        batch_size: Entries of a step, over all replicas; 0 is the recipe's number.
        seed: Root seed of the split, the choice of queries, and the training.

    What it reads:
        query_dir: Folder of the query outputs.
        num_queries: How many of the stored queries.
        representation: One of `REPRESENTATIONS`.
        top_k: Labels that "top-k" ranks.
        split: "R", an E split of the paper, or rules; see `splits.py`.
        num_train: Entries to train on; 0 is all that the test leaves.
        num_test: Entries to test on; 0 is a fifth.

    How and where:
        metamodel_dir: Folder to write.
        resume: Whether to go on with a training that was stopped.
        checkpoint_every: Epochs between checkpoints.
        evaluate_every: Epochs between evaluations on training and test entries.
        strategy: One of `STRATEGIES`; "auto" is "mirrored" with several GPUs, else
            "one_device".
    """

    method: str = "kennen-o"
    recipe: str = "default"
    epochs: int = 0
    batch_size: int = 0
    seed: int = 0
    query_dir: str = "queries"
    num_queries: int = 100
    representation: str = "probabilities"
    top_k: int = NUM_CLASSES
    split: str = splits.RANDOM
    num_train: int = 0
    num_test: int = 0
    metamodel_dir: str = "runs/metamodel"
    resume: bool = False
    checkpoint_every: int = 10
    evaluate_every: int = 10
    strategy: str = "auto"

    def __post_init__(self) -> None:
        base.check_choice("method", self.method, METHODS)
        base.check_choice("recipe", self.recipe, RECIPES)
        base.check_range("epochs", self.epochs, 0)
        base.check_range("batch_size", self.batch_size, 0)
        base.check_range("seed", self.seed, 0)
        base.check_given("query_dir", self.query_dir)
        base.check_range("num_queries", self.num_queries, 1)
        base.check_choice("representation", self.representation, REPRESENTATIONS)
        base.check_range("top_k", self.top_k, 1, NUM_CLASSES)
        splits.parse_split(self.split)
        base.check_range("num_train", self.num_train, 0)
        base.check_range("num_test", self.num_test, 0)
        base.check_given("metamodel_dir", self.metamodel_dir)
        base.check_range("checkpoint_every", self.checkpoint_every, 1)
        base.check_range("evaluate_every", self.evaluate_every, 1)
        base.check_choice("strategy", self.strategy, STRATEGIES)

    def make_recipe(self) -> Recipe:
        """Returns the recipe with the numbers that were given instead of its own."""
        given: dict[str, Any] = {"epochs": self.epochs, "batch_size": self.batch_size}
        return dataclasses.replace(
            RECIPES[self.recipe], **{name: n for name, n in given.items() if n}
        )
