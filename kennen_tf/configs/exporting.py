"""Settings of `export_metamodel`."""

import dataclasses

from kennen_tf.configs import base


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig(base.Config):
    """Settings of `export_metamodel`."""

    metamodel_dir: str = base.setting(
        "",
        "Folder that train_metamodel wrote, or the name of a ready metamodel, e.g. "
        "mnist_net/kennen-s.",
        required=True,
    )
    export_dir: str = base.setting(
        "", "Folder of the SavedModel; made by this command.", required=True
    )
    overwrite: bool = base.setting(
        False, "Replace another metamodel that was exported to the same folder."
    )
