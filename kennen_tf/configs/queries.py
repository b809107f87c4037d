"""Settings of `query_zoo`, and of what `predict_family` keeps."""

import dataclasses
from collections.abc import Mapping, Sequence

from kennen_tf.configs import base
from kennen_tf.configs.engines import EngineConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class QueryConfig(EngineConfig):
    """Settings of `query_zoo`."""

    zoo_dir: str = base.setting(
        "zoo", "Folder of the zoo, as build_zoo made it.", required=True
    )
    query_dir: str = base.setting(
        "queries",
        "Folder for the query outputs; new, empty, or theirs already.",
        required=True,
    )
    num_queries: int = base.setting(
        1000, "Number of validation images that every classifier is sent.", minimum=1
    )
    query_seed: int = base.setting(
        0, "Root seed of the draw of these images.", minimum=0
    )
    query_pool: int = base.setting(
        0,
        "Number of validation images, the first ones, that they are drawn from, e.g. "
        "those that somebody else's classifiers were asked about; 0 is all.",
        minimum=0,
    )
    min_accuracy: float = base.setting(
        0.0,
        "Validation accuracy, in [0, 1], below which an accepted classifier is left "
        "out; an ensemble needs all its members.",
        minimum=0.0,
        maximum=1.0,
    )
    num_shards: int = base.setting(
        4,
        "Number of files that the outputs are divided among.",
        minimum=1,
        maximum=99_999,
    )
    overwrite: bool = base.setting(False, "Replace other query outputs in the folder.")


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
