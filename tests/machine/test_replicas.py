"""Any number of replicas, batch size and last batch trains what one device trains.

Devices are made before TensorFlow is first used, so that another process trains: this
file, run as a program.
"""

import json
import math
import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.long

NUM_ENTRIES = 13
MOST_REPLICAS = 3
# Batches of 13 (5 + 5 + 3 rows), a last batch of 1, and batches that not every replica
# has a row of.
CASES = {
    f"{name}, batches of {batch_size}, {replicas} replicas": (
        name,
        batch_size,
        replicas,
    )
    for name, batch_size, replicas in (
        *(("paper", size, replicas) for size in (16, 4, 2) for replicas in (2, 3)),
        ("mlp", 4, 3),
    )
}


@pytest.fixture(scope="module")
def differences():
    """Of each case, how far weights, logits and loss are from those of one device."""
    printed = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert printed.returncode == 0, printed.stderr[-3000:]
    return json.loads(printed.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", CASES)
def test_replicas_train_what_one_device_trains(case, differences):
    own = differences[case]
    # Within the sums of float32, where the training itself is far beyond them.
    assert own["of weights"] < 1e-6
    assert own["of logits"] < 1e-5
    assert own["of the loss"] < 1e-6
    assert own["made by the training"] > 1e-2


def test_replicas_drop_units_of_their_own(differences):
    assert differences["dropped alike"] is False


def test_what_replicas_trained_is_joined_with_a_regression(differences):
    assert differences["joined"] < 1e-4


def main():
    """Prints as JSON what the tests look at."""
    from kennen_tf.machine import environment

    environment.set_environment()

    import tensorflow as tf

    [cpu] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * MOST_REPLICAS
    )
    names = [device.name for device in tf.config.list_logical_devices("CPU")]
    strategies = {
        0: tf.distribute.OneDeviceStrategy(names[0]),
        **{
            count: tf.distribute.MirroredStrategy(
                names[:count], cross_device_ops=tf.distribute.ReductionToOneDevice()
            )
            for count in range(1, MOST_REPLICAS + 1)
        },
    }
    of_one, found = {}, {}
    for case, (name, batch_size, replicas) in CASES.items():
        if (name, batch_size) not in of_one:
            of_one[name, batch_size] = train(name, batch_size, strategies[0])
        found[case] = compare(
            train(name, batch_size, strategies[replicas]), of_one[name, batch_size]
        )
    found["dropped alike"] = drops_alike(strategies[2])
    found["joined"] = join(strategies[2])
    print(json.dumps(found))


def make_recipe(name, **changes):
    """Returns a small recipe that moves fast; dropout differs for each device."""
    import dataclasses

    from kennen_tf.configs.recipes import EVERY, RECIPES

    small = {"hidden_units": (8,), "groups": ((EVERY,),), "members": 1, "dropout": 0.0}
    moves = {"learning_rate": 0.01, "epochs": 3}
    return dataclasses.replace(RECIPES[name], **{**small, **moves, **changes})


def start(recipe, strategy):
    """Returns a trainer, its features and labels, all of them the same each time."""
    import numpy as np

    from kennen_tf.designs.mnist_table import TABLE
    from kennen_tf.metamodels.recipes import fitting

    table = TABLE.select(["act", "alg"])
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(NUM_ENTRIES, 4, 10))
    features = (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype("f")
    labels = {
        attribute.name: rng.integers(0, len(attribute.values), NUM_ENTRIES)
        for attribute in table
    }
    trainer = fitting.Trainer.start(
        recipe.for_table(table),
        table,
        features,
        labels,
        seed=1,
        strategy=strategy,
        checkpoint_path=pathlib.Path("there is none"),
    )
    return trainer, features, labels


def train(name, batch_size, strategy):
    """Returns weights before and after, logits of all entries, and their loss."""
    from kennen_tf.metamodels import metrics
    from pipelines import query_outputs

    recipe = make_recipe(name, batch_size=batch_size)
    trainer, features, labels = start(recipe, strategy)
    before = trainer.model.get_weights()

    def make_stream(batch_size, first_epoch):
        return query_outputs.make_array_dataset(
            features,
            labels,
            batch_size=batch_size,
            shuffle_seed=3,
            first_epoch=first_epoch,
        )

    trainer.fit(make_stream, [])
    steps = recipe.epochs * math.ceil(NUM_ENTRIES / min(batch_size, NUM_ENTRIES))
    if int(trainer.model.optimizer.iterations.numpy()) != steps:
        raise ValueError(f"{trainer.model.optimizer.iterations} steps, not {steps}")
    logits = trainer.predict_logits(features)
    loss = metrics.score(trainer.table, labels, logits, skip=())["loss"]
    return before, trainer.model.get_weights(), logits, loss


def compare(ours, theirs):
    """Returns how far two trainings are from each other, and from their beginning."""
    before, after, logits, loss = ours
    return {
        "of weights": farthest(after, theirs[1]),
        "of logits": farthest([logits], [theirs[2]]),
        "of the loss": abs(loss - theirs[3]),
        "made by the training": farthest(before, after),
    }


def farthest(arrays, others):
    pairs = zip(arrays, others, strict=True)
    return max(float(abs(own - other).max()) for own, other in pairs)


def join(strategy):
    """Returns how far what was joined is from what its parts say."""
    from kennen_tf.metamodels.recipes import joining

    recipe = make_recipe("joined", members=2)
    trainer, features, labels = start(recipe, strategy)
    table, ids = trainer.table, [f"c{place}" for place in range(NUM_ENTRIES)]
    beside = joining.Beside(recipe.beside, table, features, labels, ids)
    joined = beside.join(recipe.for_table(table), trainer, features)
    expected = beside.predict_logits(trainer, features)
    return farthest([joined.predict_logits(features)], [expected])


def drops_alike(strategy):
    """Says whether two replicas drop the same units for the same features."""
    import numpy as np
    import tensorflow as tf

    trainer, features, _ = start(make_recipe("mlp", dropout=0.5), strategy)

    @tf.function
    def call():
        return strategy.run(lambda: trainer.model(features[:1], training=True))

    first, second = strategy.experimental_local_results(call())
    return bool(np.array_equal(first, second))


if __name__ == "__main__":
    main()
