"""Times engines: the same classifiers by local workers and on a Ray cluster.

    python -m benchmarks.engines --num_models=48

Trains a zoo by one and by two local workers, by Ray's own cluster on this machine, and
on clusters of one node and of two, of a core each, that are processes of this machine.
Prints for each how long it took, in all and until the first classifier was there, what
a classifier cost beside its training, and whether files are equal to the last bit.
Before, says what `build_zoo --estimate` does. Ten minutes on two idle cores.
"""

import contextlib
import functools
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import rich.console
import rich.table
from absl import app
from absl import flags as absl_flags

from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.designs.design import load_design
from kennen_tf.images import datasets
from kennen_tf.machine import environment, startup
from kennen_tf.machine.engines.local import LocalEngine
from kennen_tf.machine.engines.on_ray import RayEngine
from kennen_tf.vocabulary.labeled_images import LabeledImages
from kennen_tf.zoo import growing, specs, store, training_tasks
from kennen_tf.zoo.specs import ClassifierSpec

_NUM_MODELS = absl_flags.DEFINE_integer("num_models", 48, "Classifiers to train.")
_DESIGN = absl_flags.DEFINE_string("design", "digits_net", "Design of the zoo.")
_EPOCHS = absl_flags.DEFINE_integer("epochs", 0, "Epochs; 0 is the design's number.")

_TASKS: dict[str, Any] = {
    "threads": 1,
    "tasks_per_worker": training_tasks.TRACES_PER_WORKER,
}


@contextlib.contextmanager
def start_nodes(count: int) -> Iterator[str]:
    """Starts a Ray cluster of nodes with a core each; yields its address."""
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"num_cpus": 1, "memory": 4 * 10**9}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    for _ in range(count - 1):
        cluster.add_node(**node)
    yield cluster.address
    cluster.shutdown()


def make_config(folder: str) -> ZooConfig:
    """Returns the settings of a zoo in a folder."""
    design = load_design(_DESIGN.value)
    return ZooConfig(
        design=_DESIGN.value,
        num_models=_NUM_MODELS.value,
        zoo_dir=folder,
        epochs=_EPOCHS.value or design.num_epochs({}),
        min_accuracy=0.0,
        compute_dtype="float32",
    )


def time_engine(
    make_engine: Callable[[], Any], panel: list[ClassifierSpec], images: LabeledImages
) -> dict[str, Any]:
    """Trains a zoo; returns seconds, those to the first, overhead and files."""
    with tempfile.TemporaryDirectory() as folder:
        config = make_config(folder)
        header = store.ZooHeader(
            config=config,
            attributes=load_design(config.design).attributes,
            image_shape=images.image_shape,
            num_classes=images.num_classes,
        )
        store.prepare(header)
        begun, first, seconds = time.perf_counter(), 0.0, 0.0
        with make_engine() as workers:
            num_workers = workers.num_workers
            for record in growing.train_all(panel, config, images, workers):
                store.add_record(folder, record)
                first = first or time.perf_counter() - begun
                seconds += record.seconds
            total = time.perf_counter() - begun
        files = pathlib.Path(folder, store.CLASSIFIERS_FOLDER).iterdir()
        return {
            "workers": num_workers,
            "total": total,
            "first": first,
            "training": seconds,
            "files": {path.name: path.read_bytes() for path in files},
        }


def foretell(panel: list[ClassifierSpec], images: LabeledImages) -> str:
    """Returns what an estimate by two local workers says."""
    from kennen_tf.zoo import estimating

    with LocalEngine(num_workers=2, **_TASKS) as workers:
        *_, found = estimating.estimate(panel, make_config("none"), images, workers)
    if not isinstance(found, estimating.Estimate):
        raise ValueError(f"Received: {found}.")
    return ", ".join(f"{n} workers {found.seconds(n):.0f} s" for n in (1, 2))


def main(argv: list[str]) -> None:
    """Trains and prints."""
    del argv
    environment.set_environment()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_AUTH_MODE"] = "disabled"
    startup.import_tensorflow()
    images = datasets.load_zoo_images(_DESIGN.value, "")
    panel = specs.sample_specs(load_design(_DESIGN.value), _NUM_MODELS.value, 1, 0)
    print(f"Estimate: {foretell(panel, images)}.", flush=True)
    table = rich.table.Table(title=f"{len(panel)} classifiers of {_DESIGN.value}")
    table.add_column("engine")
    for name in ("workers", "seconds", "to the first", "beside training, each", "bits"):
        table.add_column(name, justify="right")
    expected: dict[str, bytes] = {}

    def add(name: str, make_engine: Callable[[], Any]) -> None:
        found = time_engine(make_engine, panel, images)
        expected.update(expected or found["files"])
        # What workers did beside, their start and that of the cluster included.
        beside = (found["workers"] * found["total"] - found["training"]) / len(panel)
        table.add_row(
            name,
            str(found["workers"]),
            f"{found['total']:.1f}",
            f"{found['first']:.1f}",
            f"{beside:.2f}",
            "equal" if found["files"] == expected else "other",
        )
        print(name, f"{found['total']:.1f} s", flush=True)

    add("local", lambda: LocalEngine(num_workers=1, **_TASKS))
    add("local", lambda: LocalEngine(num_workers=2, **_TASKS))
    for count in (1, 2):
        with start_nodes(count) as address:
            on_nodes = functools.partial(RayEngine, address=address, **_TASKS)
            add(f"Ray, {count} node(s) of a core", on_nodes)
    add("Ray, own cluster", lambda: RayEngine(**_TASKS))
    rich.console.Console(width=100).print(table)


if __name__ == "__main__":
    app.run(main)
