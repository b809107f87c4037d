"""Small images and specs of designs, and the check that a trainer forgets all."""

import functools

import numpy as np

from kennen_tf.images import datasets
from kennen_tf.vocabulary.labeled_images import LabeledImages
from kennen_tf.zoo import specs, training


def small_images(design, num_train=400, num_test=100):
    """Returns a few of a design's images."""
    return _small_images(design.name, num_train, num_test)


@functools.cache
def _small_images(name, num_train, num_test):
    whole = datasets.load_zoo_images(name, "")
    return LabeledImages(
        whole.train_images[:num_train].copy(),
        whole.train_labels[:num_train].copy(),
        whole.test_images[:num_test].copy(),
        whole.test_labels[:num_test].copy(),
    )


def make_spec(design, seed=3, **changes):
    first = {a.name: a.values[0] for a in design.attributes.chosen}
    return specs.read_spec(design.attributes, {**first, **changes, "seed": seed})


def check_reset(design, images, spec, other):
    """Checks that a trainer that trained `other` before trains `spec` as a new one."""
    trainer = training.Trainer(design, spec, images, "float32")
    fresh = trainer.train(spec, 0), read_variables(trainer)
    trainer.train(other, 0)
    between = read_variables(trainer)
    again = trainer.train(spec, 0), read_variables(trainer)
    assert again[0] == fresh[0]
    for a, b in zip(again[1], fresh[1], strict=True):
        np.testing.assert_array_equal(a, b)
    # The other one moved them.
    assert any(not np.array_equal(a, b) for a, b in zip(between, fresh[1], strict=True))


def read_variables(trainer):
    """Returns all that training changes: of model, optimizer and classifier."""
    variables = [*trainer._model.variables, *trainer._optimizer.variables]
    return [*(v.numpy() for v in variables), *trainer.classifier.get_weights()]
