"""Settings of `query_zoo`, and of what `predict_family` keeps."""

import dataclasses
from collections.abc import Mapping, Sequence

from kennen_tf.configs import base


@dataclasses.dataclass(frozen=True, kw_only=True)
class QueryConfig(base.Config):
    """Settings of `query_zoo`.

    What to send, and to whom:
        num_queries: Validation images that every classifier is sent.
        query_seed: Root seed of their draw.
        min_accuracy: Accepted classifiers below this validation accuracy, in [0, 1],
            are left out; an ensemble needs all its members.

    Where:
        zoo_dir: Folder of the zoo.
        query_dir: Folder of the query outputs.
        num_shards: Files that the outputs are divided among.
        overwrite: Whether other query outputs in `query_dir` are replaced.
    """

    zoo_dir: str = "zoo"
    query_dir: str = "queries"
    num_queries: int = 1000
    query_seed: int = 0
    min_accuracy: float = 0.0
    num_shards: int = 4
    overwrite: bool = False

    def __post_init__(self) -> None:
        base.check_given("zoo_dir", self.zoo_dir)
        base.check_given("query_dir", self.query_dir)
        base.check_range("num_queries", self.num_queries, 1)
        base.check_range("query_seed", self.query_seed, 0)
        base.check_range("min_accuracy", self.min_accuracy, 0.0, 1.0)
        base.check_range("num_shards", self.num_shards, 1, 99_999)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FamilyQueryConfig(base.Config):
    """What query outputs of families are made from.

    Attributes:
        query_dir: Folder of the query outputs.
        images: Fingerprint of the images, names and labels.
        classifiers: Family and identity of each classifier, by its name.
        num_shards: Files that the outputs are divided among.
    """

    query_dir: str
    images: str
    classifiers: Mapping[str, Sequence[str]]
    num_shards: int = 4
