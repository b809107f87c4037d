"""Classifiers of red, green and blue images, 16x16x3, as a user may have them."""

import csv
import pathlib

import keras
import numpy as np

IMAGE_SHAPE = (16, 16, 3)
NUM_CLASSES = 3
NUM_IMAGES = 60

# As a module of the user's, in the folder where the command runs.
MODULE = """
import numpy as np
from sklearn.linear_model import LogisticRegression

with np.load({path!r}) as arrays:
    _images, _labels = arrays["images"], arrays["labels"]
_model = LogisticRegression(max_iter=50)
_model.fit(_images.reshape(len(_images), -1) / 255, _labels)


def probabilities(images):
    return _model.predict_proba(np.reshape(images, (len(images), -1)))


def labels(images):
    return _model.predict(np.reshape(images, (len(images), -1)))


def two_classes(images):
    return np.full((len(images), 2), 0.5)


def fails(images):
    raise RuntimeError("no credit left")
"""


def make_images(num_images=NUM_IMAGES, shape=IMAGE_SHAPE):
    """Makes images whose brightest channel is their class."""
    random = np.random.default_rng(0)
    labels = (np.arange(num_images) % NUM_CLASSES).astype(np.int32)
    images = random.integers(0, 150, (num_images, *shape), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[..., label] += 100
    return images, labels


def make_model(seed, *, pixels="unit", outputs="probabilities", shape=IMAGE_SHAPE):
    """Makes a Keras classifier that is right most times, without training."""
    inputs = keras.Input(shape)
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    last = keras.layers.Dense(
        NUM_CLASSES, activation="softmax" if outputs == "probabilities" else None
    )
    model = keras.Model(inputs, last(pooled))
    scale = 10 / (255 if pixels == "byte" else 1)
    noise = np.random.default_rng(seed).normal(0, 0.1, (NUM_CLASSES, NUM_CLASSES))
    last.set_weights([scale * (np.eye(NUM_CLASSES) + noise), np.zeros(NUM_CLASSES)])
    return model


def write_csv(path, rows):
    """Writes rows, dicts of the same keys."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_classifiers(folder):
    """Writes images, fourteen classifiers and the CSV that lists them.

    Returns:
        The rows of the CSV.
    """
    folder = pathlib.Path(folder)
    images, labels = make_images()
    np.savez(folder / "images.npz", images=images, labels=labels)
    (folder / "own_module.py").write_text(
        MODULE.format(path=str(folder / "images.npz"))
    )
    (folder / "models").mkdir()
    rows = []
    for number in range(12):
        pixels = "byte" if number == 3 else "unit"
        outputs = "logits" if number == 4 else "probabilities"
        model = make_model(number, pixels=pixels, outputs=outputs)
        suffix = {1: ".h5", 2: ""}.get(number, ".keras")
        path = folder / "models" / f"m{number:02d}{suffix}"
        if suffix:
            model.save(path)
        else:
            model.export(path, verbose=False)
        rows.append(
            {
                "file": f"models/{path.name}",
                "optimizer": ("adam", "sgd")[number % 2],
                "rate": "" if number == 5 else f"{0.001 * (number + 1):.3f}",
                "depth": (2, 3)[number % 2],
                "group": f"run{number // 4}",
                "pixels": pixels if pixels == "byte" else "",
                "outputs": outputs if outputs == "logits" else "",
            }
        )
    for name in ("probabilities", "labels"):
        rows.append(
            {
                "file": f"own_module:{name}",
                "optimizer": "lbfgs",
                "rate": "",
                "depth": "",
                "group": "own",
                "pixels": "",
                "outputs": name if name == "labels" else "",
            }
        )
    write_csv(folder / "models.csv", rows)
    return rows
