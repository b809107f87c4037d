"""Settings of `evaluate_metamodel`."""

import dataclasses

from kennen_tf.configs import base


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationConfig(base.Config):
    """Settings of `evaluate_metamodel`."""

    metamodel_dir: str = base.setting(
        "",
        "Folder that train_metamodel wrote; several, separated by commas, are "
        "compared, and those that differ only in the seed are summarised together.",
    )
    query_dir: str = base.setting(
        "",
        "Folder of the query outputs, if they were moved; by default the one recorded "
        "in training.",
    )
    zoo_dir: str = base.setting(
        "",
        "Folder of the zoo, if it was moved; only metamodels with crafted queries need "
        "it. By default the one recorded in training.",
    )
    output: str = base.setting(
        "",
        "Path of a JSON file for the comparison (means and spreads over seeds); by "
        "default none is written.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        base.check_given("metamodel_dir", ",".join(self.metamodel_dirs))

    @property
    def metamodel_dirs(self) -> tuple[str, ...]:
        """The folders, each by itself."""
        parts = (part.strip() for part in self.metamodel_dir.split(","))
        return tuple(part for part in parts if part)
