"""Times the zoo's trainer against plain Keras on a fixed panel of specs, in one run.

    python -m benchmarks.zoo_training

48 specs in which every value of every attribute is equally common, three epochs each.
The zoo trains them as build_zoo does: its default workers, saving included; the panel
is not made so that specs share a compiled step. Plain Keras is a loop in one process
with the threads TensorFlow takes by default: a new float32 model for each spec,
`compile`, `fit` on a tf.data pipeline, `evaluate`. It runs half of the panel before the
zoo and half after, so that a drift of the machine's speed does not count for either.

Core-seconds are what the machine is occupied for: elapsed seconds x cores, per model.
Processor seconds (user and system) are printed beside them: they leave out the time
that cores of a machine given to plain Keras stand idle. Leave the machine alone
meanwhile. About a quarter of an hour on two cores.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import rich.console
import rich.table
from absl import app
from absl import flags as absl_flags

from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs import mnist_net, mnist_table
from kennen_tf.images import datasets
from kennen_tf.machine import processors, startup
from kennen_tf.zoo import specs, store
from kennen_tf.zoo.specs import ClassifierSpec

_NUM_SPECS = absl_flags.DEFINE_integer("num_specs", 48, "Specs of the panel to time.")
_EPOCHS = absl_flags.DEFINE_integer("epochs", 3, "Passes over the training data.")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a number of models cost: elapsed and processor seconds."""

    elapsed: float
    processor: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.elapsed + other.elapsed, self.processor + other.processor)


def make_panel(num_specs: int = 48) -> list[ClassifierSpec]:
    """Returns specs in which the values of each attribute are equally common."""
    random = np.random.default_rng(0)
    columns = {
        a.name: random.permutation(np.resize(np.array(a.values, object), num_specs))
        for a in mnist_table.TABLE.chosen
    }
    return [
        specs.read_spec(
            mnist_table.TABLE, {**{k: v[i] for k, v in columns.items()}, "seed": i}
        )
        for i in range(num_specs)
    ]


def time_zoo(panel: list[ClassifierSpec], epochs: int) -> tuple[Cost, list[float]]:
    """Returns the cost and the accuracies of the zoo's trainer."""
    from kennen_tf.machine.engines.local import LocalEngine
    from kennen_tf.zoo import growing, training_tasks

    with tempfile.TemporaryDirectory() as folder:
        config = ZooConfig(
            num_models=len(panel),
            zoo_dir=folder,
            epochs=epochs,
            min_accuracy=0.0,
            compute_dtype=processors.fast_compute_dtype(),
        )
        header = store.ZooHeader(
            config=config,
            attributes=mnist_table.TABLE,
            image_shape=mnist_net.IMAGE_SHAPE,
            num_classes=mnist_net.NUM_CLASSES,
        )
        store.prepare(header)
        images = datasets.load_images("mnist")
        workers = LocalEngine(tasks_per_worker=training_tasks.TRACES_PER_WORKER)
        with _timed() as cost:
            records = list(growing.train_all(panel, config, images, workers))
    accuracies = {record.spec: record.accuracy for record in records}
    return cost[0], [accuracies[spec] for spec in panel]


def time_plain(panel: list[ClassifierSpec], epochs: int) -> tuple[Cost, list[float]]:
    """Returns the cost and the accuracies of plain Keras, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with _timed() as cost, context.Pool(1) as pool:
        accuracies = pool.apply(_train_plainly, (panel, epochs))
        pool.close()
        pool.join()
    return cost[0], accuracies


def _train_plainly(panel: list[ClassifierSpec], epochs: int) -> list[float]:
    startup.import_tensorflow()
    import keras
    import tensorflow as tf

    from kennen_tf.designs import building

    data = datasets.load_images("mnist")
    validation = tf.data.Dataset.from_tensor_slices(
        (data.test_images.astype("float32") / 255, data.test_labels)
    ).batch(1000)
    accuracies = []
    for spec in panel:
        keras.utils.set_random_seed(spec.seed)
        design, values = mnist_net.DESIGN, spec.combination
        subset = design.training_indices(values, len(data.train_labels))
        inputs = data.train_images[subset].astype("float32") / 255
        pipeline = (
            tf.data.Dataset.from_tensor_slices((inputs, data.train_labels[subset]))
            .shuffle(len(subset), seed=spec.seed)
            .batch(design.batch_size(values), drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
        )
        model = building.build_classifier(design, values)
        model.compile(
            design.optimizer(values),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        model.fit(pipeline, epochs=epochs, verbose=0)
        accuracies.append(model.evaluate(validation, verbose=0)[1])
        del model
        keras.backend.clear_session()
    return accuracies


@contextlib.contextmanager
def _timed() -> Iterator[list[Cost]]:
    """Yields a list that holds the body's cost after it."""
    cost: list[Cost] = []
    elapsed, processor = time.perf_counter(), _processor_seconds()
    yield cost
    cost.append(Cost(time.perf_counter() - elapsed, _processor_seconds() - processor))


def _processor_seconds() -> float:
    """Returns what this process and its ended children have used."""
    usages = [resource.getrusage(resource.RUSAGE_SELF)]
    usages.append(resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main(argv: list[str]) -> None:
    """Times both and prints."""
    del argv
    panel, epochs = make_panel(_NUM_SPECS.value), _EPOCHS.value
    half = len(panel) // 2
    plain, plain_accuracies = time_plain(panel[:half], epochs)
    zoo, zoo_accuracies = time_zoo(panel, epochs)
    second, second_accuracies = time_plain(panel[half:], epochs)
    plain, plain_accuracies = plain + second, plain_accuracies + second_accuracies

    cores = os.cpu_count() or 1
    table = rich.table.Table(
        title=f"{len(panel)} models, {epochs} epochs, {cores} cores"
    )
    table.add_column("")
    for name in ("zoo", "plain Keras", "ratio"):
        table.add_column(name, justify="right")
    rows = [
        ("core-seconds per model", cores * zoo.elapsed, cores * plain.elapsed),
        ("processor seconds per model", zoo.processor, plain.processor),
    ]
    for name, ours, theirs in rows:
        values = (ours / len(panel), theirs / len(panel), theirs / ours)
        table.add_row(name, *(f"{value:.2f}" for value in values))
    table.add_row(
        "median accuracy",
        f"{statistics.median(zoo_accuracies):.4f}",
        f"{statistics.median(plain_accuracies):.4f}",
    )
    at_chance = sum(accuracy < 0.2 for accuracy in zoo_accuracies)
    table.add_row(
        "at chance", str(at_chance), str(sum(a < 0.2 for a in plain_accuracies))
    )
    rich.console.Console().print(table)


if __name__ == "__main__":
    app.run(main)
