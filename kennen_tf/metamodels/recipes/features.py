"""From represented outputs to what the first layer of a metamodel reads."""

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

# Of a centred output that is all zero: a black box that names all classes alike.
_LEAST_SCALE = 1e-3
_BATCH = 1000


def divide(outputs: Any) -> Any:
    """Divides each classifier's centred log-probabilities by one number.

    It is their root mean square over all queries and classes. How sharp a classifier
    is, which training longer or softening changes, is gone; the shape is left.

    Args:
        outputs: Represented outputs `(entries, num_queries, classes)`: an array or a
            tensor of Keras.

    Returns:
        `(entries, num_queries, classes)`, of mean 0 over the classes.
    """
    ops = keras.ops
    outputs = outputs - ops.mean(outputs, axis=-1, keepdims=True)
    square = ops.mean(ops.square(outputs), axis=(-2, -1), keepdims=True)
    return outputs / ops.sqrt(square + _LEAST_SCALE**2)


def relate(
    outputs: Any,
    *,
    power: float = 0.0,
    center: bool = False,
    separate_scale: bool = False,
    normalize: bool = False,
) -> Any:
    """Relates the numbers of each output to each other, output by output.

    Args:
        outputs: Represented outputs `(..., classes)`: an array or a tensor of Keras.
        power: Above 0, the probabilities whose logarithms the outputs are, to this
            power, come in their place: of unlikely classes, they tell less.
        center: Whether their mean over the classes is taken off.
        separate_scale: Whether they are divided by their root mean square over the
            classes, whose logarithm becomes a feature of its own. How far a classifier
            sets classes apart, and in which proportion, then are told separately.
        normalize: Whether they become log-probabilities first, as after `divide`.

    Returns:
        `(..., classes)`, with `separate_scale` `(..., classes + 1)`.
    """
    ops = keras.ops
    if normalize:
        outputs = ops.log_softmax(outputs, axis=-1)
    if power:
        outputs = ops.exp(power * outputs)
    if center:
        outputs = outputs - ops.mean(outputs, axis=-1, keepdims=True)
    if separate_scale:
        square = ops.mean(ops.square(outputs), axis=-1, keepdims=True)
        scale = ops.sqrt(square + _LEAST_SCALE**2)
        outputs = ops.concatenate([outputs / scale, ops.log(scale)], axis=-1)
    return outputs


def add_features(
    inputs: keras.KerasTensor,
    train_features: npt.NDArray[np.float32],
    *,
    standardize: bool,
    deviation_floor: float,
    suffix: str = "",
    divides: bool = False,
    **how: Any,
) -> keras.KerasTensor:
    """Adds the layers that divide, relate, flatten and standardize.

    Args:
        inputs: `(batch, num_queries, classes)`.
        train_features: `(entries, num_queries, classes)`, where means and deviations
            come from.
        standardize: Whether features get mean 0 and deviation 1 in training.
        deviation_floor: Least deviation to divide by, as a share of the root mean
            square of all features' deviations.
        suffix: Of the layers' names.
        divides: Whether `divide` comes before all else.
        how: What `relate` takes besides.

    Returns:
        `(batch, num_queries * classes)`, with `separate_scale` one more for each query.
    """
    if divides:
        inputs = divide(inputs)
        train_features = _divide_in_parts(train_features)
    x = relate(inputs, **how)
    x = keras.layers.Flatten(name=f"flatten{suffix}")(x)
    if standardize:
        mean, variance = _moments(train_features, **how)
        floor = deviation_floor**2 * variance.mean()
        variance = np.maximum(variance, floor)
        # What does not vary at all is not divided.
        variance = np.where(variance > 0, variance, 1.0)
        x = _add_normalization(x, mean, variance, f"standardize{suffix}")
    return x


def add_centering(
    inputs: keras.KerasTensor,
    train_features: npt.NDArray[np.float32],
    *,
    divides: bool = False,
) -> keras.KerasTensor:
    """Adds layers that flatten, and take off the mean over training entries.

    Args:
        inputs: `(batch, num_queries, classes)`.
        train_features: `(entries, num_queries, classes)`.
        divides: Whether `divide` comes before all else.

    Returns:
        `(batch, num_queries * classes)`.
    """
    if divides:
        inputs = divide(inputs)
        train_features = _divide_in_parts(train_features)
    mean, variance = _moments(train_features)
    x = keras.layers.Flatten(name="flatten")(inputs)
    return _add_normalization(x, mean, np.ones_like(variance), "center")


def _add_normalization(
    x: keras.KerasTensor,
    mean: npt.NDArray[np.float64],
    variance: npt.NDArray[np.float64],
    name: str,
) -> keras.KerasTensor:
    """Adds a layer that takes off means and divides by deviations."""
    # Its moments are variables, where those of `Normalization` become constants of a
    # compiled step, which other trainings could not share.
    layer = keras.layers.BatchNormalization(
        center=False, scale=False, epsilon=0.0, trainable=False, name=name
    )
    layer.build(x.shape)
    layer.moving_mean.assign(mean.ravel())
    layer.moving_variance.assign(variance.ravel())
    return layer(x)


def make_standardizer(
    train_features: npt.NDArray[np.float32], **how: Any
) -> keras.Model:
    """Makes a model from represented outputs to standardised features alone.

    Args:
        train_features: `(entries, num_queries, classes)`.
        how: What `add_features` takes besides.
    """
    inputs = keras.Input(train_features.shape[1:], name="features")
    x = add_features(inputs, train_features, standardize=True, **how)
    return keras.Model(inputs, x)


def call(
    model: keras.Model, outputs: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Calls a model, some entries at a time.

    `predict` would compile each model anew, for one use.

    Args:
        model: What `make_standardizer` returned, or any other of represented outputs.
        outputs: Represented, `(entries, num_queries, classes)`.

    Returns:
        What the model makes of each entry, `(entries, ...)`.
    """
    parts = np.array_split(outputs, math.ceil(len(outputs) / _BATCH))
    return np.concatenate([np.asarray(model(part, training=False)) for part in parts])


def _divide_in_parts(outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns what `divide` does, some entries at a time: it copies them five times."""
    divided = np.empty_like(outputs)
    num_parts = math.ceil(len(outputs) / _BATCH)
    for part, own in zip(
        np.array_split(outputs, num_parts),
        np.array_split(divided, num_parts),
        strict=True,
    ):
        own[...] = np.asarray(divide(part))
    return divided


def _moments(
    features: npt.NDArray[np.float32], **how: Any
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns means and variances over entries of what `relate` returns."""
    # Query by query: float64 copies of all features may not fit.
    means, variances = [], []
    for query in range(features.shape[1]):
        values = np.asarray(relate(features[:, query], **how), np.float64)
        means.append(values.mean(axis=0))
        variances.append(values.var(axis=0))
    return np.stack(means), np.stack(variances)
