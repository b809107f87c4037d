"""Compares query_zoo's way of querying classifiers with plain Keras, in one run.

    python -m benchmarks.querying --zoo_dir=zoo --num_queries=1000 --pool=yes

Sends validation images to accepted classifiers of a zoo, all through a shared model
for each shape and some through `load_model` and `predict`, one after the other, and
prints classifiers per second and core-seconds of one, which do not depend on what else
the machine does, with their ratios, and the largest resident memory. Starting
TensorFlow and writing records are not counted.
"""

import resource
import time

import keras
import numpy as np
import rich.console
import rich.table
from absl import app
from absl import flags as absl_flags

from kennen_tf.images import datasets
from kennen_tf.queries import query_inputs
from kennen_tf.zoo import classifier_files, querying
from kennen_tf.zoo.store import ClassifierRecord, Zoo

_ZOO_DIR = absl_flags.DEFINE_string("zoo_dir", "zoo", "Folder of a zoo.")
_NUM_QUERIES = absl_flags.DEFINE_integer("num_queries", 1000, "Images to send.")
_POOL = absl_flags.DEFINE_enum(
    "pool", "yes", ["yes", "no", "any"], "Which classifiers: with max pooling or not."
)
_NUM_PLAIN = absl_flags.DEFINE_integer("num_plain", 30, "Classifiers for plain Keras.")


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    zoo = Zoo.open(_ZOO_DIR.value)
    records = [
        record
        for record in zoo.accepted
        if _POOL.value in ("any", zoo.values_of([record])["pool"])
    ]
    queries = query_inputs.draw(
        *datasets.load_validation(zoo.config, zoo.images_path),
        _NUM_QUERIES.value,
        query_seed=0,
    )
    pixels = queries.pixels
    # The first call of anything in TensorFlow is slower than all others.
    file = classifier_files.read(zoo.check_classifier(records[0]))
    querying.Querier(file).query(file, [pixels[:1]])

    shared: dict[str, np.ndarray] = {}

    def keep(record: ClassifierRecord, probabilities: np.ndarray) -> None:
        shared[record.id] = probabilities

    start, core_start = time.perf_counter(), time.process_time()
    querying.query_classifiers(zoo, records, pixels, keep)
    shared_seconds = (time.perf_counter() - start) / len(records)
    shared_core_seconds = (time.process_time() - core_start) / len(records)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    sample = records[:: max(1, len(records) // _NUM_PLAIN.value)]
    largest_difference = 0.0
    start, core_start = time.perf_counter(), time.process_time()
    for record in sample:
        path = zoo.classifier_path(record)
        model = keras.models.load_model(path, compile=False)
        plain = model.predict(pixels, verbose=0)
        difference = float(np.abs(plain - shared[record.id]).max())
        largest_difference = max(largest_difference, difference)
    plain_seconds = (time.perf_counter() - start) / len(sample)
    plain_core_seconds = (time.process_time() - core_start) / len(sample)

    num_shapes = len(
        {classifier_files.read(zoo.classifier_path(r)).key for r in records}
    )
    table = rich.table.Table(
        title=f"Querying {len(records)} classifiers of {num_shapes} shapes, "
        f"{len(pixels)} queries"
    )
    for name in ("way", "classifiers", "per second", "core-seconds each"):
        table.add_column(name, justify="right")
    for way, count, seconds, core_seconds in (
        ("one model for each shape", len(records), shared_seconds, shared_core_seconds),
        ("load_model, predict", len(sample), plain_seconds, plain_core_seconds),
    ):
        table.add_row(way, str(count), f"{1 / seconds:.1f}", f"{core_seconds:.3f}")
    table.add_row(
        "ratio",
        "",
        f"{plain_seconds / shared_seconds:.1f}",
        f"{plain_core_seconds / shared_core_seconds:.1f}",
    )
    console = rich.console.Console()
    console.print(table)
    console.print(
        f"Largest difference of a probability: {largest_difference:.1e}. "
        f"Largest resident memory of the first way: {megabytes} MB."
    )


if __name__ == "__main__":
    app.run(main)
