"""Settings of adversarial image perturbations (AIPs), `generate_aips` among them."""

import dataclasses

from kennen_tf.configs import base
from kennen_tf.configs.family_prediction import DEFAULT_METAMODEL, METAMODELS
from kennen_tf.configs.imagenet import PAPER_IMAGE_SIZE, ImagenetConfig
from kennen_tf.configs.revealing import LABELS, OUTPUTS, PIXELS

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
    """Settings of whatever makes AIPs, beside those of `ImagenetConfig`.

    Attributes:
        method: One of `METHODS`.
        norm: One of `NORMS`: what bounds a perturbation.
        epsilon: The bound, in levels of 0 to 255. That of the L2 norm is for images of
            224 x 224 pixels and scaled to the size at hand, so that it always allows
            the same root mean square: 1,000 levels are 2.6 (paper, section 4).
        num_steps: Gradients for each image.
        step_size: Length of a step in the same unit as `epsilon`; 0:
            5 `epsilon` / `num_steps`.
        momentum: Share of the last direction that "mi-fgsm" keeps.
        combination: One of `COMBINATIONS`: what is averaged over several generators.
        metamodel: Which metamodel predicts families, where that is needed.
        num_queries: Images whose outputs it reads.
    """

    method: str = GAMAN
    norm: str = L2
    epsilon: float = 1000.0
    num_steps: int = 100
    step_size: float = 0.0
    momentum: float = 1.0
    combination: str = LOSSES
    metamodel: str = DEFAULT_METAMODEL
    num_queries: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        base.check_choice("method", self.method, METHODS)
        base.check_choice("norm", self.norm, NORMS)
        base.check_choice("combination", self.combination, COMBINATIONS)
        base.check_choice("metamodel", self.metamodel, METAMODELS)
        # More than 255 levels of one pixel is surely meant as L2.
        base.check_range("epsilon", self.epsilon, 0.0, 255.0 if self.is_linf else None)
        base.check_range("num_steps", self.num_steps, 1)
        base.check_range("step_size", self.step_size, 0.0)
        base.check_range("momentum", self.momentum, 0.0)
        base.check_range("num_queries", self.num_queries, 1)

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
    """Settings of `generate_aips`.

    Attributes:
        generators: Names of classifiers or families, separated by commas, that make
            AIPs together; or `FAMILIES`.
        targets: Names of classifiers or families that are attacked with them; "" for
            the generators themselves, or for all with `FAMILIES`.
    """

    generators: str = ""
    targets: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        base.check_given("generators", self.generators)

    @property
    def generator_names(self) -> list[str]:
        return _split(self.generators)

    @property
    def target_names(self) -> list[str]:
        return _split(self.targets)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackConfig(PerturbationConfig):
    """Settings of `attack_black_box`.

    Attributes:
        black_box: `.keras` file, SavedModel folder or "module:function".
        outputs: One of `BOX_OUTPUTS`: what it answers.
        pixels: One of `PIXELS`: pixels from 0 to 1 or from 0 to 255.
        compare: Whether AIPs of one member of each family, for who does not know the
            family, are tried as well.
    """

    black_box: str = ""
    outputs: str = "logits"
    pixels: str = "byte"
    compare: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        base.check_given("black_box", self.black_box)
        base.check_choice("outputs", self.outputs, BOX_OUTPUTS)
        base.check_choice("pixels", self.pixels, PIXELS)


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]
