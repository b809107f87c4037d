"""Settings of `package_zoo`."""

import dataclasses

from kennen_tf.configs import base
from kennen_tf.vocabulary.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackageConfig(base.Config):
    """Settings of `package_zoo`."""

    zoo_dir: str = base.setting(
        "zoo",
        "Folder of the zoo that was queried: images are crafted on its classifiers, "
        "and all of them are sent these. Answers that were imported have none, and "
        "are packaged without crafted ones.",
        stored=False,
    )
    query_dir: str = base.setting(
        "queries",
        "Folder of the query outputs that query_zoo wrote.",
        required=True,
        stored=False,
    )
    package_dir: str = base.setting(
        "package",
        "Folder to write the package to; new, empty, or a package already.",
        required=True,
        stored=False,
    )
    num_queries: int = base.setting(
        200,
        "Number of natural queries to keep, those that tell most first, as kennen-s "
        "chooses them.",
        minimum=1,
    )
    num_crafted: int = base.setting(
        100,
        "Number of queries to craft, as kennen-io does; 0 is a package without "
        "kennen-io and kennen-i, for which no zoo is needed.",
        minimum=0,
    )
    seed: int = base.setting(
        0,
        "Root seed of the split R, on whose training side queries are chosen and "
        "crafted, and of both.",
        minimum=0,
    )
    image_epochs: int = base.setting(
        0,
        "Passes over the training entries in which images are crafted; 0 is what the "
        "methods' recipes say.",
        minimum=0,
    )
    crafted_metamodels: str = base.setting(
        "",
        "Folders of a kennen-io and a kennen-i that train_metamodel wrote, separated "
        "by a comma, whose images are taken; of the same zoo, --split=R and seed. By "
        "default, both are trained here.",
        stored=False,
    )
    crafted_queries: str = base.setting(
        "",
        "Query outputs whose images are sent in place of crafted ones, e.g. "
        "mnist_net/crafted: a black box asked once is then read by both packages.",
    )
    strangers: bool = base.setting(
        False,
        "Train some forty classifiers that are no networks, ask them, too, and keep "
        "their answers: metamodels learn from them to say that a black box is none of "
        "the zoo's kind. Of zoos that build_zoo made; a few minutes.",
    )
    prior: float = base.setting(
        0.0,
        "How far its ready metamodels name sooner what is common in the zoo: 0, all "
        "values are as likely beforehand; 1, they are as likely as they are frequent.",
        minimum=0.0,
        maximum=1.0,
    )
    num_shards: int = base.setting(
        1, "Number of files that answers are divided among.", minimum=1, maximum=99_999
    )
    licence: str = base.setting(
        "", "What README.md says of the licence, beside what is known of the images."
    )
    max_memory_mb: int = base.setting(
        4096,
        "Bound, in MB, on what crafting keeps of the zoo's classifiers in memory.",
        minimum=0,
        stored=False,
    )
    measure_loss: bool = base.setting(
        False,
        "Measure what half precision costs, by metamodels trained on full and on "
        "halved answers; the table is printed and kept in the package.",
        stored=False,
    )
    overwrite: bool = base.setting(
        False, "Replace another package in the folder.", stored=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_crafted or self.crafted_queries or self.strangers:
            base.check_given("zoo_dir", self.zoo_dir)
        if self.crafted_queries and self.crafted_metamodels:
            raise UserError(
                "Either --crafted_queries or --crafted_metamodels can be given. "
                "Received: both."
            )

    @property
    def metamodel_dirs(self) -> tuple[str, ...]:
        """The folders of --crafted_metamodels, each by itself."""
        parts = (part.strip() for part in self.crafted_metamodels.split(","))
        return tuple(part for part in parts if part)
