"""Query outputs that were read once, for trainings that would each read them again."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from kennen_tf import outputs
from kennen_tf.metamodels.making import Pipeline
from kennen_tf.query_outputs import QueryOutputsInfo


class OutputsInMemory:
    """A `Pipeline` that gives what another gives, from memory.

    10,000 entries and 1,000 queries are 400 MB.
    """

    def __init__(self, info: QueryOutputsInfo, pipeline: Pipeline):
        """Reads all outputs.

        Args:
            info: The query outputs; those of all later calls are these.
            pipeline: What reads them.
        """
        ids = [entry.id for entry in info.entries]
        everything = range(info.num_queries)
        self._pipeline = pipeline
        self._probabilities, self._labels = pipeline.load_arrays(
            info, ids, everything, None
        )
        self._place_of = {entry_id: place for place, entry_id in enumerate(ids)}

    def load_arrays(
        self,
        info: QueryOutputsInfo,
        entry_ids: Sequence[str],
        query_indices: Sequence[int],
        representation: str | None,
        top_k: int = 1,
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        places = [self._place_of[entry_id] for entry_id in sorted(set(entry_ids))]
        features = self._probabilities[np.ix_(places, list(query_indices))]
        if representation is not None:
            features = outputs.represent(features, representation, top_k).numpy()
        return features, {n: own[places] for n, own in self._labels.items()}

    def make_dataset(
        self,
        info: QueryOutputsInfo,
        entry_ids: Sequence[str],
        query_indices: Sequence[int],
        representation: str | None,
        top_k: int = 1,
        *,
        batch_size: int,
        shuffle_seed: int | None = None,
        first_epoch: int | None = None,
    ) -> tf.data.Dataset:
        if shuffle_seed is None or first_epoch is None:
            raise ValueError("Only endless datasets in a seed's order are made here.")
        return self._pipeline.make_array_dataset(
            *self.load_arrays(info, entry_ids, query_indices, representation, top_k),
            batch_size=batch_size,
            shuffle_seed=shuffle_seed,
            first_epoch=first_epoch,
        )

    def make_array_dataset(
        self,
        features: np.ndarray,
        labels: Mapping[str, np.ndarray],
        *,
        batch_size: int,
        shuffle_seed: int,
        first_epoch: int,
    ) -> tf.data.Dataset:
        return self._pipeline.make_array_dataset(
            features,
            labels,
            batch_size=batch_size,
            shuffle_seed=shuffle_seed,
            first_epoch=first_epoch,
        )
