"""Datasets of query outputs: TFRecords to features and labels of metamodels.

Records are parsed, cut to the queries wanted and represented once; from then on they
stay in memory, a gigabyte for 250,000 entries and 100 queries of ten classes.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from kennen_tf.queries import records, representations
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary.errors import UserError

# Records at once; fewer of large ones, of which each parsed is a copy.
_PARSE_BATCH = 64
_PARSE_BYTES = 64 << 20


def load_arrays(
    info: QueryOutputsInfo,
    entry_ids: Sequence[str],
    query_indices: Sequence[int],
    representation: str | None,
    top_k: int = 0,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Loads features and labels of entries, sorted by entry id.

    Args:
        info: Opened query outputs.
        entry_ids: Which entries; their order does not matter.
        query_indices: Which queries, in the order of the features.
        representation: One of `outputs.REPRESENTATIONS`; None leaves probabilities.
        top_k: Labels that "top-k" ranks; 0: all.

    Returns:
        Features, float32 `(num_entries, num_queries, classes)`, and for each attribute
        its labels, int32 `(num_entries,)`, `MISSING` where there is no value.

    Raises:
        UserError: If there is no such entry or query.
    """
    places = _places(info, entry_ids)
    chosen = _check_queries(info, query_indices)
    names = info.attributes.names
    num_entries = int(np.sum(places >= 0))
    # Filled part by part, so that there is one copy of what may be gigabytes.
    features = np.empty((num_entries, len(chosen), info.num_classes), np.float32)
    labels = np.empty((len(names), num_entries), np.int32)
    num_read = 0
    for own, some_features, some_labels in _read(
        info, places, chosen, representation, top_k
    ):
        features[own], labels[:, own] = some_features, some_labels.T
        num_read += len(own)
    if num_read != num_entries:
        raise UserError(
            f"The records in {info.query_dir} must be those of its entries. Received: "
            f"{num_read} of {num_entries}. Make the outputs again."
        )
    return features, dict(zip(names, labels, strict=True))


def _read(
    info: QueryOutputsInfo,
    places: np.ndarray,
    chosen: np.ndarray,
    representation: str | None,
    top_k: int,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields some entries at a time: their places, features and labels."""
    queries = tf.constant(chosen, tf.int32)
    record_bytes = 4 * info.num_queries * info.num_classes

    def read(
        place: tf.Tensor, serialized: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        parsed = records.parse(
            serialized,
            info.attributes,
            info.num_queries,
            info.num_classes,
            info.is_half,
        )
        features = tf.gather(parsed[records.PROBABILITIES], queries, axis=1)
        if representation is not None:
            features = representations.represent(features, representation, top_k)
        labels = tf.stack([parsed[name] for name in info.attributes.names], axis=1)
        return place, features, tf.cast(labels, tf.int32)

    shards = tf.data.TFRecordDataset([str(path) for path in info.shard_paths])
    return (
        tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(places), shards)
        .filter(lambda place, _: place >= 0)
        .batch(max(1, min(_PARSE_BATCH, _PARSE_BYTES // record_bytes)))
        .map(read, num_parallel_calls=tf.data.AUTOTUNE)
        .as_numpy_iterator()
    )


def _places(info: QueryOutputsInfo, entry_ids: Sequence[str]) -> np.ndarray:
    """Returns, for each record, its entry's place among those wanted, or -1."""
    place_of = {
        entry_id: place for place, entry_id in enumerate(sorted(set(entry_ids)))
    }
    unknown = sorted(set(place_of) - {entry.id for entry in info.records})
    if unknown or not place_of:
        raise UserError(
            f"Entries of {info.query_dir} are wanted, at least one. Received: "
            f"{len(unknown)} of {len(place_of)} that are not there"
            + (f", {unknown[0]!r} for one." if unknown else ".")
        )
    return np.array([place_of.get(entry.id, -1) for entry in info.records], np.int64)


def _check_queries(info: QueryOutputsInfo, query_indices: Sequence[int]) -> np.ndarray:
    chosen = np.asarray(query_indices, np.int64)
    if not chosen.size or chosen.min() < 0 or chosen.max() >= info.num_queries:
        raise UserError(
            f"Queries of {info.query_dir} are numbered 0 to {info.num_queries - 1}; at "
            f"least one is wanted. Received: {chosen.size} indices"
            + (f", {chosen.min()} to {chosen.max()}." if chosen.size else ".")
        )
    return chosen


def make_array_dataset(
    features: np.ndarray,
    labels: Mapping[str, np.ndarray],
    *,
    batch_size: int,
    shuffle_seed: int,
    first_epoch: int,
) -> tf.data.Dataset:
    """Makes an endless dataset of batches, which do not straddle epochs.

    Args:
        features: float32 `(num_entries, num_queries, classes)`.
        labels: For each attribute, `(num_entries,)`.
        batch_size: Entries of a batch, over all replicas; the last of an epoch may
            have fewer.
        shuffle_seed: Decides the order, another one in each epoch.
        first_epoch: Number of the epoch that it starts with. The order of an epoch
            depends on nothing but the seed and its number: so a resumed training sees
            what it would have seen.

    Returns:
        Dataset of `(features, labels)`: float32 `(batch, num_queries, classes)`
        and, for each attribute, int32 `(batch,)`, `MISSING` where there is no value.
    """
    num_entries, names = len(features), tuple(labels)
    stacked = np.stack(list(labels.values()), axis=1)
    # One element, which holds all entries.
    whole = tf.data.Dataset.from_tensors((features, stacked.astype(np.int32)))
    epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
    batches = epochs.flat_map(
        lambda epoch: _shuffled(num_entries, shuffle_seed, epoch).batch(batch_size)
    )
    dataset = tf.data.Dataset.zip(batches, whole.repeat()).map(
        lambda chosen, entries: tf.nest.map_structure(
            lambda values: tf.gather(values, chosen), entries
        )
    )
    dataset = dataset.map(lambda features, labels: (features, _by_name(names, labels)))
    # Replicas and workers divide entries, not files: there may be more of them.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    options.deterministic = True
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)


def _shuffled(num_entries: int, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
    # Called within a graph of its own. The order is that of our seed alone; and with a
    # global seed of 0, TensorFlow would ask whether a symbolic tensor is 0.
    tf.compat.v1.get_default_graph().seed = None
    return tf.data.Dataset.range(num_entries).shuffle(
        num_entries,
        # Both halves of tf.data's seed must differ from 0, 0, which means "random".
        seed=tf.cast(seed, tf.int64) * 1_000_003 + epoch + 1,
        reshuffle_each_iteration=False,
    )


def _by_name(names: Sequence[str], labels: tf.Tensor) -> dict[str, tf.Tensor]:
    return dict(zip(names, tf.unstack(labels, axis=-1), strict=True))
