"""Compares the crafting of queries with plain Keras, in one run.

    python -m benchmarks.crafting --num_queries=100

A fixed panel of 24 classifiers, all of different shapes, with random weights, in a zoo
that is made for the purpose: each value of each attribute is equally common, and so are
combinations of pooling, kernel size and number of convolutions, which decide what a
classifier costs. A step sends images to all of them and takes the gradient of a loss
with respect to the images: in the plain way each is loaded from disk by `load_model`
and called under a `GradientTape`; in the project's way by `GradientBank`, once with
all weights in memory and once with a limit of 0 MB, where weights are read and forward
passes made again at each use. The ways take turns.

Printed are medians over the steps, per classifier, of milliseconds and of core-
milliseconds, which depend less on what else the machine does; and how far gradients are
apart, relative to the largest. The first step, which traces, is not counted but told.
About a minute on two cores.
"""

import itertools
import pathlib
import tempfile
import time
from collections.abc import Callable

import keras
import numpy as np
import rich.console
import rich.table
import tensorflow as tf
from absl import app
from absl import flags as absl_flags

from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs import building, mnist_net, mnist_table
from kennen_tf.images import datasets
from kennen_tf.keras_models import saving
from kennen_tf.metamodels.crafting.gradients import GradientBank
from kennen_tf.queries import query_inputs
from kennen_tf.vocabulary import artifacts
from kennen_tf.zoo import specs, store
from kennen_tf.zoo.specs import ClassifierSpec

_NUM_QUERIES = absl_flags.DEFINE_integer("num_queries", 100, "Images to send.")
_NUM_STEPS = absl_flags.DEFINE_integer("num_steps", 5, "Steps of each way.")

Step = Callable[[tf.Tensor], tf.Tensor]


def make_panel() -> list[ClassifierSpec]:
    """Returns the specs of the panel."""
    names = ("act", "pool", "ks", "conv", "fc")
    act, pool, ks, conv, fc = (mnist_table.TABLE[name].values for name in names)
    places = itertools.product(range(2), range(2), range(2), range(3))
    return [
        specs.read_spec(
            mnist_table.TABLE,
            {
                "act": act[(2 * half + i + j + k) % 4],
                "pool": pool[i],
                "ks": ks[j],
                "conv": conv[k],
                "fc": fc[(half + i + j + k) % 3],
                **{"drop": "no", "alg": "adam", "bs": 64, "split": "all0", "seed": 0},
            },
        )
        for half, i, j, k in places
    ]


def make_zoo(folder: str) -> store.Zoo:
    """Makes a zoo of untrained classifiers: what they answer takes as long."""
    header = store.ZooHeader(
        config=ZooConfig(num_models=1, zoo_dir=folder, compute_dtype="float32"),
        attributes=mnist_table.TABLE,
        image_shape=mnist_net.IMAGE_SHAPE,
        num_classes=mnist_net.NUM_CLASSES,
    )
    store.prepare(header)
    for spec in make_panel():
        keras.utils.set_random_seed(spec.seed)
        model = building.build_classifier(mnist_net.DESIGN, spec.combination)
        path = store.classifier_path(folder, spec)
        saving.save_model(model, path)
        record = store.ClassifierRecord(
            spec=spec,
            status=store.ACCEPTED,
            reason="",
            accuracy=0.1,
            num_params=model.count_params(),
            epochs=0,
            seconds=0.0,
            num_bytes=path.stat().st_size,
            sha256=artifacts.sha256_of_file(path),
        )
        store.add_record(folder, record)
    return store.Zoo.open(folder)


def plain_step(paths: list[pathlib.Path]) -> Step:
    """Returns the plain way to the gradient, summed over classifiers."""

    def step(pixels: tf.Tensor) -> tf.Tensor:
        total = tf.zeros_like(pixels)
        for path in paths:
            model = keras.models.load_model(path, compile=False)
            with tf.GradientTape() as tape:
                tape.watch(pixels)
                loss = tf.reduce_sum(tf.math.log(model(pixels, training=False))[:, 0])
            total += tape.gradient(loss, pixels)
        return total

    return step


def bank_step(bank: GradientBank) -> Step:
    """Returns the project's way to the same gradient."""

    def step(pixels: tf.Tensor) -> tf.Tensor:
        answers = bank.answer(bank.ids, pixels)
        wanted = tf.one_hot(0, answers.log_probabilities.shape[-1])
        shape = tf.shape(answers.log_probabilities)
        return answers.image_gradient(tf.broadcast_to(wanted, shape))

    return step


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    dataset = datasets.load_images("mnist")
    queries = query_inputs.draw(
        dataset.test_images, dataset.test_labels, _NUM_QUERIES.value, query_seed=0
    )
    pixels = tf.constant(queries.pixels)
    with tempfile.TemporaryDirectory() as folder:
        zoo = make_zoo(folder)
        records = zoo.accepted
        ways: dict[str, Step] = {
            "load_model, GradientTape": plain_step(
                [zoo.classifier_path(record) for record in records]
            ),
            "bank": bank_step(GradientBank(zoo, records)),
            "bank, 0 MB": bank_step(GradientBank(zoo, records, max_memory_mb=0)),
        }
        first: dict[str, float] = {}
        gradients: dict[str, tf.Tensor] = {}
        for name, step in ways.items():
            start = time.perf_counter()
            gradients[name] = step(pixels).numpy()
            first[name] = time.perf_counter() - start
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(_NUM_STEPS.value):
            for name, step in ways.items():
                start, core_start = time.perf_counter(), time.process_time()
                step(pixels).numpy()
                seconds[name].append(
                    (time.perf_counter() - start, time.process_time() - core_start)
                )

    table = rich.table.Table(
        title=f"Gradient through {len(records)} classifiers, {len(pixels)} queries, "
        f"median of {_NUM_STEPS.value} steps"
    )
    for column in (
        *("way", "first step (s)", "ms each", "ratio", "core-ms each", "ratio"),
        "largest difference",
    ):
        table.add_column(column, justify="right")
    plain = next(iter(ways))
    base = np.median(seconds[plain], axis=0)
    scale = np.abs(gradients[plain]).max()
    for name in ways:
        wall, core = np.median(seconds[name], axis=0)
        difference = np.abs(gradients[name] - gradients[plain]).max() / scale
        table.add_row(
            name,
            f"{first[name]:.1f}",
            f"{1e3 * wall / len(records):.1f}",
            f"{base[0] / wall:.1f}",
            f"{1e3 * core / len(records):.1f}",
            f"{base[1] / core:.1f}",
            f"{difference:.0e}",
        )
    rich.console.Console(width=100).print(table)


if __name__ == "__main__":
    app.run(main)
