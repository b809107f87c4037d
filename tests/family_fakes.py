"""Classifiers that betray their families, or hide them: as logits and on disk."""

import pathlib

import image_fakes
import numpy as np
from scipy import special

from kennen_tf.imagenet.classifiers import manifest
from kennen_tf.imagenet.classifiers.family_classifier import FamilyClassifier
from kennen_tf.imagenet.classifiers.registry import Registry
from kennen_tf.imagenet.families.family_outputs import FamilyOutputs
from kennen_tf.queries import records

# How much more than others classifiers prefer the class of their family. Nobody
# who reads their answers can miss it.
PREFERENCE = 12.0


def make_registry(**sizes):
    def classifier(family, index):
        return FamilyClassifier(
            family=family,
            name=f"{family}{index}",
            image_size=8,
            num_classes=6,
            identity=f"{family}{index}",
            opener=lambda: None,
        )

    return Registry(
        {f: tuple(classifier(f, i) for i in range(n)) for f, n in sizes.items()}
    )


def find(registry, name):
    """Returns the classifier of that name."""
    [classifier] = registry.select([name])
    return classifier


def make_outputs(logits):
    """Makes the outputs of classifiers from their logits, by name; all labels are 0."""
    return FamilyOutputs(
        labels=np.zeros(len(next(iter(logits.values()))), np.int32),
        probabilities={
            name: special.softmax(values, axis=1).astype(np.float32)
            for name, values in logits.items()
        },
    )


def make_logits(families, preference=PREFERENCE, *, num_images=24, seed=0):
    """Makes logits of all classifiers, `(num_images, NUM_CLASSES)`, by their names.

    Args:
        families: A registry.
        preference: How much more than others classifiers prefer the class of their
            family's number; 0: families have nothing in common.
        num_images: Number of images.
        seed: Decides the rest, which tells nothing.
    """
    rng = np.random.default_rng(seed)
    logits = {}
    for place, classifiers in enumerate(families.families.values()):
        signature = preference * np.eye(image_fakes.NUM_CLASSES)[place]
        for classifier in classifiers:
            noise = rng.normal(0.0, 1.0, (num_images, image_fakes.NUM_CLASSES))
            logits[classifier.name] = signature + noise
    return logits


def output_files(num_classifiers):
    """Returns the files that outputs of families are kept in, within a run's folder."""
    num_shards = min(num_classifiers, 4)
    names = [
        "attributes.json",
        "config.json",
        "dataset_info.json",
        "entries.jsonl",
        "family.labels.txt",
        "features.json",
        "queries.npz",
        *(records.shard_name(place, num_shards) for place in range(num_shards)),
    ]
    return [f"outputs/{name}" for name in names]


def make_classifier_model(family_place, index):
    """Makes a classifier for 8 x 8 pixels, whose weights are nearly its family's."""
    model = image_fakes.make_model(family_place)
    rng = np.random.default_rng(index)
    for weight in model.trainable_variables:
        weight.assign(weight * rng.normal(1.0, 0.1, weight.shape))
    return model


def write_manifest(folder, **sizes):
    """Writes classifiers, of which those of a family are alike, into a new folder.

    Args:
        folder: A new folder.
        **sizes: Number of classifiers of each family: of "a", those called a0, a1, ...

    Returns:
        The path of the manifest.
    """
    folder = pathlib.Path(folder)
    folder.mkdir()
    rows = []
    for place, classifiers in enumerate(make_registry(**sizes).families.values()):
        for index, classifier in enumerate(classifiers):
            file = f"{classifier.name}.keras"
            make_classifier_model(place, index).save(folder / file)
            row = {"name": classifier.name, "family": classifier.family, "file": file}
            rows.append(row)
    return manifest.write_manifest(folder / manifest.MANIFEST_NAME, rows)
