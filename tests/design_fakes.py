"""Small images and specs of designs, and the check that a trainer forgets all."""

import numpy as np

from kennen_tf.images import datasets
from kennen_tf.vocabulary.labeled_images import LabeledImages
from kennen_tf.zoo import specs, training


def small_images(design, num_train=400, num_test=100):
    """Returns a few of a design's images."""
    whole = datasets.load_zoo_images(design.name, "")
    return LabeledImages(
        whole.train_images[:num_train],
        whole.train_labels[:num_train],
        whole.test_images[:num_test],
        whole.test_labels[:num_test],
    )


def make_spec(design, seed=3, **changes):
    first = {a.name: a.values[0] for a in design.attributes.chosen}
    return specs.read_spec(design.attributes, {**first, **changes, "seed": seed})


def check_reset(design, images, spec, other):
    """Checks that a trainer that trained `other` before trains `spec` as a new one."""
    fresh = training.Trainer(design, spec, images, "float32")
    used = training.Trainer(design, spec, images, "float32")
    used.train(other, 0)
    results = [trainer.train(spec, 0) for trainer in (fresh, used)]
    assert results[0] == results[1]
    variables = [
        [*trainer._model.variables, *trainer._optimizer.variables]
        for trainer in (fresh, used)
    ]
    for a, b in zip(*variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for a, b in zip(
        fresh.classifier.get_weights(), used.classifier.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)
