"""Settings of `evaluate_metamodel`."""

import dataclasses

from kennen_tf.configs import base


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationConfig(base.Config):
    """Settings of `evaluate_metamodel`.

    Attributes:
        metamodel_dir: Folder that `train_metamodel` wrote; several are separated by
            commas.
        query_dir: Folder of the query outputs; "" is the one used in training.
        zoo_dir: Folder of the zoo, for crafted queries; "" is the one used in
            training.
        output: Path of a JSON file for what several metamodels have in common; ""
            writes none.
    """

    metamodel_dir: str = ""
    query_dir: str = ""
    zoo_dir: str = ""
    output: str = ""

    def __post_init__(self) -> None:
        base.check_given("metamodel_dir", ",".join(self.metamodel_dirs))

    @property
    def metamodel_dirs(self) -> tuple[str, ...]:
        """The folders, each by itself."""
        parts = (part.strip() for part in self.metamodel_dir.split(","))
        return tuple(part for part in parts if part)
