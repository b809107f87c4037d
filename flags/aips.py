"""Flags of `generate_aips`, and those that `attack_black_box` shares."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import common, imagenet
from kennen_tf.configs import family_prediction
from kennen_tf.configs.aips import COMBINATIONS, METHODS, NORMS, AipConfig


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], AipConfig]:
    """Defines the flags; returns a function that makes the `AipConfig`."""
    flag = common.Definer(AipConfig, flag_values)
    flag.string(
        "generators",
        "Classifiers or families, separated by commas, that make AIPs together; or "
        "families: each family against every target, within a family by leaving the "
        "target out, which gives the transfer matrix and the paper's four scenarios.",
    )
    flag.string(
        "targets",
        "Classifiers or families, separated by commas, that are attacked; by default "
        "the generators themselves, or all with --generators=families.",
    )
    define_perturbation(flag)
    return flag.make_config


def define_perturbation(flag: common.Definer) -> None:
    """Defines the flags of the fields of `PerturbationConfig`."""
    flag.choice(
        "method",
        METHODS,
        "How AIPs are made. gaman climbs the margin of the strongest wrong class (the "
        "paper's); the others climb the cross-entropy: i-fgsm, pgd (from a random "
        "start), mi-fgsm (with momentum).",
    )
    flag.choice("norm", NORMS, "Norm that bounds a perturbation.")
    flag.number(
        "epsilon",
        "The bound, in levels of 0 to 255. For l2, that of an image of 224 x 224 "
        "pixels, scaled to the size at hand; for linf, at most 255, e.g. 4.",
    )
    flag.integer("num_steps", "Gradients for each image.")
    flag.number(
        "step_size", "Length of a step, like --epsilon; 0 for 5 epsilon / num_steps."
    )
    flag.number("momentum", "Share of the last direction that mi-fgsm keeps.")
    flag.choice(
        "combination",
        COMBINATIONS,
        "What is averaged over several generators: their losses, logits or "
        "probabilities.",
    )
    flag.choice(
        "metamodel",
        family_prediction.METAMODELS,
        "Metamodel that predicts the target's family, where that is done.",
    )
    flag.integer("num_queries", "Images whose outputs the metamodel reads.")
    imagenet.define_shared(flag)
