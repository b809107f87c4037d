"""What a zoo of a million classifiers costs beside its training, stage by stage.

    python -m benchmarks.large_zoos --sizes=10000,100000 --folder=large_zoos

Makes up zoos of the paper's design, with manifests as large as real ones, files of no
content, and answers to 100 queries at random. Runs each stage in a process of its own
and prints its seconds, its core-seconds, which do not depend on what else the machine
does, its largest resident memory and the bytes that it leaves on disk. What a stage
wants is made by one before it and kept in --folder. 100,000 take ten minutes on two
cores and 2 GB of disk; a million, an hour and 10 GB. Trainings run if they are named.
"""

import functools
import json
import pathlib
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import rich.console
import rich.table
from absl import app
from absl import flags as absl_flags

_SIZES = absl_flags.DEFINE_list("sizes", ["10000"], "Numbers of classifiers.")
_FOLDER = absl_flags.DEFINE_string("folder", "large_zoos", "For what is made.")
_STAGES = absl_flags.DEFINE_list("stages", [], "Which; by default all but trainings.")
_NUM_TRAIN = absl_flags.DEFINE_integer(
    "num_train", 0, "Entries that recipes train on; 0: all that the test leaves."
)
_NUM_TEST = absl_flags.DEFINE_integer("num_test", 1000, "Entries to test on; 0: 1/5.")
_EPOCHS = absl_flags.DEFINE_integer("epochs", 1, "Epochs of --recipe=mlp.")

_INSIDE = absl_flags.DEFINE_string("inside", "", "A stage to run in this process.")

_NUM_QUERIES = 100
_FILE_BYTES = 250_000
_NUM_APPENDED = 500
_SHARD_ENTRIES = 30_000  # About 140 MB.

Stage = Callable[[pathlib.Path, int], str]


def _make_records(num_models: int) -> Iterator[Any]:
    from kennen_tf.attributes import Facts
    from kennen_tf.designs.mnist_net import DESIGN
    from kennen_tf.vocabulary.seeds import derive_seed
    from kennen_tf.zoo import specs, store

    for number, spec in enumerate(specs.sample_specs(DESIGN, num_models, 1, 0)):
        num_params = 2**14 + derive_seed(0, spec.combination_id) % (2**19)
        facts = Facts(combination=spec.combination, num_params=num_params)
        is_accepted = number % 10 > 0
        yield store.ClassifierRecord(
            spec=spec,
            status=store.ACCEPTED if is_accepted else store.REJECTED,
            reason="" if is_accepted else "accuracy below 0.98",
            accuracy=0.98 + number % 1000 / 1e5,
            num_params=num_params,
            epochs=100,
            seconds=300.123,
            num_bytes=_FILE_BYTES if is_accepted else 0,
            sha256=f"{number:064x}" if is_accepted else "",
            values=DESIGN.attributes.complete(facts),
        )


def make_manifest(folder: pathlib.Path, num_models: int) -> str:
    """Writes a zoo without its classifiers."""
    from kennen_tf.configs.zoo import ZooConfig
    from kennen_tf.designs import mnist_net, mnist_table
    from kennen_tf.vocabulary import artifacts
    from kennen_tf.zoo import store

    zoo_dir = artifacts.make_folder(folder / "zoo")
    config = ZooConfig(
        num_models=num_models,
        zoo_dir=str(zoo_dir),
        dataset="mnist",
        min_accuracy=0.98,
        compute_dtype="float32",
    )
    store.prepare(
        store.ZooHeader(
            config=config,
            attributes=mnist_table.TABLE,
            image_shape=mnist_net.IMAGE_SHAPE,
            num_classes=mnist_net.NUM_CLASSES,
        )
    )
    with open(zoo_dir / store.MANIFEST_NAME, "w") as file:
        for record in _make_records(num_models):
            file.write(artifacts.canonical_json(record.to_json()) + "\n")
    return "zoo/manifest.jsonl"


def make_files(folder: pathlib.Path, num_models: int) -> str:
    """Makes files of the recorded size, empty ones that take no room."""
    del num_models
    from kennen_tf.zoo import store

    for record in store.read_manifest(folder / "zoo"):
        if record.status == store.ACCEPTED:
            with open(store.classifier_path(folder / "zoo", record), "w") as file:
                file.truncate(record.num_bytes)
    return ""


def draw(folder: pathlib.Path, num_models: int) -> str:
    """Draws, checks and groups specs."""
    del folder
    from kennen_tf.designs.mnist_net import DESIGN
    from kennen_tf.zoo import specs, training_tasks

    drawn = specs.sample_specs(DESIGN, num_models, 1, 0)
    specs.check_batches(DESIGN, drawn, 60_000)
    training_tasks.group_specs(DESIGN, drawn)
    return ""


def append(folder: pathlib.Path, num_models: int) -> str:
    """Appends records, each flushed to disk."""
    del num_models
    from kennen_tf.zoo import store

    path = folder / "appended"
    path.mkdir(exist_ok=True)
    for record in _make_records(_NUM_APPENDED):
        store.add_record(path, record)
    return ""


def mend(folder: pathlib.Path, num_models: int) -> str:
    """Looks for a torn last line."""
    del num_models
    from kennen_tf.vocabulary import artifacts

    artifacts.mend_json_lines(folder / "zoo" / "manifest.jsonl")
    return ""


def read(folder: pathlib.Path, num_models: int) -> str:
    """Reads the manifest."""
    del num_models
    from kennen_tf.zoo import store

    store.read_manifest(folder / "zoo")
    return ""


def resume(folder: pathlib.Path, num_models: int) -> str:
    """Finds what is missing, as build_zoo does when it goes on."""
    from kennen_tf.designs.mnist_net import DESIGN
    from kennen_tf.zoo import specs, store

    wanted = specs.sample_specs(DESIGN, num_models, 1, 0)
    records = store.read_manifest(folder / "zoo")
    done = {r.spec: r for r in records if store.is_whole(folder / "zoo", r)}
    print(len([spec for spec in wanted if spec not in done]), "missing")
    return ""


def list_entries(folder: pathlib.Path, num_models: int) -> str:
    """Opens the zoo, names it, and lists its ensembles."""
    del num_models
    from kennen_tf.zoo import ensembles
    from kennen_tf.zoo.store import Zoo

    zoo = Zoo.open(folder / "zoo")
    print(zoo.fingerprint, len(ensembles.list_entries(zoo, zoo.accepted)))
    return ""


def query(folder: pathlib.Path, num_models: int) -> str:
    """Keeps made-up answers and writes query outputs, as query_zoo does."""
    import numpy as np

    from kennen_tf import query_zoo
    from kennen_tf.configs.queries import QueryConfig
    from kennen_tf.zoo import querying

    bank = np.random.default_rng(0).dirichlet(np.full(10, 0.1), (1000, _NUM_QUERIES))
    bank = np.maximum(bank, 1e-30).astype(np.float32)

    def answer(zoo: Any, records: Any, pixels: Any, keep: Any) -> None:
        for number, record in enumerate(records):
            keep(record, bank[number % 1000])

    with mock.patch.object(querying, "query_classifiers", answer):
        query_zoo.query_zoo(
            QueryConfig(
                zoo_dir=str(folder / "zoo"),
                query_dir=str(folder / "queries"),
                num_queries=_NUM_QUERIES,
                num_shards=-(-num_models // _SHARD_ENTRIES),
                overwrite=True,
            )
        )
    return "queries"


def open_outputs(folder: pathlib.Path, num_models: int) -> str:
    """Opens and verifies query outputs."""
    del num_models
    from kennen_tf.queries.query_outputs import QueryOutputsInfo

    print(len(QueryOutputsInfo.open(folder / "queries").entries), "entries")
    return "queries/entries.jsonl"


def split(folder: pathlib.Path, num_models: int) -> str:
    """Opens query outputs and divides them."""
    del num_models
    from kennen_tf.evaluation import splits
    from kennen_tf.queries.query_outputs import QueryOutputsInfo
    from kennen_tf.vocabulary import artifacts

    info = QueryOutputsInfo.open(folder / "queries")
    start = time.perf_counter()
    made = splits.make_split(info.entries, "R", info.attributes, 0)
    seconds = time.perf_counter() - start
    print(f"{seconds:.1f} s of it for", artifacts.fingerprint(made.to_json()))
    return ""


def load(folder: pathlib.Path, num_models: int) -> str:
    """Opens query outputs and reads all answers into memory."""
    del num_models
    from kennen_tf.queries.query_outputs import QueryOutputsInfo
    from pipelines.outputs_in_memory import OutputsInMemory

    OutputsInMemory(QueryOutputsInfo.open(folder / "queries"))
    return ""


def train(folder: pathlib.Path, num_models: int, recipe: str) -> str:
    """Trains a metamodel, one of epochs for one."""
    del num_models
    from kennen_tf.configs.metamodels import MetamodelConfig
    from kennen_tf.machine import startup

    startup.import_tensorflow()
    from kennen_tf.train_metamodel import train_metamodel

    metamodel_dir = folder / recipe
    shutil.rmtree(metamodel_dir, ignore_errors=True)
    train_metamodel(
        MetamodelConfig(
            method="linear" if recipe == "linear" else "kennen-o",
            recipe="kernel" if recipe == "linear" else recipe,
            epochs=_EPOCHS.value if recipe == "mlp" else 0,
            query_dir=str(folder / "queries"),
            metamodel_dir=str(metamodel_dir),
            num_queries=_NUM_QUERIES,
            num_train=_NUM_TRAIN.value,
            num_test=_NUM_TEST.value,
        )
    )
    return recipe


# By name; each takes a folder of its own and the number of classifiers, and returns the
# file or folder in it that it makes, "" if none is.
STAGES: dict[str, Stage] = {
    "make a manifest": make_manifest,
    "make empty files": make_files,
    "draw specs": draw,
    f"append {_NUM_APPENDED} records": append,
    "mend the manifest": mend,
    "read the manifest": read,
    "go on building": resume,
    "list entries": list_entries,
    "keep and write answers": query,
    "open query outputs": open_outputs,
    "split": split,
    "load all answers": load,
}
TRAININGS: dict[str, Stage] = {
    f"train {recipe}": functools.partial(train, recipe=recipe)
    for recipe in ("mlp", "linear", "ridge", "svm", "kernel")
}


def _run_inside(stage: str, num_models: int) -> None:
    """Runs a stage and prints what it took, as JSON."""
    folder = pathlib.Path(_FOLDER.value) / str(num_models)
    start = time.perf_counter()
    made = {**STAGES, **TRAININGS}[stage](folder, num_models)
    used = resource.getrusage(resource.RUSAGE_SELF)
    row = {
        "seconds": time.perf_counter() - start,
        "core_seconds": used.ru_utime + used.ru_stime,
        "megabytes": used.ru_maxrss / 1024,
        "disk": _count_bytes(folder / made) / 1e6 if made else 0.0,
    }
    print(json.dumps(row))


def _count_bytes(path: pathlib.Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files)


def main(argv: list[str]) -> None:
    """Runs the stages, each in a process of its own, and prints a table."""
    del argv
    if _INSIDE.value:
        _run_inside(_INSIDE.value, int(_SIZES.value[0]))
        return
    table = rich.table.Table(title="Zoos by their number of classifiers")
    for name in (
        *("classifiers", "stage", "seconds", "core-seconds"),
        *("memory, MB", "on disk, MB"),
    ):
        table.add_column(name, justify="right")
    for size in _SIZES.value:
        for stage in _STAGES.value or STAGES:
            command = [sys.executable, "-m", "benchmarks.large_zoos", *sys.argv[1:]]
            command += [f"--sizes={size}", f"--inside={stage}"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                table.add_row(size, stage, f"ended with {done.returncode}")
                continue
            *said, last = done.stdout.strip().splitlines()
            row = json.loads(last)
            print(size, stage, row, *said, sep="\n  ", file=sys.stderr)
            disk = f"{row['disk']:,.0f}" if row["disk"] else ""
            table.add_row(
                *(f"{int(size):,}", stage, f"{row['seconds']:,.1f}"),
                f"{row['core_seconds']:,.1f}",
                *(f"{row['megabytes']:,.0f}", disk),
            )
    rich.console.Console(width=100).print(table)


if __name__ == "__main__":
    app.run(main)
