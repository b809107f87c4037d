"""From represented outputs to what the first layer of a metamodel reads."""

import keras
import numpy as np
import numpy.typing as npt


def add_features(
    inputs: keras.KerasTensor,
    train_features: npt.NDArray[np.float32],
    *,
    center: bool,
    standardize: bool,
    deviation_floor: float,
) -> keras.KerasTensor:
    """Adds the layers that center, standardize and flatten.

    Args:
        inputs: `(batch, num_queries, 10)`.
        train_features: `(entries, num_queries, 10)`, where means and deviations come
            from.
        center: Whether each output's mean over its classes is taken off.
        standardize: Whether features get mean 0 and deviation 1 in training.
        deviation_floor: Least deviation to divide by, as a share of the root mean
            square of all features' deviations.

    Returns:
        `(batch, num_queries * 10)`.
    """
    x = inputs
    if center:
        x = keras.layers.Subtract(name="center")(
            [x, keras.ops.mean(x, axis=-1, keepdims=True)]
        )
    x = keras.layers.Flatten(name="flatten")(x)
    if standardize:
        mean, variance = _moments(train_features, center)
        floor = deviation_floor**2 * variance.mean()
        # Its moments are variables, where those of `Normalization` become constants of
        # a compiled step, which other trainings could not share.
        layer = keras.layers.BatchNormalization(
            center=False, scale=False, epsilon=0.0, trainable=False, name="standardize"
        )
        layer.build(x.shape)
        layer.moving_mean.assign(mean.ravel())
        # Where nothing varies at all, nothing is divided.
        variance = np.maximum(variance, floor) if floor else 1 + variance
        layer.moving_variance.assign(variance.ravel())
        x = layer(x)
    return x


def _moments(
    features: npt.NDArray[np.float32], center: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    # Query by query: float64 copies of all features may not fit.
    means, variances = [], []
    for query in range(features.shape[1]):
        values = features[:, query].astype(np.float64)
        if center:
            values -= values.mean(axis=-1, keepdims=True)
        means.append(values.mean(axis=0))
        variances.append(values.var(axis=0))
    return np.stack(means), np.stack(variances)
