"""Query inputs: the fixed images that every classifier and black box is sent."""

import dataclasses
import functools
import hashlib
import zipfile
from collections.abc import Sequence

import numpy as np

from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.seeds import derive_seed

FILE_NAME = "queries.npz"
_FIELDS = {"images": np.uint8, "labels": np.int32, "indices": np.int32}


@dataclasses.dataclass(frozen=True, kw_only=True)
class QueryInputs:
    """Images to send, in order.

    Attributes:
        images: uint8 `(num_queries, height, width, channels)`; `(num_queries, 0, 0, 0)`
            if only answers to them are there.
        labels: int32 `(num_queries,)`, the class shown; -1 if it is not known.
        indices: int32 `(num_queries,)`, positions in the validation set.
    """

    images: np.ndarray
    labels: np.ndarray
    indices: np.ndarray

    def __post_init__(self) -> None:
        for name, dtype in _FIELDS.items():
            array = getattr(self, name)
            num_axes = 4 if name == "images" else 1
            received = array.ndim, len(array), array.dtype
            if received != (num_axes, len(self.indices), dtype):
                raise ValueError(
                    f"`{name}` must be {np.dtype(dtype)} with {num_axes} axes, the "
                    f"first of length {len(self.indices)}. Received: {array.dtype} of "
                    f"shape {array.shape}."
                )

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def pixels(self) -> np.ndarray:
        """What is sent: float32 `(num_queries, height, width, channels)` in [0, 1]."""
        return self.images.astype(np.float32) / np.float32(255)

    @property
    def has_images(self) -> bool:
        """Whether there are images to send, and not only answers to them."""
        return self.images.size > 0

    @functools.cached_property
    def fingerprint(self) -> str:
        """Names the images and their order."""
        if not self.has_images:
            return artifacts.fingerprint(["no images", len(self)])
        return hashlib.sha256(self.images.tobytes()).hexdigest()[:16]

    def take(self, query_indices: Sequence[int]) -> "QueryInputs":
        """Returns the queries at these places, in this order."""
        places = np.asarray(query_indices, np.int64)
        return QueryInputs(
            images=self.images[places],
            labels=self.labels[places],
            indices=self.indices[places],
        )

    def save(self, path: artifacts.Path) -> None:
        """Writes an .npz file, atomically; equal queries give equal bytes."""
        with artifacts.atomic_path(path) as temporary:
            with open(temporary, "wb") as file:
                np.savez_compressed(
                    file, images=self.images, labels=self.labels, indices=self.indices
                )

    @classmethod
    def load(cls, path: artifacts.Path) -> "QueryInputs":
        """Reads what `save` wrote.

        Raises:
            UserError: If the file is missing, damaged or of another content.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(**{name: arrays[name] for name in _FIELDS})
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{path} must hold query images, labels and indices. {error}"
            ) from error


def draw(
    images: np.ndarray, labels: np.ndarray, num_queries: int, query_seed: int
) -> QueryInputs:
    """Draws queries from validation images, without replacement.

    Args:
        images: uint8 `(n, height, width, channels)`.
        labels: int32 `(n,)`.
        num_queries: How many.
        query_seed: Root seed of the draw.

    Raises:
        UserError: If there are not that many images.
    """
    if num_queries > len(images):
        raise UserError(
            f"--num_queries must be at most the number of images to draw from, "
            f"{len(images)}. Received: num_queries={num_queries}."
        )
    random = np.random.default_rng(derive_seed(query_seed, "queries"))
    indices = random.choice(len(images), num_queries, replace=False)
    return QueryInputs(
        images=images[indices],
        labels=labels[indices].astype(np.int32),
        indices=indices.astype(np.int32),
    )
