"""Settings of `serve_classifier`."""

import dataclasses

from kennen_tf.configs import base


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServingConfig(base.Config):
    """Settings of `serve_classifier`."""

    classifier: str = base.setting(
        "",
        "Path of a file or folder in any format that reveal_black_box takes.",
        required=True,
    )
    name: str = base.setting(
        "", "What the model is called in its URL; by default, as its file is."
    )
    host: str = base.setting(
        "127.0.0.1",
        "Address to listen on; by default, only this machine can ask.",
        required=True,
    )
    port: int = base.setting(
        8501, "Port to listen on; 0 is any that is free.", minimum=0, maximum=65535
    )
