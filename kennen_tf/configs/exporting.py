"""Settings of `export_metamodel`."""

import dataclasses

from kennen_tf.configs import base


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig(base.Config):
    """Settings of `export_metamodel`.

    Attributes:
        metamodel_dir: Folder that `train_metamodel` wrote.
        export_dir: Folder of the SavedModel.
        overwrite: Replace what was exported there before.
    """

    metamodel_dir: str = ""
    export_dir: str = ""
    overwrite: bool = False

    def __post_init__(self) -> None:
        base.check_given("metamodel_dir", self.metamodel_dir)
        base.check_given("export_dir", self.export_dir)
