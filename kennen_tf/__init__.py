"""kennen_tf: reverse-engineering black-box classifiers from their outputs."""

import importlib
from typing import Any

__version__ = "0.2.0.dev0"


def __getattr__(name: str) -> Any:
    # Loaded when it is asked for: it takes seconds, as it needs TensorFlow.
    if name == "reveal":
        return importlib.import_module("kennen_tf.revealing.api").reveal
    raise AttributeError(f"module 'kennen_tf' has no attribute {name!r}")
