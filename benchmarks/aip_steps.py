"""Compares a step of an attack on an ensemble with the passes of its members alone.

    python -m benchmarks.aip_steps --manifest=my/manifest.json
    python -m benchmarks.aip_steps --batch_size=4 --num_rounds=40

A step is all that `Ascent` does between two gradients: the images are resized to what
each member takes, all members go forward and backward, their losses are combined, and
the perturbations are moved and projected. It must cost no more than 1.2 times what its
members need by themselves, each compiled alone and differentiated by its pixels only,
for the same number of images. That sum is measured in two ways: with what belongs to a
member in an attack, the resizing and the loss ("members"); and without, on images of
the member's own size, the sum of its logits ("plain").

After each step of an attack, both sums are measured, so that what else the machine does
slows all of them. Printed are the median seconds of a step, also as core-seconds, which
depend less on the rest of the machine, and the medians over the steps of the ratios.
Loading and the first steps, which compile, are not counted. On a GPU, steps are queued
and only waited for here and there, so that single ones cannot be timed.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import rich.console
import rich.table
import tensorflow as tf
from absl import app
from absl import flags as absl_flags

from kennen_tf.configs import aips
from kennen_tf.imagenet.attacks import methods, objectives
from kennen_tf.imagenet.attacks.ascent import Ascent
from kennen_tf.imagenet.attacks.methods import Attack
from kennen_tf.imagenet.classifiers import registry
from kennen_tf.keras_models.pixel_models import PixelModel

_MANIFEST = absl_flags.DEFINE_string(
    "manifest", "", "manifest.json; by default small classifiers with random weights."
)
_METHOD = absl_flags.DEFINE_enum("method", aips.GAMAN, aips.METHODS, "The attack.")
_NORM = absl_flags.DEFINE_enum("norm", aips.L2, aips.NORMS, "Its norm.")
_BATCH_SIZE = absl_flags.DEFINE_integer("batch_size", 8, "Images at once.")
_NUM_ROUNDS = absl_flags.DEFINE_integer("num_rounds", 20, "Steps that are measured.")
_NOT_COUNTED = 2
_STEP, _MEMBERS, _PLAIN = "step", "members", "plain"

Work = Callable[[], object]
Seconds = tuple[float, float]  # On the wall, and of all cores.


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    classifiers = _open_manifest() if _MANIFEST.value else _make_classifiers()
    size, batch_size = max(c.image_size for c in classifiers), _BATCH_SIZE.value
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch_size, size, size, 3), np.uint8)
    labels = rng.integers(0, classifiers[0].num_classes, batch_size, np.int32)
    config = aips.AipConfig(
        images="-",
        output_dir="-",
        generators="-",
        method=_METHOD.value,
        norm=_NORM.value,
        epsilon=4.0 if _NORM.value == aips.LINF else 1000.0,
    )
    attack = methods.make_attack(config, size)
    singles = [objectives.JointLoss(attack, [c], aips.LOSSES) for c in classifiers]
    yardsticks = {
        _MEMBERS: _member_passes(attack, classifiers, images, labels),
        _PLAIN: _plain_passes(classifiers, batch_size),
    }
    table = rich.table.Table(
        title=f"{_METHOD.value}, {_NORM.value}, {batch_size} images of {size} pixels, "
        f"{_NUM_ROUNDS.value} steps\n"
        + ", ".join(f"{c.name} ({c.image_size})" for c in classifiers)
    )
    table.add_column("average of")
    for unit in ("seconds", "core-seconds"):
        for column in (unit, f"/ {_MEMBERS}", f"/ {_PLAIN}"):
            table.add_column(column, justify="right")
    for combination in aips.COMBINATIONS:
        objective = objectives.combine(attack, classifiers, combination, singles)
        rounds = _measure(attack, objective, images, labels, yardsticks)
        cells = []
        for clock in (0, 1):
            cells.append(f"{statistics.median(r[_STEP][clock] for r in rounds):.3f}")
            for name in yardsticks:
                ratios = [r[_STEP][clock] / r[name][clock] for r in rounds]
                cells.append(f"{statistics.median(ratios):.2f}")
        table.add_row(combination, *cells)
    rich.console.Console(width=100).print(table)


def _measure(
    attack: Attack,
    objective: objectives.Objective,
    images: np.ndarray,
    labels: np.ndarray,
    yardsticks: Mapping[str, Work],
) -> list[dict[str, Seconds]]:
    """Measures the steps of one attack, and after each of them the yardsticks."""
    rounds: list[dict[str, Seconds]] = []
    timer = _Timer()

    def on_step() -> None:
        seconds = {_STEP: timer.lap()}
        for name, work in yardsticks.items():
            work()
            seconds[name] = timer.lap()
        rounds.append(seconds)
        timer.lap()

    ascent = Ascent(attack, _NUM_ROUNDS.value + _NOT_COUNTED)
    seeds = np.zeros((len(images), 2), np.int32)
    ascent.perturb(objective, images, labels, seeds, on_step)
    return rounds[_NOT_COUNTED:]


class _Timer:
    """Tells the time since it was last asked."""

    def __init__(self) -> None:
        self._last = self._now()

    def lap(self) -> Seconds:
        last, self._last = self._last, self._now()
        return self._last[0] - last[0], self._last[1] - last[1]

    @staticmethod
    def _now() -> Seconds:
        return time.perf_counter(), time.process_time()


def _member_passes(
    attack: Attack,
    classifiers: Sequence[PixelModel],
    images: np.ndarray,
    labels: np.ndarray,
) -> Work:
    """Returns the gradient of each member's own loss, one after the other."""
    pixels, classes = tf.constant(images, tf.float32), tf.constant(labels)

    def compile_one(classifier: PixelModel) -> Work:
        @tf.function
        def differentiate(pixels: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(pixels)
                losses = attack.loss(classifier(pixels), classes)
            return tape.gradient(losses, pixels)

        return lambda: differentiate(pixels, classes).numpy()

    return _in_turn([compile_one(classifier) for classifier in classifiers])


def _plain_passes(classifiers: Sequence[PixelModel], batch_size: int) -> Work:
    """Returns a pass of each Keras model forward and backward, one after the other."""

    def compile_one(classifier: PixelModel) -> Work:
        @tf.function
        def differentiate(pixels: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(pixels)
                logits = classifier.model(pixels, training=False)
            return tape.gradient(logits, pixels)

        shape = (batch_size, classifier.image_size, classifier.image_size, 3)
        pixels = tf.random.stateless_uniform(shape, (0, 0), maxval=255.0)
        return lambda: differentiate(pixels).numpy()

    return _in_turn([compile_one(classifier) for classifier in classifiers])


def _in_turn(works: Sequence[Work]) -> Work:
    return lambda: [work() for work in works]


def _open_manifest() -> list[PixelModel]:
    return [m.open() for m in registry.open_registry(_MANIFEST.value).classifiers]


def _make_classifiers() -> list[PixelModel]:
    nets = keras.applications
    models = {
        "MobileNet 0.25": nets.MobileNet((192, 192, 3), 0.25, weights=None),
        "MobileNetV2 0.35": nets.MobileNetV2((224, 224, 3), 0.35, weights=None),
        "EfficientNetB0": nets.EfficientNetB0(weights=None),
    }
    return [PixelModel(n, m, outputs="probabilities") for n, m in models.items()]


if __name__ == "__main__":
    app.run(main)
