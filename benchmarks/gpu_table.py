"""Times zoos and metamodels on GPUs, against one device; run by benchmarks/gpu.sh.

    python -m benchmarks.gpu_table --num_models=64 --workers=4

Builds the same zoo on the CPU, by one worker on the first GPU and by several that share
it, and trains kennen-o's MLPs on the CPU, on the first GPU and under
`--strategy=mirrored` on all. Equal are zoos of the same weights, and metamodels of the
same file; otherwise, it says by how much accuracies differ. Devices round differently,
so results of two kinds are alike and not equal.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import rich.console
import rich.table
from absl import app
from absl import flags as absl_flags

from kennen_tf.vocabulary import artifacts

_CPU = absl_flags.DEFINE_bool("cpu", False, "Two logical CPUs stand for the GPUs.")
_DESIGN = absl_flags.DEFINE_string(
    "design", "", "Design of the zoo; by default mnist_net, with --cpu digits_net."
)
_NUM_MODELS = absl_flags.DEFINE_integer(
    "num_models", 0, "Classifiers to train; 0 is 64, with --cpu 24."
)
_EPOCHS = absl_flags.DEFINE_integer("epochs", 1, "Epochs of each classifier.")
_WORKERS = absl_flags.DEFINE_integer("workers", 4, "Workers that share a GPU.")
_METAMODEL_EPOCHS = absl_flags.DEFINE_integer(
    "metamodel_epochs", 60, "Epochs of kennen-o."
)

# What CUDA_VISIBLE_DEVICES says; None leaves it as it is.
_NONE, _FIRST, _ALL = "-1", "0", None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """What is timed.

    Attributes:
        what: A few words.
        device: On what, for people.
        visible: Which GPUs it sees.
        flags: Of the binary, beside those that all trials of a kind have.
        is_reference: Whether others are compared with it: one device.
    """

    what: str
    device: str
    visible: str | None
    flags: tuple[str, ...]
    is_reference: bool = False


def run(binary: str, visible: str | None, *flags: str) -> float:
    """Runs a binary; returns the seconds. What it says is shown if it fails."""
    environment = dict(os.environ)
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", f"kennen_tf.{binary}", *flags],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"error: {binary} {' '.join(flags)} failed:\n{done.stdout[-3000:]}")
    return time.monotonic() - started


def zoo_trials() -> list[Trial]:
    """Returns who builds the zoo."""
    one, several = ("--workers=1",), (f"--workers={_WORKERS.value}",)
    name = f"{_WORKERS.value} workers"
    if _CPU.value:
        return [
            Trial(
                what="zoo, 1 worker",
                device="CPU",
                visible=_NONE,
                flags=one,
                is_reference=True,
            ),
            Trial(what=f"zoo, {name}", device="CPU", visible=_NONE, flags=several),
        ]
    return [
        Trial(what="zoo, 1 worker", device="CPU", visible=_NONE, flags=one),
        Trial(
            what="zoo, 1 worker",
            device="1 GPU",
            visible=_FIRST,
            flags=one,
            is_reference=True,
        ),
        Trial(what=f"zoo, {name}", device="1 GPU", visible=_FIRST, flags=several),
    ]


def metamodel_trials() -> list[Trial]:
    """Returns on what kennen-o is trained."""
    one, mirrored = ("--strategy=one_device",), ("--strategy=mirrored",)
    what = "kennen-o, MLPs"
    if _CPU.value:
        shared = (*mirrored, "--logical_cpus=2")
        return [
            Trial(what=what, device="CPU", visible=_NONE, flags=one, is_reference=True),
            Trial(
                what=f"{what}, mirrored",
                device="2 logical CPUs",
                visible=_NONE,
                flags=shared,
            ),
        ]
    return [
        Trial(what=what, device="CPU", visible=_NONE, flags=one),
        Trial(what=what, device="1 GPU", visible=_FIRST, flags=one, is_reference=True),
        Trial(
            what=f"{what}, mirrored", device="all GPUs", visible=_ALL, flags=mirrored
        ),
    ]


def read_zoo(folder: pathlib.Path) -> tuple[list[str], float]:
    """Returns the hashes of a zoo's weights, and the mean accuracy in per cent."""
    rows = artifacts.read_json_lines(folder / "manifest.jsonl")
    accuracies = [row["accuracy"] for row in rows]
    hashes = sorted(f"{row['id']} {row['sha256']}" for row in rows)
    return hashes, 100 * sum(accuracies) / len(accuracies)


def read_metamodel(folder: pathlib.Path) -> tuple[list[str], float]:
    """Returns the hash of a metamodel, and its test accuracy in per cent."""
    finished = json.loads((folder / "finished.json").read_text(encoding="utf-8"))
    return [finished["sha256"]], 100 * finished["last"]["test"]["average"]


def say_equal(own: tuple[list[str], float], reference: tuple[list[str], float]) -> str:
    """Says whether hashes are equal, or else how good both are."""
    if own[0] == reference[0]:
        return "equal"
    return f"accuracy {own[1]:.2f}%, not {reference[1]:.2f}%"


def add_rows(
    table: rich.table.Table,
    trials: list[Trial],
    binary: str,
    folders: list[pathlib.Path],
    flags: list[str],
) -> None:
    """Runs trials and adds a row for each."""
    is_zoo = binary == "build_zoo"
    read, key = (read_zoo, "zoo") if is_zoo else (read_metamodel, "metamodel")
    seconds = [
        run(binary, trial.visible, *trial.flags, *flags, f"--{key}_dir={folder}")
        for trial, folder in zip(trials, folders, strict=True)
    ]
    found = [read(folder) for folder in folders]
    [one] = [place for place, trial in enumerate(trials) if trial.is_reference]
    for place, trial in enumerate(trials):
        cells = ["-", "-"]
        if place != one:
            ratio = seconds[one] / seconds[place]
            cells = [f"{ratio:.2f} times as fast", say_equal(found[place], found[one])]
        table.add_row(trial.what, trial.device, f"{seconds[place]:.1f}", *cells)


def main(_: list[str]) -> None:
    """Runs all trials and prints the table."""
    table = rich.table.Table(
        "what", "on", "seconds", "against one device", "results", title="GPU path"
    )
    design = _DESIGN.value or ("digits_net" if _CPU.value else "mnist_net")
    num_models = _NUM_MODELS.value or (24 if _CPU.value else 64)
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        trials = zoo_trials()
        zoos = [root / f"zoo{place}" for place in range(len(trials))]
        flags = [
            f"--design={design}",
            f"--num_models={num_models}",
            f"--epochs={_EPOCHS.value}",
            "--min_accuracy=0",
            "--compute_dtype=float32",
        ]
        add_rows(table, trials, "build_zoo", zoos, flags)
        queries, count = f"--query_dir={root / 'queries'}", "--num_queries=50"
        run("query_zoo", _NONE, f"--zoo_dir={zoos[0]}", queries, count)
        flags = [queries, count, "--recipe=mlp", f"--epochs={_METAMODEL_EPOCHS.value}"]
        trials = metamodel_trials()
        folders = [root / f"o{place}" for place in range(len(trials))]
        add_rows(table, trials, "train_metamodel", folders, flags)
    rich.console.Console(width=120).print(table)


if __name__ == "__main__":
    app.run(main)
