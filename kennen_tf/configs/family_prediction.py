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
    """Settings of `predict_family`."""

    num_images: int = base.setting(
        2000,
        "Images to use, drawn at random if there are more; 0 for all. Queries are "
        "drawn from these: the more, the less draws overlap.",
        minimum=0,
    )
    metamodel: str = base.setting(
        DEFAULT_METAMODEL,
        "What reads the outputs; mlp is the paper's, all compares them.",
        choices=(*METAMODELS, ALL_METAMODELS),
    )
    num_queries: int = base.setting(
        100, "Images whose outputs the metamodel reads, for the table.", minimum=1
    )
    curve: str = base.setting(
        "1,10,100,1000",
        "Numbers of queries of the curve, separated by commas; those above the number "
        "of images are left out.",
    )
    num_folds: int = base.setting(
        10, "Times that a random member of each family is held out.", minimum=2
    )
    num_draws: int = base.setting(
        10, "Times that queries are drawn for each fold.", minimum=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
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
