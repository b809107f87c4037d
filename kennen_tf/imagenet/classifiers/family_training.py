"""Has the small families trained and records each classifier.

    output_dir/
      config.json      settings, versions, command; written first
      training.jsonl   one line per classifier, as they end
      <name>.keras
      manifest.json    what `--classifiers` takes; written last

A classifier is whole once its line is there and its file is as the line says.
"""

import dataclasses
import functools
import hashlib
import pathlib
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kennen_tf.configs.families import FamiliesConfig
from kennen_tf.machine.engines import engine, worker
from kennen_tf.vocabulary import artifacts

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
    workers: engine.Engine,
) -> Iterator[Trained]:
    """Has classifiers trained, saves and records each; yields records as they come.

    Raises:
        UserError: If workers die of one again and again, or a disk is full.
        RuntimeError: If training failed; names the classifier.
    """
    for result in workers.run(
        [[classifier] for classifier in classifiers],
        # No class of a module that loads TensorFlow: the worker would load it when it
        # starts, before its messages are silenced.
        functools.partial(_make_work, vars(images), config),
        lambda classifier: classifier.name,
    ):
        if result is not None:
            record, content = result
            path = classifier_path(config.output_dir, record.name)
            artifacts.write_bytes(path, content)
            artifacts.append_json_line(
                path.with_name(TRAINING_NAME), dataclasses.asdict(record)
            )
            yield record


def _make_work(arrays: Mapping[str, Any], config: FamiliesConfig) -> engine.Work:
    """Runs in a worker: returns what trains classifiers, for records and files."""
    from kennen_tf.imagenet.classifiers.small_families import SmallImages

    images = SmallImages(**arrays)

    def train(task: "Sequence[SmallClassifier]") -> Iterator[tuple[Trained, bytes]]:
        for classifier in task:
            try:
                yield _train_one(classifier, images, config)
            except OSError:
                raise
            except Exception as error:  # It is raised again where results go.
                raise RuntimeError(
                    f"While training {classifier.name}: {error!r}"
                ) from error
        worker.free_memory()

    return train


def _train_one(
    classifier: "SmallClassifier", images: "SmallImages", config: FamiliesConfig
) -> tuple[Trained, bytes]:
    """Trains and validates one classifier; returns its file's bytes, too."""
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
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / f"{classifier.name}.keras"
        model.save(path)
        content = path.read_bytes()
    record = Trained(
        family=classifier.family,
        name=classifier.name,
        num_params=model.count_params(),
        accuracy=accuracy,
        seconds=round(seconds, 3),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return record, content
