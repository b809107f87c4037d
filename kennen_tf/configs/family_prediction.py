"""Settings of `predict_family`."""

import dataclasses

from kennen_tf.configs import base
from kennen_tf.configs.imagenet import ImagenetConfig
from kennen_tf.vocabulary.errors import UserError

# The first suits a dozen classifiers and 100,000 numbers of each; "mlp" is the paper's.
SVM, RIDGE, MLP = METAMODELS = ("svm", "ridge", "mlp")
DEFAULT_METAMODEL = METAMODELS[0]
ALL_METAMODELS = "all"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FamilyPredictionConfig(ImagenetConfig):
    """Settings of `predict_family`.

    Attributes:
        num_images: As for `ImagenetConfig`. Queries are drawn from these: the more,
            the less draws overlap.
        metamodel: One of `METAMODELS`, or `ALL_METAMODELS` to compare them.
        num_queries: Images whose outputs the metamodel reads, for the table.
        curve: The same for each point of the curve, separated by commas; those above
            the number of images are left out.
        num_folds: Times that a random member of each family is held out.
        num_draws: Times that queries are drawn for each fold.
    """

    num_images: int = 2000
    metamodel: str = DEFAULT_METAMODEL
    num_queries: int = 100
    curve: str = "1,10,100,1000"
    num_folds: int = 10
    num_draws: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        base.check_choice("metamodel", self.metamodel, (*METAMODELS, ALL_METAMODELS))
        base.check_range("num_queries", self.num_queries, 1)
        base.check_range("num_folds", self.num_folds, 2)
        base.check_range("num_draws", self.num_draws, 1)
        if self.num_images:
            base.check_range("num_queries", self.num_queries, 1, self.num_images)
        self.curve_counts  # noqa: B018 - It checks.

    @property
    def metamodels(self) -> tuple[str, ...]:
        """The metamodels that are wanted."""
        return METAMODELS if self.metamodel == ALL_METAMODELS else (self.metamodel,)

    @property
    def curve_counts(self) -> tuple[int, ...]:
        """Numbers of queries of the curve, `num_queries` among them, ascending."""
        try:
            counts = {int(part) for part in self.curve.split(",") if part.strip()}
        except ValueError:
            counts = {0}
        if min(counts, default=1) < 1:
            raise UserError(
                "--curve must be whole numbers from 1, separated by commas. Received: "
                f"curve={self.curve!r}."
            )
        return tuple(sorted(counts | {self.num_queries}))
