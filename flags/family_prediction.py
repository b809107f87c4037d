"""Flags of `predict_family`."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import common, imagenet
from kennen_tf.configs.family_prediction import (
    ALL_METAMODELS,
    METAMODELS,
    FamilyPredictionConfig,
)


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], FamilyPredictionConfig]:
    """Defines the flags; returns what makes the `FamilyPredictionConfig`."""
    flag = common.Definer(FamilyPredictionConfig, flag_values)
    flag.choice(
        "metamodel",
        (*METAMODELS, ALL_METAMODELS),
        "What reads the outputs; mlp is the paper's, all compares them.",
    )
    flag.integer("num_queries", "Images whose outputs the metamodel reads.")
    flag.string(
        "curve",
        "Numbers of queries of the curve, separated by commas; those above the number "
        "of images are left out.",
    )
    flag.integer("num_folds", "Times that one member of each family is held out.")
    flag.integer("num_draws", "Times that queries are drawn for each fold.")
    imagenet.define_shared(flag)
    return flag.make_config
