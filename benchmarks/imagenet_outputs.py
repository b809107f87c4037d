"""Compares `batches.predict_logits` with `model.predict`, in one run.

    python -m benchmarks.imagenet_outputs --classifier=efficientnet_lite0.keras
    python -m benchmarks.imagenet_outputs --batch_sizes=4,8,16,32,64

Sends 1,000 images of random pixels through a classifier, by `model.predict` on the same
bytes and by `predict_logits` with the batch size that it chooses and with others, one
way after the other, over and over. Prints the median of images per second and of
images per core-second, which depends less on what else the machine does, and the
median over the rounds of the ratios to `model.predict`. Loading and the first call of
each way, which compiles it, are not counted.
"""

import statistics
import time
from collections.abc import Callable

import keras
import numpy as np
import rich.console
import rich.table
from absl import app
from absl import flags as absl_flags

from kennen_tf.imagenet.classifiers import batches
from kennen_tf.keras_models.pixel_models import PixelModel

_CLASSIFIER = absl_flags.DEFINE_string(
    "classifier", "", ".keras file; by default MobileNet with random weights."
)
_NUM_IMAGES = absl_flags.DEFINE_integer("num_images", 1000, "Images to send.")
_NUM_ROUNDS = absl_flags.DEFINE_integer("num_rounds", 5, "Times that all is measured.")
_BATCH_SIZES = absl_flags.DEFINE_list(
    "batch_sizes", [], "Batch sizes to try beside the one that is chosen."
)
_PREDICT = "model.predict"


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    if _CLASSIFIER.value:
        model = keras.models.load_model(_CLASSIFIER.value, compile=False)
    else:
        model = keras.applications.MobileNet(weights=None, classifier_activation=None)
    classifier = PixelModel("classifier", model)
    size, num_images = classifier.image_size, _NUM_IMAGES.value
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (num_images, size, size, 3), np.uint8)

    def make_way(batch_size: int) -> Callable[[], np.ndarray]:
        return lambda: batches.predict_logits(classifier, pixels, batch_size)

    chosen = batches.choose_batch_size(classifier.model)
    ways: dict[str, Callable[[], np.ndarray]] = {
        _PREDICT: lambda: classifier.model.predict(pixels, verbose=0),
        f"predict_logits ({chosen}, chosen)": make_way(0),
        **{f"predict_logits ({b})": make_way(int(b)) for b in _BATCH_SIZES.value},
    }
    plain = ways[_PREDICT]()
    differences = [float(np.abs(way() - plain).max()) for way in ways.values()]
    wall: dict[str, list[float]] = {name: [] for name in ways}
    core: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_NUM_ROUNDS.value):
        for name, way in ways.items():
            start, core_start = time.perf_counter(), time.process_time()
            way()
            wall[name].append(time.perf_counter() - start)
            core[name].append(time.process_time() - core_start)

    table = rich.table.Table(title=f"{num_images} images, {_NUM_ROUNDS.value} rounds")
    for column in ("way (batch)", "per second", "ratio", "per core-second", "ratio"):
        table.add_column(column, justify="right")
    for name in ways:
        cells = []
        for seconds in (wall, core):
            rounds = zip(seconds[_PREDICT], seconds[name], strict=True)
            cells += [
                f"{num_images / statistics.median(seconds[name]):.1f}",
                f"{statistics.median(plain / own for plain, own in rounds):.2f}",
            ]
        table.add_row(name, *cells)
    console = rich.console.Console(width=100)
    console.print(table)
    console.print(f"Largest difference of a logit: {max(differences):.1e}.")


if __name__ == "__main__":
    app.run(main)
