"""Trains the small families in worker processes and records each classifier.

    output_dir/
      config.json      settings, versions, command; written first
      training.jsonl   one line per classifier, as they end
      <name>.keras
      manifest.json    what `--classifiers` takes; written last

A classifier is whole once its line is there and its file is as the line says.
"""

import dataclasses
import multiprocessing
import os
import pathlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from kennen_tf.configs.families import FamiliesConfig
from kennen_tf.machine import processors, worker_pool
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

if TYPE_CHECKING:
    from kennen_tf.imagenet.classifiers.small_families import (
        SmallClassifier,
        SmallImages,
    )

TRAINING_NAME = "training.jsonl"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """A line of `training.jsonl`.

    Attributes:
        family: Its family.
        name: Its name; `<name>.keras` is its file.
        num_params: Numbers of its weights, moving averages among them.
        accuracy: On the validation digits, in [0, 1].
        seconds: Time of building, training and validation.
        sha256: Of its file.
    """

    family: str
    name: str
    num_params: int
    accuracy: float
    seconds: float
    sha256: str


def classifier_path(folder: artifacts.Path, name: str) -> pathlib.Path:
    """Returns the path of a classifier's file."""
    return pathlib.Path(folder) / f"{name}.keras"


def read_trained(folder: artifacts.Path) -> dict[str, Trained]:
    """Returns the classifiers that are whole, by name."""
    path = pathlib.Path(folder) / TRAINING_NAME
    artifacts.mend_json_lines(path)
    found = {}
    for values in artifacts.read_json_lines(path):
        record = Trained(**values)
        file = classifier_path(folder, record.name)
        if file.exists() and artifacts.sha256_of_file(file) == record.sha256:
            found[record.name] = record
    return found


def train_all(
    classifiers: "Sequence[SmallClassifier]",
    images: "SmallImages",
    config: FamiliesConfig,
) -> Iterator[Trained]:
    """Trains classifiers, saves and records each; yields the records as they come.

    Raises:
        UserError: If a worker was killed, or its disk is full.
        RuntimeError: If training failed; names the classifier.
    """
    num_cores = processors.available_cores()
    num_workers = min(config.workers or num_cores, len(classifiers))
    # One thread each, if there is no core to spare: small nets do not fill two.
    threads = max(1, num_cores // max(1, num_workers))
    context = multiprocessing.get_context("spawn")
    tasks = context.SimpleQueue()
    for task in [*classifiers, *[None] * num_workers]:
        tasks.put(task)
    processes, connections = [], []
    try:
        for index in range(num_workers):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=_work,
                # No class of a module that loads TensorFlow: the worker would load it
                # when it starts, before its messages are silenced.
                args=(theirs, tasks, index, threads, vars(images), config),
                daemon=True,
            )
            process.start()
            theirs.close()
            processes.append(process)
            connections.append(ours)
        while connections:
            for ready in connection.wait(connections):
                message = _receive(ready)  # type: ignore[arg-type]
                if message is None:
                    connections.remove(ready)  # type: ignore[arg-type]
                    continue
                values = dataclasses.asdict(message)
                path = pathlib.Path(config.output_dir) / TRAINING_NAME
                artifacts.append_json_line(path, values)
                yield message
    finally:
        for process in processes:
            process.kill()
            process.join()


def _receive(ready: connection.Connection) -> Trained | None:
    """Returns what a worker trained, or None if it has no more to do."""
    try:
        message = ready.recv()
    except EOFError:
        raise UserError(
            "A worker was ended from outside, perhaps for want of memory. What is "
            "recorded is kept: give the same command again with --resume, with fewer "
            "--workers if memory is short."
        ) from None
    if isinstance(message, Exception):
        raise message
    return message


def _work(
    parent: connection.Connection,
    tasks: Any,
    index: int,
    threads: int,
    arrays: Mapping[str, Any],
    config: FamiliesConfig,
) -> None:
    """Runs in the worker: trains classifiers from the queue, until None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle.
    threading.Thread(target=_die_with_parent, daemon=True).start()
    worker_pool.set_up_tensorflow(index, threads)
    from kennen_tf.imagenet.classifiers.small_families import SmallImages

    images = SmallImages(**arrays)
    while classifier := tasks.get():
        try:
            parent.send(_train_one(classifier, images, config))
        except OSError as error:
            parent.send(UserError(f"{error.strerror}: {error.filename}."))
        except Exception as error:  # It is raised again in the parent.
            parent.send(RuntimeError(f"While training {classifier.name}: {error!r}"))
        worker_pool.free_memory()
    parent.send(None)


def _train_one(
    classifier: "SmallClassifier", images: "SmallImages", config: FamiliesConfig
) -> Trained:
    """Trains, validates and saves one classifier."""
    from kennen_tf.imagenet.classifiers import batches, small_families
    from kennen_tf.keras_models.pixel_models import PixelModel

    start = time.perf_counter()
    model = small_families.train(
        classifier,
        images,
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=config.seed,
    )
    logits = batches.predict_logits(
        PixelModel(classifier.name, model), images.test_pixels
    )
    accuracy = float((logits.argmax(axis=1) == images.test_labels).mean())
    seconds = time.perf_counter() - start
    path = classifier_path(config.output_dir, classifier.name)
    with artifacts.atomic_path(path) as temporary:
        model.save(temporary)
    return Trained(
        family=classifier.family,
        name=classifier.name,
        num_params=model.count_params(),
        accuracy=accuracy,
        seconds=round(seconds, 3),
        sha256=artifacts.sha256_of_file(path),
    )


def _die_with_parent() -> None:
    """Ends this process when its parent is gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
