"""What results.json of AIPs holds, with every number in full precision."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.configs.aips import Budget, PerturbationConfig
from kennen_tf.imagenet.aips.generator_sets import GeneratorSet
from kennen_tf.imagenet.aips.transfer import Graded
from kennen_tf.imagenet.attacks import grading

SCHEMA_VERSION = 1


def make_document(
    config: PerturbationConfig,
    budget: Budget,
    graded: Sequence[Graded],
    sizes: Mapping[GeneratorSet, Mapping[str, npt.NDArray[np.float64]]],
    batch_sizes: Mapping[str, int],
    fingerprints: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the part of results.json that all runs of AIPs have.

    Args:
        config: Of the run.
        budget: What perturbations may be at the images' size.
        graded: The pairings, in the order of the tables.
        sizes: `AipRun.measure` of each set of generators.
        batch_sizes: How many AIPs were made at once, by the name of their set.
        fingerprints: What else decides the results.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "config": config.to_json(),
        "budget": budget.to_json(),
        "made_from": dict(fingerprints),
        "generators": [
            {
                "name": generators.name,
                "members": [classifier.name for classifier in generators.classifiers],
                "batch_size": batch_sizes.get(generators.name),
                "norms": {
                    norm: {"mean": float(own.mean()), "largest": float(own.max())}
                    for norm, own in sizes[generators].items()
                },
            }
            for generators in sizes
        ],
        "pairings": [_pairing_document(one) for one in graded],
    }


def _pairing_document(one: Graded) -> dict[str, Any]:
    pairing = one.pairing
    return {
        "target": pairing.target.name,
        "family": pairing.target.family,
        "generated_on": pairing.generated_on,
        "generators": pairing.generators.name,
        "white_box": pairing.target in pairing.generators.classifiers,
        **{
            top: {kind: dataclasses.asdict(rate) for kind, rate in rates.items()}
            for top, rates in grading.grade(one.clean_ranks, one.ranks).items()
        },
    }
