"""Recipes by which kennen-i and kennen-io craft their queries."""

import dataclasses
import itertools

from kennen_tf.configs import base

IMAGES, METAMODEL = "images", "metamodel"
STARTS = (
    *("validation", "shifted", "faint", "blended", "overlaid"),
    *("noise", "gray", "black", "white"),
)
OPTIMIZERS = ("sgd", "adam")
OBJECTIVES = ("metamodel", "left-out")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CraftingRecipe(base.Config):
    """How images are made and improved.

    Attributes:
        starts: Where images begin, some of `STARTS`; see `start_images.py`. kennen-io
            deals its images out to them, kennen-i tries each of them for each image.
        keeps_validation: Whether images of kennen-io that begin as validation images
            stay what they are.
        chooses_validation: Whether those that begin as validation images are those that
            tell most, as kennen-s chooses them, and not random ones.
        phases: What is learned in turn: (`IMAGES` or `METAMODEL`, passes over the
            training entries). kennen-i has images only.
        objective: What images of kennen-io are to make small, one of `OBJECTIVES`:
            the loss of the metamodel as it is, or of a reader fitted anew at each
            step, on entries that it was not fitted to; see `metamodels/crafting`.
        held_out_share: Share of the training entries that images do not descend
            through. Of the objective "left-out", the images of the epoch that is best
            for these are kept.
        batch_size: Entries of an image step, at least; whole combinations. 0: all.
        optimizer: Of the images, one of `OPTIMIZERS`.
        learning_rate: In units of pixels, whose range is [0, 1].
        image_noise: Uniform noise in [-image_noise, image_noise] on the images at
            each step, so that what works does not hang on single grey levels.
        ridge: Of the objective "left-out": strength of its reader's regularisation.
    """

    starts: tuple[str, ...] = ("validation",)
    keeps_validation: bool = False
    chooses_validation: bool = False
    phases: tuple[tuple[str, int], ...]
    objective: str = "metamodel"
    held_out_share: float = 0.0
    batch_size: int = 0
    optimizer: str = "adam"
    learning_rate: float
    image_noise: float = 0.0
    ridge: float = 0.1

    def chosen_places(self, num_queries: int) -> list[bool]:
        """Says which of so many images begin as validation images that are chosen."""
        starts = itertools.islice(itertools.cycle(self.starts), num_queries)
        return [self.chooses_validation and start == "validation" for start in starts]

    def __post_init__(self) -> None:
        # JSON makes lists of them.
        object.__setattr__(self, "starts", tuple(self.starts))
        phases = tuple((name, int(epochs)) for name, epochs in self.phases)
        object.__setattr__(self, "phases", phases)
        for start in self.starts:
            base.check_choice("starts", start, STARTS)
        base.check_choice("optimizer", self.optimizer, OPTIMIZERS)
        base.check_choice("objective", self.objective, OBJECTIVES)


# By method and name of the recipe.
RECIPES: dict[str, dict[str, CraftingRecipe]] = {
    "kennen-i": {
        "mlp": CraftingRecipe(
            starts=("validation", "shifted", "blended", "noise"),
            phases=((IMAGES, 15),),
            # They tell how far what is read in the images is to be trusted.
            held_out_share=0.2,
            batch_size=64,
            optimizer="adam",
            learning_rate=0.02,
        ),
        # Paper, section 4; noise is "a little" there.
        "paper": CraftingRecipe(
            phases=((IMAGES, 200),),
            batch_size=10,
            optimizer="sgd",
            learning_rate=0.1,
            image_noise=0.01,
        ),
    },
    "kennen-io": {
        "mlp": CraftingRecipe(
            # A third stays natural: they tell what data a network was trained on.
            starts=(
                *("validation", "shifted", "blended"),
                *("validation", "faint", "overlaid"),
                *("validation", "shifted", "blended", "overlaid"),
            ),
            keeps_validation=True,
            chooses_validation=True,
            phases=((IMAGES, 6), (METAMODEL, 60)),
            objective="left-out",
            held_out_share=0.2,
            optimizer="adam",
            learning_rate=0.01,
        ),
        # Paper, section 4. It does not say how images are descended on; this is as in
        # kennen-i.
        "paper": CraftingRecipe(
            phases=(
                (METAMODEL, 200),
                (IMAGES, 50),
                (METAMODEL, 50),
                (IMAGES, 50),
                (METAMODEL, 50),
            ),
            objective="metamodel",
            batch_size=100,
            optimizer="sgd",
            learning_rate=0.1,
        ),
    },
}
for _crafting in RECIPES.values():
    _crafting["joined"] = _crafting["mlp"]
# The metamodels of these recipes are solved for, at once.
for _name in ("kernel", "svm", "ridge"):
    RECIPES["kennen-i"][_name] = RECIPES["kennen-i"]["mlp"]
    RECIPES["kennen-io"][_name] = dataclasses.replace(
        RECIPES["kennen-io"]["mlp"], phases=((IMAGES, 6), (METAMODEL, 1))
    )
