"""Shows that a worker's memory does not grow with the number of classifiers trained.

    python -m benchmarks.zoo_memory --num_models=400

Trains quick classifiers (one epoch on 2,000 of the embedded digits) with build_zoo's
workers and prints, for each hundred of them, the largest resident memory that any
worker had and the median time of a classifier. Some minutes on two cores.
"""

import statistics
import tempfile

import psutil
import rich.console
import rich.table
from absl import app
from absl import flags as absl_flags

from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs import mnist_net, mnist_table
from kennen_tf.images import datasets
from kennen_tf.machine.engines.local import LocalEngine
from kennen_tf.vocabulary.labeled_images import LabeledImages
from kennen_tf.zoo import growing, specs, store, training_tasks

_NUM_MODELS = absl_flags.DEFINE_integer("num_models", 400, "Classifiers to train.")
_WORKERS = absl_flags.DEFINE_integer("workers", 0, "Processes; 0 is one per core.")
_NUM_IMAGES = 2000


def load_few_images() -> LabeledImages:
    """Returns the first digits, so that training is quick."""
    return LabeledImages(
        *(array[:_NUM_IMAGES] for array in datasets.load_images("mnist"))
    )


def main(argv: list[str]) -> None:
    """Trains and prints."""
    del argv
    parent = psutil.Process()
    table = rich.table.Table(title="Memory of build_zoo's workers")
    for name in ("classifiers", "largest worker, MB", "parent, MB", "median seconds"):
        table.add_column(name, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        config = ZooConfig(
            num_models=_NUM_MODELS.value,
            zoo_dir=folder,
            epochs=1,
            min_accuracy=0.0,
            compute_dtype="float32",
        )
        header = store.ZooHeader(
            config=config,
            attributes=mnist_table.TABLE,
            image_shape=mnist_net.IMAGE_SHAPE,
            num_classes=mnist_net.NUM_CLASSES,
        )
        store.prepare(header)
        wanted = specs.sample_specs(mnist_net.DESIGN, _NUM_MODELS.value, 1, 0)
        largest, seconds = 0, []
        workers = LocalEngine(
            num_workers=_WORKERS.value,
            tasks_per_worker=training_tasks.TRACES_PER_WORKER,
        )
        records = growing.train_all(wanted, config, load_few_images(), workers)
        for number, record in enumerate(records, start=1):
            store.add_record(folder, record)
            seconds.append(record.seconds)
            for child in parent.children():
                largest = max(largest, child.memory_info().rss)
            if number % 100 == 0:
                table.add_row(
                    f"{number - 99} to {number}",
                    f"{largest / 1e6:.0f}",
                    f"{parent.memory_info().rss / 1e6:.0f}",
                    f"{statistics.median(seconds):.2f}",
                )
                largest, seconds = 0, []
    rich.console.Console().print(table)


if __name__ == "__main__":
    app.run(main)
