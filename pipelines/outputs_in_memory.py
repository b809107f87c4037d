"""Query outputs that were read once, for trainings that would each read them again."""

from collections.abc import Sequence

import numpy as np

from kennen_tf.machine import memory
from kennen_tf.queries import representations
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from pipelines import query_outputs


class OutputsInMemory:
    """Gives what functions of `pipelines.query_outputs` give, from memory.

    10,000 entries and 1,000 queries are 400 MB.
    """

    def __init__(self, info: QueryOutputsInfo):
        """Reads all outputs.

        Args:
            info: The query outputs; those of all later calls are these.

        Raises:
            UserError: If memory has no room for them.
        """
        memory.check_memory(
            4 * len(info.entries) * info.num_queries * info.num_classes,
            f"Keeping what {len(info.entries):,} entries answered to "
            f"{info.num_queries} queries",
            "Query the zoo with fewer --num_queries, or less of it (--min_accuracy).",
        )
        ids = [entry.id for entry in info.entries]
        self._probabilities, self._labels = query_outputs.load_arrays(
            info, ids, range(info.num_queries), None
        )
        self._place_of = {entry_id: place for place, entry_id in enumerate(ids)}

    def load_arrays(
        self,
        info: QueryOutputsInfo,
        entry_ids: Sequence[str],
        query_indices: Sequence[int],
        representation: str | None,
        top_k: int = 0,
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """See `query_outputs.load_arrays`."""
        places = [self._place_of[entry_id] for entry_id in sorted(set(entry_ids))]
        features = self._probabilities[np.ix_(places, list(query_indices))]
        if representation is not None:
            features = representations.represent(
                features, representation, top_k
            ).numpy()
        return features, {n: own[places] for n, own in self._labels.items()}
