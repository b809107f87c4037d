"""Flags of `train_metamodel`."""

from collections.abc import Callable

from absl import flags as absl_flags

from flags import common
from kennen_tf.configs.crafting import STARTS
from kennen_tf.configs.metamodels import (
    METHODS,
    RECIPES,
    REPRESENTATIONS,
    STRATEGIES,
    MetamodelConfig,
)
from kennen_tf.evaluation import splits


def define(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Callable[[], MetamodelConfig]:
    """Defines the flags; returns a function that makes the `MetamodelConfig`."""
    flag = common.Definer(MetamodelConfig, flag_values)
    flag.choice(
        "method",
        METHODS,
        "kennen-o reads outputs for validation images; kennen-s chooses the "
        "images that tell most; kennen-i crafts an image for each attribute and reads "
        "its label; kennen-io crafts images whose outputs are read; linear is logistic "
        "regression on kennen-o's features, a yardstick.",
    )
    flag.string(
        "attribute",
        "What kennen-i crafts an image for: the name of an attribute of the zoo, which "
        "has at most as many values as classifiers have classes; or all, an image for "
        "each.",
    )
    flag.choice(
        "recipe",
        tuple(RECIPES),
        "How the metamodel is trained and images are crafted: this project's way, by a "
        "kernel regression that is solved for or by MLPs; by linear support vector "
        "machines (svm) or ridge regressions, for few classifiers of many classes; or "
        "the paper's.",
    )
    flag.string(
        "start",
        f"Where crafted images begin: some of {', '.join(STARTS)}, separated by "
        "commas. kennen-io deals its images out to them, kennen-i tries each. By "
        "default, what the recipe says.",
    )
    flag.integer(
        "epochs",
        "Passes over the training entries, in each phase that trains MLPs; 0 is the "
        "recipe's number. --recipe=kernel, svm and ridge have none.",
    )
    flag.integer(
        "image_epochs",
        "Passes over the training entries in each phase that crafts images; 0 is the "
        "recipe's number.",
    )
    flag.integer(
        "batch_size",
        "Number of entries of a training step, over all devices; 0 is the recipe's. "
        "--recipe=kernel, svm and ridge have none.",
    )
    flag.integer("seed", "Root seed of split, choice of queries and training.")
    flag.integer(
        "query_seed",
        "Root seed of the choice of queries alone, or of where crafted ones begin, so "
        "that it can vary while the split stays; -1 is --seed.",
    )
    flag.string("query_dir", "Folder of the query outputs that query_zoo wrote.")
    flag.string(
        "zoo_dir",
        "Folder of the zoo that was queried; kennen-i and kennen-io descend through "
        "its training classifiers.",
    )
    flag.integer(
        "num_queries",
        "Number of queries to read, of those stored, or to craft; kennen-i has one for "
        "each attribute that it names.",
    )
    flag.choice(
        "representation",
        REPRESENTATIONS,
        "How much of an output is read: its probabilities, the ranking of all labels "
        "or of the first --top_k, the likeliest label, or the least likely one.",
    )
    flag.integer("top_k", "Number of labels that top-k ranks; 0 is all.")
    flag.string(
        "split",
        f"Who is held out: {splits.RANDOM} (random combinations, a fifth of all "
        f"entries), {splits.GROUP} (a fifth of the combinations, of whatever size), "
        f"{splits.LEAVE_ONE_OUT}:ATTRIBUTE (one of each value with two combinations or "
        "more; with the next --seed, the next one), the paper's "
        f"{', '.join(splits.EXTRAPOLATIONS)}, or training values > test values, e.g. "
        "'pool:no>yes' or 'conv:2,3>4;bs:64,128>256'. Entries whose value is unknown "
        "are on neither side.",
    )
    flag.integer(
        "num_train", "Number of entries to train on; 0 is all that the test leaves."
    )
    flag.integer(
        "num_test",
        "Number of entries to test on; 0 is a fifth, or what --split says.",
    )
    flag.string("metamodel_dir", "Folder to write the metamodel to.")
    flag.boolean("resume", "Whether to go on with a training that was stopped.")
    flag.integer("checkpoint_every", "Number of epochs between checkpoints.")
    flag.integer(
        "evaluate_every",
        "Number of epochs between evaluations, on training and test entries, for "
        "TensorBoard and metrics.jsonl.",
    )
    flag.choice(
        "strategy",
        STRATEGIES,
        "Devices to train on: auto is mirrored with several GPUs, else one_device; "
        "multi_worker takes its cluster from TF_CONFIG.",
    )
    flag.integer(
        "max_memory_mb",
        "Bound, in MB, on what crafting keeps of the zoo's classifiers in memory; what "
        "does not fit is read and computed again at each use.",
    )
    return flag.make_config
