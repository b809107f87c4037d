"""The loss of a ridge regression that reads outputs, on entries left out of it."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kennen_tf.attributes import AttributeTable
from kennen_tf.metamodels.crafting.losses import floor
from kennen_tf.metamodels.recipes import heads, missing

# Weight of the reader's constant: so large that it is as good as not regularised.
# Without a constant, features and targets of mean 0 would betray those left out: they
# are minus the sum of the others'.
_CONSTANT = 10.0
# As a share of the mean variance; features that hardly vary must not explode.
_LEAST_VARIANCE = 0.01


class LeftOutLoss:
    """The loss of a ridge regression on entries that it was not fitted to.

    The reader is ridge regression from all outputs to the values of all attributes,
    fitted to the batch. Leaving out one combination after the other has a closed form,
    so the loss is that of as many readers as there are combinations, each on the
    combination that it has not seen, and the gradient knows how each of these readers
    changes with the images. Squared errors, those of an attribute divided by the
    variance of its values and averaged over attributes: 1 is what knowing nothing
    gives. To an attribute that some entries have no value of, the reader is fitted to
    the others, and its errors are those on the others.

    Args:
        table: The attributes.
        labels: For each attribute, `(training entries,)`.
        combination_ids: Of the training entries.
        ridge: Strength of the regularisation, for features of variance 1.
    """

    def __init__(
        self,
        table: AttributeTable,
        labels: heads.Labels,
        combination_ids: Sequence[str],
        ridge: float,
    ):
        self._ridge = ridge
        _, self._groups = np.unique(combination_ids, return_inverse=True)
        self._parts = list(missing.patterns(table, labels))
        one_hot = [np.eye(len(a.values))[labels[a.name]] for a in table]
        known = [
            values[labels[a.name] >= 0]
            for a, values in zip(table, one_hot, strict=True)
        ]
        deviations = [
            float(np.sqrt(values.var(axis=0).sum())) if len(values) else 0.0
            for values in known
        ]
        # An attribute of one value has nothing to be told.
        num_varying = sum(deviation > 0 for deviation in deviations)
        scales = [
            np.full(
                values.shape[1], 1 / (d * float(np.sqrt(num_varying))) if d else 0.0
            )
            for values, d in zip(one_hot, deviations, strict=True)
        ]
        self._scale = np.concatenate(scales)
        joined = np.concatenate(one_hot, axis=1)
        self._mean = np.zeros(joined.shape[1])
        for is_known, columns in self._parts:
            self._mean[columns] = joined[np.ix_(is_known, columns)].mean(axis=0)
        self._targets = ((joined - self._mean) * self._scale).astype(np.float32)

        @tf.function(reduce_retracing=True)
        def differentiate(
            log_probabilities: tf.Tensor,
            parts: list[tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]],
        ) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(log_probabilities)
                features = _standardize(log_probabilities, log_probabilities)
                losses = []
                for places, targets, members, is_member in parts:
                    own = tf.gather(features, places)
                    errors = _left_out_errors(own, targets, members, is_member, ridge)
                    num_entries = tf.cast(tf.shape(targets)[0], tf.float32)
                    losses.append(tf.reduce_sum(errors**2) / num_entries)
                loss = tf.add_n(losses)
            return loss, tape.gradient(loss, log_probabilities)

        self._differentiate = differentiate

    def __call__(
        self, log_probabilities: tf.Tensor, places: np.ndarray
    ) -> tuple[tf.Tensor, tf.Tensor]:
        parts = []
        for is_known, columns in self._parts:
            own = np.flatnonzero(is_known[places])
            if len(own):
                targets = self._targets[np.ix_(places[own], columns)]
                groups = _group_table(self._groups[places[own]])
                parts.append((own, targets, *groups))
        if not parts:
            return tf.constant(0.0), tf.zeros_like(log_probabilities)
        return self._differentiate(log_probabilities, parts)

    def held_out_error(self, outputs: np.ndarray, is_held_out: np.ndarray) -> float:
        """Returns the loss, on some entries, of a reader fitted to all others.

        Args:
            outputs: Log-probabilities of all training entries, `(entries, n, classes)`.
            is_held_out: bool `(entries,)`.
        """
        train = outputs[~is_held_out]
        total = 0.0
        for is_known, columns in self._parts:
            fitted, tested = is_known & ~is_held_out, is_known & is_held_out
            if not (fitted.any() and tested.any()):
                continue
            features = _standardize(outputs[fitted], train)
            weights = self._fit(features, self._targets[np.ix_(fitted, columns)])
            others = _standardize(outputs[tested], train)
            read = _kernel(others, features) @ weights
            errors = self._targets[np.ix_(tested, columns)] - read
            total += float(tf.reduce_mean(tf.reduce_sum(errors**2, axis=1)))
        return total

    def _fit(self, features: tf.Tensor, targets: np.ndarray) -> tf.Tensor:
        """Returns the weight of each entry's kernel in the reader."""
        kernel = _kernel(features, features)
        return tf.linalg.solve(kernel + self._ridge * tf.eye(len(targets)), targets)

    def predict_logits(
        self, train: np.ndarray, test: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Reads training entries with readers that leave them out; see `NamingLoss`."""
        features = _standardize(train, train)
        test_features = _standardize(test, train)
        left_out = np.zeros_like(self._targets)
        read = np.zeros((len(test), self._targets.shape[1]), np.float32)
        for is_known, columns in self._parts:
            own = tf.boolean_mask(features, is_known)
            targets = self._targets[np.ix_(is_known, columns)]
            members, is_member = _group_table(self._groups[is_known])
            errors = _left_out_errors(
                own, targets, members, is_member, self._ridge
            ).numpy()
            answers = np.empty_like(targets)
            answers[members[is_member > 0]] = (
                targets[members[is_member > 0]] - errors[is_member > 0]
            )
            weights = self._fit(own, targets)
            # Those without a value were fitted to by none.
            left_out[:, columns] = (_kernel(features, own) @ weights).numpy()
            left_out[np.ix_(is_known, columns)] = answers
            read[:, columns] = (_kernel(test_features, own) @ weights).numpy()
        return self._to_logits(left_out), self._to_logits(read)

    def _to_logits(self, predictions: np.ndarray) -> np.ndarray:
        """Returns the logarithm of predicted shares, those below 1% being 1%."""
        scale = np.where(self._scale > 0, self._scale, 1.0)
        shares = predictions / scale + self._mean
        return np.log(np.maximum(shares, 0.01)).astype(np.float32)


def _standardize(log_probabilities: tf.Tensor, train: tf.Tensor) -> tf.Tensor:
    """Makes features `(entries, n * classes)`, of mean 0 and variance 1 in training."""

    def center(values: tf.Tensor) -> tf.Tensor:
        values = floor(values)
        values -= tf.reduce_mean(values, axis=-1, keepdims=True)
        return tf.reshape(values, (tf.shape(values)[0], -1))

    mean, variance = tf.nn.moments(center(train), axes=0)
    least = _LEAST_VARIANCE * tf.reduce_mean(variance)
    return (center(log_probabilities) - mean) / tf.sqrt(tf.maximum(variance, least))


def _kernel(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    num_features = tf.cast(tf.shape(a)[1], tf.float32)
    return a @ tf.transpose(b) / num_features + _CONSTANT


def _left_out_errors(
    features: tf.Tensor,
    targets: tf.Tensor,
    members: tf.Tensor,
    is_member: tf.Tensor,
    ridge: float,
) -> tf.Tensor:
    """Returns the errors for each group of readers fitted to all others.

    Args:
        features: `(entries, features)`.
        targets: `(entries, values)`.
        members, is_member: From `_group_table`.
        ridge: Strength of the regularisation.

    Returns:
        `(groups, entries of the largest group, values)`, 0 where there is no entry.
    """
    kernel = _kernel(features, features)
    # Both are symmetric and commute.
    hat = tf.linalg.solve(kernel + ridge * tf.eye(tf.shape(kernel)[0]), kernel)
    errors = tf.gather(targets - hat @ targets, members) * is_member[..., tf.newaxis]
    # For each group: (1 - its block of the hat matrix)^-1 its errors.
    blocks = tf.gather(tf.gather(hat, members), members, axis=2, batch_dims=1)
    blocks *= is_member[:, :, tf.newaxis] * is_member[:, tf.newaxis, :]
    return tf.linalg.solve(tf.eye(tf.shape(members)[1]) - blocks, errors)


def _group_table(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the places of each group's entries, padded, and which are no padding.

    Returns:
        int32 and float32, both `(groups, entries of the largest group)`.
    """
    _, inverse, count = np.unique(groups, return_inverse=True, return_counts=True)
    members = np.zeros((len(count), count.max()), np.int32)
    is_member = np.zeros(members.shape, np.float32)
    filled = np.zeros(len(count), int)
    for place, group in enumerate(inverse):
        members[group, filled[group]] = place
        is_member[group, filled[group]] = 1.0
        filled[group] += 1
    return members, is_member
