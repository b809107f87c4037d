"""Settings of adversarial image perturbations (AIPs), `generate_aips` among them."""

import dataclasses

from kennen_tf.configs import base
from kennen_tf.configs.family_prediction import DEFAULT_METAMODEL, METAMODELS
from kennen_tf.configs.imagenet import PAPER_IMAGE_SIZE, ImagenetConfig
from kennen_tf.configs.revealing import LABELS, OUTPUTS

GAMAN, I_FGSM, PGD, MI_FGSM = METHODS = ("gaman", "i-fgsm", "pgd", "mi-fgsm")
L2, LINF = NORMS = ("l2", "linf")
LOSSES, LOGITS, PROBABILITIES = COMBINATIONS = ("losses", "logits", "probabilities")

# What a black box may answer; metamodels of families read more than a label.
BOX_OUTPUTS = tuple(kind for kind in OUTPUTS if kind != LABELS)

# In place of names of generators: every family in turn, against every target.
FAMILIES = "families"

# A step this many times epsilon / num_steps. Gradients of successive steps are nearly
# at right angles: with half of it, L2 perturbations end at 78% of the norm (MobileNet).
_STEP_FACTOR = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class PerturbationConfig(ImagenetConfig):
    """Settings of whatever makes AIPs, beside those of `ImagenetConfig`."""

    method: str = base.setting(
        GAMAN,
        "How AIPs are made. gaman climbs the margin of the strongest wrong class (the "
        "paper's); the others climb the cross-entropy: i-fgsm, pgd (from a random "
        "start), mi-fgsm (with momentum).",
        choices=METHODS,
    )
    norm: str = base.setting(L2, "Norm that bounds a perturbation.", choices=NORMS)
    # Scaled so that it always allows the same root mean square: 1,000 levels are 2.6.
    epsilon: float = base.setting(
        1000.0,
        "The bound, in levels of 0 to 255. For l2, that of an image of 224 x 224 "
        "pixels, scaled to the size at hand; for linf, at most 255, e.g. 4.",
        minimum=0.0,
    )
    num_steps: int = base.setting(100, "Gradients for each image.", minimum=1)
    step_size: float = base.setting(
        0.0,
        "Length of a step, like --epsilon; 0 for 5 epsilon / num_steps.",
        minimum=0.0,
    )
    momentum: float = base.setting(
        1.0, "Share of the last direction that mi-fgsm keeps.", minimum=0.0
    )
    combination: str = base.setting(
        LOSSES,
        "What is averaged over several generators: their losses, logits or "
        "probabilities.",
        choices=COMBINATIONS,
    )
    metamodel: str = base.setting(
        DEFAULT_METAMODEL,
        "Metamodel that predicts the target's family, where that is done.",
        choices=METAMODELS,
    )
    num_queries: int = base.setting(
        100, "Images whose outputs the metamodel reads.", minimum=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        # More than 255 levels of one pixel is surely meant as L2.
        if self.is_linf:
            base.check_range("epsilon", self.epsilon, 0.0, 255.0)

    @property
    def is_linf(self) -> bool:
        return self.norm == LINF

    def make_budget(self, image_size: int) -> "Budget":
        """Returns the budget for images of that side."""
        scale = 1.0 if self.is_linf else image_size / PAPER_IMAGE_SIZE
        step_size = self.step_size or _STEP_FACTOR * self.epsilon / self.num_steps
        return Budget(
            norm=self.norm, epsilon=self.epsilon * scale, step_size=step_size * scale
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget(base.Config):
    """What a perturbation may be, in levels, at the size of the images at hand.

    Attributes:
        norm: One of `NORMS`.
        epsilon: Bound of the norm.
        step_size: Length of one step in that norm.
    """

    norm: str
    epsilon: float
    step_size: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class AipConfig(PerturbationConfig):
    """Settings of `generate_aips`."""

    generators: str = base.setting(
        "",
        "Classifiers or families, separated by commas, that make AIPs together; or "
        "families: each family against every target, within a family by leaving the "
        "target out, which gives the transfer matrix and the paper's four scenarios.",
        required=True,
    )
    targets: str = base.setting(
        "",
        "Classifiers or families, separated by commas, that are attacked; by default "
        "the generators themselves, or all with --generators=families.",
    )

    @property
    def generator_names(self) -> list[str]:
        return _split(self.generators)

    @property
    def target_names(self) -> list[str]:
        return _split(self.targets)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackConfig(PerturbationConfig):
    """Settings of `attack_black_box`."""

    black_box: str = base.setting(
        "",
        "What to attack: a .keras file, a SavedModel folder, or module:function with a "
        "function from images, float32 (n, size, size, 3), to outputs (n, classes).",
        required=True,
    )
    outputs: str = base.setting(
        "logits",
        "What the black box answers for each image.",
        choices=BOX_OUTPUTS,
    )
    pixels: str = base.setting(
        "byte",
        "Range of the pixels that the black box takes: unit is 0 to 1, byte 0 to 255, "
        "signed -1 to 1.",
        choices=("unit", "byte", "signed"),
    )
    compare: bool = base.setting(
        False,
        "Try AIPs of one member of each family as well, as who does not know the "
        "family would.",
    )
    every_family: bool = base.setting(
        False,
        "Try AIPs of every other family as well, as who names a wrong one would.",
    )


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]
