"""Training: a reset step trains like a fresh one, and like plain Keras."""

import dataclasses

import fakes
import keras
import numpy as np
import pytest

from kennen_tf.designs import mnist_net
from kennen_tf.zoo import training

DIGITS = fakes.make_digits(1200, 100)


def make_spec(**changes):
    return fakes.read_spec({**fakes.SPEC, **changes})


def make_trainer(spec, images, compute_dtype):
    return training.Trainer(mnist_net.DESIGN, spec, images, compute_dtype)


def train(trainer, spec, epochs=1):
    result = trainer.train(spec, 0, epochs)
    return result, trainer.classifier.get_weights()


@pytest.mark.long
@pytest.mark.parametrize(
    "changes",
    [
        dict(alg="sgd", drop="yes"),
        dict(alg="adam", act="prelu", drop="yes"),
        dict(alg="rmsprop"),
    ],
)
def test_reset_trainer_equals_a_fresh_one_bit_for_bit(changes):
    spec = make_spec(**changes)
    trainer = make_trainer(spec, DIGITS, "float32")
    _, wanted = train(trainer, spec)
    train(trainer, make_spec(**changes, seed=4, bs=128, split="all0"))
    _, received = train(trainer, spec)
    for a, b in zip(wanted, received, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.long
def test_seed_batch_size_and_data_change_the_result():
    trainer = make_trainer(make_spec(), DIGITS, "float32")
    results = [
        train(trainer, make_spec(**changes))[1][0]
        for changes in ({}, {"seed": 4}, {"bs": 128}, {"split": "half0"})
    ]
    for i, a in enumerate(results):
        for b in results[i + 1 :]:
            assert not np.array_equal(a, b)


@pytest.mark.long
@pytest.mark.parametrize("alg", ["sgd", "adam", "rmsprop"])
def test_training_is_what_plain_keras_does(alg):
    # Few steps: rounding, which grows with them, is not the point.
    spec = make_spec(alg=alg, act="prelu", split="quarter1")
    trainer = make_trainer(spec, DIGITS, "float32")
    batches = []
    step = trainer._step
    trainer._step = lambda batch: batches.append(batch.numpy()) or step(batch)
    trainer._reset(spec, 0)
    model = fakes.build_classifier(spec)
    model.set_weights([v.numpy() for v in trainer._model.trainable_variables])
    _, received = train(trainer, spec)

    model.compile(
        mnist_net.make_optimizer({"alg": alg}), "sparse_categorical_crossentropy"
    )
    for batch in batches:
        images = DIGITS.train_images[batch].astype(np.float32) / 255
        model.train_on_batch(images, DIGITS.train_labels[batch])
    assert len(batches) == 4
    for a, b in zip(model.get_weights(), received, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


def test_it_learns():
    spec = make_spec(split="all0")
    result, _ = train(make_trainer(spec, DIGITS, "bfloat16"), spec, epochs=3)
    assert result.accuracy > 0.9
    assert result.epochs == 3
    assert not result.diverged


def test_accuracy_is_that_of_the_classifier_that_is_saved():
    spec = make_spec(split="all0")
    trainer = make_trainer(spec, DIGITS, "bfloat16")
    result, _ = train(trainer, spec)
    images = DIGITS.test_images.astype(np.float32) / 255
    predictions = np.argmax(trainer.classifier(images), axis=1)
    assert result.accuracy == np.mean(predictions == DIGITS.test_labels)


def test_diverged_run_ends_after_its_first_epoch():
    wild = dataclasses.replace(
        mnist_net.DESIGN,
        optimizer=lambda values: keras.optimizers.SGD(1e6, momentum=0.5),
    )
    spec = make_spec(alg="sgd")
    trainer = training.Trainer(wild, spec, DIGITS, "float32")
    result, _ = train(trainer, spec, epochs=5)
    assert result.diverged
    assert result.epochs == 1
    assert result.accuracy < 0.2


def test_data_subsets_are_disjoint_and_nested():
    parts = {
        name: set(mnist_net.training_indices({"split": name}, 1200).tolist())
        for name in ("all0", "half0", "half1", *(f"quarter{i}" for i in range(4)))
    }
    assert parts["all0"] == set(range(1200))
    assert parts["half0"] | parts["half1"] == parts["all0"]
    assert not parts["half0"] & parts["half1"]
    assert parts["quarter0"] | parts["quarter1"] == parts["half0"]
    assert not parts["quarter0"] & parts["quarter1"]
    assert parts["quarter2"] | parts["quarter3"] == parts["half1"]


def test_each_batch_holds_images_of_the_subset_only():
    spec = make_spec(split="quarter2", bs=128)
    trainer = make_trainer(spec, DIGITS, "float32")
    seen = []
    trainer._step = lambda batch: seen.append(batch.numpy()) or np.float32(1.0)
    trainer.train(spec, 0, 2)
    assert [len(batch) for batch in seen] == [128] * 4
    quarter = mnist_net.training_indices({"split": "quarter2"}, 1200)
    assert set(np.concatenate(seen)) <= set(quarter)
    for epoch in (seen[:2], seen[2:]):
        assert len(set(np.concatenate(epoch))) == 256
    assert not np.array_equal(seen[0], seen[2])
